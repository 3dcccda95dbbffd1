/* One card per cluster. */
const runCards = $$(".card"); // as written for the clusters of the run; in their order
const cardOf = new Map(); // cluster of an edit -> its card

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
    selectPoint(point, button);
    show();
  });
  return button;
}

/** The card that a cluster had in the run, or a copy of one for a cluster that an edit made. */
function cardFor(c) {
  if (c.index !== null) return runCards[c.index];
  const copy = runCards[0].cloneNode(true);
  copy.setAttribute("aria-labelledby", `card-edit-${c.label}`);
  copy.querySelector("h3").id = `card-edit-${c.label}`;
  copy.querySelector(".caution")?.remove();
  copy.querySelector(".show").addEventListener("click", showFromCard);
  return copy;
}

function showFromCard(event) {
  selectCluster(Number(event.currentTarget.dataset.cluster), event.currentTarget);
  show();
}

/** Bring the cards in line with the clusters as they are now. */
function arrangeCards() {
  cardOf.clear();
  for (const c of shownClusters()) cardOf.set(c, cardFor(c));
  $(".cards").replaceChildren(...cardOf.values());
  for (const [c, card] of cardOf) headCard(c, card);
  drawCards();
}

function headCard(c, card) {
  card.className = `card ${hueName(c.label)}`;
  card.querySelector("h3").replaceChildren(glyph(c.label), " ", ...named(c));
  card.querySelector(".show").dataset.cluster = c.label;
  card.querySelector(".curve").setAttribute("aria-label", `Typical curve of ${c.name}`);
  const part = c.size / data.n_series;
  const share = part < 0.01 ? "less than 1" : part < 1 ? Math.min(99, Math.round(100 * part)) : 100;
  card.querySelector(".size").textContent = `${count(c.size, "series")} · ${share}\u00a0%`;
  for (const node of card.querySelectorAll(".run, .caution, .sentence")) node.hidden = c.isEdited;
  card.querySelector(".edited").hidden = !c.isEdited;
  card.querySelector(".edited").replaceChildren(c.note, ...(c.curves?.length > 1 ? c.curves.map(curveKey) : []));
}

/** Which line is whose in the chart of merged clusters. */
function curveKey({ label, name }) {
  return element("span", { class: `key ${hueName(label)}` }, element("i", { class: "line-part" }), element("bdi", {}, name));
}

function drawCards() {
  const channel = Number($("#card-channel").value);
  for (const [c, card] of cardOf) {
    const holder = card.querySelector(".curve");
    holder.replaceChildren(curveChart(c, channel, [widthOf(holder, 420), 190], { yTitle: data.channels[channel] }));
    for (const kind of ["typical", "random", "atypical"]) {
      card.querySelector(`.${kind}`).replaceChildren(...c[kind].map((point) => miniature(point, channel)));
    }
  }
}
