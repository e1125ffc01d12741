// The app of this page. Its chat log-in is chat.js, which real pages paste; the rest shows what
// came of it.
import { logInToChat, logOutOfChat } from './chat.js';

const find = (id) => document.getElementById(id);
const post = (path, body) => fetch(path, { method: 'POST', body });
const look = async () => (await post('/state')).json();
const pretty = (value) => JSON.stringify(value, null, 2);

// What a backend makes of an error, by the sidecar's reason.
const advice = {
  INVALID_CUSTOMER: 'A backend does not retry: it logs the reason and goes on without chat log-in.',
  RATE_LIMITED: 'A backend tells the page when to come back, in Retry-After, and goes on without chat log-in.',
};

let last = {}; // the user who logged in last: the SDK can be asked of them after the log-out too
let turns = 0;

/** What each page of an app does when it loads. */
async function follow() {
  const { user, issued } = await look();
  let knows = false;
  let failure;
  try {
    if (user) knows = await logInToChat(user);
    else await logOutOfChat();
  } catch (error) {
    failure = `Kustomer refuses the token: ${error.message}.`;
  }
  await show((state) => {
    if (!user) return 'Nobody is logged in, and the chat is a guest\'s.';
    if (!knows) return failure;
    return issued?.audit_id === state.issued?.audit_id
      ? 'Logged in. The chat knew this user already, so no token was asked for.'
      : 'Logged in. The chat knows this user by a new token.';
  });
}

/**
 * Shows the state.
 *
 * @param {(state: object) => string|undefined} tell what to say of it; nothing: the refusal of the last call
 */
async function show(tell) {
  turns += 1;
  const state = await look();
  last = state.user ?? last;
  find('inside').hidden = !state.user;
  say(tell(state), state.refused);
  mark(state.refused?.fields ?? []);
  showToken(state);
  await showSDK();
  await showRecord(state.record, turns);
}

function paragraph(text, kind = '') {
  const p = document.createElement('p');
  p.textContent = text;
  p.className = kind;
  return p;
}

function say(text, refused) {
  if (text || !refused) {
    find('said').replaceChildren(paragraph(text ?? 'The chat works as a guest\'s.'));
    return;
  }
  const { code, reason, message, limit, retry_after: wait } = refused;
  find('said').replaceChildren(
    paragraph(`The sidecar refuses: ${reason || code}`, 'bad'),
    paragraph(limit ? `The ${limit} limit is reached. Come back in ${wait} s.` : `${message}.`),
    paragraph(advice[reason] ?? 'The app goes on without chat log-in.'),
  );
}

/** Says at each field which rule it breaks. */
function mark(problems) {
  for (const name of ['external_id', 'email']) {
    const problem = problems.find((field) => field.name === `customer.${name}`)?.problem ?? '';
    find(`${name}-problem`).textContent = problem && `It ${problem}.`;
    find(name).setAttribute('aria-invalid', String(problem !== ''));
  }
}

function showToken({ issued, verdict }) {
  find('verdict').textContent = verdict ? [verdict.verdict, verdict.detail].filter(Boolean).join(': ') : '–';
  find('verdict').className = verdict ? { accepted: 'good' }[verdict.verdict] ?? 'bad' : '';
  find('expires').textContent = issued ? new Date(issued.expire_time).toLocaleTimeString() : '–';
  find('claims').textContent = issued ? pretty(issued.claims) : '–';
  find('jwt').textContent = issued?.token ?? '–';
}

/** Shows what isLoggedIn answers for each identifier of the user. */
async function showSDK() {
  const rows = [];
  for (const [claim, value] of [['externalId', last.external_id], ['email', last.email]]) {
    if (!value) continue;
    const [question, answer] = [document.createElement('dt'), document.createElement('dd')];
    const isLoggedIn = await new Promise((resolve) => { window.Kustomer.isLoggedIn({ [claim]: value }, resolve); });
    question.textContent = `isLoggedIn({${claim}: ${JSON.stringify(value)}})`;
    answer.textContent = isLoggedIn;
    answer.className = isLoggedIn ? 'good' : '';
    rows.push(question, answer);
  }
  find('sdk').replaceChildren(...rows);
}

/** Shows the record of the last call. That of a refusal may be written a moment later. */
async function showRecord(record, turn) {
  for (let tries = 10; record?.missing && tries > 0; tries -= 1) {
    find('record').textContent = 'Not written yet.';
    await new Promise((resolve) => { setTimeout(resolve, 300); });
    if (turn !== turns) return; // another call has come
    ({ record } = await look());
  }
  find('record').textContent = record?.line ? pretty(record.line) : record?.missing ?? '–';
}

/** Makes a handler of events that says when dev has gone. */
const handle = (act) => async (event) => {
  try {
    await act(event);
  } catch {
    find('said').replaceChildren(paragraph('No answer. Is chatidentity dev still running?', 'bad'));
  }
};

find('log-in').addEventListener('submit', handle(async (event) => {
  event.preventDefault();
  await post('/session', new URLSearchParams(new FormData(event.target)));
  await follow();
}));
find('log-out').addEventListener('click', handle(async () => {
  await post('/session/end');
  await follow();
  find('external_id').focus();
}));
find('another').addEventListener('click', handle(async () => {
  await post('/chat-token');
  await show(({ refused }) => (refused ? undefined : 'Another token. Real pages ask isLoggedIn first, and need none.'));
}));
window.Kustomer.start({}, handle(follow));
