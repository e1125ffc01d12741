import { randomBytes } from 'node:crypto';

import { stage } from './stage.js';

const { url, close } = await stage({ secret: randomBytes(32).toString('base64') });
console.log(`Open ${url} and log in as anybody. Ctrl-C stops.`);
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    await close();
    process.exit();
  });
}
