// `chatidentity dev --web` in headless Chromium: the page, the sidecar behind it, and other sites.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, beforeEach, test } from 'node:test';

import { absent, launch } from './browser.js';

let dev;
let home;
let browser;
let page;
let faults;

if (!absent) {
  before(async () => {
    dev = spawn(join(import.meta.dirname, 'build/chatidentity'), [
      'dev', '--web', '--listen', '127.0.0.1:0', '--admin-listen', '127.0.0.1:0', '--limit-customer', '3/h:3', '--output', 'json',
    ], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = await once(createInterface(dev.stdout), 'line');
    home = JSON.parse(line).web_url;
    browser = await launch('--host-resolver-rules=MAP shop.example 127.0.0.1');
  });
  after(async () => {
    await browser?.close();
    dev?.kill();
    if (dev) assert.deepEqual(await once(dev, 'exit'), [0, null]);
  });
  beforeEach(async () => {
    await fetch(`${home}session/end`, { method: 'POST' }); // the app has one user
    const context = await browser.newContext({ viewport: { width: 1000, height: 700 }, colorScheme: 'light' }); // a browser of its own
    page = await context.newPage();
    faults = [];
    page.on('pageerror', (error) => faults.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) faults.push(message.text()); // refusals are those
    });
    page.on('request', (request) => { if (!request.url().startsWith(home)) faults.push(request.url()); });
    await page.goto(home);
    await says('Nobody is logged in');
  });
}

const says = (text) => page.getByRole('status').getByText(text).waitFor();
const shown = async (name) => JSON.parse(await page.getByLabel(name, { exact: true }).textContent());
const answers = () => page.locator('#sdk').innerText();

async function logIn(externalId, email = '') {
  await page.getByLabel('External ID').fill(externalId);
  await page.getByLabel('Email').fill(email);
  await page.getByRole('button', { name: 'Log in' }).click();
}

async function recorded(event, field, value) {
  await page.locator('#record', { hasText: `"${field}": "${value}"` }).waitFor();
  assert.equal((await shown('Audit record of the last call')).event, event);
}

test('a log-in shows claims, verdict, record and isLoggedIn; a reload needs no token; a log-out ends it', { skip: absent }, async () => {
  await logIn('ada');
  await says('The chat knows this user by a new token.');
  const { iat, ...others } = await shown('Its claims');
  assert.deepEqual(others, { externalId: 'ada' });
  assert.ok(Math.abs(Date.now() / 1000 - iat) < 60);
  assert.equal(await page.locator('#verdict').textContent(), 'accepted');
  await recorded('token.issue', 'outcome', 'OK');
  assert.match(await answers(), /^isLoggedIn\(\{externalId: "ada"\}\)\s+true$/);
  assert.equal(await page.locator('#chat').textContent(), 'Chat of ada (externalId)');
  assert.match(await page.locator('#jwt').textContent(), /^eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+$/);
  if (process.env.SCREENSHOT_DEV) await page.screenshot({ path: process.env.SCREENSHOT_DEV });

  await page.reload();
  await says('no token was asked for');
  assert.match(await answers(), /true$/);

  await page.getByRole('button', { name: 'Log out' }).click();
  await says('Nobody is logged in');
  assert.match(await answers(), /^isLoggedIn\(\{externalId: "ada"\}\)\s+false$/);
  assert.equal(await page.locator('#chat').textContent(), 'Chat of a guest');
  assert.ok(await page.getByRole('button', { name: 'Log out' }).isHidden());
  assert.deepEqual(faults, []);
});

test('the keyboard is enough, and with both identifiers the email counts', { skip: absent }, async () => {
  const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.textContent);
  for (const id of ['external_id', 'email']) {
    await page.keyboard.press('Tab');
    assert.equal(await focused(), id);
    await page.keyboard.type(id === 'email' ? 'grace@example.com' : 'grace');
  }
  await page.keyboard.press('Enter');
  await says('by a new token');
  assert.match(await answers(), /externalId: "grace"\}\)\s+false\s+isLoggedIn\(\{email: "grace@example.com"\}\)\s+true$/);
  for (const name of ['Log in', 'another', 'log-out']) {
    await page.keyboard.press('Tab');
    assert.equal(await focused(), name);
  }
  await page.keyboard.press('Space');
  await says('Nobody is logged in');
  await page.waitForFunction(() => document.activeElement.id === 'external_id'); // not lost with the button
  assert.deepEqual(faults, []);
});

