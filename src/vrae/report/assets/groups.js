/* The clusters as they are shown: those of the run, and the edits by hand. An edit is one of
   {merge: [labels]}, {split: label}, {move: [points], to: label} and {rename: {label: name}}.
   Labels in an edit are those after all edits before it, as in edits.json. */
const EXAMPLES = 4; // small charts in a row of a card
const MOST_MEMBERS = 300; // series from which a typical curve is computed
const NEW_NAME = data.language === "python" ? "New name after the edit in Python, unless you give one."
  : "New name after vrae edit, unless you give one.";
const alike = data.alike && unpack(data.alike); // groups of series with the same latent vector, 0 for none
const edits = [];
let labels = runLabels;
let clusters = runClusters();
let clusterAt = placesOfLabels();

/** The clusters of the run. One that has no series in this page still takes part in the numbering. */
function runClusters() {
  const own = data.own_names;
  const isNamedByHand = (label) => own[label] !== undefined;
  const shown = data.clusters.map((c, index) => (
    { ...c, index, isEdited: false, isNamedByHand: isNamedByHand(c.label), note: "", curves: [runCurve(c, index)] }));
  const known = new Set(shown.map((c) => c.label));
  const absent = data.sizes.map((size, label) => (
    { label, size, name: own[label] ?? `Cluster ${label}`, isNamedByHand: isNamedByHand(label), isAbsent: true }));
  return sortedByLabel([...shown, ...absent.filter((c) => !known.has(c.label))]);
}

/** In the order of their labels, -1 last. */
function sortedByLabel(list) {
  return list.sort((a, b) => (a.label < 0) - (b.label < 0) || a.label - b.label);
}

const shownClusters = () => clusters.filter((c) => !c.isAbsent);
const numbered = () => clusters.filter((c) => c.label >= 0);
const runCluster = (label) => data.clusters.find((c) => c.label === label);
const cluster = (label) => clusters[clusterAt.get(label)];

function placesOfLabels() {
  return new Map(clusters.map((c, i) => [c.label, i]));
}

/** The name with its number: "3 · Peaks in December". A name that says its number stays alone. */
const titleOf = (c) => (c.label < 0 || c.name === `Cluster ${c.label}` ? c.name : `${c.label} · ${c.name}`);

// ---------------------------------------------------------------- typical curves
function runCurve(c, index) {
  const part = (kind, channel) => curveOf((index * 3 + kind) * nChannels + channel).y;
  return {
    label: c.label, name: c.name, steps: c.steps,
    lines: (channel) => ({ low: part(0, channel), middle: part(1, channel), high: part(2, channel) }),
  };
}

/** The typical curve of series whose values are in this page, on the steps of another curve. */
function membersCurve(points, like) {
  const members = points.filter((point) => drawnAt.has(point)).slice(0, MOST_MEMBERS);
  if (!members.length) return like;
  const found = new Map();
  const lines = (channel) => {
    if (!found.has(channel)) found.set(channel, quantiles(members, like.steps, channel));
    return found.get(channel);
  };
  return { ...like, lines };
}

function quantiles(members, steps, channel) {
  const rows = toMedianScale(members.map((point) => {
    const { x, y } = rawSeries(point, "data", channel);
    const places = dated && !data.curves_dated ? x.map((at) => (at - x[0]) / data.time.seconds) : x;
    return alongSteps(places, y, steps, lags ? lags[point] : 0);
  }));
  const enough = Math.max(Math.min(2, rows.length), Math.floor(rows.length / 10));
  const at = (fraction) => steps.map((_, i) => {
    const values = rows.map((row) => row[i]).filter((value) => value !== null).sort((a, b) => a - b);
    if (values.length < enough) return null;
    const place = fraction * (values.length - 1);
    const below = Math.floor(place);
    return values[below] + (place - below) * ((values[below + 1] ?? values[below]) - values[below]);
  });
  return { low: at(0.1), middle: at(0.5), high: at(0.9) };
}

/** The values of a line at other positions, linear between its points; null outside and in gaps. */
function alongSteps(x, y, steps, shift) {
  let i = 0;
  return steps.map((step) => {
    const at = step + shift;
    while (i + 1 < x.length && x[i + 1] <= at) i++;
    while (i > 0 && x[i] > at) i--;
    if (x[i] === at) return y[i];
    if (x[i] > at || i + 1 === x.length || y[i] === null || y[i + 1] === null) return null;
    return y[i] + ((at - x[i]) / (x[i + 1] - x[i])) * (y[i + 1] - y[i]);
  });
}

const medianOf = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

