// A stub of the vendor's script, served by the stand-in: the four calls that log-in
// needs, and a box that shows whose chat it is. It remembers the customer, as the
// real one does.
(() => {
  const origin = new URL(document.currentScript.src).origin;
  const key = 'stub_kustomer_customer';
  const logouts = 'stub_kustomer_logouts';
  const customer = () => JSON.parse(localStorage.getItem(key) ?? 'null');
  let box;

  function render() {
    const [by, value] = Object.entries(customer() ?? {})[0] ?? [];
    box.textContent = value ? `Chat of ${value} (${by})` : 'Chat of a guest';
  }

  window.Kustomer = {
    start(options, done) {
      box = document.createElement('div');
      box.id = 'chat';
      box.style = 'position:fixed;right:2rem;bottom:2rem;padding:1rem 1.5rem;border-radius:1rem;background:#36c;color:#fff';
      document.body.append(box);
      render();
      done?.();
    },
    isLoggedIn(who, done) {
      const [by, value] = Object.entries(who)[0];
      if (!value) {
        done(undefined, new Error(`isLoggedIn needs a value of ${by}`));
        return;
      }
      done(customer()?.[by] === value);
    },
    async login({ jwtToken }, done) {
      const response = await fetch(`${origin}/log-in`, { method: 'POST', headers: { 'Content-Type': 'text/plain' }, body: jwtToken });
      const answer = await response.json();
      if (!response.ok) {
        done?.(undefined, new Error(answer.error));
        return;
      }
      localStorage.setItem(key, JSON.stringify(answer));
      render();
      done?.({ identified: true });
    },
    logout(done) {
      localStorage.removeItem(key);
      localStorage.setItem(logouts, Number(localStorage.getItem(logouts)) + 1);
      render();
      done?.();
    },
  };
})();
