/* The selected series: chart, table, download and search by id. */
const MAX_LINES = 40;
const MAX_CURVES = 8;
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
  $("#selection-title").textContent = number === 0
    ? "Typical curve of every cluster"
    : number > 1 && state.label !== null ? `${state.title} · ${ofAll(number)}` : state.title;
  $(".selection").classList.toggle("is-empty", number === 0);
  fillTable();
  drawSeries();
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
    element("td", {}, glyph(labels[point]), cluster(labels[point]).name),
    element("td", { class: "number" }, percent(probabilities[point])),
  ];
  if (lags) cells.push(element("td", { class: "number" }, String(lags[point])));
  if (levels.length) cells.push(element("td", { class: "number" }, short(levelOf(point))));
  if (scores) cells.push(element("td", { class: "number" }, short(scores[point])));
  return element("tr", { "data-point": point, "aria-current": String(point === state.focus) }, ...cells);
}

/** Standardise a line with the mean and standard deviation of a reference line. */
function onOwnScale(line, reference) {
  const observed = reference.y.filter((value) => value !== null);
  const mean = observed.reduce((sum, value) => sum + value, 0) / (observed.length || 1);
  const spread = Math.sqrt(observed.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (observed.length || 1)) || 1;
  return { x: line.x, y: line.y.map((value) => (value === null ? null : (value - mean) / spread)) };
}

/** With nothing selected, draw the typical curves of the clusters. */
function drawOverview(channel) {
  const shown = data.clusters.slice(0, MAX_CURVES);
  const traces = shown.map((c, i) => {
    const line = { x: data.curves_dated ? c.steps.map(toTime) : c.steps, y: curveOf((i * 3 + 1) * nChannels + channel).y };
    return lineTrace(line, c.name, { color: hue(c.label), width: 2 }, { opacity: 0.9 });
  });
  Plotly.react("series", traces, layout({
    hovermode: "closest", height: $("#series").clientHeight, xaxis: data.curves_dated ? { title: { text: "time" }, type: "date" } : { title: { text: "step" } }, yaxis: { title: { text: asText(data.channels[channel]) } },
  }), PLAIN_CONFIG);
  const some = shown.length < data.clusters.length ? `The first ${shown.length} of ${data.clusters.length} clusters. ` : "";
  $("#series-note").textContent = `${some}Select series on the map, in the list of clusters or by id to see them here.`;
}

function drawSeries() {
  const channel = Number($("#channel").value);
  if (!state.selected.length) return drawOverview(channel);
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
      traces.push(lineTrace(scaled(original, original), "original", { color: css("--ink"), width: 1.8 }, { showlegend: true, legendrank: 1 }));
    }
    traces.push(lineTrace(scaled(model, original), "reconstruction", { color: css("--fitted"), width: 2, dash: "4px,3px" }, { showlegend: true, legendrank: 2 }));
  }
  Plotly.react("series", traces, layout({
    showlegend: hasFocus, legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", traceorder: "normal" },
    margin: { l: 48, r: 10, t: 28, b: 40 }, hovermode: "closest", dragmode: "zoom", height: $("#series").clientHeight,
    xaxis: { title: { text: xTitle }, type: dated ? "date" : "linear" },
    yaxis: { title: { text: asText(data.channels[channel]) + (ownScale ? " (standard deviations)" : "") } },
  }), PLAIN_CONFIG);
  $("#series-note").textContent = seriesNote(others.length);
  return undefined;
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
    edge(moved(-1.96 * deviation), { name: "expected range (95 %)", showlegend: true, legendrank: 3, fill: "tonexty", fillcolor: css("--fitted-wash") }),
  ];
}

function lineTrace(line, name, look, extra) {
  const mode = line.x.length === 1 ? "markers" : "lines";
  const hovertemplate = `${name}<br>%{x}: %{y:.4g}<extra></extra>`;
  return { type: "scatter", mode, x: line.x, y: line.y, name, line: look, marker: { color: look.color }, hovertemplate, showlegend: false, ...extra };
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

function downloadCsv() {
  const quote = (value) => `"${String(value).replace(/"/g, '""')}"`;
  const named = data.colorings.filter((coloring) => coloring.kind === "category");
  const hasLevel = levels.length > 0;
  const head = [
    "id", "cluster", "probability", ...(lags ? ["lag"] : []), ...(hasLevel ? ["level"] : []), ...(scores ? ["anomaly_score"] : []),
    ...named.map((coloring) => coloring.name),
  ];
  const number = (value, write) => (value === null ? "" : write(value));
  const rows = state.selected.map((point) => [
    data.ids[point], labels[point], number(probabilities[point], (value) => value.toFixed(4)), ...(lags ? [lags[point]] : []),
    ...(hasLevel ? [number(levelOf(point), (value) => value.toPrecision(6))] : []),
    ...(scores ? [number(scores[point], (value) => value.toFixed(4))] : []),
    ...named.map((coloring) => coloring.categories[(coloring.unpacked ??= unpack(coloring.codes))[point]]),
  ]);
  const text = [head, ...rows].map((row) => row.map(quote).join(",")).join("\r\n") + "\r\n";
  const link = element("a", { href: URL.createObjectURL(new Blob([text], { type: "text/csv" })), download: "selection.csv" });
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
  const exact = data.ids.indexOf(text);
  if (exact >= 0) return selectPoint(exact);
  const found = text ? matches(text, 20) : [];
  $("#found").replaceChildren(...found.map((point) => element("option", { value: data.ids[point] })));
  if (!isFinal || !text) return undefined;
  if (found.length) return selectPoint(found[0]);
  const where = n < data.n_series ? " in this page" : "";
  return select([], "") ?? ($("#selection-title").textContent = `No id like “${shorten(text, 40)}”${where}`);
}
