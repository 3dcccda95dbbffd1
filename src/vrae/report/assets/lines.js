/* Small charts as plain SVG, because there are hundreds of them. */
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

/** How wide a chart can be: charts are drawn to the pixel, so that their texts are as large as others. */
const widthOf = (holder, otherwise) => Math.round(holder.clientWidth) || otherwise;

/** Ticks of steps as readers count them: from 1 where they are weeks, days, .... */
function stepTicks(low, high, wanted) {
  const { first } = data.time;
  const found = ticks(low + first, high + first, wanted).filter(Number.isInteger);
  if (first && low <= 0 && found[0] > first) found.splice(0, found[0] - first < 0.6 * (found[1] - found[0]) ? 1 : 0, first);
  return { values: found.map((value) => value - first), texts: found.map((value) => plain(value)) };
}

/**
 * The frame of a chart: rules, axes and titles. Returns `parts` to add to, and the scales toX and toY.
 * `x` and `y` are the ranges [low, high]; `dates` means that x is in seconds since the first date. A bare
 * chart has no titles: what is around it says what they are.
 */
function frame(size, x, y, { yTitle = "", dates = false, xTitle = dates ? data.time.title : data.time.unit, wanted = 4, isBare = false } = {}) {
  const [width, height] = size;
  const [xLow, xHigh] = x[0] < x[1] ? x : [x[0] - 0.5, x[0] + 0.5];
  const [yLow, yHigh] = y;
  const { values, texts, offset } = numberTicks(yLow, yHigh, wanted);
  const [left, right] = [(isBare ? 10 : 24) + 6.3 * Math.max(2, ...texts.map((text) => text.length)), 12];
  const [top, bottom] = [offset ? 20 : 8, isBare ? 20 : 36];
  const toX = (value) => left + ((value - xLow) / (xHigh - xLow)) * (width - left - right);
  const toY = (value) => height - bottom - ((value - yLow) / (yHigh - yLow)) * (height - top - bottom);
  const line = (className, x1, y1, x2, y2) => element("svg:line", { class: className, x1, y1, x2, y2 });
  const text = (atX, atY, anchor, content, turn = "") =>
    element("svg:text", { x: atX, y: atY, "text-anchor": anchor, ...(turn ? { transform: turn } : {}) }, content);
  const parts = [];
  values.forEach((value, i) => parts.push(
    line("rule", left, toY(value), width - right, toY(value)), text(left - 6, toY(value) + 4, "end", texts[i])));
  if (offset) parts.push(text(left - 6, 10, "start", `${plain(offset, 15)} +`));
  parts.push(line("axis", left, height - bottom, width - right, height - bottom));
  parts.push(...timeTicks(xLow, xHigh, dates, (width - left) / (dates ? 84 : 60)).map(({ at, words }) => {
    const place = toX(at);
    const half = 3.1 * words.length;
    const anchor = place - half < left - 14 ? "start" : place + half > width - 2 ? "end" : "middle";
    return text(anchor === "start" ? left - 14 : anchor === "end" ? width - 2 : place, height - bottom + 15, anchor, words);
  }));
  if (!isBare) parts.push(text((left + width - right) / 2, height - 4, "middle", shorten(xTitle, 40)));
  const middleY = (top + height - bottom) / 2;
  if (!isBare) parts.push(text(10, middleY, "middle", shorten(yTitle, 24), `rotate(-90 10 ${middleY})`));
  const drawing = () => element("svg:svg", { class: "chart", viewBox: `0 0 ${width} ${height}` }, ...parts);
  return { parts, toX, toY, top, bottom: height - bottom, drawing };
}

/** Ticks of dates, two or more if there are so many: one alone does not say how long an axis is. */
function severalDates(low, high, wanted) {
  for (let more = 0; more < 4; more++) {
    const found = dateTicks(low, high, wanted + more);
    if (found.values.length > 1) return found;
  }
  return dateTicks(low, high, wanted);
}

/** Where an axis of time has ticks, and their words. */
function timeTicks(low, high, dates, wanted) {
  const { values, texts } = dates ? severalDates(toTime(low), toTime(high), wanted) : stepTicks(low, high, wanted);
  const back = (time) => (dates ? (time - data.lines.base) / 1000 : time);
  const found = values.map((value, i) => ({ at: back(value), words: texts[i] }));
  return dates && !found.length ? [{ at: low, words: dateText(toTime(low)) }, { at: high, words: dateText(toTime(high)) }] : found;
}
