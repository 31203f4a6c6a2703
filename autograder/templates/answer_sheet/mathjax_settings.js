// The same delimiters start formulas here as in formgrader. MathJax typesets nothing by itself; sheet.js calls it for
// one answer at a time.
window.MathJax = {
  skipStartupTypeset: true,
  showMathMenu: false,
  messageStyle: "none",
  tex2jax: { inlineMath: [["$", "$"], ["\\(", "\\)"]], displayMath: [["$$", "$$"], ["\\[", "\\]"]], processEscapes: true, processEnvironments: true, skipTags: ["script", "noscript", "style", "textarea", "pre", "code"] },
  TeX: { equationNumbers: { autoNumber: "none" }, MAXMACROS: 500 },
  MathMenu: { showLocale: false },
  "HTML-CSS": { availableFonts: [], preferredFont: null, imageFont: null, webFont: "STIX-Web", linebreaks: { automatic: true } },
};
