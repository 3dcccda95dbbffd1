/* Ready-made figures, and the start of everything. */
function drawFigures() {
  for (const [name, figure] of Object.entries(data.figures)) {
    const look = layout();
    const own = structuredClone(figure.layout);
    for (const [key, value] of Object.entries(own)) {
      if (/^[xy]axis/.test(key)) {
        Object.assign(value, { gridcolor: look.xaxis.gridcolor, linecolor: look.xaxis.linecolor, tickfont: look.xaxis.tickfont });
      }
    }
    const { paper_bgcolor, plot_bgcolor, font, hoverlabel } = look;
    delete own.height; // the style sheet sets it
    Object.assign(own, { paper_bgcolor, plot_bgcolor, font, hoverlabel });
    Plotly.react(`figure-${name}`, structuredClone(figure.data), own, PLAIN_CONFIG);
  }
}

function drawAll() {
  drawMap();
  drawSeries();
  drawFigures();
}

/** Charts are drawn to the pixel: draw them again once the page has another width. */
let lastWidth = document.documentElement.clientWidth;
let waiting = 0;
function resized() {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    if (document.documentElement.clientWidth === lastWidth) return;
    lastWidth = document.documentElement.clientWidth;
    drawSmall();
  }, 150);
}

function drawSmall() {
  drawOverview();
  drawCards();
  drawAnomalies();
  if (traversal) drawDirection();
}

/** Redraw the charts for the width and background of paper, and back. */
function printing(isOn) {
  document.documentElement.classList.toggle("printing", isOn);
  drawAll();
  drawSmall();
  for (const chart of $$(".js-plotly-plot")) if (chart.clientWidth) Plotly.relayout(chart, isOn
    ? { width: chart.clientWidth, height: chart.clientHeight } : { width: null, height: null, autosize: true });
}

function start() {
  const choices = [["cluster", "group"], ["probability", "probability"], ...(scores ? [["score", "anomaly score"]] : []), ...data.colorings.map((coloring, i) => [i, coloring.name])];
  $("#color-by").append(...choices.map(([value, name]) => element("option", { value }, name)));
  writeHoverNotes();
  listClusters();
  arrangeCards();
  drawOverview();
  drawAnomalies();
  startAnomalies();
  nameAnomalies();
  startProfiles();
  startDirections();
  startChoice();
  startEditing();
  showSelection();
  drawAll();
  listenToMap();

  $("#color-by").addEventListener("change", (event) => { state.colorBy = event.target.value; drawMap(); });
  for (const radio of $$("input[name=method]")) radio.addEventListener("change", () => { state.method = radio.value; drawMap(); });
  for (const button of $$(".show")) button.addEventListener("click", showFromCard);
  for (const button of $$("[data-sort]")) {
    button.addEventListener("click", () => {
      state.down = state.sort === button.dataset.sort ? !state.down : button.dataset.sort === "probability";
      state.sort = button.dataset.sort;
      sortSelection();
      fillTable();
    });
  }
  $("#search").addEventListener("input", (event) => search(event.target.value, false));
  $("#search").addEventListener("keydown", (event) => { if (event.key === "Enter") search(event.target.value, true); });
  $("#channel").addEventListener("change", () => { fillTable(); drawSeries(); });
  $("#own-scale").addEventListener("change", drawSeries);
  $("#card-channel").addEventListener("change", drawCards);
  $("#overview-channel").addEventListener("change", drawOverview);
  $("#overview-all").addEventListener("click", () => { showsAll = !showsAll; drawOverview(); });
  $("#clear").addEventListener("click", nothing);
  addEventListener("keydown", (event) => { if (event.key === "Escape" && !event.target.matches("input, select")) nothing(); });
  $("#download").addEventListener("click", downloadCsv);
  addEventListener("beforeprint", () => printing(true));
  addEventListener("afterprint", () => printing(false));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  addEventListener("resize", resized);
  document.documentElement.dataset.ready = "true";
}

start();
