/* The map of all series. */
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

/** Which points the map shows, as places in its columns: all, or every n-th without WebGL. */
function placesOf(map) {
  const every = useWebgl ? 1 : Math.ceil(map.x.length / data.svg_points);
  const places = [];
  for (let i = 0; i < map.x.length; i += every) places.push(i);
  return places;
}

/** Group points by the chosen colouring. */
function grouping() {
  if (state.colorBy === "cluster") {
    const order = clusters.map((c) => ({ name: titleOf(c), color: hue(c.label), symbol: symbolOf(c.label) }));
    return { order, of: (point) => clusterAt.get(labels[point]) };
  }
  if (state.colorBy === "probability") {
    return { order: [{ name: "Probability", values: probabilities, scale: [0, 1] }], of: () => 0 };
  }
  if (state.colorBy === "score") {
    return { order: [{ name: "Anomaly score", values: scores, scale: middleMost(scores) }], of: () => 0 };
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

/** The range of nearly all values: a few extremes must not make all others look the same. */
function middleMost(values) {
  const sorted = Float64Array.from(values.filter((value) => value !== null)).sort();
  const at = (quantile) => sorted[Math.round(quantile * (sorted.length - 1))];
  return sorted.length ? [at(0.01), at(0.98)] : [0, 1];
}

// Texts shown on hover, computed once for these clusters because there may be 200,000.
const hoverNames = data.ids.map((id) => asText(shorten(id)));
let hoverNotes = [];
function writeHoverNotes() {
  const titles = new Map(clusters.map((c) => [c.label, asText(shorten(titleOf(c), 40))]));
  hoverNotes = Array.from(labels, (label, point) => (labels[point] === runLabels[point] && !edits.length
    ? `${titles.get(label)}, ${percent(probabilities[point])}` : titles.get(label)));
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
  describeMap(map, places);
  Plotly.react("map", traces, layout({
    height: $("#map").clientHeight,
    margin: { l: 56, r: 10, t: 10, b: 44 },
    xaxis: { title: { text: map.titles[0] }, automargin: false }, yaxis: { title: { text: map.titles[1] }, automargin: false },
    dragmode: isTouch() ? false : "select", hovermode: "closest", uirevision: state.method,
    selections: [], selectionrevision: ++revision, // a remaining box would cover the points
    annotations: clusterLabels(map, places), showlegend: byCategory, legend: { orientation: "h", y: -0.16, x: 0, font: { size: 11 } },
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
    text: group.points.map((point) => hoverNames[point]),
    customdata: group.points.map((point) => hoverNotes[point]),
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
  if (map.note) notes.push(`${map.note[0].toUpperCase()}${map.note.slice(1)}.`);
  if (places.length < map.x.length) {
    notes.push(`Without WebGL in this browser, ${places.length.toLocaleString("en")} of ${count(map.x.length, "point")} are drawn.`);
  }
  notes.push(state.method === "pca"
    ? "PCA preserves distances: far apart on the map is far apart for the model."
    : `${map.name} preserves neighbourhoods; distances between groups mean little.`);
  if (state.colorBy === "score") notes.push("A high anomaly score means that few series are like this one: 0 is usual, 3 or more is far away.");
  $("#map-note").textContent = notes.join(" ");
}

function listenToMap() {
  const pointOf = (hit) => groups[hit.curveNumber]?.points[hit.pointNumber];
  $("#map").on("plotly_click", (event) => {
    const point = event.points.map(pointOf).find((found) => found !== undefined);
    if (point !== undefined) selectPoint(point, event.event?.clientY);
  });
  $("#map").on("plotly_clickannotation", (event) => selectCluster(Number(event.annotation.name), event.event?.clientY));
  $("#map").on("plotly_selected", (event) => {
    const points = (event?.points ?? []).map(pointOf).filter((point) => point !== undefined);
    // plotly is still handling the drag: redrawing now would not end it.
    if (points.length) setTimeout(() => select([...new Set(points)], count(points.length, "series"), { near: $("#map") }));
  });
  $("#map").on("plotly_deselect", nothing);
}
