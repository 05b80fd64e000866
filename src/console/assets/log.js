// Follows a task's log where the page shows its last lines, and copies what has a button for that. Lines are text and
// never become anything else.
"use strict";
(() => {
  const MOST_LINES = 2000;
  const LAST_LINES = 200;
  const HARMFUL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
  const COLOUR = /\u001b\[[0-9;]*m/g;
  const log = document.getElementById("log");
  const button = document.getElementById("log-follow");
  const state = document.getElementById("log-state");
  const wrap = document.getElementById("wrap");
  if (!log || !button) return;
  let following = null;

  const visible = (text) => text.replace(COLOUR, "").replace(HARMFUL, (character) => {
    const code = character.codePointAt(0).toString(16);
    return code.length <= 2 ? `\\x${code.padStart(2, "0")}` : `\\u{${code}}`;
  });

  function show(line) {
    const text = visible(line.text);
    const find = (log.dataset.find || "").toLowerCase();
    if (find && !text.toLowerCase().includes(find)) return;
    const row = document.createElement("div");
    row.className = line.stream === "stderr" ? "line error" : "line";
    const head = document.createElement("span");
    head.className = "soft";
    head.textContent = `${line.at} ${line.container}`;
    row.append(head, ` ${text}`);
    log.append(row);
    while (log.childElementCount > MOST_LINES) log.firstElementChild.remove();
  }

  async function follow() {
    const stop = new AbortController();
    following = stop;
    button.setAttribute("aria-pressed", "true");
    button.textContent = "Stop following";
    state.textContent = "Following the log";
    // From now on the page leaves these lines alone.
    delete log.dataset.live;
    const join = log.dataset.stream.includes("?") ? "&" : "?";
    try {
      const answer = await fetch(`${log.dataset.stream}${join}follow=true&tail=${LAST_LINES}`, { signal: stop.signal });
      if (!answer.ok) throw new Error(String(answer.status));
      log.replaceChildren();
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        const lines = (rest + value).split("\n");
        rest = lines.pop();
        const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
        for (const line of lines) if (line) show(JSON.parse(line));
        if (isAtEnd) log.scrollTop = log.scrollHeight;
      }
      state.textContent = "The log has ended";
    } catch (error) {
      state.textContent = error.name === "AbortError" ? "" : "The log cannot be followed just now";
    }
    following = null;
    button.setAttribute("aria-pressed", "false");
    button.textContent = "Follow";
  }

  button.hidden = false;
  button.addEventListener("click", () => { if (following) following.abort(); else follow(); });
  if (wrap) wrap.addEventListener("change", () => log.classList.toggle("wraps", wrap.checked));
  addEventListener("pagehide", () => { if (following) following.abort(); });
  log.scrollTop = log.scrollHeight;
})();