/** Rescale lines to their median level, as the typical curves of the run are: by a factor if no value is
    below 0, so that 0 stays 0, else to their median spread as well. */
function toMedianScale(rows) {
  const scales = rows.map((row) => {
    const known = row.filter((value) => value !== null);
    const mean = known.reduce((sum, value) => sum + value, 0) / (known.length || 1);
    return { mean, spread: Math.sqrt(known.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (known.length || 1)) };
  });
  const [level, width] = [medianOf(scales.map((s) => s.mean)), medianOf(scales.map((s) => s.spread))];
  const hasNegative = rows.some((row) => row.some((value) => value < 0)); // null < 0 is false
  const rescaled = (value, { mean, spread }) =>
    (hasNegative ? level + (width * (value - mean)) / (spread || 1) : value * (mean > 0 ? level / mean : 1));
  return rows.map((row, i) => row.map((value) => (value === null ? null : rescaled(value, scales[i]))));
}

// ---------------------------------------------------------------- edits
/** All edits so far, applied to the clusters of the run. */
function applyEdits() {
  labels = edits.length ? runLabels.slice() : runLabels;
  clusters = runClusters();
  for (const edit of edits) {
    clusterAt = placesOfLabels();
    if (edit.merge) merge(edit.merge);
    else if (edit.split !== undefined) split(edit.split);
    else if (edit.move) move(edit.move, edit.to);
    else rename(edit.rename);
  }
  giveWay();
  clusterAt = placesOfLabels();
}

function pointsOf(label) {
  const points = [];
  for (let i = 0; i < n; i++) if (labels[i] === label) points.push(i);
  return points;
}

/** Take turns: the first of every list, the second of every list, .... */
const interleaved = (lists) =>
  [...Array(EXAMPLES).keys()].flatMap((i) => lists.map((list) => list[i])).filter((point) => point !== undefined).slice(0, EXAMPLES);

function merge(wanted) {
  const parts = [...wanted].sort((a, b) => a - b).map(cluster);
  const [target, ...gone] = parts.map((c) => c.label);
  const given = parts.filter((c) => c.isNamedByHand);
  const merged = joinedClusters(parts, given.length === 1 ? given[0].name : parts.map((c) => c.name).join(" + "));
  const newLabel = (label) => (gone.includes(label) ? target : label - gone.filter((other) => other < label).length);
  const kept = clusters.filter((c) => !parts.includes(c)).map((c) => ({ ...c, label: newLabel(c.label) }));
  clusters = sortedByLabel([...kept, { ...merged, label: target, isNamedByHand: given.length === 1 }]);
  for (let i = 0; i < n; i++) labels[i] = newLabel(labels[i]);
}

function joinedClusters(parts, name) {
  const size = parts.reduce((sum, c) => sum + c.size, 0);
  const seen = parts.filter((c) => !c.isAbsent);
  const rows = Object.fromEntries(["typical", "random", "atypical"].map((kind) => [kind, interleaved(seen.map((c) => c[kind]))]));
  const centres = seen.filter((c) => c.middle);
  const total = centres.reduce((sum, c) => sum + c.size, 0) || 1;
  const middle = centres.length
    ? centres[0].middle.map((_, d) => centres.reduce((sum, c) => sum + c.size * c.middle[d], 0) / total) : null;
  const note = `Merged by hand. ${NEW_NAME} The lines are the typical curves of:`;
  return { ...seen[0], ...rows, name, size, middle, note, warning: "", isEdited: true, isAbsent: !seen.length, index: null, curves: seen.flatMap((c) => c.curves) };
}

/** Split a cluster of the run in two: the larger half keeps the number, the other gets a new one. */
function split(label) {
  const parent = cluster(label);
  const points = pointsOf(label);
  const news = points.filter((point) => halves[point] === 1);
  const olds = points.filter((point) => halves[point] === 0);
  const added = numbered().length;
  const size = Math.round((parent.size * news.length) / points.length);
  for (const point of news) labels[point] = added;
  const half = (members, part) => ({
    ...parent, ...examplesOf(members, parent), isEdited: true, warning: "", middle: parent.middle,
    note: curveNote(`${part} of “${parent.name}”, split by hand. ${NEW_NAME}`, members), curves: [membersCurve(members, parent.curves[0])],
  });
  const first = { ...half(olds, "The larger part"), size: parent.size - size };
  const second = { ...half(news, "The smaller part"), size, label: added, index: null, isNamedByHand: false, name: `${parent.name}, part 2` };
  clusters = sortedByLabel([...clusters.filter((c) => c !== parent), first, second]);
}

