// What pages need besides htmx: the theme, copy buttons, and server-sent events.
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

// <iframe data-diagram>: as high as what it draws, up to a point, and in the theme of this page.
const HIGHEST_PX = 720;
const diagrams = () => [...document.querySelectorAll("iframe[data-diagram]")];

addEventListener("message", (event) => {
  const frame = diagrams().find((each) => each.contentWindow === event.source);
  if (!frame || event.data?.type !== "tonnage:height") return;
  const height = Number(event.data.height);
  if (Number.isFinite(height)) frame.style.height = `${Math.min(Math.max(height, 40), HIGHEST_PX)}px`;
});
document.addEventListener("tonnage:theme", () => {
  const message = { type: "tonnage:theme", theme: shownTheme() };
  for (const frame of diagrams()) frame.contentWindow.postMessage(message, "*");
});

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Over plain HTTP from another machine a browser has no clipboard for scripts, or it refuses.
    const field = document.createElement("textarea");
    field.value = text;
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }
}

// <div data-events="URL">: a stream that says when something has changed. The element is then sent
// "tonnage:changed", and htmx fetches it again. A browser resumes a broken stream by itself as long
// as the server answers; if the server refuses the connection, we retry.
const RETRY_MS = 3000;
let stream = null;
let streamOf = null;

function watch() {
  const element = document.querySelector("[data-events]");
  const key = element ? element.id : null;
  if (key === streamOf) return;
  stream?.close();
  stream = null;
  say("");
  streamOf = key;
  if (element) listen(element.id, element.dataset.events);
}

function listen(id, url) {
  const source = new EventSource(url);
  stream = source;
  const refresh = () => document.getElementById(id)?.dispatchEvent(new CustomEvent("tonnage:changed"));
  source.addEventListener("open", () => say(""));
  source.addEventListener("changed", refresh);
  // The server then ends the stream. It is resumed until the page has been fetched without it,
  // because the server may be restarting at that moment.
  let isOver = false;
  source.addEventListener("over", () => { isOver = true; refresh(); });
  source.addEventListener("error", () => {
    if (!isOver) say("Reconnecting …");
    isOver = false;
    if (source.readyState !== EventSource.CLOSED || stream !== source) return;
    setTimeout(() => { if (stream === source) { refresh(); listen(id, url); } }, RETRY_MS);
  });
}

function say(text) {
  const place = document.getElementById("connection");
  if (place && place.textContent !== text) place.textContent = text;
}

document.addEventListener("DOMContentLoaded", () => {
  watch();
  // On a phone the navigation is wider than the screen.
  document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
});
document.addEventListener("htmx:after:swap", watch);
// A page that the browser kept shows what was true when it was left.
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
