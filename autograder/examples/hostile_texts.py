"""Hostile texts, which try to do harm where they are shown: in a browser, a terminal, a spreadsheet, a template.

Students write them into answers, comments and exceptions, name folders and files with them, and an LMS may carry them
in names. Each sets ``window.broken``, loads from ``evil.invalid``, links to it, or disguises the text beside it.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["HOSTILE_NAMES", "HOSTILE_TEXTS"]

_RUN = "window.broken=1"
_AWAY = "https://evil.invalid"

HOSTILE_TEXTS: Mapping[str, str] = {
    "script": f"<script>{_RUN}</script>",
    "script from elsewhere": f"<script src={_AWAY}/x.js></script>",
    "script in capitals, not closed": f"<SCRIPT>{_RUN}//",
    "script after the end of a page": f"</pre></textarea></title></style></body></html><script>{_RUN}</script>",
    "script out of a string": f"';{_RUN};'\";{_RUN};\"</script><script>{_RUN}</script>",
    "script out of an attribute": f"\" autofocus onfocus=\"{_RUN}\" x='' onfocus='{_RUN}'",
    "picture that fails": f"<img src=x onerror={_RUN}>",
    "picture that tracks": f"![pixel]({_AWAY}/pixel.png) <img src={_AWAY}/pixel.png>",
    "drawing": f"<svg onload={_RUN}><a xlink:href='{_AWAY}'><text y=20>press</text></a></svg>",
    "style": f"<style>*{{display:none}}@import url({_AWAY}/x.css);</style>",
    "style of one element": f"<p style='position:fixed;inset:0;background:url({_AWAY}/x.png)'>All points!</p>",
    "style sheet": f"<link rel=stylesheet href={_AWAY}/x.css>",
    "refresh": f"<meta http-equiv=refresh content='0;url={_AWAY}'>",
    "base": f"<base href={_AWAY}/>",
    "frame": f"<iframe src='javascript:parent.{_RUN}'></iframe><iframe srcdoc='<script>parent.{_RUN}</script>'>",
    "object": f"<object data='data:text/html,<script>{_RUN}</script>'></object><embed src={_AWAY}>",
    "form": f"<form action={_AWAY}><button autofocus>Full credit</button></form><input onfocus={_RUN} autofocus>",
    "details that opens": f"<details open ontoggle={_RUN}>x</details>",
    "event": f"<marquee onstart={_RUN}>x</marquee><video onerror={_RUN}><source></video><body onload={_RUN}>",
    "element of its own": f"<x-y onanimationstart={_RUN} style='animation:spin 1s'>",
    "link": f"[press](javascript:{_RUN}) [away]({_AWAY})",
    "link in disguise": f"[press](java&#x73;cript:{_RUN}) [press](JaVaScRiPt:{_RUN}) [press](data:text/html,x)",
    "link by reference": f"[press][r]\n\n[r]: javascript:{_RUN}",
    "link by anchor": f"<a href='javascript:{_RUN}'>press</a>",
    "address in angle brackets": f"<javascript:{_RUN}> <{_AWAY}> <mailto:dean@evil.invalid>",
    "bare address": f"See {_AWAY}/login, www.evil.invalid and dean@evil.invalid.",
    "data address": f"[x](data:text/html;base64,PHNjcmlwdD4=) data:text/html,<script>{_RUN}</script>",
    "attachment that is not there": "![x](attachment:gone.png) ![y][z]\n\n[z]: attachment:gone.png",
    "HTML comment": f"<!-- > <script>{_RUN}</script> --> <!--><script>{_RUN}</script>-->",
    "CDATA": f"<![CDATA[<script>{_RUN}</script>]]> <?php echo 1 ?>",
    "entity": f"&lt;script&gt;{_RUN}&lt;/script&gt; &#60;img src=x onerror={_RUN}&#62;",
    "formula with a link": rf"$\href{{javascript:{_RUN}}}{{x}}$ $$\href{{{_AWAY}}}{{y}}$$",
    "formula in disguise": rf"&#36;&#92;href{{{_AWAY}}}{{x}}&#36; \\(\\href{{{_AWAY}}}{{y}}\\) &dollar;&bsol;url{{x}}$",
    "formula in a macro": rf"$\def\a#1{{\href{{#1}}}}\a{{{_AWAY}}}{{x}}$ $\let\b=\href \b{{{_AWAY}}}{{y}}$",
    "formula with styles": r"$\style{position:fixed;inset:0}{x}\class{btn}{y}\cssId{statusmessage}{z}$",
    "formula that loads": r"$\require{action}\toggle{a}{b}\endtoggle$ $\unicode[x;background:url(//evil.invalid)]{65}$",
    "formula with a reference": r"\begin{equation}x\label{e}\end{equation} $\eqref{e}$ $\bbox[color:red]{x}$",
    "formula in MathML": f"<math><mtext><a href={_AWAY}>x</a></mtext><maction actiontype='statusline#{_AWAY}'></math>",
    "formula that tears": r"$$\begin{array}{c}a\\ \end{array $ <img src=x onerror=window.broken=1> $$ \end{array}$$",
    "diagram": f'```mermaid\ngraph LR; A["<img src=x onerror={_RUN}>"]; click A href "{_AWAY}"\n```',
    "code that is none": f"`` ` `` <script>{_RUN}</script> ` ```\n<script>{_RUN}</script>\n```",
    "table": f"| a |\n|---|\n| <img src=x onerror={_RUN}> |",
    "heading": f"# <b onclick={_RUN}>title</b> <a name=top></a>",
    "footnote": f"[^1]\n\n[^1]: <script>{_RUN}</script>",
    "template": "{{ 7 * 191 }} {% raw %}{% include '/etc/passwd' %} {{ nb.__class__ }} ${7*191} <%= 7*191 %>",
    "turned writing": "points \u202e0 fo 5\u202c and \u2067isolated\u2069 \u200fright\u200f",
    "signs without room": "pass\u200bed \ufeffall\u2060 \u00adcases\u180e",
    "escape sequences": "\x1b[2J\x1b[31mred\x1b[0m \x1b]8;;http://evil.invalid\x1b\\press\x1b\\ \x9b31m",
    "controls": "ab\x08\x08\x0bc\x0cd\re\x85f\u2028g\u2029h\x7fi",
    "piled marks": "Z" + "\u0351\u0489\u0337" * 40 + "algo",
    "half a sign": "a \ud800 b \udfff c \ufffe d \x00",
    "very long line": "x" * 5_000,
    "very long words": "points " * 800,
    "formula of a spreadsheet": f"=HYPERLINK(\"{_AWAY}\",\"press\") +1 @SUM(A1) -2\t=1",
    "line of a log": "done\n{\"student\": \"ada\", \"points\": 100}\r\nada              graded      28/28",
}  # fmt: skip
"""One hostile text of each kind."""

HOSTILE_NAMES: Mapping[str, str] = {
    "markup": "<img src=x onerror=window.broken=1>",
    "quotes": '";window.broken=1;"\'',
    "template": "{{7*191}}",
    "link": "[ada](javascript:window.broken=1)",
    "brackets": "kim [resit]",
    "address": "www.evil.invalid",
    "turned writing": "ada\u202eadolv",
    "escape sequences": "ada\x1b[2J\x1b[31m",
    "two lines": "ada\nben  graded  28 of 28",
    "formula of a spreadsheet": "=1+1",
    "option": "--help",
    "query": "a?b#c;d=e",
}
"""Hostile names for a student's folder or a person in a roster."""
