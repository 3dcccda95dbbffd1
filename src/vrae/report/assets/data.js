/* The data of the page: JSON in #data. It becomes text or numbers, never markup. */
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (selector) => document.querySelector(selector);
const $$ = (selector) => [...document.querySelectorAll(selector)];

const ARRAYS = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, i4: Int32Array, f4: Float32Array, f8: Float64Array };
const GAP = 65535;
const TOP = 65534;

function unpack(packed) {
  const text = atob(packed.data);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return new ARRAYS[packed.type](bytes.buffer);
}

/** Unpack lines of 16 bits each within its own range: `line(i)` returns {x, y}, with null for a gap. */
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
const runLabels = unpack(data.labels); // clusters of the run; edits by hand are in groups.js
const halves = data.halves && unpack(data.halves);
const lags = data.lags && unpack(data.lags);
const probabilities = column(data.probabilities);
const scores = data.scores && column(data.scores);
const levels = data.levels.map(column); // one column per channel, for as many channels as the page holds
const noise = data.noise && unpack(data.noise);
const maps = Object.fromEntries(data.maps.map((map) => [map.method, {
  ...map, x: column(map.x), y: column(map.y), points: map.points && unpack(map.points),
}]));
const drawnAt = new Map([...unpack(data.drawn)].map((point, i) => [point, i]));
const lineOf = unpackLines(data.lines);
const curveOf = unpackLines(data.curves);
const nChannels = data.channels.length;
const dated = data.lines.base !== null;
const xTitle = data.time.title;
const toTime = (x) => (dated ? data.lines.base + 1000 * x : x);

/** One channel of a drawn series, or of its reconstruction. */
function rawSeries(point, version, channel) {
  return lineOf((drawnAt.get(point) * 2 + (version === "model" ? 1 : 0)) * nChannels + channel);
}
function series(point, version, channel) {
  const { x, y } = rawSeries(point, version, channel);
  return { x: x.map(dated ? toTime : (step) => step + data.time.first), y };
}

/** Standard deviation of the model's error for one channel of a drawn series; 0 if unknown. */
const noiseOf = (point, channel) => (noise ? noise[drawnAt.get(point) * nChannels + channel] : 0);
