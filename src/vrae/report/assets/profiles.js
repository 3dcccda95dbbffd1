/* When each group is high (heat map and seasons), and who is in it (cross-tables). */
const { seasons, tables } = data.profiles;
const CYCLES = { month: "In a typical year", weekday: "In a typical week", hour: "On a typical day", "hour of the week": "In a typical week, by hour" };
const SHORT = { month: (name) => name[0], weekday: (name) => name.slice(0, 2), hour: (name) => String(Number(name.slice(0, 2))) };

/** Whether clusters have other members than in the run, of which everything here tells. */
const isRegrouped = () => edits.some((edit) => !edit.rename);
const nameInRun = (label) => titleOf(isRegrouped() ? runCluster(label) : cluster(label));

/** A level relative to the mean, in words. */
function levelWords(value, isRatio) {
  if (value === null) return "no values then";
  if (!isRatio) return `${Math.abs(value).toFixed(1)} standard deviations ${value > 0 ? "above" : "below"} its average`;
  if (value < 0.05) return "almost nothing";
  if (value >= 1.495) return `${value >= 10 ? value.toFixed(0) : value.toFixed(1)} times its average`;
  const share = Math.round(100 * (value - 1));
  return share === 0 ? "the same as its average" : `${Math.abs(share)} % ${share > 0 ? "above" : "below"} its average`;
}

/** How strongly a level is coloured, -1 to 1. */
function strength(value, reach, isRatio) {
  const size = isRatio ? Math.log(Math.max(value, 0.01)) / Math.log(reach) : value / reach;
  return Math.max(-1, Math.min(1, size));
}

/** A coloured cell of a heat map; nothing where no series has a value. */
function heatCell(value, reach, isRatio, place) {
  if (value === null) return [];
  const size = strength(value, reach, isRatio);
  return [element("svg:rect", {
    ...place, class: size > 0 ? "up" : "down", style: `--strength: ${Math.round(100 * Math.abs(size))}%`,
  })];
}

const seasonChannel = () => Number($("#season-channel").value);

function heatRow(row, channel) {
  const { names, values, sentences, reach, view } = seasons.calendar;
  const line = values[channel][row];
  const isRatio = seasons.ratio[channel];
  const label = seasons.labels[row];
  const name = nameInRun(label);
  const strip = element("svg:svg", {
    class: "heat-strip", viewBox: `0 0 ${names.length} 1`, preserveAspectRatio: "none", role: "img", tabindex: "0",
    "aria-label": `${name} by ${view}. ${sentences[channel][row]}`,
  }, ...line.flatMap((value, x) => heatCell(value, reach[channel], isRatio, { x, y: 0, width: 1.02, height: 1 })));
  const here = element("svg:rect", { class: "heat-here", y: 0, width: 1, height: 1 });
  let place = names.length - 1;
  const show = (to) => {
    place = Math.max(0, Math.min(names.length - 1, to));
    here.setAttribute("x", place);
    strip.append(here);
    showTip(strip, (place + 0.5) / names.length, `${name}\n${names[place]}: ${levelWords(line[place], isRatio)}`);
  };
  const hide = () => { here.remove(); $("#heat-tip").hidden = true; };
  const point = (event) => {
    const box = strip.getBoundingClientRect();
    show(Math.floor(((event.clientX - box.left) / box.width) * names.length));
  };
  strip.addEventListener("pointermove", point);
  strip.addEventListener("pointerdown", point);
  strip.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") hide(); }); // a finger lifts
  strip.addEventListener("blur", hide);
  strip.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    show(place + step);
  });
  return element("div", { class: "heat-row" }, element("span", { class: "heat-name" }, glyph(label), element("span", { dir: "auto" }, name)), strip);
}

/** Show a text above a part of a strip, within the page. */
function showTip(strip, share, text) {
  const tip = $("#heat-tip");
  tip.hidden = false;
  tip.textContent = text;
  const box = strip.getBoundingClientRect();
  const left = box.left + share * box.width - tip.offsetWidth / 2;
  tip.style.left = `${Math.max(8, Math.min(document.documentElement.clientWidth - tip.offsetWidth - 8, left)) + scrollX}px`;
  tip.style.top = `${box.top + scrollY - tip.offsetHeight - 6}px`;
}

