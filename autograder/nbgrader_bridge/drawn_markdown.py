"""Converts Markdown to harmless HTML for formgrader: emphasis, lists, tables, code, formulas and pictures.

nbgrader lets HTML, links and addresses through as they stand. Here everything that is drawn, the course's own text
too, is cut down to elements that can neither run, nor load, nor lead anywhere. It is the second wall: text of
students is made harmless when it is recorded (:func:`autograder.plain_text.harmless_markdown`).
"""

from __future__ import annotations

from typing import Any

from bleach.sanitizer import Cleaner
from jinja2 import pass_context
from jinja2.runtime import Context
from mistune.plugins import import_plugin
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

__all__ = ["drawn_markdown"]

_ELEMENTS = {
    *("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "div", "span", "details", "summary", "img"),
    *("pre", "code", "kbd", "em", "strong", "del", "s", "sub", "sup", "ul", "ol", "li", "dl", "dt", "dd"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}
_PICTURE, _ATTACHED = "data:image/png;base64,", "attachment:"
# nbconvert's own list without "url", which turns every address in a text into a link.
_PLUGINS = ("strikethrough", "table", "task_lists", "def_list")


def _is_allowed(element: str, attribute: str, value: str) -> bool:
    if element == "img":
        return attribute == "alt" or (attribute == "src" and value.startswith(_PICTURE))
    return attribute == "class" and element in ("div", "span")  # the highlighter's colours


class _Renderer(IPythonRenderer):
    """Shows the description of a missing attachment, for which nbconvert would fail on the whole page."""

    def image(self, text: str, url: str, title: str | None = None) -> str:
        is_missing = url.startswith(_ATTACHED) and url.removeprefix(_ATTACHED) not in self.attachments
        return text if is_missing else super().image(text, url, title)


_cleaner = Cleaner(tags=_ELEMENTS, attributes=_is_allowed, protocols=("data",), strip=True)


@pass_context
def drawn_markdown(context: Context, source: str) -> str:
    """The HTML of a cell's Markdown; of elements that are removed, the text stays."""
    attachments = context.get("cell", {}).get("attachments", {})
    renderer = _Renderer(escape=False, attachments=attachments, exclude_anchor_links=True)
    plugins: list[Any] = [import_plugin(name) for name in _PLUGINS]
    markdown = MarkdownWithMath(renderer=renderer, plugins=plugins)
    return _cleaner.clean(markdown.render(source))
