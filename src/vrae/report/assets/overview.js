/* The typical curve of every cluster, one small chart each. */
const FEW = 12;
let showsAll = false;

/** The lines of a cluster in one chart: one curve with its band, or those of merged clusters. */
function curveParts(c, channel, toX, toY) {
  const isOne = c.curves.length === 1;
  return c.curves.flatMap((curve) => {
    const { low, middle, high } = curve.lines(channel);
    const line = element("svg:path", { class: `middle ${isOne ? "" : hueName(curve.label)}`, d: path(curve.steps, middle, toX, toY) });
    return isOne ? [element("svg:path", { class: "band", d: band(curve.steps, low, high, toX, toY) }), line] : [line];
  });
}

/** The chart of a cluster's typical curve. */
function curveChart(c, channel, size, options = {}) {
  const lines = c.curves.map((curve) => curve.lines(channel));
  const values = c.curves.length === 1 ? [...lines[0].low, ...lines[0].high] : lines.flatMap(({ middle }) => middle);
  const steps = c.curves.flatMap((curve) => [curve.steps[0], curve.steps[curve.steps.length - 1]]);
  const { parts, toX, toY, drawing } = frame(size, extent(steps), extent(values), { dates: data.curves_dated, ...options });
  parts.push(...curveParts(c, channel, toX, toY));
  return drawing();
}

function drawOverview() {
  const channel = Number($("#overview-channel").value);
  const all = shownClusters();
  const shown = showsAll ? all : all.slice(0, FEW);
  const holder = $("#overview");
  const room = widthOf(holder, 420);
  const columns = Math.max(1, Math.min(shown.length <= 2 ? 1 : 4, Math.floor(room / 200)));
  const width = Math.floor((room - 10 * (columns - 1)) / columns);
  const rows = Math.ceil(shown.length / columns);
  const height = Math.max(96, Math.min(230, Math.floor((holder.clientHeight || 480) / rows) - 36));
  holder.style.setProperty("--columns", columns);
  holder.replaceChildren(...shown.map((c) => overviewButton(c, channel, [width, height])));
  const across = data.curves_dated ? data.time.title : data.time.unit;
  $("#overview-note").textContent = `Across: ${across}. Up: ${data.channels[channel]}. Each chart has its own scale. Click one to see its series.`;
  const button = $("#overview-all");
  button.hidden = all.length <= FEW;
  button.textContent = showsAll ? "Show fewer" : `Show all ${all.length} groups`;
}

function overviewButton(c, channel, size) {
  const options = size[0] > 300 ? { yTitle: data.channels[channel] } : { isBare: true, wanted: 2 };
  const chart = curveChart(c, channel, size, options);
  chart.setAttribute("aria-hidden", "true");
  const head = element("span", { class: "head" }, glyph(c.label), element("span", {}, ...named(c)));
  const button = element("button", { type: "button", class: `small ${hueName(c.label)}`, title: titleOf(c) }, head, chart);
  button.addEventListener("click", () => selectCluster(c.label, button));
  return button;
}
