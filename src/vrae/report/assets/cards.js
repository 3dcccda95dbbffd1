/* One card per cluster. */
function curveChart(index, channel) {
  const { steps } = data.clusters[index];
  const part = (kind) => curveOf((index * 3 + kind) * nChannels + channel).y;
  const [low, middle, high] = [part(0), part(1), part(2)];
  const { parts, toX, toY, drawing } = frame(
    [420, 190], [steps[0], steps[steps.length - 1]], extent([...low, ...high]),
    data.curves_dated ? "time" : "step", data.channels[channel], data.curves_dated);
  parts.push(element("svg:path", { class: "band", d: band(steps, low, high, toX, toY) }));
  parts.push(element("svg:path", { class: "middle", d: path(steps, middle, toX, toY) }));
  return drawing();
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
    card.querySelector(".curve").replaceChildren(curveChart(index, channel));
    for (const kind of ["typical", "random", "atypical"]) {
      card.querySelector(`.${kind}`)?.replaceChildren(...data.clusters[index][kind].map((point) => miniature(point, channel)));
    }
  }
}
