/* Text, colours and the style of every chart. */
const css = (name, element = document.documentElement) => getComputedStyle(element).getPropertyValue(name).trim();
const hueName = (label) => `hue-${label < 0 ? "noise" : label % data.colors.length}`;
const symbolOf = (i) => data.symbols[i < 0 ? 0 : Math.floor(i / data.colors.length) % data.symbols.length];
const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 || noun.endsWith("s") ? "" : "s"}`;
const percent = (value) => (value === null ? "–" : `${(100 * value).toFixed(0)} %`);
const isNarrow = () => matchMedia("(max-width: 1180px)").matches;
const isTouch = () => matchMedia("(pointer: coarse)").matches;
// plotly interprets some markup in its texts; names must be shown as they are.
const asText = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const shorten = (text, length = 60) => (text.length > length ? `${text.slice(0, length)}…` : text);

const hueProbe = document.body.appendChild(document.createElement("i"));
hueProbe.hidden = true;
function hue(i) {
  hueProbe.className = hueName(i);
  return css("--hue", hueProbe);
}

function element(tag, attributes = {}, ...children) {
  const node = tag.startsWith("svg:")
    ? document.createElementNS("http://www.w3.org/2000/svg", tag.slice(4))
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function glyph(label) {
  const use = element("svg:use", { href: `#glyph-${symbolOf(label)}` });
  return element("svg:svg", { class: `glyph ${hueName(label)}`, viewBox: "-6 -6 12 12", "aria-hidden": "true" }, use);
}

/** The name of a cluster with its number small beside it, as in the macro `named`. */
function named(c) {
  const name = element("bdi", { class: "name" }, c.name);
  return titleOf(c) === c.name ? [name] : [name, "\u00a0", element("span", { class: "no" }, String(c.label))];
}

const CONFIG = {
  responsive: true, displaylogo: false,
  modeBarButtons: [isTouch() ? ["select2d", "resetScale2d"] : ["select2d", "lasso2d", "zoom2d", "pan2d", "resetScale2d", "toImage"]],
};
const PLAIN_CONFIG = { responsive: true, displaylogo: false, displayModeBar: false };

function layout(extra = {}) {
  const ink = css("--ink");
  const axis = {
    gridcolor: css("--grid"), linecolor: css("--line"), zeroline: false, automargin: true,
    tickfont: { color: css("--muted") }, title: { standoff: 6, font: { color: css("--muted") } },
  };
  const withTitle = (own = {}) => ({ ...axis, ...own, title: { ...axis.title, ...own.title } });
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false,
    margin: { l: 48, r: 10, t: 10, b: 40 },
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: ink },
    hoverlabel: { bgcolor: css("--surface"), bordercolor: css("--line"), font: { color: ink } },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: css("--muted"), activecolor: css("--accent") },
    ...extra, xaxis: withTitle(extra.xaxis), yaxis: withTitle(extra.yaxis),
  };
}
