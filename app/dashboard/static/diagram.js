// Draws the one diagram of a framed page with Mermaid, in the page's colours, and tells the page
// around it how high the drawing is. The frame is sandboxed: see app/dashboard/diagram.py.
"use strict";

const place = document.getElementById("drawing");
const source = document.getElementById("source");
const problem = document.getElementById("problem");

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

async function draw() {
  mermaid.initialize({
    startOnLoad: false,
    securityLevel: "strict",
    suppressErrorRendering: true,
    theme: "base",
    htmlLabels: false,
    flowchart: { htmlLabels: false, useMaxWidth: true },
    themeVariables: {
      background: colour("--surface"),
      primaryColor: colour("--surface"),
      primaryTextColor: colour("--ink"),
      primaryBorderColor: colour("--accent"),
      lineColor: colour("--faint"),
      textColor: colour("--ink"),
      edgeLabelBackground: colour("--surface"),
      clusterBkg: colour("--surface"),
      clusterBorder: colour("--line"),
      fontFamily: getComputedStyle(document.body).fontFamily,
      fontSize: "14px",
    },
  });
  try {
    const { svg } = await mermaid.render("diagram", source.textContent);
    place.innerHTML = svg;
    const drawn = place.querySelector("svg");
    drawn.setAttribute("role", "img");
    drawn.setAttribute("aria-label", document.title);
    source.hidden = true;
    problem.hidden = true;
  } catch (error) {
    place.replaceChildren();
    problem.textContent = `The diagram cannot be drawn: ${error.message}`;
    problem.hidden = false;
    source.hidden = false;
  }
  document.documentElement.dataset.drawn = "true";
  tellHeight();
}

function tellHeight() {
  if (!document.documentElement.dataset.drawn) return; // nothing is as high as nothing
  const height = Math.ceil(document.documentElement.getBoundingClientRect().height);
  parent.postMessage({ type: "tonnage:height", height }, "*");
}

// The page around it has another theme now.
addEventListener("message", (event) => {
  if (event.source !== parent || event.data?.type !== "tonnage:theme") return;
  document.documentElement.dataset.theme = event.data.theme;
  draw();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
new ResizeObserver(tellHeight).observe(document.body);
draw();
