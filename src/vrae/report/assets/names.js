/* Names of clusters on the map: at the centres, without covering each other. */
const LABEL_HEIGHT = 20;
const measure = document.createElement("canvas").getContext("2d");

/** Labels of the largest clusters first: the whole name where it fits, else the number, else none. */
function clusterLabels(map, places) {
  const centres = centresOnMap(map, places);
  const [toX, toY] = pixelsOfMap(map, places);
  measure.font = `12px ${getComputedStyle(document.body).fontFamily}`;
  const longest = $("#map").clientWidth > 450 ? 36 : 24;
  const taken = [];
  const found = [];
  for (const { c, x, y, height } of centres.sort((a, b) => b.c.size - a.c.size)) {
    const texts = [shorten(titleOf(c), longest), String(c.label)];
    const above = toY(y) - toY(y + height) < LABEL_HEIGHT ? -0.9 * LABEL_HEIGHT : 0; // must not cover a small group
    const fit = texts.map((words) => freePlace(words, toX(x), toY(y), above, taken)).find(Boolean);
    if (!fit) continue;
    taken.push(fit.box);
    found.push(labelOnMap(c, x, y, fit));
  }
  return found;
}

function labelOnMap(c, x, y, { words, shift }) {
  const isOther = state.label !== null && state.label !== c.label;
  return {
    x, y, yshift: -shift, text: asText(words), name: String(c.label), showarrow: false, captureevents: true,
    font: { size: 12, color: css("--ink") }, bgcolor: css("--label"), bordercolor: hue(c.label), borderwidth: 1, borderpad: 2, opacity: isOther ? 0.45 : 1,
  };
}

/** The median position of the points of every cluster. */
function centresOnMap(map, places) {
  const found = new Map(shownClusters().filter((c) => c.label >= 0).map((c) => [c.label, { c, xs: [], ys: [] }]));
  for (const place of places) {
    if (map.x[place] === null) continue;
    const group = found.get(labels[map.points ? map.points[place] : place]);
    group?.xs.push(map.x[place]);
    group?.ys.push(map.y[place]);
  }
  const seen = [...found.values()].filter(({ xs }) => xs.length);
  return seen.map(({ c, xs, ys }) => ({ c, x: medianOf(xs), y: medianOf(ys), height: middleHalf(ys) }));
}

function middleHalf(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(0.75 * (sorted.length - 1))] - sorted[Math.floor(0.25 * (sorted.length - 1))];
}

/** About where plotly draws a position: its axes reach a little beyond the points. */
function pixelsOfMap(map, places) {
  const scale = (values, length) => {
    const [low, high] = extent(places.map((place) => values[place]));
    return (value) => ((value - low) / (high - low) * 0.9 + 0.05) * length;
  };
  const { clientWidth, clientHeight } = $("#map");
  const toX = scale(map.x, clientWidth - 70);
  const toY = scale(map.y, clientHeight - 60);
  return [toX, (value) => clientHeight - toY(value)];
}

/** The first place at or near the centre where a text covers no other: {words, shift, box}, or nothing. */
function freePlace(words, x, y, above, taken) {
  const half = measure.measureText(words).width / 2 + 5;
  for (const rows of [0, -1, 1, -2, 2]) {
    const shift = above + rows * LABEL_HEIGHT;
    const box = { left: x - half, right: x + half, top: y + shift - LABEL_HEIGHT / 2, bottom: y + shift + LABEL_HEIGHT / 2 };
    const isFree = taken.every((other) => box.right < other.left || box.left > other.right || box.bottom < other.top || box.top > other.bottom);
    if (isFree) return { words, shift, box };
  }
  return null;
}
