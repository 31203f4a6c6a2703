// Tables, code and equations that are too wide scroll inside their own box, which the keyboard must be able to reach.
const BOXES = ".bd-article table, .bd-article pre, .bd-article .cell_output, mjx-container[display]";

function makeWideBoxesFocusable() {
  for (const box of document.querySelectorAll(BOXES)) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  }
}

document.addEventListener("DOMContentLoaded", async () => {
  makeWideBoxesFocusable();
  await window.MathJax?.startup?.promise;
  makeWideBoxesFocusable();
});
window.addEventListener("resize", makeWideBoxesFocusable);
