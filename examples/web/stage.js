// All that the page needs, on free ports: the sidecar, the backend of examples/node
// with the page added, and the stand-in for the vendor.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import express from 'express';

import { standin } from './standin.js';

/** The real sidecar; it serves on the same socket after a restart. */
class Sidecar {
  constructor(secret, socket) {
    this.secret = secret;
    this.socket = socket;
  }

  async start() {
    this.process = spawn(join(import.meta.dirname, 'build/chatidentity'), [
      'serve', '--listen', `unix:${this.socket}`, '--allow-uid', String(process.getuid()), '--admin-listen', '127.0.0.1:0',
    ], { env: { ...process.env, KUSTOMER_SECRET_KEY: this.secret }, stdio: ['ignore', 'pipe', 'pipe'] });
    this.process.stdout.resume(); // the audit records
    for await (const line of createInterface(this.process.stderr)) {
      if (!line.startsWith('{')) throw new Error(line);
      const { msg, admin } = JSON.parse(line);
      if (msg === 'serving') {
        this.admin = admin;
        break;
      }
    }
    this.process.stderr.resume();
  }

  async kill() {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    this.process.kill('SIGKILL');
    await once(this.process, 'exit');
  }

  /** How many tokens this run has issued. */
  async issued() {
    const text = await (await fetch(`http://${this.admin}/metrics`)).text();
    const [, count] = /^grpc_server_handled_total\{grpc_code="OK",grpc_method="IssueToken",[^}]*\} (\d+)$/m.exec(text);
    return Number(count);
  }
}

async function listen(app) {
  const server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, url: `http://127.0.0.1:${server.address().port}` };
}

/**
 * Starts everything.
 *
 * @param {{secret: string, now?: () => number}} options now: Kustomer's clock
 */
export async function stage(options) {
  const directory = await mkdtemp(join(tmpdir(), 'ci-'));
  const sidecar = new Sidecar(options.secret, join(directory, 's'));
  await sidecar.start();
  const vendor = await listen(standin(options));
  process.env.CHATIDENTITY_ADDRESS = `unix:${sidecar.socket}`;
  const { app } = await import('../node/dist/examples/node/app.js');
  app.get('/me', (request, response) => {
    response.json({ external_id: request.session?.userId });
  });
  app.get('/widget-address.js', (request, response) => {
    response.type('js').send(`window.widgetAddress = "${vendor.url}/widget.js";`);
  });
  app.use('/shop', express.static(join(import.meta.dirname, 'public')));
  const backend = await listen(app);
  return {
    url: `${backend.url}/shop/`,
    sidecar,
    async close() {
      for (const { server } of [backend, vendor]) {
        server.close();
        server.closeAllConnections();
      }
      await sidecar.kill();
      await rm(directory, { recursive: true });
    },
  };
}
