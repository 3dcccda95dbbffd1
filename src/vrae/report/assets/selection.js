/* The selected series: chart, table, download and search by id. */
const MAX_LINES = 40;
const MAX_ROWS = 200;
const KEYS = {
  id: (point) => data.ids[point],
  label: (point) => labels[point],
  probability: (point) => probabilities[point] ?? -1,
  lag: (point) => lags[point],
  level: (point) => levelOf(point) ?? -Infinity,
  score: (point) => scores[point] ?? -Infinity,
};
/** Mean of a series in the chosen channel, if the page holds it. */
const levelOf = (point) => levels[Number($("#channel").value)]?.[point] ?? null;

/** Digits that tell the levels of the selected series apart. */
function levelDigits() {
  const known = state.selected.slice(0, MAX_ROWS).map(levelOf).filter((level) => level !== null);
  return known.length ? digitsFor(Math.min(...known), Math.max(...known)) : 3;
}

/** Whether a series is still in the cluster that the run gave it. */
const isAsInRun = (point) => !edits.length || !cluster(labels[point]).isEdited;

function sortSelection() {
  const key = KEYS[state.sort];
  const sign = state.down ? -1 : 1;
  const compare = state.sort === "id"
    ? (a, b) => sign * key(a).localeCompare(key(b), "en", { numeric: true })
    : (a, b) => sign * (key(a) - key(b)) || a - b;
  state.selected = [...state.selected].sort(compare);
}

/** How many series of the chosen cluster this page holds, if not all of them. */
function ofAll(number) {
  const { size } = cluster(state.label);
  return number < size ? `${number.toLocaleString("en")} of ${count(size, "series")}` : count(size, "series");
}

function showSelection() {
  const number = state.selected.length;
  const isShown = number > 0;
  $(".selection").hidden = !isShown;
  $(".explore").classList.toggle("has-selection", isShown);
  document.documentElement.classList.toggle("has-sheet", isShown);
  $("#selection-title").textContent = isShown && state.label !== null ? `${state.title} · ${ofAll(number)}` : state.title;
  fillTable();
  offerMoves();
  if (isShown) drawSeries();
}

function fillTable() {
  const body = $("#table tbody");
  body.replaceChildren(...state.selected.slice(0, MAX_ROWS).map(tableRow));
  for (const head of $$("#table th")) {
    const isSorted = head.firstElementChild.dataset.sort === state.sort;
    head.setAttribute("aria-sort", isSorted ? (state.down ? "descending" : "ascending") : "none");
  }
  $("#table-note").textContent = state.selected.length > MAX_ROWS
    ? `The first ${MAX_ROWS} of ${count(state.selected.length, "series")}; the download has all.`
    : "";
}

function tableRow(point) {
  const button = element("button", { type: "button", dir: "auto", title: data.ids[point] }, data.ids[point]);
  button.addEventListener("click", () => focusOn(point));
  const cells = [
    element("td", {}, button),
    element("td", { class: "of" }, glyph(labels[point]), ...named(cluster(labels[point]))),
    element("td", { class: "number" }, isAsInRun(point) ? percent(probabilities[point]) : "by hand"),
  ];
  if (lags) cells.push(element("td", { class: "number" }, signed(String(lags[point]))));
  if (levels.length) cells.push(element("td", { class: "number" }, plain(levelOf(point), levelDigits())));
  if (scores) cells.push(element("td", { class: "number" }, plain(scores[point])));
  return element("tr", { "data-point": point, "aria-current": String(point === state.focus) }, ...cells);
}

/** Standardise a line with the mean and standard deviation of a reference line. */
function onOwnScale(line, reference) {
  const observed = reference.y.filter((value) => value !== null);
  const mean = observed.reduce((sum, value) => sum + value, 0) / (observed.length || 1);
  const spread = Math.sqrt(observed.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (observed.length || 1)) || 1;
  return { x: line.x, y: line.y.map((value) => (value === null ? null : (value - mean) / spread)) };
}

function drawSeries() {
  if (!state.selected.length) return;
  const channel = Number($("#channel").value);
  const ownScale = $("#own-scale").checked;
  const scaled = (line, reference) => (ownScale ? onOwnScale(line, reference) : line);
  const drawable = state.selected.filter((point) => drawnAt.has(point) && point !== state.focus);
  const others = drawable.slice(0, MAX_LINES);
  const traces = others.map((point) => {
    const line = series(point, "data", channel);
    return lineTrace(scaled(line, line), asText(shorten(data.ids[point])), { color: hue(labels[point]), width: 0.8 }, { opacity: 0.45 });
  });
  const hasFocus = state.focus !== null && drawnAt.has(state.focus);
  if (hasFocus) {
    const original = series(state.focus, "data", channel);
    const model = series(state.focus, "model", channel);
    traces.push(...bandTraces(model, noiseOf(state.focus, channel), (line) => scaled(line, original)));
    if (!data.from_model) {
      traces.push(lineTrace(scaled(original, original), "original", { color: css("--ink"), width: 1.8 }, {}));
    }
    traces.push(lineTrace(scaled(model, original), "reconstruction", { color: css("--fitted"), width: 2, dash: "4px,3px" }, {}));
  }
  $("#series-legend").hidden = !hasFocus;
  $("#series").hidden = !traces.length;
  $("#series-note").textContent = seriesNote(others.length);
  if (!traces.length) return;
  const values = traces.flatMap((trace) => trace.y);
  const [low, high] = extent(values);
  const digits = Math.max(4, digitsFor(low, high));
  const isTiny = Math.max(Math.abs(low), Math.abs(high)) < 1e-4;
  for (const trace of traces) trace.hovertemplate = `${trace.name}<br>%{x}: %{y:${isTiny ? ".3~e" : `,.${digits}~r`}}<extra></extra>`;
  const top = ownScale ? null : cutOff(values, low, high);
  Plotly.react("series", traces, layout({
    margin: { l: 48, r: 10, t: 8, b: 40 }, hovermode: "closest", dragmode: "zoom", height: $("#series").clientHeight,
    xaxis: { title: { text: asText(xTitle) }, type: dated ? "date" : "linear", nticks: isNarrow() ? 5 : 8 },
    yaxis: {
      title: { text: asText(data.channels[channel]) + (ownScale ? " (standard deviations)" : "") },
      ...(top === null ? { autorange: true } : { range: [low - 0.05 * (top - low), top], autorange: false }), separatethousands: true, exponentformat: isTiny ? "power" : digits > 6 ? "none" : "SI",
    },
  }), PLAIN_CONFIG);
  if (top !== null) $("#series-note").textContent += ` Values above ${plain(top)} are cut off: double-click to see them.`;
}

