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
  const points = withAlike(state.selected.filter(hasVector)).filter((point) => labels[point] !== to);
  const from = leaving(points, to);
  const emptied = shownClusters().find((c) => c.label >= 0 && from.get(c.label) >= c.size);
  if (!isEditing) showEditing(true);
  const together = alikeWords(points);
  if (emptied) return say(`That would leave nothing of ${titleOf(emptied)}.${together} Merge it with ${titleOf(cluster(to))} instead.`);
  if (!points.length) return say(`The selected series are in ${titleOf(cluster(to))} already.`);
  const total = [...from.values()].reduce((sum, number) => sum + number, 0);
  return edit({ move: points, to }, `Moved ${count(total, "series")} to ${titleOf(cluster(to))}.${together}`);
}

/** A sentence about identical series among these; nothing if there are none. */
function alikeWords(points) {
  const sizes = [...groupsOf(points)].map((group) => data.alike_sizes[group]);
  if (!sizes.length) return "";
  const total = sizes.reduce((sum, size) => sum + size, 0).toLocaleString("en");
  return sizes.length === 1 ? ` ${total} identical series move together.` : ` ${total} series move in ${sizes.length} sets of identical ones.`;
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
  const input = element("input", { type: "text", class: "rename", maxlength: 2 * MAX_NAME, "aria-label": `New name of ${titleOf(cluster(label))}` });
  input.value = old;
  let isOpen = true;
  const close = (isKept) => {
    if (!isOpen) return;
    isOpen = false;
    const name = plainName(input.value);
    listClusters();
    if (isKept && name !== old && isGoodName(label, name)) renameCluster(label, old, name);
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

function renameCluster(label, old, name) {
  const before = new Map(clusters.map((c) => [c.label, c.name]));
  edit({ rename: { [label]: name } }, `Renamed ${label} from “${old}” to “${name}”.`, label);
  const other = clusters.find((c) => c.label !== label && c.name !== before.get(c.label));
  if (other) say(`Renamed ${label} to “${name}”. Number ${other.label}, which had this name, is now “${other.name}”.`);
}

/** A name as the library keeps it: all blanks are plain, with none around it. */
const plainName = (text) => text.replace(/\p{Zs}/gu, " ").replace(/^[ \u200c\u200d]+|[ \u200c\u200d]+$/g, "");

/** Whether the library takes a name; else say why not. A name that was made automatically gives way. */
function isGoodName(label, name) {
  const unseen = name.match(/(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/u);
  const other = clusters.find((c) => c.label !== label && c.isNamedByHand && nameKey(c.name) === nameKey(name));
  const why = !name ? "A name needs a letter."
    : unseen ? `The name contains U+${unseen[0].codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}, which cannot be shown.`
    : [...name].length > MAX_NAME ? `A name has at most ${MAX_NAME} characters.`
    : nameKey(name) === nameKey("Not assigned") ? "This name is that of series without a group."
    : other ? `${titleOf(other)} has this name already. To swap names, first give one of the two another name.` : "";
  if (why) say(why);
  return !why;
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
  if (one.move) return `clusterer.move([${one.move.map((point) => data.literals?.[point] ?? JSON.stringify(data.ids[point])).join(", ")}], to=${one.to})`;
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
