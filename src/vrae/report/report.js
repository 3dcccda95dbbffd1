"use strict";
/* The page's behaviour. Data arrives as JSON in #data and only ever becomes text or numbers, never markup. */
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (selector) => document.querySelector(selector);
  const $$ = (selector) => [...document.querySelectorAll(selector)];

  // ------------------------------------------------------------------ unpacking

  const ARRAYS = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, i4: Int32Array, f4: Float32Array };
  const GAP = 65535;
  const TOP = 65534;

  function unpack(packed) {
    const text = atob(packed.data);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    return new ARRAYS[packed.type](bytes.buffer);
  }

  /** Lines of 16 bits each within its own range: `line(i)` gives {x, y}, with null for a gap. */
  function unpackLines(packed) {
    const [count, low, high, values] = ["count", "low", "high", "values"].map((name) => unpack(packed[name]));
    const positions = packed.positions ? unpack(packed.positions) : null;
    const starts = new Uint32Array(count.length);
    for (let i = 1; i < count.length; i++) starts[i] = starts[i - 1] + count[i - 1];
    return (i) => {
      const y = new Array(count[i]);
      const x = new Array(count[i]);
      for (let k = 0; k < count[i]; k++) {
        const code = values[starts[i] + k];
        y[k] = code === GAP ? null : low[i] + (code / TOP) * (high[i] - low[i]);
        x[k] = positions ? positions[starts[i] + k] : k;
      }
      return { x, y };
    };
  }
  const column = (packed) => unpackLines(packed)(0).y;

  const n = data.ids.length;
  const labels = unpack(data.labels);
  const lags = data.lags && unpack(data.lags);
  const probabilities = column(data.probabilities);
  const maps = Object.fromEntries(data.maps.map((map) => [map.method, {
    ...map, x: column(map.x), y: column(map.y), points: map.points && unpack(map.points),
  }]));
  const drawnAt = new Map([...unpack(data.drawn)].map((point, i) => [point, i]));
  const lineOf = unpackLines(data.lines);
  const courseOf = unpackLines(data.courses);
  const nChannels = data.channels.length;
  const clusterOf = new Map(data.clusters.map((cluster, i) => [cluster.label, i]));
  const dated = data.lines.base !== null;
  const xTitle = dated ? "time" : "step";

  /** One channel of a drawn series, or of the model's version of it. */
  function series(point, version, channel) {
    const line = lineOf((drawnAt.get(point) * 2 + (version === "model" ? 1 : 0)) * nChannels + channel);
    return dated ? { x: line.x.map((s) => data.lines.base + 1000 * s), y: line.y } : line;
  }

  // ------------------------------------------------------------------ small helpers

  const cluster = (label) => data.clusters[clusterOf.get(label)];
  const css = (name, element = document.documentElement) => getComputedStyle(element).getPropertyValue(name).trim();
  const hueName = (label) => `hue-${label < 0 ? "noise" : label % data.colors.length}`;
  const symbolOf = (i) => data.symbols[i < 0 ? 0 : Math.floor(i / data.colors.length) % data.symbols.length];
  const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 || noun.endsWith("s") ? "" : "s"}`;
  const percent = (share) => (share === null ? "–" : `${(100 * share).toFixed(0)} %`);
  // plotly reads a little markup in its texts; names are to be shown as they are.
  const asText = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const shorten = (text, length = 60) => (text.length > length ? `${text.slice(0, length)}…` : text);

  const hueProbe = document.body.appendChild(document.createElement("i"));
  hueProbe.hidden = true;
  function hue(i) {
    hueProbe.className = hueName(i);
    return css("--hue", hueProbe);
  }

  function element(tag, attributes = {}, ...children) {
    const node = tag.startsWith("svg:")
      ? document.createElementNS("http://www.w3.org/2000/svg", tag.slice(4))
      : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }

  function glyph(label) {
    const use = element("svg:use", { href: `#glyph-${symbolOf(label)}` });
    return element("svg:svg", { class: `glyph ${hueName(label)}`, viewBox: "-6 -6 12 12", "aria-hidden": "true" }, use);
  }

  // ------------------------------------------------------------------ plotly's look

  const CONFIG = {
    responsive: true, displaylogo: false,
    modeBarButtons: [["select2d", "lasso2d", "zoom2d", "pan2d", "resetScale2d", "toImage"]],
  };
  const PLAIN_CONFIG = { responsive: true, displaylogo: false, displayModeBar: false };

  function layout(extra = {}) {
    const ink = css("--ink");
    const axis = {
      gridcolor: css("--grid"), linecolor: css("--line"), zeroline: false, automargin: true,
      tickfont: { color: css("--muted") }, title: { standoff: 6, font: { color: css("--muted") } },
    };
    const withTitle = (own = {}) => ({ ...axis, ...own, title: { ...axis.title, ...own.title } });
    return {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false,
      margin: { l: 48, r: 10, t: 10, b: 40 },
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: ink },
      hoverlabel: { bgcolor: css("--surface"), bordercolor: css("--line"), font: { color: ink } },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: css("--muted"), activecolor: css("--accent") },
      ...extra, xaxis: withTitle(extra.xaxis), yaxis: withTitle(extra.yaxis),
    };
  }

  // ------------------------------------------------------------------ state

  const state = { method: "pca", colorBy: "cluster", selected: [], title: "", focus: null, sort: "probability", down: true };

  function select(points, title, { label = null, focus = null } = {}) {
    state.selected = points;
    state.title = title;
    state.label = label;
    sortSelection();
    state.focus = focus ?? state.selected.find((point) => drawnAt.has(point)) ?? state.selected[0] ?? null;
    for (const pick of $$(".pick")) pick.setAttribute("aria-pressed", String(Number(pick.dataset.cluster) === label));
    showSelection();
    drawMap();
  }

  function selectCluster(label) {
    const points = [];
    for (let i = 0; i < n; i++) if (labels[i] === label) points.push(i);
    select(points, cluster(label).name, { label, focus: cluster(label).typical[0] });
  }

  function selectPoint(point) {
    select([point], data.ids[point]);
  }

  function focusOn(point) {
    state.focus = point;
    for (const row of $$("#table tbody tr")) row.setAttribute("aria-current", String(Number(row.dataset.point) === point));
    drawSeries();
    drawMap();
  }

  // ------------------------------------------------------------------ map

  const hasWebgl = () => {
    try {
      return Boolean(document.createElement("canvas").getContext("webgl"));
    } catch {
      return false;
    }
  };
  const useWebgl = data.webgl && hasWebgl();
  let groups = [];
  let revision = 0;

  /** Which points the map shows, as places in its columns: all, or every so many where there is no WebGL. */
  function placesOf(map) {
    const every = useWebgl ? 1 : Math.ceil(map.x.length / data.svg_points);
    const places = [];
    for (let i = 0; i < map.x.length; i += every) places.push(i);
    return places;
  }

  /** Sort points into what the chosen colouring tells apart. */
  function grouping() {
    if (state.colorBy === "cluster") {
      const order = data.clusters.map((c) => ({ name: c.name, color: hue(c.label), symbol: symbolOf(c.label) }));
      return { order, of: (point) => clusterOf.get(labels[point]) };
    }
    if (state.colorBy === "probability") {
      return { order: [{ name: "Probability", values: probabilities, scale: [0, 1] }], of: () => 0 };
    }
    const coloring = data.colorings[Number(state.colorBy)];
    if (coloring.kind === "number") {
      coloring.numbers ??= column(coloring.values);
      return { order: [{ name: coloring.name, values: coloring.numbers }], of: () => 0 };
    }
    coloring.unpacked ??= unpack(coloring.codes);
    const order = coloring.categories.map((name, i) => ({ name, color: hue(i), symbol: symbolOf(i) }));
    return { order, of: (point) => coloring.unpacked[point] };
  }

  function drawMap() {
    const map = maps[state.method];
    const places = placesOf(map);
    const { order, of } = grouping();
    groups = order.map((group) => ({ ...group, points: [], x: [], y: [] }));
    for (const place of places) {
      const point = map.points ? map.points[place] : place;
      if (map.x[place] === null) continue;
      const group = groups[of(point)];
      group.points.push(point);
      group.x.push(map.x[place]);
      group.y.push(map.y[place]);
    }
    const chosen = state.selected.length ? new Set(state.selected) : null;
    const size = Math.max(3, Math.min(8, 260 / Math.sqrt(places.length)));
    const traces = groups.map((group) => mapTrace(group, chosen, size));
    const byCategory = groups.length > 1 && state.colorBy !== "cluster";
    const focus = focusTrace(map, places);
    if (focus) traces.push(focus);
    const coarse = matchMedia("(pointer: coarse)").matches;
    describeMap(map, places);
    Plotly.react("map", traces, layout({
      height: $("#map").clientHeight,
      xaxis: { title: { text: map.titles[0] } }, yaxis: { title: { text: map.titles[1] } },
      dragmode: coarse ? false : "select", hovermode: "closest", uirevision: state.method,
      selections: [], selectionrevision: ++revision, // a box left on the map would lie over its points
      showlegend: byCategory, legend: { orientation: "h", y: -0.16, x: 0, font: { size: 11 } },
    }), CONFIG);
  }

  function mapTrace(group, chosen, size) {
    const isScale = Boolean(group.values);
    const marker = isScale
      ? {
        color: group.points.map((point) => group.values[point]), colorscale: "Cividis", size, opacity: 0.8,
        cmin: group.scale?.[0], cmax: group.scale?.[1], symbol: "circle",
        colorbar: { title: { text: asText(group.name), side: "right" }, thickness: 10, len: 0.7, outlinewidth: 0 },
      }
      : { color: group.color, symbol: group.symbol, size, opacity: 0.75 };
    return {
      type: useWebgl ? "scattergl" : "scatter", mode: "markers", name: asText(shorten(group.name, 30)),
      x: group.x, y: group.y, marker, showlegend: !isScale,
      selectedpoints: chosen ? group.points.flatMap((point, i) => (chosen.has(point) ? [i] : [])) : null,
      selected: { marker: { opacity: 0.9 } }, unselected: { marker: { opacity: 0.16 } },
      text: group.points.map((point) => asText(shorten(data.ids[point]))),
      customdata: group.points.map((point) => `${cluster(labels[point]).name}, ${percent(probabilities[point])}`),
      hovertemplate: "%{text}<br>%{customdata}<extra></extra>",
    };
  }

  function focusTrace(map, places) {
    if (state.focus === null) return null;
    const place = map.points ? map.points.indexOf(state.focus) : state.focus;
    if (place < 0 || map.x[place] === null) return null;
    return {
      type: useWebgl ? "scattergl" : "scatter", mode: "markers", x: [map.x[place]], y: [map.y[place]],
      hoverinfo: "skip", showlegend: false,
      marker: { symbol: "circle-open", size: 17, color: css("--ink"), line: { width: 2 } },
    };
  }

  function describeMap(map, places) {
    const notes = [];
    if (n < data.n_series) notes.push(`This page holds a random ${n.toLocaleString("en")} of ${count(data.n_series, "series")}.`);
    if (map.note) notes.push(`${map.name} shows: ${map.note}.`);
    if (places.length < map.x.length) {
      notes.push(`Without WebGL in this browser, ${places.length.toLocaleString("en")} of ${count(map.x.length, "point")} are drawn.`);
    }
    notes.push(state.method === "pca"
      ? "PCA keeps distances: far apart on the map is far apart for the model."
      : "t-SNE keeps neighbours together; distances between groups mean little.");
    $("#map-note").textContent = notes.join(" ");
  }

  function listenToMap() {
    const pointOf = (hit) => groups[hit.curveNumber]?.points[hit.pointNumber];
    $("#map").on("plotly_click", (event) => {
      const point = event.points.map(pointOf).find((found) => found !== undefined);
      if (point !== undefined) selectPoint(point);
    });
    $("#map").on("plotly_selected", (event) => {
      const points = (event?.points ?? []).map(pointOf).filter((point) => point !== undefined);
      // plotly is still in the middle of the drag: redrawing now would leave it there.
      if (points.length) setTimeout(() => select([...new Set(points)], count(points.length, "series")));
    });
    $("#map").on("plotly_deselect", () => select([], ""));
  }

  // ------------------------------------------------------------------ selection

  const MAX_LINES = 40;
  const MAX_COURSES = 8;
  const MAX_ROWS = 200;
  const KEYS = {
    id: (point) => data.ids[point],
    label: (point) => labels[point],
    probability: (point) => probabilities[point] ?? -1,
    lag: (point) => lags[point],
  };

  function sortSelection() {
    const key = KEYS[state.sort];
    const sign = state.down ? -1 : 1;
    const compare = state.sort === "id"
      ? (a, b) => sign * key(a).localeCompare(key(b), "en", { numeric: true })
      : (a, b) => sign * (key(a) - key(b)) || a - b;
    state.selected = [...state.selected].sort(compare);
  }

  /** How many series of the chosen cluster this page holds, where it is not all of them. */
  function ofAll(number) {
    const { size } = cluster(state.label);
    return number < size ? `${number.toLocaleString("en")} of ${count(size, "series")}` : count(size, "series");
  }

  function showSelection() {
    const number = state.selected.length;
    $("#selection-title").textContent = number === 0
      ? "Typical course of every cluster"
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
      ? `The first ${MAX_ROWS} of ${count(state.selected.length, "series")}; the download holds all.`
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
    return element("tr", { "data-point": point, "aria-current": String(point === state.focus) }, ...cells);
  }

  /** Bring a line to mean 0 and standard deviation 1, as given by another line of the same series. */
  function onOwnScale(line, reference) {
    const observed = reference.y.filter((value) => value !== null);
    const mean = observed.reduce((sum, value) => sum + value, 0) / (observed.length || 1);
    const spread = Math.sqrt(observed.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (observed.length || 1)) || 1;
    return { x: line.x, y: line.y.map((value) => (value === null ? null : (value - mean) / spread)) };
  }

  /** With nothing selected, the typical courses stand side by side. */
  function drawOverview(channel) {
    const shown = data.clusters.slice(0, MAX_COURSES);
    const traces = shown.map((c, i) => {
      const line = { x: c.steps, y: courseOf((i * 3 + 1) * nChannels + channel).y };
      return lineTrace(line, c.name, { color: hue(c.label), width: 2 }, { opacity: 0.9 });
    });
    Plotly.react("series", traces, layout({
      hovermode: "closest", height: $("#series").clientHeight, xaxis: { title: { text: "step" } }, yaxis: { title: { text: asText(data.channels[channel]) } },
    }), PLAIN_CONFIG);
    const some = shown.length < data.clusters.length ? `The first ${shown.length} of ${data.clusters.length} clusters. ` : "";
    $("#series-note").textContent = `${some}Select series on the map, in the list of clusters or by their id to see them here.`;
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
      traces.push(lineTrace(scaled(original, original), "original", { color: css("--ink"), width: 1.8 }, { showlegend: true }));
      traces.push(lineTrace(scaled(model, original), "reconstruction", { color: css("--fitted"), width: 2, dash: "4px,3px" }, { showlegend: true }));
    }
    Plotly.react("series", traces, layout({
      showlegend: hasFocus, legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" },
      margin: { l: 48, r: 10, t: 28, b: 40 }, hovermode: "closest", dragmode: "zoom", height: $("#series").clientHeight,
      xaxis: { title: { text: xTitle }, type: dated ? "date" : "linear" },
      yaxis: { title: { text: asText(data.channels[channel]) + (ownScale ? " (standard deviations)" : "") } },
    }), PLAIN_CONFIG);
    $("#series-note").textContent = seriesNote(others.length);
    return undefined;
  }

  function lineTrace(line, name, look, extra) {
    const mode = line.x.length === 1 ? "markers" : "lines";
    const hovertemplate = `${name}<br>%{x}: %{y:.4g}<extra></extra>`;
    return { type: "scatter", mode, x: line.x, y: line.y, name, line: look, marker: { color: look.color }, hovertemplate, showlegend: false, ...extra };
  }

  function seriesNote(nOthers) {
    if (!drawnAt.has(state.focus)) {
      return `“${shorten(data.ids[state.focus])}” is not among the ${drawnAt.size.toLocaleString("en")} series whose course this page holds.`;
    }
    const bold = state.selected.length > 1 ? `In bold: ${shorten(data.ids[state.focus])}, with the model's version of it. ` : "";
    const rest = nOthers < state.selected.length - 1
      ? `Thin lines: ${nOthers} of the other ${count(state.selected.length - 1, "series")}.`
      : "";
    return bold + rest;
  }

  function downloadCsv() {
    const quote = (value) => `"${String(value).replace(/"/g, '""')}"`;
    const named = data.colorings.filter((coloring) => coloring.kind === "category");
    const head = ["id", "cluster", "probability", ...(lags ? ["lag"] : []), ...named.map((coloring) => coloring.name)];
    const rows = state.selected.map((point) => [
      data.ids[point], labels[point], probabilities[point] === null ? "" : probabilities[point].toFixed(4), ...(lags ? [lags[point]] : []),
      ...named.map((coloring) => coloring.categories[(coloring.unpacked ??= unpack(coloring.codes))[point]]),
    ]);
    const text = [head, ...rows].map((row) => row.map(quote).join(",")).join("\r\n") + "\r\n";
    const link = element("a", { href: URL.createObjectURL(new Blob([text], { type: "text/csv" })), download: "selection.csv" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  // ------------------------------------------------------------------ search

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
    const where = n < data.n_series ? " among those in this page" : "";
    return select([], "") ?? ($("#selection-title").textContent = `No id like “${shorten(text, 40)}”${where}`);
  }

  // ------------------------------------------------------------------ cards

  /** Four or so round numbers between low and high. */
  function ticks(low, high, wanted = 4) {
    const rough = (high - low) / wanted;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
    const found = [];
    for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-9; value += step) found.push(Number(value.toPrecision(12)));
    return found;
  }
  const tickText = (value) => (Math.abs(value) >= 1e5 || (value && Math.abs(value) < 1e-3)
    ? value.toExponential(0) : value.toLocaleString("en", { maximumSignificantDigits: 4 }));

  /** The range of some lines; a flat line gets room around it. */
  function extent(values) {
    let low = Infinity;
    let high = -Infinity;
    for (const value of values) {
      if (value === null) continue;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
    if (low > high) return [0, 1];
    return low < high ? [low, high] : [low - (Math.abs(low) || 1) / 2, high + (Math.abs(high) || 1) / 2];
  }

  /** An SVG path through the points that are there; a point alone becomes a dot. */
  function path(x, y, toX, toY) {
    let text = "";
    let isOpen = false;
    for (let i = 0; i < x.length; i++) {
      if (y[i] === null) { isOpen = false; continue; }
      text += `${isOpen ? "L" : "M"}${toX(x[i]).toFixed(1)} ${toY(y[i]).toFixed(1)}`;
      if (!isOpen && (i + 1 === x.length || y[i + 1] === null)) text += "h.01";
      isOpen = true;
    }
    return text;
  }

  function band(x, low, high, toX, toY) {
    let text = "";
    let i = 0;
    while (i < x.length) {
      while (i < x.length && low[i] === null) i++;
      const start = i;
      while (i < x.length && low[i] !== null) i++;
      if (i - start < 2) continue;
      const run = [...Array(i - start).keys()].map((k) => start + k);
      const over = run.map((k) => `${toX(x[k]).toFixed(1)} ${toY(high[k]).toFixed(1)}`);
      const under = run.reverse().map((k) => `${toX(x[k]).toFixed(1)} ${toY(low[k]).toFixed(1)}`);
      text += `M${over.join("L")}L${under.join("L")}Z`;
    }
    return text;
  }

  function courseChart(index, channel) {
    const [width, height, left, right, top, bottom] = [420, 190, 50, 8, 8, 36];
    const { steps } = data.clusters[index];
    const part = (kind) => courseOf((index * 3 + kind) * nChannels + channel).y;
    const [low, middle, high] = [part(0), part(1), part(2)];
    const [yLow, yHigh] = extent([...low, ...high]);
    const [xLow, xHigh] = steps.length > 1 ? [steps[0], steps[steps.length - 1]] : [steps[0] - 0.5, steps[0] + 0.5];
    const toX = (x) => left + ((x - xLow) / (xHigh - xLow)) * (width - left - right);
    const toY = (y) => height - bottom - ((y - yLow) / (yHigh - yLow)) * (height - top - bottom);
    const line = (className, x1, y1, x2, y2) => element("svg:line", { class: className, x1, y1, x2, y2 });
    const text = (x, y, anchor, content, turn = "") =>
      element("svg:text", { x, y, "text-anchor": anchor, ...(turn ? { transform: turn } : {}) }, content);
    const parts = [];
    for (const y of ticks(yLow, yHigh)) {
      parts.push(line("rule", left, toY(y), width - right, toY(y)), text(left - 6, toY(y) + 4, "end", tickText(y)));
    }
    parts.push(line("axis", left, height - bottom, width - right, height - bottom));
    for (const x of ticks(xLow, xHigh, 5).filter(Number.isInteger)) parts.push(text(toX(x), height - bottom + 15, "middle", tickText(x)));
    parts.push(text((left + width - right) / 2, height - 4, "middle", "step"));
    const middleY = (top + height - bottom) / 2;
    parts.push(text(10, middleY, "middle", shorten(data.channels[channel], 24), `rotate(-90 10 ${middleY})`));
    parts.push(element("svg:path", { class: "band", d: band(steps, low, high, toX, toY) }));
    parts.push(element("svg:path", { class: "middle", d: path(steps, middle, toX, toY) }));
    return element("svg:svg", { class: "chart", viewBox: `0 0 ${width} ${height}` }, ...parts);
  }

  function miniature(point, channel) {
    const [width, height] = [100, 40];
    const button = element("button", { type: "button", class: "mini", title: data.ids[point] });
    if (drawnAt.has(point)) {
      const { x, y } = series(point, "data", channel);
      const [yLow, yHigh] = extent(y);
      const [xLow, xHigh] = x.length > 1 ? [x[0], x[x.length - 1]] : [x[0] - 1, x[0] + 1];
      const toX = (value) => 2 + ((value - xLow) / (xHigh - xLow)) * (width - 4);
      const toY = (value) => height - 2 - ((value - yLow) / (yHigh - yLow)) * (height - 4);
      const line = element("svg:path", { class: "member", d: path(x, y, toX, toY) });
      button.append(element("svg:svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" }, line));
    }
    button.append(element("bdi", {}, data.ids[point]));
    button.addEventListener("click", () => {
      selectPoint(point);
      $("#map-title").scrollIntoView();
    });
    return button;
  }

  function drawCards() {
    const channel = Number($("#card-channel").value);
    for (const card of $$(".card")) {
      const index = Number(card.dataset.card);
      card.querySelector(".course").replaceChildren(courseChart(index, channel));
      for (const kind of ["typical", "unusual"]) {
        card.querySelector(`.${kind}`)?.replaceChildren(...data.clusters[index][kind].map((point) => miniature(point, channel)));
      }
    }
  }

  // ------------------------------------------------------------------ figures that came ready

  function drawFigures() {
    for (const [name, figure] of Object.entries(data.figures)) {
      const look = layout();
      const own = structuredClone(figure.layout);
      for (const [key, value] of Object.entries(own)) {
        if (/^[xy]axis/.test(key)) {
          Object.assign(value, { gridcolor: look.xaxis.gridcolor, linecolor: look.xaxis.linecolor, tickfont: look.xaxis.tickfont });
        }
      }
      const { paper_bgcolor, plot_bgcolor, font, hoverlabel } = look;
      delete own.height; // the page's style sheet knows better
      Object.assign(own, { paper_bgcolor, plot_bgcolor, font, hoverlabel });
      Plotly.react(`figure-${name}`, structuredClone(figure.data), own, PLAIN_CONFIG);
    }
  }

  // ------------------------------------------------------------------ start

  function drawAll() {
    drawMap();
    drawSeries();
    drawFigures();
  }

  function start() {
    const choices = [["cluster", "cluster"], ["probability", "probability"], ...data.colorings.map((coloring, i) => [i, coloring.name])];
    $("#color-by").append(...choices.map(([value, name]) => element("option", { value }, name)));
    drawCards();
    showSelection();
    drawAll();
    listenToMap();

    $("#color-by").addEventListener("change", (event) => { state.colorBy = event.target.value; drawMap(); });
    for (const radio of $$("input[name=method]")) radio.addEventListener("change", () => { state.method = radio.value; drawMap(); });
    for (const button of $$("[data-cluster]")) {
      button.addEventListener("click", () => {
        const label = Number(button.dataset.cluster);
        if (button.classList.contains("pick") && state.label === label) return select([], "");
        selectCluster(label);
        if (button.classList.contains("show")) $("#map-title").scrollIntoView();
        return undefined;
      });
    }
    for (const button of $$("[data-sort]")) {
      button.addEventListener("click", () => {
        state.down = state.sort === button.dataset.sort ? !state.down : button.dataset.sort === "probability";
        state.sort = button.dataset.sort;
        sortSelection();
        fillTable();
      });
    }
    $("#search").addEventListener("input", (event) => search(event.target.value, false));
    $("#search").addEventListener("keydown", (event) => { if (event.key === "Enter") search(event.target.value, true); });
    $("#channel").addEventListener("change", drawSeries);
    $("#own-scale").addEventListener("change", drawSeries);
    $("#card-channel").addEventListener("change", drawCards);
    $("#clear").addEventListener("click", () => select([], ""));
    $("#download").addEventListener("click", downloadCsv);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
    document.documentElement.dataset.ready = "true";
  }

  start();
})();
