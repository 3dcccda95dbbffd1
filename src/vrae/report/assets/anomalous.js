/* The series that fit the model least, each with the place of its largest error. */
function anomalyChart({ point, channel, first, last }) {
  const dates = dated;
  const [original, model] = ["data", "model"].map((version) => rawSeries(point, version, channel));
  const spread = 1.96 * noiseOf(point, channel);
  const [low, high] = [-spread, spread].map((by) => model.y.map((value) => (value === null ? null : value + by)));
  const { x } = original;
  const { parts, toX, toY, top, bottom, drawing } = frame(
    [420, 170], [x[0], x[x.length - 1]], extent([...original.y, ...low, ...high]), xTitle, data.channels[channel], dates);
  const half = (x[x.length - 1] - x[0]) / Math.max(1, 2 * (x.length - 1)) || 0.5;
  const [from, to] = [Math.max(toX(first - half), toX(x[0]) - 4), Math.min(toX(last + half), toX(x[x.length - 1]) + 4)];
  parts.push(
    element("svg:rect", { class: "place", x: from, y: top, width: Math.max(3, to - from), height: bottom - top }),
    element("svg:path", { class: "expected", d: band(model.x, low, high, toX, toY) }),
    element("svg:path", { class: "fitted", d: path(model.x, model.y, toX, toY) }),
    element("svg:path", { class: "original", d: path(x, original.y, toX, toY) }),
  );
  return drawing();
}

function drawAnomalies() {
  for (const holder of $$(".anomaly")) {
    const item = data.anomalies[Number(holder.dataset.anomaly)];
    if (drawnAt.has(item.point)) holder.querySelector(".picture").replaceChildren(anomalyChart(item));
    holder.querySelector("button").addEventListener("click", () => {
      selectPoint(item.point);
      $("#map-title").scrollIntoView();
    });
  }
}
