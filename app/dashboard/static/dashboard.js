// What pages need beside htmx: the theme, copy buttons, and events of the server.
"use strict";

const announcer = () => document.getElementById("announcer");

function shownTheme() {
  const chosen = document.documentElement.dataset.theme;
  if (chosen) return chosen;
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

document.addEventListener("click", async (event) => {
  const toggle = event.target.closest("[data-theme-toggle]");
  if (toggle) {
    const theme = shownTheme() === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    // The server reads it, so that the next page is drawn in it from the start.
    document.cookie = `tonnage_theme=${theme}; path=/; max-age=31536000; samesite=strict`;
    document.dispatchEvent(new CustomEvent("tonnage:theme"));
    return;
  }
  // <button data-copy="ID">: the text of the element with that id.
  const copy = event.target.closest("[data-copy]");
  if (copy) {
    await copyText(document.getElementById(copy.dataset.copy).textContent);
    const before = copy.textContent;
    copy.textContent = "Copied";
    announcer().textContent = "Copied to the clipboard";
    setTimeout(() => { copy.textContent = before; announcer().textContent = ""; }, 1600);
  }
});

async function copyText(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Over plain HTTP from another machine a browser has no clipboard for scripts.
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}
