/* The list of clusters and their sizes, and which are ticked for editing. */
const ticked = new Set();

function listClusters() {
  const largest = Math.max(...shownClusters().map((c) => c.size), 1);
  $("#clusters").replaceChildren(...shownClusters().map((c) => clusterRow(c, largest)));
  markChosen();
}

function clusterRow(c, largest) {
  const tick = element("input", { type: "checkbox", "data-tick": c.label, "aria-label": `Tick ${titleOf(c)}` });
  tick.checked = ticked.has(c.label);
  tick.addEventListener("change", () => tickCluster(c.label, tick.checked));
  const bar = element("svg:svg", { class: "bar", viewBox: "0 0 100 3", preserveAspectRatio: "none", "aria-hidden": "true" },
    element("svg:rect", { width: ((100 * c.size) / largest).toFixed(2), height: 3 }));
  const warning = c.warning ? ["\u00a0", element("span", { class: "mark-caution", title: c.warning }, "!", element("span", { class: "visually-hidden" }, c.warning))] : [];
  const button = element("button", { type: "button", class: `pick ${hueName(c.label)}`, "data-cluster": c.label, "aria-pressed": "false" },
    glyph(c.label), element("span", { class: "names" }, ...named(c), ...warning), element("span", { class: "count" }, c.size.toLocaleString("en")), bar);
  button.addEventListener("click", (event) => {
    if (event.shiftKey && c.label >= 0) return tickByHand(c.label);
    return state.label === c.label ? nothing() : selectCluster(c.label, button);
  });
  return element("li", {}, ...(c.label < 0 ? [] : [element("label", { class: "tick" }, tick)]), button);
}

function markChosen() {
  for (const pick of $$(".pick")) pick.setAttribute("aria-pressed", String(Number(pick.dataset.cluster) === state.label));
  for (const tick of $$("[data-tick]")) tick.checked = ticked.has(Number(tick.dataset.tick));
}
