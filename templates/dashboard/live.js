// Puts what is new in the place of what is older, while the page is looked at. Without this script a reload does the same.
"use strict";

(() => {
  const page = document.body.dataset.live;
  const state = document.getElementById("live");
  if (!page || !state || !("EventSource" in window)) return;
  const waiting = new Map();
  let source = null;

  const say = (kind, text) => {
    if (state.dataset.kind === kind) return;
    state.hidden = false;
    state.dataset.kind = kind;
    state.textContent = text;
  };

  const replace = (part, html) => {
    const open = [...part.querySelectorAll("details[open][data-key]")].map((one) => one.dataset.key);
    part.innerHTML = html;
    for (const one of part.querySelectorAll("details[data-key]")) one.open = open.includes(one.dataset.key);
  };

  // What somebody has in hand, by keyboard or as a selection, stays as it is until they have let go of it.
  const isHeld = (part) => {
    const selection = document.getSelection();
    const isSelected = selection !== null && !selection.isCollapsed && selection.containsNode(part, true);
    return isSelected || part.contains(document.activeElement);
  };

  const put = () => {
    for (const [id, html] of waiting) {
      const part = document.getElementById(`part-${id}`);
      if (part !== null && isHeld(part)) continue;
      waiting.delete(id);
      if (part !== null) replace(part, html);
    }
  };

  const end = () => {
    source?.close();
    source = null;
  };

  const begin = () => {
    if (source !== null || document.hidden || state.dataset.kind === "over") return;
    source = new EventSource(`/dashboard/live?page=${encodeURIComponent(page)}`);
    source.addEventListener("open", () => say("live", "Live"));
    source.addEventListener("parts", (event) => {
      for (const [id, html] of Object.entries(JSON.parse(event.data))) waiting.set(id, html);
      put();
    });
    source.addEventListener("over", () => {
      end();
      say("over", "Your session has ended: reload to log in");
    });
    source.addEventListener("error", () => {
      const isRefused = source?.readyState === EventSource.CLOSED;
      if (isRefused) end();
      say(isRefused ? "lost" : "away", isRefused ? "Not live: reload the page" : "Connecting again…");
    });
  };

  document.addEventListener("focusout", () => setTimeout(put));
  document.addEventListener("selectionchange", () => waiting.size > 0 && setTimeout(put, 300));
  document.addEventListener("visibilitychange", () => (document.hidden ? end() : begin()));
  window.addEventListener("pagehide", end);
  window.addEventListener("pageshow", begin);
  begin();
})();
