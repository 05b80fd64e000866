// Keeps a page up to date without making it jump: when the server tells of an event, the page is asked for again, and
// only what is different changes. What is marked with `data-live` and an id takes part; what a reader has opened, typed
// or focused stays. Others may listen to `live:changed` on the document.
"use strict";
(() => {
  const kinds = (document.body.dataset.kinds || "").split(" ").filter(Boolean);
  const state = document.getElementById("live-state");
  const AFTER_EVENT_MS = 300; // several events come together
  const LEAST_APART_MS = 1000;
  const WITHOUT_EVENT_MS = 30000; // figures change without one
  const RECONNECT_MS = 5000;
  let after = document.body.dataset.seq || "0";
  let source = null;
  let timer = 0;
  let busy = false;
  let asked = 0;

  const say = (text) => { if (state && state.textContent !== text) state.textContent = text; };

  const keyOf = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.dataset.key || node.id || "" : "");
  const isAlike = (one, other) => one.nodeType === other.nodeType && one.nodeName === other.nodeName;

  // Makes `old` look like `fresh`, with as few changes as possible.
  function morph(old, fresh) {
    if (old.isEqualNode(fresh)) return;
    if (!isAlike(old, fresh)) { old.replaceWith(document.importNode(fresh, true)); return; }
    if (old.nodeType !== Node.ELEMENT_NODE) { old.nodeValue = fresh.nodeValue; return; }
    const isReaders = (name) => name === "open" && old.nodeName === "DETAILS";
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name) && !isReaders(name)) old.removeAttribute(name);
    }
    for (const { name, value } of [...fresh.attributes]) {
      if (old.getAttribute(name) !== value && !isReaders(name)) old.setAttribute(name, value);
    }
    if (old.matches("input, select, textarea, [data-keep]")) return;
    morphChildren(old, fresh);
  }

  function morphChildren(old, fresh) {
    const keyed = new Map();
    for (const child of old.childNodes) if (keyOf(child)) keyed.set(keyOf(child), child);
    let next = old.firstChild;
    for (const wanted of [...fresh.childNodes]) {
      const key = keyOf(wanted);
      let found = null;
      if (key) found = keyed.get(key) || null;
      else if (next && !keyOf(next) && isAlike(next, wanted)) found = next;
      if (!found) { old.insertBefore(document.importNode(wanted, true), next); continue; }
      if (found === next) next = next.nextSibling;
      else old.insertBefore(found, next);
      morph(found, wanted);
    }
    while (next) { const gone = next; next = next.nextSibling; gone.remove(); }
  }

  async function refresh() {
    if (busy) { soon(); return; }
    busy = true;
    asked = Date.now();
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store" });
      if (answer.redirected) { location.assign(answer.url); return; }
      if (!answer.ok) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const old of document.querySelectorAll("[data-live]")) {
        const found = fresh.getElementById(old.id);
        if (found) morph(old, found);
      }
      if (document.title !== fresh.title) document.title = fresh.title;
      document.dispatchEvent(new Event("live:changed"));
    } catch {
      say("The server does not answer");
    } finally {
      busy = false;
      awaited();
    }
  }

  // What is not ready yet says so with `data-soon`.
  function awaited() { if (document.querySelector("[data-soon]")) soon(); }

  function soon() {
    if (timer) return;
    const wait = Math.max(AFTER_EVENT_MS, asked + LEAST_APART_MS - Date.now());
    timer = setTimeout(() => { timer = 0; refresh(); }, wait);
  }

  function connect() {
    if (source || document.hidden) return;
    source = new EventSource(`/v1/events/stream?after=${encodeURIComponent(after)}`);
    source.onopen = () => say("Live");
    source.onerror = () => {
      say("Reconnecting…");
      if (source && source.readyState === EventSource.CLOSED) {
        // The server said no: it may have another database than before, or wants to be signed in to.
        source = null;
        setTimeout(() => { refresh(); connect(); }, RECONNECT_MS);
      }
    };
    for (const kind of kinds) {
      source.addEventListener(kind, (event) => { after = event.lastEventId; soon(); });
    }
  }

  function disconnect() { if (source) { source.close(); source = null; } }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { disconnect(); return; }
    connect();
    soon();
  });
  addEventListener("pagehide", disconnect);
  addEventListener("pageshow", (event) => { if (event.persisted) { connect(); soon(); } });
  setInterval(() => { if (!document.hidden) soon(); }, WITHOUT_EVENT_MS);
  if (document.querySelector("[data-live]")) connect();
  awaited();
})();
