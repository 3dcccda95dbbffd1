/* What is selected, and who shows it. */
const state = { method: "pca", colorBy: "cluster", selected: [], title: "", label: null, focus: null, sort: "probability", down: true };

/** Select series. `near` is where the reader looked: on a narrow screen, it stays in view. */
function select(points, title, { label = null, focus = null, near = null } = {}) {
  state.selected = points;
  state.title = title;
  state.label = label;
  sortSelection();
  state.focus = focus ?? state.selected.find((point) => drawnAt.has(point)) ?? state.selected[0] ?? null;
  markChosen();
  showSelection();
  drawMap();
  if (points.length) keepInView(near);
}

function selectCluster(label, near = null) {
  const c = cluster(label);
  select(pointsOf(label), titleOf(c), { label, focus: c.typical[0] ?? c.random[0] ?? null, near });
}

function selectPoint(point, near = null) {
  select([point], data.ids[point], { near });
}

function focusOn(point) {
  state.focus = point;
  for (const row of $$("#table tbody tr")) row.setAttribute("aria-current", String(Number(row.dataset.point) === point));
  drawSeries();
  drawMap();
}

const nothing = () => select([], "");

/** On a wide screen the selection is beside the map: go there. Elsewhere it opens as a sheet, where one is. */
function show() {
  if (!isNarrow()) $("#map-title").scrollIntoView();
}

/** Scroll so that the sheet does not cover what was tapped. */
function keepInView(near) {
  if (!near || !isNarrow()) return;
  const top = $(".selection").getBoundingClientRect().top;
  const bottom = typeof near === "number" ? near + 24 : near.getBoundingClientRect().bottom;
  if (bottom > top) scrollBy({ top: bottom - top + 16, behavior: "smooth" });
}