test('refusals are said where a person looks', { skip: absent }, async () => {
  await logIn(' bob', 'bob');
  await says('The sidecar refuses: INVALID_CUSTOMER');
  await recorded('token.issue', 'reason', 'INVALID_CUSTOMER');
  for (const label of ['External ID', 'Email']) {
    const field = page.getByLabel(label);
    assert.equal(await field.getAttribute('aria-invalid'), 'true');
    assert.match(await page.locator(`#${await field.getAttribute('aria-describedby')}`).textContent(), /^It must /);
  }
  assert.equal(await page.locator('#claims').textContent(), '–');
  assert.match(await answers(), /false$/);

  await logIn('bob');
  await says('by a new token');
  assert.equal(await page.getByLabel('External ID').getAttribute('aria-invalid'), 'false');
  const another = page.getByRole('button', { name: 'Another token' });
  for (const text of ['Another token', 'Another token', 'The sidecar refuses: RATE_LIMITED']) {
    await another.click();
    await says(text);
  }
  assert.match(await page.getByRole('status').textContent(), /The customer limit is reached\. Come back in 1[12]\d\d s\./);
  await recorded('token.issue', 'reason', 'RATE_LIMITED');
  assert.match(await answers(), /true$/); // the chat goes on
  assert.deepEqual(faults, []);
});

test('another site in the same browser gets no token', { skip: absent }, async () => {
  await logIn('eve');
  await says('by a new token');
  const token = await page.locator('#jwt').textContent();

  const other = createServer((request, response) => response.setHeader('Content-Type', 'text/html').end('<!doctype html>'));
  other.listen(0, '127.0.0.1');
  await once(other, 'listening');
  try {
    const site = await page.context().newPage();
    await site.goto(`http://127.0.0.1:${other.address().port}/`);
    const steal = (url) => site.evaluate(async (target) => {
      const took = [];
      for (const [method, path] of [['POST', 'chat-token'], ['POST', 'state'], ['POST', 'session/end'], ['GET', 'page.js']]) {
        for (const mode of ['cors', 'no-cors']) {
          try {
            const response = await fetch(target + path, { method, mode, credentials: 'include' });
            if (response.type !== 'opaque') took.push(path, response.status, await response.text());
          } catch { /* as it should be */ }
        }
      }
      return took;
    }, url);
    assert.deepEqual(await steal(home), []);
    const rebound = home.replace('127.0.0.1', 'shop.example'); // a name whose DNS leads here
    assert.equal((await site.goto(rebound)).status(), 403);
    const took = await steal(rebound); // the same origin now: only the sidecar's page can refuse
    assert.deepEqual(took.filter(Number.isInteger), Array(8).fill(403));
    assert.ok(!took.join().includes('ey'));
  } finally {
    other.close();
    other.closeAllConnections();
  }
  await page.reload();
  await says('no token was asked for'); // nobody logged eve out, or asked for another
  assert.equal(await page.locator('#jwt').textContent(), token);
  assert.deepEqual(faults, []);
});

test('the page is dark where the system is, and every field has a label', { skip: absent }, async () => {
  const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await paper();
  await page.emulateMedia({ colorScheme: 'dark' });
  const brightness = (colour) => colour.match(/\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0);
  assert.ok(brightness(light) > 600 && brightness(await paper()) < 150, `${light}, ${await paper()}`);
  for (const field of await page.locator('input').all()) {
    assert.ok(await field.evaluate((input) => input.labels.length === 1 && input.labels[0].textContent !== ''));
  }
  assert.deepEqual(faults, []);
});
