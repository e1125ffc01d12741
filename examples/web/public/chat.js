// Chat log-in: what a page pastes. The user has logged in to the app; here the
// chat follows. Whatever goes wrong, the page goes on with the chat as a guest's.

const claims = { external_id: 'externalId', email: 'email' };
const remembered = 'chat_login_identifier'; // what the last log-in used; unset while the chat is a guest's

const isLoggedIn = (who) => new Promise((resolve, reject) => {
  window.Kustomer.isLoggedIn(who, (answer, error) => (error ? reject(error) : resolve(answer)));
});
const logIn = (jwtToken) => new Promise((resolve, reject) => {
  window.Kustomer.login({ jwtToken }, (answer, error) => (error ? reject(error) : resolve(answer)));
});
const logOut = () => new Promise((resolve) => {
  window.Kustomer.logout(resolve);
});

/**
 * Logs the app's user in to the chat, unless the chat knows them already: a
 * token is for a new log-in, not for every page.
 *
 * @param {{external_id?: string, email?: string}} user
 * @returns {Promise<boolean>} whether the chat is theirs
 */
export async function logInToChat(user) {
  const by = localStorage.getItem(remembered) ?? 'external_id';
  if (user[by] && await isLoggedIn({ [claims[by]]: user[by] })) {
    localStorage.setItem(remembered, by);
    return true;
  }
  await logOutOfChat(); // else somebody else's chat stays open when no token is to be had
  const response = await fetch('/chat-token', { method: 'POST' });
  if (!response.ok) return false;
  const { token, login_identifier: identifier } = await response.json();
  if (!token) return false;
  await logIn(token);
  localStorage.setItem(remembered, identifier);
  return true;
}

/**
 * Makes the chat a guest's again: for the app's own log-out, and for a page that
 * nobody is logged in to. A guest's chat is left alone, since the vendor's log-out
 * would lose what the guest has written.
 */
export async function logOutOfChat() {
  if (localStorage.getItem(remembered) === null) return;
  await logOut();
  localStorage.removeItem(remembered);
}
