// Buttons that copy the text of something: `data-copy` has its id.
"use strict";
(() => {
  const state = document.getElementById("copy-state");
  if (!navigator.clipboard) return;
  for (const button of document.querySelectorAll("button[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const from = document.getElementById(button.dataset.copy);
      let said = "Copied";
      try { await navigator.clipboard.writeText(from.textContent); } catch { said = "The browser does not allow copying; select the text instead"; }
      if (state) state.textContent = said;
    });
  }
})();
