// The page in headless Chromium, against the real sidecar.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';

import { absent, launch } from './browser.js';
import { stage } from './stage.js';

const minute = 60_000;
let clockAhead = 0;
let world;
let browser;
let page;
let failures;

if (!absent) {
  before(async () => {
    world = await stage({ secret: 'web-secret-0123456789abcdef0123456789', now: () => Date.now() + clockAhead });
    browser = await launch();
  });
  after(async () => {
    await browser?.close();
    await world?.close();
  });
  beforeEach(async () => {
    clockAhead = 0;
    page = await browser.newPage({ viewport: { width: 800, height: 420 } }); // a browser of its own
    failures = [];
    page.on('pageerror', (error) => failures.push(error.message));
    await page.goto(world.url);
  });
}

async function logIn(user) {
  await page.fill('[name=user_id]', user);
  await Promise.all([page.waitForEvent('load'), page.click('text=Log in')]);
  await page.waitForSelector(`#user:text("${user}")`);
}

async function settles(text) {
  await page.waitForSelector(`#chat-log-in:text("${text}")`);
}

const chat = () => page.textContent('#chat');
const logOuts = () => page.evaluate(() => Number(localStorage.getItem('stub_kustomer_logouts')));

test('the first log-in issues one token, a reload none, another person a second', { skip: absent }, async () => {
  const before = await world.sidecar.issued();
  assert.equal(await page.textContent('#user'), 'You are not logged in.');

  await logIn('ada');
  await settles('Chat knows you.');
  assert.equal(await chat(), 'Chat of ada (externalId)');
  assert.equal(await world.sidecar.issued() - before, 1);
  assert.equal(await logOuts(), 0); // what the guest has written is kept
  if (process.env.SCREENSHOT) await page.screenshot({ path: process.env.SCREENSHOT });

  await page.reload();
  await settles('Chat knows you.');
  assert.equal(await chat(), 'Chat of ada (externalId)');
  assert.equal(await world.sidecar.issued() - before, 1);

  await logIn('bob');
  await settles('Chat knows you.');
  assert.equal(await chat(), 'Chat of bob (externalId)');
  assert.equal(await world.sidecar.issued() - before, 2);
  assert.equal(await logOuts(), 1);
  assert.deepEqual(failures, []);
});

test('when the app\'s session has ended the chat is a guest\'s', { skip: absent }, async () => {
  await logIn('ada');
  await settles('Chat knows you.');
  await page.context().clearCookies();
  await page.reload();
  await page.waitForSelector('#chat:text("Chat of a guest")');
  assert.equal(await page.textContent('#user'), 'You are not logged in.');
  await page.reload();
  await page.waitForSelector('#chat');
  assert.equal(await logOuts(), 1);
  assert.deepEqual(failures, []);
});

test('a user without what the last log-in used gets a token of their own', { skip: absent }, async () => {
  await page.evaluate(() => localStorage.setItem('chat_login_identifier', 'email'));
  await logIn('zoe');
  await settles('Chat knows you.');
  assert.equal(await chat(), 'Chat of zoe (externalId)');
  assert.deepEqual(failures, []);
});

test('an expired token shows the failure', { skip: absent }, async () => {
  clockAhead = 15 * minute;
  await logIn('eve');
  await settles('Chat log-in failed: the token is 15 minutes old or older');
  assert.equal(await chat(), 'Chat of a guest');
  assert.deepEqual(failures, []);
});

test('with the sidecar dead the page works, nobody sees another\'s chat, and chat log-in comes back', { skip: absent }, async () => {
  await logIn('grace');
  await settles('Chat knows you.');

  await world.sidecar.kill();
  await page.reload();
  await settles('Chat knows you.'); // no token is needed
  await logIn('mallory');
  await settles('Chat log-in is not available now');
  assert.equal(await chat(), 'Chat of a guest');
  await page.reload();
  await settles('Chat log-in is not available now');
  assert.equal(await logOuts(), 1); // grace's, and none of a guest
  assert.match(await page.textContent('main'), /Teapot/);

  await world.sidecar.start();
  const deadline = Date.now() + 30_000;
  do {
    assert.ok(Date.now() < deadline, 'chat log-in did not come back');
    await page.reload();
    await page.waitForSelector('#chat-log-in:not(:empty)');
  } while (await page.textContent('#chat-log-in') !== 'Chat knows you.');
  assert.equal(await chat(), 'Chat of mallory (externalId)');
  assert.deepEqual(failures, []);
});
