// What formgrader shows as a formula is one here too. Each answer is drawn by itself: sheet.js asks for it.
window.MathJax = {
  skipStartupTypeset: true,
  showMathMenu: false,
  messageStyle: "none",
  tex2jax: { inlineMath: [["$", "$"], ["\\(", "\\)"]], displayMath: [["$$", "$$"], ["\\[", "\\]"]], processEscapes: true, processEnvironments: true, skipTags: ["script", "noscript", "style", "textarea", "pre", "code"] },
  TeX: { equationNumbers: { autoNumber: "none" }, MAXMACROS: 500 },
  MathMenu: { showLocale: false },
  "HTML-CSS": { availableFonts: [], preferredFont: null, imageFont: null, webFont: "STIX-Web", linebreaks: { automatic: true } },
};
