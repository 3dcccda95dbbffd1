({
  /** Texts of less contrast with their ground than 4.5 to 1 (WCAG 2, level AA). */
  poor() {
    const numbers = (color) => (color.match(/[\d.]+/g) ?? []).map(Number);
    const linear = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
    const groundOf = (node) => {
      for (let at = node; at; at = at.parentElement) {
        const color = numbers(getComputedStyle(at).backgroundColor);
        if (color.length === 3 || color[3] === 1) return color;
      }
      return [255, 255, 255];
    };
    const texts = "h1, h2, h3, h4, p, dt, dd, a, button, label, legend, th, td, summary, svg.chart text";
    const found = [];
    for (const node of document.querySelectorAll(texts)) {
      if (!node.checkVisibility() || !node.textContent.trim() || node.disabled || node.closest(".skip, .cell")) continue;
      const style = getComputedStyle(node);
      const color = numbers(node.matches("text") ? style.fill : style.color);
      const [high, low] = [light(color), light(groundOf(node))].sort((a, b) => b - a);
      if ((high + 0.05) / (low + 0.05) < 4.5) found.push(`${node.tagName}: ${node.textContent.trim().slice(0, 40)}`);
    }
    return found;
  },

  /** Controls and pictures that a screen reader could not name. */
  nameless() {
    const kinds = "button, input, select, a[href], [role=img], [role=figure], [role=region]";
    const isNamed = (e) => e.getAttribute("aria-label") || e.labels?.length || e.textContent.trim() || e.title;
    return [...document.querySelectorAll(kinds)].filter((e) => !isNamed(e)).map((e) => e.outerHTML.slice(0, 80));
  },

  /** Elements that overlap each other. */
  overlapping(selector) {
    const boxes = [...document.querySelectorAll(selector)].map((node) => [node.textContent, node.getBoundingClientRect()]);
    const meet = ([, a], [, b]) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
    return boxes.flatMap((box, i) => boxes.slice(0, i).filter((other) => meet(box, other)).map((other) => [box[0], other[0]]));
  },

  /** Texts and pictures that reach beyond the window, where nothing lets one scroll to them. */
  cut() {
    const canScroll = (node) => {
      for (let at = node.parentElement; at !== document.body; at = at.parentElement) if (getComputedStyle(at).overflowX !== "visible") return true;
      return node.closest(".skip, .visually-hidden, .sprite, #js-plotly-tester");
    };
    const width = document.documentElement.clientWidth;
    return [...document.querySelectorAll("body *")].filter((node) => node.checkVisibility() && !canScroll(node))
      .filter((node) => { const box = node.getBoundingClientRect(); return box.width && (box.right > width + 1 || box.left < -1); })
      .map((node) => node.outerHTML.slice(0, 90));
  },

  /** Where on the screen a point of the first group of the map is. */
  placeOfPoint(i) {
    const map = document.getElementById("map");
    const { xaxis, yaxis } = map._fullLayout;
    const box = map.querySelector(".nsewdrag").getBoundingClientRect();
    return [box.left + xaxis.l2p(map.data[0].x[i]), box.top + yaxis.l2p(map.data[0].y[i])];
  },

  /** Controls lower than a finger needs. */
  small(least) {
    const controls = [...document.querySelectorAll("button, select, input:not([type=checkbox], [type=radio]), .segmented label, .tick")];
    return controls.filter((node) => node.checkVisibility() && node.getBoundingClientRect().height < least - 0.5)
      .map((node) => `${node.outerHTML.slice(0, 90)} ${node.getBoundingClientRect().height}`);
  },
})
