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
})
