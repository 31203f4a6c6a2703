"""Figures and images embedded in a page: vector graphics in the page's colours, and tiny PNGs."""

from __future__ import annotations

import base64
import io
import itertools
import re
from html import escape
from typing import TYPE_CHECKING

from torch import Tensor

from avae_lib.plotting import mosaic
from avae_lib.plotting.style import COLOURS, GREY, INK, RULE, styles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["inline_svg", "pixel_data_uri"]

# The page's style sheet gives these a value for light and one for dark.
_PAGE_COLOURS = {INK: "currentColor", GREY: "var(--muted)", RULE: "var(--rule)", COLOURS["blue"]: "var(--blue)"}
_numbers = itertools.count(1)


def inline_svg(figure: Figure, alt: str) -> str:
    """The figure as an ``<svg>`` element that takes colours and width from its page.

    Args:
        alt: description of the picture, for readers who cannot see it.

    >>> from avae_lib import plotting
    >>> svg = inline_svg(plotting.learning_curves({"training": ([0, 1], [3.0, 2.0])}, "nats"), alt="a falling curve")
    >>> svg[:4], 'aria-label="a falling curve"' in svg
    ('<svg', True)
    """
    drawn = io.StringIO()
    with styles():
        no_metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(drawn, format="svg", transparent=True, metadata=no_metadata)
    svg = drawn.getvalue()
    svg = svg[svg.index("<svg") :]
    for printed, on_page in _PAGE_COLOURS.items():
        svg = svg.replace(printed.lower(), on_page)
    return _with_own_names(re.sub("<svg[^>]*>", _opening_tag(figure, alt), svg, count=1))


def pixel_data_uri(images: Tensor, bits: int, columns: int) -> str:
    """Images side by side as the address of a PNG with one pixel per pixel, for the page to magnify.

    >>> import torch
    >>> pixel_data_uri(torch.zeros(3, 1, 8, 8, dtype=torch.uint8), bits=1, columns=3)[:22]
    'data:image/png;base64,'
    """
    from PIL import Image

    png = io.BytesIO()
    Image.fromarray(mosaic(images, bits, columns)).save(png, format="png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(png.getvalue()).decode()


def _opening_tag(figure: Figure, alt: str) -> str:
    width, height = (72 * inches for inches in figure.get_size_inches())  # matplotlib's unit in SVG is the point
    return f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(alt, quote=True)}">'


def _with_own_names(svg: str) -> str:
    """Make the ids of this graphic differ from those of others on the page, and drop the ones nothing refers to."""
    prefix = f"g{next(_numbers)}-"
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))
    svg = re.sub(r' id="([^"]+)"', lambda found: f' id="{prefix}{found[1]}"' if found[1] in used else "", svg)
    svg = re.sub(r'xlink:href="#', f'href="#{prefix}', svg).replace("xlink:href", "href")
    return svg.replace("url(#", f"url(#{prefix}")
