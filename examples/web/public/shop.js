import { logInToChat, logOutOfChat } from './chat.js';

const show = (id, text) => {
  document.getElementById(id).textContent = text;
};

document.getElementById('log-in').addEventListener('submit', async (event) => {
  event.preventDefault();
  await fetch('/login', { method: 'POST', body: new URLSearchParams(new FormData(event.target)), redirect: 'manual' });
  location.reload();
});

const user = await (await fetch('/me')).json();
if (user.external_id) {
  show('user', `You are logged in as ${user.external_id}.`);
}
const script = document.createElement('script');
script.src = window.widgetAddress;
script.onload = () => window.Kustomer.start({}, async () => {
  try {
    if (!user.external_id) {
      await logOutOfChat();
      return;
    }
    show('chat-log-in', (await logInToChat(user)) ? 'Chat knows you.' : 'Chat log-in is not available now; the chat works as a guest\'s.');
  } catch (error) {
    show('chat-log-in', `Chat log-in failed: ${error.message}`);
  }
});
document.body.append(script);