function drawHeat(channel) {
  const { ticks, legend } = seasons.calendar;
  const axis = element("div", { class: "heat-axis", "aria-hidden": "true" }, ...ticks.map(([place, text], i) =>
    element("span", { class: i % 2 && ticks.length > 4 ? "odd" : "even", style: `left: ${100 * place}%` }, text)));
  $("#heat").replaceChildren(...seasons.labels.map((_, row) => heatRow(row, channel)), element("div", { class: "heat-row" }, axis));
  $("#heat").classList.toggle("is-crowded", seasons.labels.length > 14);
  $("#heat-low").textContent = legend[channel][0];
  $("#heat-high").textContent = legend[channel][2];
}

/** Bars of one group, one for each month, weekday or hour; the dashed line is its average. */
function seasonBars(profile, line, stands, isRatio, top) {
  const [width, height, foot] = [260, 110, 18];
  const wide = width / line.length;
  const low = isRatio ? 0 : -top;
  const toY = (value) => 14 + (1 - (value - low) / (top - low)) * (height - foot - 14);
  const centre = isRatio ? 1 : 0;
  const base = toY(0);
  const bars = line.flatMap((value, i) => {
    if (value === null) return [];
    const end = toY(Math.max(low, Math.min(top, value)));
    const bar = element("svg:rect", {
      x: i * wide + wide * 0.1, width: wide * 0.8, y: Math.min(base, end), height: Math.max(Math.abs(base - end), 0.8),
      class: stands[i] && value >= centre ? "above" : "below",
    });
    bar.append(element("svg:title", {}, `${profile.names[i]}: ${levelWords(value, isRatio)}`));
    return [bar];
  });
  const every = line.length > 12 ? line.length / 4 : 1;
  const marks = profile.names.flatMap((name, i) => (i % every ? [] : [
    element("svg:text", { x: (i + 0.5) * wide, y: height - 4, "text-anchor": "middle" }, SHORT[profile.view](name))]));
  const peak = line.reduce((best, value, i) => (value !== null && (best < 0 || value > line[best]) ? i : best), -1);
  const peakText = isRatio && peak >= 0 && line[peak] >= 1.5 ? [element("svg:text", {
    x: Math.max(16, Math.min(width - 16, (peak + 0.5) * wide)), y: toY(Math.min(top, line[peak])) - 3, "text-anchor": "middle",
  }, `${line[peak].toFixed(1)} ×`)] : [];
  return [
    element("svg:g", { class: "bars" }, ...bars),
    element("svg:line", { class: "average", x1: 0, x2: width, y1: toY(centre), y2: toY(centre) }), ...marks, ...peakText,
  ];
}

/** Hours (across) and weekdays (down) of one group. */
function seasonGrid(profile, line, isRatio, reach) {
  const hours = line.length / 7;
  const [left, wide, high] = [26, 234 / hours, 12];
  const cells = line.flatMap((value, i) => heatCell(value, reach, isRatio, {
    x: left + (i % hours) * wide, y: Math.floor(i / hours) * high, width: wide - 0.5, height: high - 0.5,
  }).map((cell) => {
    cell.append(element("svg:title", {}, `${profile.names[i]}: ${levelWords(value, isRatio)}`));
    return cell;
  }));
  const days = [0, 2, 4, 6].map((day) => element("svg:text", { x: left - 5, y: day * high + 10, "text-anchor": "end" }, profile.names[day * hours].slice(0, 2)));
  const marks = [0, 0.25, 0.5, 0.75].map((share) => element("svg:text", { x: left + share * 234, y: 7 * high + 14, "text-anchor": "start" }, profile.names[share * hours].split(" ")[1]));
  return [element("svg:g", { class: "cells" }, ...cells), ...days, ...marks];
}

