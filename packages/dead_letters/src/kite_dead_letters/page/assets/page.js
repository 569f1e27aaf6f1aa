// Keys for what the links, rows and forms of the page do anyway; all of it works without.
"use strict";

(() => {
  const find = (selector) => document.querySelector(selector);
  const help = find("#help");
  let armed = null;

  const opener = find("#help-button");
  opener.hidden = false;
  opener.addEventListener("click", () => help.showModal());

  // A row is where its first link has the focus: what a screen reader and Tab see is the same.
  function move(step) {
    const links = [...document.querySelectorAll("[data-row]")].map((row) => row.querySelector("a"));
    if (!links.length) return;
    const row = document.activeElement.closest("[data-row]");
    const at = row ? links.indexOf(row.querySelector("a")) + step : step > 0 ? 0 : links.length - 1;
    const link = links[Math.min(Math.max(at, 0), links.length - 1)];
    link.focus();
    link.scrollIntoView({ block: "nearest" });
  }

  // r and i choose the button that Enter in the note presses.
  function arm(button) {
    disarm();
    const note = find("#note");
    armed = button;
    armed.classList.add("armed");
    note.focus();
    note.select();
  }

  function disarm() {
    if (armed) armed.classList.remove("armed");
    armed = null;
  }

  function focus(field) {
    if (!field) return false;
    field.focus();
    if (field.select) field.select();
    return true;
  }

  function press(key) {
    if (key === "j") return move(1), true;
    if (key === "k") return move(-1), true;
    if (key === "?") return help.showModal(), true;
    if (key === "/") return focus(find("#filter"));
    if (key === "a") return focus(find("#assignee"));
    const button = find(`[data-arm="${CSS.escape(key)}"]`);
    if (button) return arm(button), true;
    const link = find(`[data-key="${CSS.escape(key)}"]`);
    if (link) return link.click(), true;
    return false;
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || help.open) return;
    const field = event.target.closest("input, select, textarea");
    if (event.key === "Escape") {
      disarm();
      if (field) field.blur();
    } else if (field) {
      if (event.key === "Enter" && armed && field.id === "note") {
        event.preventDefault();
        armed.click();
      }
    } else if (event.key.length === 1 && press(event.key)) {
      event.preventDefault();
    }
  });
})();