/** These series, and all others in this page that have the same latent vector as one of them. */
function withAlike(points) {
  const groups = groupsOf(points);
  if (!groups.size) return points;
  const found = new Set(points);
  for (let i = 0; i < n; i++) if (groups.has(alike[i])) found.add(i);
  return [...found];
}

const groupsOf = (points) => new Set(alike ? points.map((point) => alike[point]).filter(Boolean) : []);

/** How many series of the run leave each group if these move, also those that this page does not hold. */
function leaving(points, to) {
  const from = new Map();
  const add = (label, number) => from.set(label, (from.get(label) ?? 0) + number);
  const together = new Map(); // group of identical series -> where they are, and how many were counted
  for (const point of points) {
    if (labels[point] === to) continue;
    add(labels[point], 1);
    if (alike?.[point]) together.set(alike[point], [labels[point], (together.get(alike[point])?.[1] ?? 0) + 1]);
  }
  for (const [group, [label, counted]] of together) add(label, Math.max(0, data.alike_sizes[group] - counted));
  return from;
}

function move(listed, to) {
  const points = withAlike(listed);
  const from = leaving(points, to);
  const total = [...from.values()].reduce((sum, number) => sum + number, 0);
  for (const point of points) labels[point] = to;
  const changed = (c) => {
    const number = c.label === to ? total : -from.get(c.label);
    const members = pointsOf(c.label);
    const words = `${count(Math.abs(number), "series")} moved ${number > 0 ? "here" : "away"} by hand.`;
    const kept = Object.fromEntries(["typical", "random", "atypical"].map((kind) => [kind, c[kind].filter((point) => labels[point] === c.label)]));
    const curves = [membersCurve(members, c.curves[0])];
    return { ...c, ...kept, size: c.size + number, isEdited: true, warning: "", note: curveNote(words, members), curves };
  };
  clusters = clusters.map((c) => (c.label === to || from.has(c.label) ? changed(c) : c));
}

function rename(names) {
  clusters = clusters.map((c) => (names[c.label] === undefined ? c : { ...c, name: names[c.label], isNamedByHand: true }));
}

/** An automatic name that is the same as a name given by hand gives way to it, as in the library. */
function giveWay() {
  const taken = new Set(clusters.filter((c) => c.isNamedByHand).map((c) => nameKey(c.name)));
  const collides = (c) => c.label >= 0 && !c.isNamedByHand && taken.has(nameKey(c.name));
  const late = new Set(clusters.filter(collides));
  for (const c of clusters) if (!late.has(c)) taken.add(nameKey(c.name));
  clusters = clusters.map((c) => {
    if (!late.has(c)) return c;
    const others = [`${c.name} (${c.label})`, `${c.name} (cluster ${c.label})`, ...clusters.map((_, i) => `${c.name} (cluster ${c.label}, ${i + 1})`)];
    const name = others.find((other) => !taken.has(nameKey(other)));
    taken.add(nameKey(name));
    return { ...c, name };
  });
}

/** What equal names have in common: case, joiners and the number of blanks do not count. */
function nameKey(name) {
  return name.normalize("NFC").replace(/[\u200c\u200d]/g, "").toLowerCase().split(/\s+/).filter(Boolean).join(" ");
}

/** Examples of a part of a cluster: those on its card, and others whose values are in this page. */
function examplesOf(members, parent) {
  const own = new Set(members);
  const kept = Object.fromEntries(["typical", "random", "atypical"].map((kind) => [kind, parent[kind].filter((point) => own.has(point))]));
  const shown = new Set(Object.values(kept).flat());
  const others = members.filter((point) => drawnAt.has(point) && !shown.has(point));
  return { ...kept, random: [...kept.random, ...others].slice(0, EXAMPLES) };
}

function curveNote(words, members) {
  const drawn = Math.min(MOST_MEMBERS, members.filter((point) => drawnAt.has(point)).length);
  return drawn ? `${words} The curve is that of ${count(drawn, "series")} in this page.` : `${words} The curve is that of the group before.`;
}

const listed = (words) => (words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words[words.length - 1]}`);

/** Why a cluster cannot be split; empty if it can. */
function whyNotSplit(c) {
  if (!halves) return "This page holds no split of the groups.";
  if (c.label < 0) return "Series without a group cannot be split.";
  if (c.isEdited) return "A group that you edited can be split only once the edits are applied.";
  const points = pointsOf(c.label);
  const n2 = points.filter((point) => halves[point] === 1).length;
  return n2 && n2 < points.length ? "" : "This group cannot be split.";
}
