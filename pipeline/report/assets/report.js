// Sorting and filtering of tables, and reloading while `rnn report --serve` keeps the page fresh.
"use strict";

const MISSING = "–";

function valueOf(cell) {
  const text = cell.dataset.v ?? cell.textContent.trim();
  if (text === MISSING || text === "") return null;
  const number = Number(text);
  return Number.isNaN(number) ? text : number;
}

// Numbers come before texts, and what is missing comes last whichever way it is sorted.
function compare(a, b, descending) {
  if (a === null || b === null) return (a === null) - (b === null);
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  const order = typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true });
  return descending ? -order : order;
}

function columnsOf(table) {
  return [...table.tHead.rows[0].cells];
}

function sortTable(table, key, descending) {
  const columns = columnsOf(table);
  const at = columns.findIndex((th) => th.dataset.key === key);
  if (at < 0) return;
  const rows = [...table.tBodies[0].rows].map((row) => [valueOf(row.cells[at]), row]);
  rows.sort((a, b) => compare(a[0], b[0], descending));
  table.tBodies[0].append(...rows.map(([, row]) => row));
  for (const th of columns) th.removeAttribute("aria-sort");
  columns[at].setAttribute("aria-sort", descending ? "descending" : "ascending");
}

const TESTS = {
  "<": (a, b) => a < b,
  ">": (a, b) => a > b,
  "<=": (a, b) => a <= b,
  ">=": (a, b) => a >= b,
  "=": (a, b) => a === b,
};

// "r2>0.9" compares a column, any other word must be in the row.
function testOf(word, keys) {
  const found = /^([a-z0-9]+)(<=|>=|<|>|=)(.+)$/i.exec(word);
  const at = found ? keys.indexOf(found[1].toLowerCase()) : -1;
  if (at < 0) return (row) => row.textContent.toLowerCase().includes(word.toLowerCase());
  const number = Number(found[3]);
  const wanted = Number.isNaN(number) ? found[3] : number;
  return (row) => {
    const value = valueOf(row.cells[at]);
    return value !== null && typeof value === typeof wanted && TESTS[found[2]](value, wanted);
  };
}

function filterTable(table, text) {
  const keys = columnsOf(table).map((th) => th.dataset.key);
  const tests = text.split(/\s+/).filter(Boolean).map((word) => testOf(word, keys));
  const rows = [...table.tBodies[0].rows];
  for (const row of rows) row.hidden = !tests.every((test) => test(row));
  const shown = rows.filter((row) => !row.hidden).length;
  const noun = rows.length === 1 ? "network" : "networks";
  document.getElementById("count").textContent =
    shown === rows.length ? `${shown} ${noun}` : `${shown} of ${rows.length} ${noun}`;
}

// What is sorted and filtered stands in the address, so that it can be sent to somebody:
// index.html#sort=r2&descending=1&filter=cddm
function remember(changes) {
  const state = new URLSearchParams(location.hash.slice(1));
  for (const [name, value] of Object.entries(changes)) {
    if (value) state.set(name, value);
    else state.delete(name);
  }
  try {
    history.replaceState(null, "", `#${state}`);
  } catch {
    // A browser that does not allow it for files: only the address lacks it.
  }
}

for (const table of document.querySelectorAll("table.sortable")) {
  const columns = columnsOf(table);
  const labels = columns.map((th) => (th.dataset.key ? th.textContent.trim() : null));
  for (const row of table.tBodies[0].rows)
    labels.forEach((label, i) => label && (row.cells[i].dataset.label = label));
  for (const th of columns.filter((each) => each.dataset.key)) {
    th.firstElementChild.addEventListener("click", () => {
      const descending = th.getAttribute("aria-sort") === "ascending";
      sortTable(table, th.dataset.key, descending);
      if (table.id === "networks")
        remember({ sort: th.dataset.key, descending: descending ? "1" : "" });
    });
  }
}

// Whoever has no mouse scrolls wide tables with the arrow keys.
for (const wide of document.querySelectorAll(".wide, main > div:not([class])")) wide.tabIndex = 0;

const networks = document.getElementById("networks");
const filter = document.getElementById("filter");

function restore() {
  const state = new URLSearchParams(location.hash.slice(1));
  if (state.has("sort")) sortTable(networks, state.get("sort"), state.has("descending"));
  if (!filter) return;
  filter.value = state.get("filter") ?? "";
  filterTable(networks, filter.value);
}

if (networks) {
  window.addEventListener("hashchange", restore);
  restore();
}

if (filter) {
  filter.addEventListener("input", () => {
    filterTable(networks, filter.value);
    remember({ filter: filter.value });
  });
  filter.form.addEventListener("submit", (event) => event.preventDefault());
}

// A dot of a distribution leads to its network, as the seed in the table does.
for (const dot of networks ? document.querySelectorAll(".d circle") : []) {
  const seed = /^seed (\d+):/.exec(dot.textContent)?.[1];
  const link = [...networks.querySelectorAll("a")].find((each) => each.textContent === seed);
  if (link) dot.addEventListener("click", () => link.click());
}

// A page of `rnn report --serve` is loaded again once it has been written anew.
async function watch(known) {
  try {
    const answer = await fetch(location.pathname, { method: "HEAD", cache: "no-store" });
    if (!answer.headers.has("X-Report-Live")) return;
    const now = answer.ok ? answer.headers.get("ETag") : known;
    if (known && now !== known && document.activeElement !== filter) location.reload();
    else known = known || now;
  } catch {
    // The server has ended, or is being started again.
  }
  setTimeout(watch, 5000, known);
}

if (location.protocol.startsWith("http")) watch("");