/** Where to cut the chart, if a few values would flatten all others; null if none do. */
function cutOff(values, low, high) {
  const sorted = values.filter((value) => value !== null).sort((a, b) => a - b);
  const usual = sorted[Math.floor(0.99 * (sorted.length - 1))];
  const top = usual + 0.25 * (usual - low);
  return sorted.length > 200 && usual > low && high - low > 4 * (usual - low) ? top : null;
}

/** The range in which the model expects 95 % of the values. */
function bandTraces(model, deviation, scaled) {
  if (!deviation || model.x.length < 2) return [];
  const moved = (by) => scaled({ x: model.x, y: model.y.map((value) => (value === null ? null : value + by)) });
  const edge = (line, extra) => ({
    type: "scatter", mode: "lines", x: line.x, y: line.y, line: { width: 0 }, hoverinfo: "skip", showlegend: false, ...extra,
  });
  return [
    edge(moved(1.96 * deviation), { name: "upper edge" }),
    edge(moved(-1.96 * deviation), { name: "expected range (95 %)", fill: "tonexty", fillcolor: css("--fitted-wash") }),
  ];
}

function lineTrace(line, name, look, extra) {
  const mode = line.x.length === 1 ? "markers" : "lines";
  return { type: "scatter", mode, x: line.x, y: line.y, name, line: look, marker: { color: look.color }, showlegend: false, ...extra };
}

function seriesNote(nOthers) {
  if (!drawnAt.has(state.focus)) {
    return `“${shorten(data.ids[state.focus])}” is not among the ${drawnAt.size.toLocaleString("en")} series whose values are in this page.`;
  }
  const bold = state.selected.length > 1 ? `Bold: ${shorten(data.ids[state.focus])}, with its reconstruction. ` : "";
  const one = data.from_model && state.selected.length === 1 ? "Reconstruction of the series. " : "";
  const rest = nOthers < state.selected.length - 1
    ? `Thin lines: ${nOthers} of the other ${count(state.selected.length - 1, "series")}.`
    : "";
  return one + bold + rest;
}

/** Whether a spreadsheet would run a cell: the same rule as in vrae.io.formulas. */
const isFormula = (cell) => /^[=+\-@\t\r]/.test(cell) && !(cell.trim() && Number.isFinite(Number(cell)));

/** A cell of a csv table, escaped as the tables of the run are. Numbers stay unchanged. */
function csvCell(value) {
  const isText = typeof value === "string";
  const text = data.escape_formulas && isText && isFormula(value) ? `'${value}` : String(value);
  return `"${text.replace(/"/g, '""')}"`;
}

function downloadCsv() {
  const named = data.colorings.filter((coloring) => coloring.kind === "category");
  const hasLevel = levels.length > 0;
  const head = [
    "id", "cluster", "name", "probability", ...(lags ? ["lag"] : []), ...(hasLevel ? ["level"] : []), ...(scores ? ["anomaly_score"] : []),
    ...named.map((coloring) => coloring.name),
  ];
  const number = (value, write) => (value === null ? "" : write(value));
  const rows = state.selected.map((point) => [
    data.ids[point], labels[point], cluster(labels[point]).name, isAsInRun(point) ? number(probabilities[point], (value) => value.toFixed(4)) : "", ...(lags ? [lags[point]] : []),
    ...(hasLevel ? [number(levelOf(point), (value) => value.toPrecision(6))] : []),
    ...(scores ? [number(scores[point], (value) => value.toFixed(4))] : []),
    ...named.map((coloring) => coloring.categories[(coloring.unpacked ??= unpack(coloring.codes))[point]]),
  ]);
  save([head, ...rows].map((row) => row.map(csvCell).join(",")).join("\r\n") + "\r\n", "text/csv", "selection.csv");
}

/** Let the browser save a text as a file. */
function save(text, type, name) {
  const link = element("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function matches(text, limit) {
  const wanted = text.toLowerCase();
  const found = [];
  for (let i = 0; i < n && found.length < limit; i++) if (data.ids[i].toLowerCase().includes(wanted)) found.push(i);
  return found;
}

function search(text, isFinal) {
  $("#search-note").hidden = true;
  const exact = data.ids.indexOf(text);
  if (exact >= 0) return selectPoint(exact);
  const found = text ? matches(text, 20) : [];
  $("#found").replaceChildren(...found.map((point) => element("option", { value: data.ids[point] })));
  if (!isFinal || !text) return undefined;
  if (found.length) return selectPoint(found[0]);
  nothing();
  $("#search-note").textContent = `No id like “${shorten(text, 40)}”${n < data.n_series ? " in this page" : ""}`;
  $("#search-note").hidden = false;
  return undefined;
}
