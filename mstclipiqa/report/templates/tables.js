// Long tables can be sorted by a click on a heading and filtered by words; without this script they are just tables.
// Rows stay in their group, and what is no number comes last. The contents show where one is, tables of many columns or
// rows that they go on, and a printed page has the evidence of the claims unfolded.
"use strict";
document.documentElement.classList.add("scripted");
for (const table of document.querySelectorAll("table.long")) {
  const bodies = [...table.tBodies];
  const rows = bodies.flatMap((body) => [...body.rows].filter((row) => !row.querySelector("[scope=rowgroup]")));
  const heads = [...table.tHead.rows].at(-1).cells;
  const read = {
    text: (cell) => cell.textContent.trim(),
    number: (cell) => parseFloat(cell.textContent.trim().replaceAll(",", "").replace("−", "-")),
  };

  function sort(column, head, direction) {
    const kind = head.classList.contains("number") ? "number" : "text";
    const key = new Map(rows.map((row) => [row, read[kind](row.cells[column])]));
    const compare = (a, b) =>
      kind === "text" ? key.get(a).localeCompare(key.get(b), "en", { numeric: true }) : key.get(a) - key.get(b);
    const sorted = direction === "none" ? rows : rows.filter((row) => !Number.isNaN(key.get(row))).sort(compare);
    if (direction === "descending") sorted.reverse();
    const last = rows.filter((row) => !sorted.includes(row));
    const parent = new Map(rows.map((row) => [row, row.parentNode]));
    for (const row of [...sorted, ...last]) parent.get(row).append(row);
    for (const other of heads) other.removeAttribute("aria-sort");
    if (direction !== "none") head.setAttribute("aria-sort", direction);
  }

  [...heads].forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    // The best first: the highest where more is better, the least or the first word elsewhere.
    const orders = head.dataset.best === "most" ? ["descending", "ascending"] : ["ascending", "descending"];
    button.addEventListener("click", () => {
      const next = orders.indexOf(head.getAttribute("aria-sort")) + 1;
      sort(column, head, orders[next] ?? "none");
    });
  });

  const label = document.createElement("label");
  const input = Object.assign(document.createElement("input"), { type: "search", placeholder: "words of a row" });
  const count = Object.assign(document.createElement("output"), { textContent: `${rows.length} rows` });
  label.append("Filter ", input);
  const bar = Object.assign(document.createElement("p"), { className: "filter" });
  bar.append(label, " ", count);
  table.closest(".scroll").before(bar);
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/);
    for (const body of bodies) {
      const heading = body.querySelector("[scope=rowgroup]")?.textContent ?? "";
      for (const row of rows.filter((row) => row.parentNode === body)) {
        const text = `${heading} ${row.textContent}`.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
      }
      body.hidden = rows.every((row) => row.hidden || row.parentNode !== body);
    }
    const shown = rows.filter((row) => !row.hidden).length;
    count.textContent = shown === rows.length ? `${shown} rows` : `${shown} of ${rows.length} rows`;
  });
}

const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
const mark = new IntersectionObserver(
  (entries) => {
    for (const { target } of entries.filter((entry) => entry.isIntersecting)) {
      for (const link of links.values()) link.removeAttribute("aria-current");
      const link = links.get(target.id);
      link.setAttribute("aria-current", "true");
      const list = link.closest("ul");
      list.scrollLeft = link.offsetLeft - list.offsetLeft - list.clientWidth / 2;
    }
  },
  { rootMargin: "-15% 0px -80% 0px" },
);
for (const id of links.keys()) mark.observe(document.getElementById(id));

const measure = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    target.classList.toggle("wide", target.scrollWidth > target.clientWidth + 1);
    target.classList.toggle("tall", target.scrollHeight > target.clientHeight + 1);
  }
});
for (const box of document.querySelectorAll(".scroll")) measure.observe(box);

const evidence = [...document.querySelectorAll("details.evidence, details.evidence details.notes")];
let folded = [];
addEventListener("beforeprint", () => {
  folded = evidence.filter((details) => !details.open);
  for (const details of folded) details.open = true;
});
addEventListener("afterprint", () => folded.forEach((details) => (details.open = false)));
