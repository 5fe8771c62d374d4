"use strict";
document.documentElement.classList.remove("no-script");

document.querySelector("[data-theme-toggle]").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});

const announcer = document.getElementById("announcer");

// A click on a column's name sorts by it; a second one turns the order round.
for (const table of document.querySelectorAll("table[data-sortable]")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
      const isNumber = head.classList.contains("number");
      const rows = [...table.tBodies[0].rows];
      rows.sort((a, b) => {
        const [x, y] = [key(a), key(b)];
        if (x === "" || y === "") return (x === "") - (y === "");
        const order = isNumber ? Number(x) - Number(y) : x.localeCompare(y, undefined, { numeric: true });
        return up ? order : -order;
      });
      table.tBodies[0].append(...rows);
      announcer.textContent = `Sorted by ${button.textContent}, ${up ? "ascending" : "descending"}.`;
    });
  });
}

// Each filter offers what is on the page; what does not match all of them is hidden.
const filtered = [...document.querySelectorAll("[data-test]")];
const filters = [...document.querySelectorAll("select[data-filter]")];
for (const select of filters) {
  const name = select.dataset.filter;
  for (const value of new Set(filtered.map((each) => each.dataset[name]))) select.add(new Option(value, value));
  if (select.options.length < 3) select.parentElement.hidden = true;
  select.addEventListener("change", () => {
    const matches = (each) => filters.every((one) => !one.value || each.dataset[one.dataset.filter] === one.value);
    filtered.forEach((each) => { each.hidden = !matches(each); });
    const left = filtered.filter((each) => each.tagName === "LI" && !each.hidden).length;
    announcer.textContent = left === 1 ? "1 test is shown." : `${left} tests are shown.`;
  });
}