function drawSeasons(channel) {
  const profile = seasons.profiles[Number($("input[name=season]:checked").value)];
  const isRatio = seasons.ratio[channel];
  const isGrid = profile.view === "hour of the week";
  const levels = profile.values[channel].flat().filter((value) => value !== null);
  const top = isRatio ? Math.min(5, Math.max(1.5, ...levels)) : Math.max(0.5, ...levels.map(Math.abs));
  const cards = seasons.labels.map((label, row) => {
    const name = nameInRun(label);
    const line = profile.values[channel][row];
    const parts = isGrid ? seasonGrid(profile, line, isRatio, profile.reach[channel]) : seasonBars(profile, line, profile.stands[channel][row], isRatio, top);
    const isKnown = line.some((value) => value !== null);
    const picture = element("svg:svg", {
      class: "chart", viewBox: "0 0 260 110", role: "img", "aria-label": `${name} by ${profile.view}`,
    }, ...parts);
    return element("div", { class: `season ${hueName(label)}` }, element("h4", {}, glyph(label), element("span", { dir: "auto" }, name)),
      ...(isKnown ? [picture] : []), element("p", {}, profile.sentences[channel][row]));
  });
  $("#seasons").replaceChildren(...cards);
  const [low, , high] = profile.legend[channel];
  $("#season-title").textContent = CYCLES[profile.view];
  $("#season-note").textContent = isGrid ? `Compared with the group's average. Blue: ${low}. Orange: ${high}.`
    : `${isRatio ? "Bars: level compared with the group's average (dashed line)" : "Bars: distance from the group's average, in standard deviations"}. The scale is the same for all groups.`;
}

function drawTable() {
  const { name, labels: rows, categories, counts, residuals, medians } = tables[Number($("#crosstab-column").value)];
  const total = (line) => line.reduce((sum, value) => sum + value, 0);
  const all = categories.map((_, i) => total(counts.map((line) => line[i])));
  const share = (part, whole) => (whole ? part / whole : 0);
  const words = (value) => (value > 0 && value < 0.005 ? "less than 1 %"
    : value >= 0.995 && value < 1 ? "more than 99 %" : `${(100 * value).toFixed(0)} %`);
  const shareCell = (line, i, row) => {
    const own = share(line[i], total(line));
    const lift = own / share(all[i], total(all));
    const stands = row >= 0 && Math.abs(residuals[row][i]) >= 3;
    const size = Math.min(1, Math.abs(Math.log2(Math.max(lift, 0.1))) / 2);
    const look = stands ? { class: `cell ${lift > 1 ? "up" : "down"}`, style: `--strength: ${Math.round(lift > 1 ? 20 + 55 * size : 10 + 25 * size)}%` } : { class: own === 0 ? "plain" : "" };
    const times = row < 0 || lift === 0 ? "" : `; ${lift.toFixed(lift < 10 ? 1 : 0)} times the share of all series`;
    return element("td", { ...look, title: `${line[i].toLocaleString("en")} of ${count(total(line), "series")}${times}` }, words(own));
  };
  const line = (head, cells, row) => element("tr", row < 0 ? { class: "all" } : {},
    element("th", { scope: "row" }, ...head), ...cells.map((_, i) => shareCell(cells, i, row)),
    ...(medians.length ? [element("td", {}, medians[row < 0 ? rows.length : row])] : []),
    element("td", { class: "plain" }, total(cells).toLocaleString("en")));
  const heads = [...categories, ...(medians.length ? ["median"] : []), "series"];
  $("#crosstab").replaceChildren(
    element("caption", { class: "visually-hidden" }, `Share of each value of ${name} in each group`),
    element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "Group"), ...heads.map((text) => element("th", { scope: "col", dir: "auto" }, element("div", {}, text))))),
    element("tbody", {}, ...rows.map((label, row) => line([element("div", { class: "heat-name" }, glyph(label), element("span", { dir: "auto" }, nameInRun(label)))], counts[row], row)), line(["All series"], all, -1)),
  );
}

function drawProfiles() {
  for (const note of $$(".before-edits")) note.hidden = !isRegrouped();
  if (seasons) {
    const channel = seasonChannel();
    if (seasons.calendar) drawHeat(channel);
    if (seasons.profiles.length) drawSeasons(channel);
  }
  if (tables.length) drawTable();
}

function startProfiles() {
  drawProfiles();
  document.addEventListener("pointerdown", (event) => {
    if (seasons && !event.target.closest?.(".heat-strip")) $("#heat-tip").hidden = true;
  });
  $("#season-channel")?.addEventListener("change", drawProfiles);
  for (const radio of $$("input[name=season]")) radio.addEventListener("change", drawProfiles);
  $("#crosstab-column")?.addEventListener("change", drawTable);
  for (const button of $$("[data-finding]")) {
    button.addEventListener("click", () => { $("#crosstab-column").value = button.dataset.finding; drawTable(); });
  }
}
