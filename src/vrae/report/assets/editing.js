/* Editing the clusters by hand: merge, split, rename, move, undo, and the file for `vrae edit`. */
const MAX_NAME = 80;
let isEditing = false;
let isSaved = true;

function showEditing(isOn) {
  isEditing = isOn;
  const button = $("#edit-mode");
  button.setAttribute("aria-expanded", String(isOn));
  button.textContent = isOn ? "Stop editing" : "Edit groups";
  document.documentElement.classList.toggle("is-editing", isOn);
  if (!isOn) ticked.clear();
  showEdits();
}

function tickCluster(label, isOn) {
  if (isOn) ticked.add(label); else ticked.delete(label);
  offerEdits();
}

function tickByHand(label) {
  if (!isEditing) showEditing(true);
  tickCluster(label, !ticked.has(label));
  markChosen();
}

const chosenLabels = () => [...ticked].sort((a, b) => a - b);

/** Which edits the ticked clusters allow, and a sentence that says so. */
function offerEdits() {
  const chosen = chosenLabels().map(cluster);
  const why = chosen.length === 1 ? whyNotSplit(chosen[0]) : "";
  $("#merge").disabled = chosen.length < 2;
  $("#split").disabled = chosen.length !== 1 || Boolean(why);
  $("#split").hidden = !halves;
  $("#rename").disabled = chosen.length !== 1;
  $("#undo").disabled = $("#undo-all").disabled = !edits.length;
  const total = chosen.reduce((sum, c) => sum + c.size, 0);
  if (chosen.length) say(`${listed(chosen.map(titleOf))}: ${count(total, "series")}.${why && halves ? ` ${why}` : ""}`);
  else if (isEditing && !edits.length) say("No group is ticked.");
}

const say = (text) => { $("#edit-status").textContent = text; };

// ---------------------------------------------------------------- doing and undoing
/** Make an edit, show it everywhere and say what was done. */
function edit(change, words, ...after) {
  edits.push({ ...change, words });
  isSaved = false;
  ticked.clear();
  applyEdits();
  for (const label of after) ticked.add(label);
  showClusters();
  say(words);
  guardPage();
}

function mergeTicked() {
  const chosen = chosenLabels();
  const parts = chosen.map(cluster);
  const renamed = parts.filter((c) => c.isNamedByHand).length === 1 ? "" : ` ${NEW_NAME}`;
  edit({ merge: chosen }, `Merged ${listed(parts.map(titleOf))} into number ${chosen[0]}.${renamed}`, chosen[0]);
}

function splitTicked() {
  const [label] = chosenLabels();
  edit({ split: label }, `Split ${titleOf(cluster(label))} in two: numbers ${label} and ${numbered().length}. ${NEW_NAME}`);
}

/** A series without any value has no place on the map and in no group. */
const hasVector = (point) => maps.pca.points !== null || maps.pca.x[point] !== null;

/** Move the selected series, unless a cluster would lose all of its series. */
function moveSelected() {
  const to = Number($("#move-to").value);
  const points = state.selected.filter((point) => labels[point] !== to && hasVector(point));
  const emptied = shownClusters().find((c) => c.label >= 0 && c.label !== to && points.filter((point) => labels[point] === c.label).length >= c.size);
  if (!isEditing) showEditing(true);
  if (emptied) return say(`That would leave nothing of ${titleOf(emptied)}. Merge it with ${titleOf(cluster(to))} instead.`);
  if (!points.length) return say(`The selected series are in ${titleOf(cluster(to))} already.`);
  return edit({ move: points, to }, `Moved ${count(points.length, "series")} to ${titleOf(cluster(to))}.`);
}

function undo(number) {
  const [undone] = edits.splice(edits.length - number, number);
  isSaved = edits.length === 0;
  ticked.clear();
  applyEdits();
  if (state.label !== null) nothing();
  showClusters();
  say(number > 1 ? "All edits are undone." : `Undone: ${undone.words}`);
  guardPage();
}

// ---------------------------------------------------------------- renaming in place
function renameTicked() {
  const [label] = chosenLabels();
  const row = $(`.pick[data-cluster="${label}"]`).closest("li");
  const old = cluster(label).name;
  const input = element("input", { type: "text", class: "rename", maxlength: MAX_NAME, "aria-label": `New name of ${titleOf(cluster(label))}` });
  input.value = old;
  let isOpen = true;
  const close = (isKept) => {
    if (!isOpen) return;
    isOpen = false;
    const name = input.value.trim();
    listClusters();
    if (isKept && name !== old && isFreeName(label, name)) edit({ rename: { [label]: name } }, `Renamed ${label} from “${old}” to “${name}”.`, label);
    $(`.pick[data-cluster="${label}"]`).focus();
  };
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") close(true);
    if (event.key === "Escape") close(false);
  });
  input.addEventListener("blur", () => close(true));
  row.querySelector(".pick").replaceWith(input);
  input.focus();
  input.select();
  say("Type a name, then press Enter. Escape keeps the old one.");
}

