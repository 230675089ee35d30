// Renews the page in place, and selects as one types. Without it the page reloads, and links and form work as well.
"use strict";
(() => {
  const root = document.body.dataset.root;
  const form = document.getElementById("select");
  let known = "";
  let latest = 0;

  // Replaces the parts that differ; a part that holds the focus, or an opened fold, is left as the visitor has it.
  function show(html) {
    const next = new DOMParser().parseFromString(html, "text/html");
    document.title = next.title;
    for (const part of document.querySelectorAll("[data-live]")) {
      const renewed = next.querySelector(`[data-live="${part.dataset.live}"]`);
      if (!renewed || part.innerHTML === renewed.innerHTML && part.className === renewed.className) continue;
      const focused = part.contains(document.activeElement) && document.activeElement.getAttribute("href");
      if (part.open) renewed.open = true;
      part.className = renewed.className;
      if (renewed.open) part.open = true;
      part.replaceChildren(...renewed.childNodes);
      if (focused) [...part.querySelectorAll("a")].find((link) => link.getAttribute("href") === focused)?.focus();
    }
  }

  async function load(address) {
    const mine = ++latest;
    const answer = await fetch(address);
    if (answer.ok && mine === latest) show(await answer.text());
  }

  async function renew() {
    try {
      const answer = await fetch(`${root}api/v1/status`);
      const state = answer.headers.get("ETag");
      if (answer.ok && state === known) return;
      await load(location.href);
      known = state;
    } catch {
      // The exporter is away for a moment: the page stays as it is, with the time at which it was right.
    }
  }

  function select(address) {
    history.replaceState(null, "", address);
    load(address).catch(() => {});
  }

  if (form) {
    const apply = () => {
      const chosen = [...new FormData(form)].filter(([, value]) => value);
      select(chosen.length ? `./?${new URLSearchParams(chosen)}` : "./");
    };
    form.addEventListener("input", apply);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      apply();
    });
  }
  setInterval(renew, 1000 * document.body.dataset.refresh);
})();
