// Chromium, for the tests.
import { existsSync } from 'node:fs';

import { chromium } from 'playwright-core';

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';

/** Why tests are skipped: there is no Chromium. */
export const absent = !existsSync(executablePath) && `${executablePath} is not installed: examples/install.sh installs it`;
if (absent && process.env.CI === 'true') throw new Error(absent);

export const launch = (...flags) => chromium.launch({
  executablePath,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', ...flags],
});
