/* Curves that the model decodes along the directions of the map. */
const traversal = data.traversal && { ...data.traversal, lineOf: unpackLines(data.traversal.lines) };

/** The curve at any place, interpolated between the positions in the data. */
function curveAt(direction, place, channel) {
  const nPositions = traversal.positions[0].length;
  const before = Math.min(Math.floor(place), nPositions - 2);
  const fraction = place - before;
  const line = (position) => traversal.lineOf((direction * nPositions + position) * nChannels + channel).y;
  const [left, right] = [line(before), line(before + 1)];
  return left.map((value, i) => (1 - fraction) * value + fraction * right[i]);
}

function drawDirection() {
  const direction = Number($("input[name=direction]:checked").value);
  const channel = Number($("#direction-channel").value);
  const positions = traversal.positions[direction];
  const last = positions.length - 1;
  const slider = $("#position");
  const place = (Number(slider.value) / Number(slider.max)) * last;
  const { steps } = traversal;
  const ends = [curveAt(direction, 0, channel), curveAt(direction, last, channel)];
  const all = positions.flatMap((_, i) => curveAt(direction, i, channel));
  const { parts, toX, toY, drawing } = frame(
    [widthOf($("#traversal"), 640), 290], [steps[0], steps[steps.length - 1]], extent(all),
    { yTitle: data.channels[channel], dates: traversal.dated, xTitle: dated && !traversal.dated ? `${data.time.unit} from the start` : undefined });
  const line = (className, y) => parts.push(element("svg:path", { class: className, d: path(steps, y, toX, toY) }));
  line("end left", ends[0]);
  line("end right", ends[1]);
  line("now", curveAt(direction, place, channel));
  const drawn = drawing();
  drawn.setAttribute("role", "img");
  drawn.setAttribute("aria-label", `Curves along direction ${direction + 1}`);
  $("#traversal").replaceChildren(drawn);
  const at = positions[0] + (place / last) * (positions[last] - positions[0]);
  const words = Math.abs(at) < 0.01 * (positions[last] - positions[0]) ? "the average of all series" : `${plain(at)} on the map's axis`;
  $("#position-words").textContent = words;
  slider.setAttribute("aria-valuetext", words);
  for (const text of $$("[data-meaning]")) text.hidden = Number(text.dataset.meaning) !== direction;
  for (const cell of $$("[data-direction]")) cell.classList.toggle("is-chosen", Number(cell.dataset.direction) === direction);
  markClusters(direction, positions[0], positions[last]);
}

/** Mark the centres of the largest clusters below the slider. */
function markClusters(direction, low, high) {
  const marks = shownClusters().filter((c) => c.middle && c.label >= 0).slice(0, 14).map((c) => {
    const fraction = Math.min(1, Math.max(0, (c.middle[direction] - low) / (high - low)));
    const mark = element("button", { type: "button", class: "mark", title: titleOf(c), "aria-label": `Go to ${titleOf(c)}` }, glyph(c.label));
    mark.style.left = `${100 * fraction}%`;
    mark.addEventListener("click", () => {
      $("#position").value = fraction * Number($("#position").max);
      drawDirection();
    });
    return mark;
  });
  $("#marks").replaceChildren(...marks);
}

function startDirections() {
  if (!traversal) return;
  drawDirection();
  $("#position").addEventListener("input", drawDirection);
  $("#direction-channel").addEventListener("change", drawDirection);
  for (const radio of $$("input[name=direction]")) radio.addEventListener("change", drawDirection);
}
