/* Commands that can be copied, folded figures, and the list of doubtful series. */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // not allowed for files in this browser
  }
}

function selectText(node) {
  const range = document.createRange();
  range.selectNodeContents(node);
  getSelection().removeAllRanges();
  getSelection().addRange(range);
}

async function copyCommand(button) {
  const code = button.parentElement.querySelector("code");
  let done = await copyText(code.textContent);
  if (!done) {
    selectText(code);
    done = document.execCommand("copy");
  }
  button.textContent = done ? "Copied" : "Selected";
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
}

function startChoice() {
  for (const button of $$(".copy")) button.addEventListener("click", () => copyCommand(button));
  for (const button of $$("[data-doubt]")) {
    button.addEventListener("click", () => {
      selectPoint(data.doubts[Number(button.dataset.doubt)]);
      $("#map-title").scrollIntoView();
    });
  }
  // A figure in a closed part has no size until it is opened.
  for (const part of $$("details")) {
    part.addEventListener("toggle", () => {
      if (part.open) for (const chart of part.querySelectorAll(".js-plotly-plot")) Plotly.Plots.resize(chart);
    });
  }
}
