/* The most unusual series, each with the place of its largest error, if it stands out. */
function anomalyChart({ point, channel, first, last }, width) {
  const [original, model] = ["data", "model"].map((version) => rawSeries(point, version, channel));
  const spread = 1.96 * noiseOf(point, channel);
  const [low, high] = [-spread, spread].map((by) => model.y.map((value) => (value === null ? null : value + by)));
  const { x } = original;
  const { parts, toX, toY, top, bottom, drawing } = frame(
    [width, 180], [x[0], x[x.length - 1]], extent([...original.y, ...low, ...high]), { yTitle: data.channels[channel], dates: dated });
  const half = (x[x.length - 1] - x[0]) / Math.max(1, 2 * (x.length - 1)) || 0.5;
  const [from, to] = [Math.max(toX(first - half), toX(x[0]) - 4), Math.min(toX(last + half), toX(x[x.length - 1]) + 4)];
  if (first !== undefined) parts.push(element("svg:rect", { class: "place", x: from, y: top, width: Math.max(3, to - from), height: bottom - top }));
  parts.push(
    element("svg:path", { class: "expected", d: band(model.x, low, high, toX, toY) }),
    element("svg:path", { class: "fitted", d: path(model.x, model.y, toX, toY) }),
    element("svg:path", { class: "original", d: path(x, original.y, toX, toY) }),
  );
  return drawing();
}

const anomalyOf = (holder) => data.anomalies[Number(holder.dataset.anomaly)];

function drawAnomalies() {
  for (const holder of $$(".anomaly")) {
    const item = anomalyOf(holder);
    const picture = holder.querySelector(".picture");
    if (drawnAt.has(item.point)) picture.replaceChildren(anomalyChart(item, widthOf(picture, 420)));
  }
}

function nameAnomalies() {
  for (const holder of $$(".anomaly")) {
    const c = cluster(labels[anomalyOf(holder).point]);
    holder.querySelector(".cluster").replaceChildren(glyph(c.label), " ", ...named(c));
  }
}

function startAnomalies() {
  for (const holder of $$(".anomaly")) {
    const button = holder.querySelector("button");
    button.addEventListener("click", () => {
      selectPoint(anomalyOf(holder).point, button);
      show();
    });
  }
}
