// The interactive views: claims, every run, the predictions of a run. Vega-Lite draws them from the page's own data.
// A table's number of runs, and a dot, lead to the predictions. Each view, table and figure can be saved as a file.
function save(name, content, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
function saver(label, describe, act) {
  const button = Object.assign(document.createElement("button"), { type: "button", className: "save", textContent: label });
  button.setAttribute("aria-label", describe);
  button.title = describe;
  button.addEventListener("click", act);
  return button;
}
// Text that a spreadsheet would take for a formula stays text.
const quoted = (value) => {
  const text = String(value ?? "").replace(/^(?=[=@\t\r]|[+-](?![\d.]))/, "'");
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};
const csv = (rows) => rows.map((row) => row.map(quoted).join(",")).join("\n") + "\n";

for (const table of document.querySelectorAll("table[data-name]")) {
  const words = (cell) => [...cell.childNodes].map((node) => node.textContent.trim()).filter(Boolean).join(" ");
  const write = () => {
    const heads = [...table.tHead.rows];
    const spans = [...heads[0].cells].flatMap((cell) => Array(cell.colSpan).fill(words(cell)));
    const names = [...heads.at(-1).cells].map((cell, k) => (heads.length > 1 ? `${spans[k]} ${words(cell)}`.trim() : words(cell)));
    const rows = [...table.tBodies].flatMap((body) => {
      const group = body.querySelector("[scope=rowgroup]");
      return [...body.rows].filter((row) => !row.contains(group)).map((row) => [...(group ? [words(group)] : []), ...[...row.cells].map(words)]);
    });
    const grouped = table.querySelector("[scope=rowgroup]") ? ["Group"] : [];
    save(`${table.dataset.name}.csv`, csv([[...grouped, ...names], ...rows]), "text/csv");
  };
  table.closest(".table").append(saver("CSV", `Save the table ${table.dataset.name} as CSV`, write));
}
for (const figure of document.querySelectorAll("figure[data-name]")) {
  const write = () => {
    const drawing = figure.querySelector(".scroll > svg").cloneNode(true);
    drawing.setAttribute("color", "#24292e");
    save(`${figure.dataset.name}.svg`, new XMLSerializer().serializeToString(drawing), "image/svg+xml");
  };
  figure.querySelector("figcaption").append(" ", saver("SVG", `Save the figure ${figure.dataset.name} as SVG`, write));
}

const views = JSON.parse(document.getElementById("views").textContent);
const narrow = innerWidth < 640;
const look = {
  background: "transparent",
  font: getComputedStyle(document.body).fontFamily,
  axis: { labelColor: "currentColor", titleColor: "currentColor", domainColor: "currentColor", tickColor: "currentColor", gridColor: "#8b949e", gridOpacity: 0.3, labelFontSize: narrow ? 10 : 12, titleFontSize: 12, titleFontWeight: "normal", labelLimit: narrow ? 170 : 330 },
  axisX: { grid: false },
  legend: { columns: narrow ? 2 : undefined, orient: narrow ? "bottom" : undefined, labelColor: "currentColor", titleColor: "currentColor", labelFontSize: 12, titleFontSize: 12 },
  view: { stroke: null },
  range: { category: ["#1f8acb", "#d55e00", "#009e73", "#cc79a7", "#8b6fc0", "#9a7d0a"] },
};
// A packed table as rows.
function unpack(columns) {
  const read = Object.entries(columns).map(([name, held]) => [name, held.levels ? (k) => held.levels[held.codes[k]] : (k) => held[k]]);
  const length = Math.max(0, ...Object.values(columns).map((held) => (held.codes ?? held).length));
  return Array.from({ length }, (_, k) => Object.fromEntries(read.map(([name, value]) => [name, value(k)])));
}
async function draw(name, label) {
  const figure = document.querySelector(`figure[data-view="${name}"]`);
  const entry = views[name];
  if (!figure || !entry) return null;
  const box = Object.assign(document.createElement("div"), { className: "view" });
  figure.prepend(box);
  figure.classList.add("live");
  if (name !== "predictions") for (const table in entry.data) entry.data[table] = unpack(entry.data[table]);
  const datasets = name === "predictions" ? {} : entry.data;
  const spec = { ...entry.spec, datasets, config: look, description: label };
  const { spec: compiled } = vegaLite.compile(spec, { logger: vega.logger(vega.Error) });
  const options = { mode: "vega", actions: false, ast: true, renderer: "svg", logLevel: vega.Error, tooltip: { theme: "page" } };
  const drawn = await vegaEmbed(box, compiled, options);
  return drawn.view;
}

function predictionsOf(entry, run) {
  const images = entry.data.images[run.benchmark];
  const mos = entry.data.mos[`${run.test}/${run.target}`];
  return entry.data.tests[run.test].map((image, k) => ({
    image: images.names[image],
    generator: images.generators[images.generator[image]],
    mos: mos[k],
    prediction: run.predictions[k],
  }));
}

async function drawPredictions() {
  const entry = views.predictions;
  if (!entry?.data.runs.length) return () => {};
  const figure = document.querySelector('figure[data-view="predictions"]');
  const choice = document.createElement("select");
  const groups = new Map();
  for (const run of entry.data.runs) groups.set(run.group, [...(groups.get(run.group) ?? []), run]);
  for (const [label, runs] of groups) {
    const group = Object.assign(document.createElement("optgroup"), { label });
    for (const run of runs) group.append(new Option(run.name, run.row));
    choice.append(group);
  }
  const label = document.createElement("label");
  label.append("Run: ", choice);
  const told = document.createElement("output");
  const bar = Object.assign(document.createElement("p"), { className: "choices" });
  const chosen = () => entry.data.runs.find((run) => run.row === Number(choice.value));
  const write = () => {
    const rows = predictionsOf(entry, chosen()).map((row) => Object.values(row));
    save("predictions.csv", csv([["image", "generator", "mos", "prediction"], ...rows]), "text/csv");
  };
  bar.append(label, " ", told, " ", saver("CSV", "Save the predictions of this run as CSV", write));
  const view = await draw("predictions", "Scatter plot of predicted score and mean opinion score of a run");
  figure.prepend(bar);
  const show = () => {
    const run = chosen();
    const rows = predictionsOf(entry, run);
    const values = rows.flatMap((row) => [row.mos, row.prediction]);
    const ends = [Math.min(...values), Math.max(...values)].map((x) => ({ x }));
    const ofRun = views.runs.data.runs[run.row];
    const number = (value) => (value === null ? "undefined" : value.toFixed(4));
    told.textContent = `${run.group}. SRCC ${number(ofRun.srcc)}, PLCC ${number(ofRun.plcc)}, ${rows.length} test images.`;
    view.data("points", rows).data("identity", ends).resize().runAsync();
  };
  choice.addEventListener("change", show);
  show();
  return (row) => {
    if (!entry.data.runs.some((run) => run.row === row)) return;
    choice.value = row;
    show();
    document.getElementById("predictions").scrollIntoView();
    choice.focus({ preventScroll: true });
  };
}

(async () => {
  await draw("claims", "Dot plot of claims against what is found");
  const runs = await draw("runs", "Dots of every run with means and intervals");
  const openRun = await drawPredictions();
  if (!runs) return;
  runs.addEventListener("click", (event, item) => {
    if (item?.datum?.row !== undefined) openRun(item.datum.row);
  });
  const held = new Map();
  for (const run of views.predictions.data.runs) {
    const { file } = views.runs.data.runs[run.row];
    if (!held.has(file)) held.set(file, run.row);
  }
  for (const link of document.querySelectorAll("a[data-run]")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      const first = views.runs.data.runs[held.get(link.dataset.run)];
      runs.signal("place", first.place).signal("condition", first.condition).runAsync();
      openRun(held.get(link.dataset.run));
    });
  }
})();
