"""Whether a figure can be read at the size at which a page shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avae_lib.plotting.style import SCREEN_PIXELS_PER_INCH

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["REQUIRED_BY", "require_legible"]

REQUIRED_BY = "AVAE_REQUIRE_LEGIBLE"
"""The environment variable under which figures that cannot be read are refused: set where notebooks are built."""

_WIDEST_PIXELS = 700
_SMALLEST_PIXELS = 8.0
_POINTS_PER_INCH = 72
_SUBSCRIPT = 0.7  # matplotlib's ratio of the size of a sub- or superscript to that of its line


def require_legible(figure: Figure) -> None:
    """Refuse a figure that is wider than a page, or has text in it that is too small to read.

    Raises:
        ValueError: the figure is wider than 700 pixels, or some text in it is less than 8 pixels high, counted at the
            size shown (96 pixels an inch). The message names the text.

    >>> from avae_lib.plotting import learning_curves
    >>> require_legible(learning_curves({"training": [95.0, 90.0]}))
    >>> require_legible(learning_curves({"training": [95.0, 90.0]}, size=(12.0, 3.0)))
    Traceback (most recent call last):
        ...
    ValueError: a figure may be 700 pixels wide (7.2 inches) and is 1152
    """
    width = figure.get_figwidth() * SCREEN_PIXELS_PER_INCH
    if width > _WIDEST_PIXELS:
        raise ValueError(f"a figure may be {_WIDEST_PIXELS} pixels wide (7.2 inches) and is {width:.0f}")
    figure.draw_without_rendering()  # which writes the tick labels
    if small := {words: size for words, size in _sizes(figure).items() if size < _SMALLEST_PIXELS}:
        words, size = min(small.items(), key=lambda entry: entry[1])
        raise ValueError(
            f"text in a figure must be at least {_SMALLEST_PIXELS:g} pixels high (6 points; sub- and superscripts are "
            f"{_SUBSCRIPT} of their line), and {words!r} is {size:.1f}"
        )


def _sizes(figure: Figure) -> dict[str, float]:
    """The smallest height of each visible text, in pixels as shown."""
    from matplotlib.text import Text

    pixels_per_point = SCREEN_PIXELS_PER_INCH / _POINTS_PER_INCH
    sizes: dict[str, float] = {}
    for text in figure.findobj(Text):
        words = text.get_text()
        if text.get_visible() and words.strip():
            raised = words.count("$") > 1 and any(sign in words for sign in "_^")
            size = float(text.get_fontsize()) * pixels_per_point * (_SUBSCRIPT if raised else 1)
            sizes[words] = min(size, sizes.get(words, size))
    return sizes
