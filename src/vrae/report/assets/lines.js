/* Small charts as plain SVG, because there are hundreds of them. */
/** About four round numbers between low and high. */
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

/** The range of values; a constant line gets room around it. */
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

/** An SVG path through the observed points; a single point becomes a dot. */
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

const seriesOfTime = (x) => new Date(toTime(x)).toISOString().slice(0, 10);

/**
 * The frame of a chart: rules, axes and titles. Returns `parts` to add to, and the scales toX and toY.
 * `x` and `y` are the ranges [low, high]; `dates` means that x is in seconds.
 */
function frame(size, x, y, xTitle, yTitle, dates = false) {
  const [width, height] = size;
  const [left, right, top, bottom] = [56, 10, 8, 36];
  const [xLow, xHigh] = x[0] < x[1] ? x : [x[0] - 0.5, x[0] + 0.5];
  const [yLow, yHigh] = y;
  const toX = (value) => left + ((value - xLow) / (xHigh - xLow)) * (width - left - right);
  const toY = (value) => height - bottom - ((value - yLow) / (yHigh - yLow)) * (height - top - bottom);
  const line = (className, x1, y1, x2, y2) => element("svg:line", { class: className, x1, y1, x2, y2 });
  const text = (atX, atY, anchor, content, turn = "") =>
    element("svg:text", { x: atX, y: atY, "text-anchor": anchor, ...(turn ? { transform: turn } : {}) }, content);
  const parts = [];
  for (const value of ticks(yLow, yHigh)) {
    parts.push(line("rule", left, toY(value), width - right, toY(value)), text(left - 6, toY(value) + 4, "end", tickText(value)));
  }
  parts.push(line("axis", left, height - bottom, width - right, height - bottom));
  const below = height - bottom + 15;
  if (dates) {
    parts.push(text(left, below, "start", seriesOfTime(xLow)), text(width - right, below, "end", seriesOfTime(xHigh)));
  } else {
    for (const value of ticks(xLow, xHigh, 5).filter(Number.isInteger)) parts.push(text(toX(value), below, "middle", tickText(value)));
  }
  parts.push(text((left + width - right) / 2, height - 4, "middle", xTitle));
  const middleY = (top + height - bottom) / 2;
  parts.push(text(10, middleY, "middle", shorten(yTitle, 24), `rotate(-90 10 ${middleY})`));
  const drawing = () => element("svg:svg", { class: "chart", viewBox: `0 0 ${width} ${height}` }, ...parts);
  return { parts, toX, toY, top, bottom: height - bottom, drawing };
}