/** Names are unique. An empty one would change nothing here. */
function isFreeName(label, name) {
  const other = clusters.find((c) => c.label !== label && c.name.toLowerCase() === name.toLowerCase());
  if (other) say(`${titleOf(other)} has this name already.`);
  if (!name) say("A name needs a letter.");
  return name && name !== "Not assigned" && !other;
}

// ---------------------------------------------------------------- what to do with the edits
function showEdits() {
  const isShown = isEditing || edits.length > 0;
  $("#editing").hidden = !isShown;
  $("#edits").replaceChildren(...edits.map((one) => element("li", {}, one.words)));
  $("#edits-none").hidden = edits.length > 0;
  $("#edits-use").hidden = edits.length === 0;
  if (data.language === "python") $("#edits-use code").textContent = edits.map(pythonLine).join("\n");
  offerEdits();
}

/** The edits as `vrae edit` reads them. */
function editsFile() {
  const list = edits.map(({ words, ...change }) => (change.move ? { ...change, move: change.move.map((point) => data.ids[point]) } : change));
  return { format: "vrae edits", version: 1, sizes: data.sizes, edits: list };
}

/** An edit as Python about a fitted clusterer, for a page that was made in Python. */
function pythonLine(one) {
  if (one.merge) return `clusterer.merge([${one.merge.join(", ")}])`;
  if (one.split !== undefined) return `clusterer.split(${one.split})`;
  if (one.move) return `clusterer.move([${one.move.map((point) => JSON.stringify(data.ids[point])).join(", ")}], to=${one.to})`;
  const [[label, name]] = Object.entries(one.rename);
  return `clusterer.rename({${label}: ${JSON.stringify(name)}})`;
}

function downloadEdits() {
  save(`${JSON.stringify(editsFile(), null, 1)}\n`, "application/json", "edits.json");
  isSaved = true;
  guardPage();
  say("Saved as edits.json.");
}

/** Where the run is a clusterer in Python, its lines are copied, and there is no file. */
function offerPython() {
  $("#download-edits").hidden = true;
  $("#edits-how").textContent = "This page cannot change the clusterer. Run this where it is:";
  $("#edits-use .copy").addEventListener("click", () => { isSaved = true; guardPage(); });
}

/** Edits live in this page only: ask before it closes while they are not downloaded. */
const askFirst = (event) => event.preventDefault();
function guardPage() {
  if (isSaved) removeEventListener("beforeunload", askFirst);
  else addEventListener("beforeunload", askFirst);
}

/** Clusters to which the selection can be moved: it is not offered for a whole cluster. */
function offerMoves() {
  const isOffered = state.selected.length > 0 && state.label === null && numbered().length > 1;
  $(".moving").hidden = !isOffered;
  if (!isOffered) return;
  const from = new Set(state.selected.map((point) => labels[point]));
  const others = shownClusters().filter((c) => c.label >= 0 && !(from.size === 1 && from.has(c.label)));
  $("#move-to").replaceChildren(...others.map((c) => element("option", { value: c.label }, `to ${shorten(titleOf(c), 30)}`)));
}

/** Show the clusters as they are now, in every part of the page. */
function showClusters() {
  writeHoverNotes();
  listClusters();
  arrangeCards();
  drawOverview();
  nameAnomalies();
  drawProfiles();
  if (traversal) drawDirection();
  if (state.label !== null && clusterAt.has(state.label)) selectCluster(state.label);
  else if (state.label !== null) nothing();
  else { showSelection(); drawMap(); }
  showEdits();
}

function startEditing() {
  $("#edit-mode").addEventListener("click", () => showEditing(!isEditing));
  $("#merge").addEventListener("click", mergeTicked);
  $("#split").addEventListener("click", splitTicked);
  $("#rename").addEventListener("click", renameTicked);
  $("#undo").addEventListener("click", () => undo(1));
  $("#undo-all").addEventListener("click", () => undo(edits.length));
  $("#move").addEventListener("click", moveSelected);
  $("#download-edits").addEventListener("click", downloadEdits);
  if (data.language === "python") offerPython();
}
