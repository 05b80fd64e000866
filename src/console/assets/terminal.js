// A plain terminal, line by line: what is typed goes to a command in the task's container over a WebSocket, what it writes
// is shown as text. No escape sequence does anything.
"use strict";
(() => {
  const MOST_CHARACTERS = 200000;
  const HARMFUL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
  const SEQUENCE = /\u001b\[[0-9;?]*[A-Za-z]/g;
  const area = document.getElementById("terminal");
  if (!area) return;
  const start = document.getElementById("terminal-start");
  const line = document.getElementById("terminal-line");
  const output = document.getElementById("terminal-output");
  const state = document.getElementById("terminal-state");
  const decoder = new TextDecoder();
  const encoder = new TextEncoder();
  let socket = null;

  const visible = (text) => text.replace(/\r\n/g, "\n").replace(SEQUENCE, "").replace(HARMFUL, (character) => {
    const code = character.codePointAt(0).toString(16);
    return code.length <= 2 ? `\\x${code.padStart(2, "0")}` : `\\u{${code}}`;
  });

  function show(text, kind) {
    const piece = document.createElement("span");
    if (kind) piece.className = kind;
    piece.textContent = visible(text);
    output.append(piece);
    while (output.textContent.length > MOST_CHARACTERS) output.firstChild.remove();
    output.scrollTop = output.scrollHeight;
  }

  function ended(text) {
    socket = null;
    state.textContent = text;
    line.hidden = true;
    start.hidden = false;
  }

  start.addEventListener("submit", (event) => {
    event.preventDefault();
    const fields = new FormData(start);
    const command = String(fields.get("command")).trim().split(/\s+/).filter(Boolean);
    if (command.length === 0 || socket) return;
    const url = new URL(area.dataset.path, location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    url.searchParams.set("container", String(fields.get("container")));
    socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    let said = "The connection was closed";
    state.textContent = "Connecting…";
    socket.onopen = () => {
      socket.send(JSON.stringify({ type: "start", command, stdin: true }));
      state.textContent = `Running ${command.join(" ")}`;
      start.hidden = true;
      line.hidden = false;
      line.elements.text.focus();
    };
    socket.onmessage = ({ data }) => {
      if (typeof data !== "string") {
        const bytes = new Uint8Array(data);
        show(decoder.decode(bytes.subarray(1), { stream: true }), bytes[0] === 2 ? "error" : "");
        return;
      }
      const report = JSON.parse(data);
      if (report.type === "exited") said = `It ended with exit code ${report.exitCode}`;
      else said = [report.problem.detail || report.problem.title, report.problem.hint].filter(Boolean).join("; ");
    };
    socket.onclose = () => ended(said);
  });

  line.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!socket || socket.readyState !== WebSocket.OPEN) return;
    const { text } = line.elements;
    show(`> ${text.value}\n`, "soft");
    socket.send(encoder.encode(`${text.value}\n`));
    text.value = "";
  });
  document.getElementById("terminal-interrupt").addEventListener("click", () => {
    if (socket) socket.send(JSON.stringify({ type: "signal", signal: "SIGINT" }));
  });
  document.getElementById("terminal-end").addEventListener("click", () => {
    if (socket) socket.send(JSON.stringify({ type: "endOfInput" }));
  });
  addEventListener("pagehide", () => { if (socket) socket.close(); });
  area.hidden = false;
})();
