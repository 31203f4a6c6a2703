"""A description of a figure, made from the words in it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

__all__ = ["described"]


def described(figure: Figure) -> str:
    """A description for readers who cannot see the figure: its titles, axes, legends, labels.

    It says first that it was made automatically: it cannot tell what the figure shows.

    >>> from avae_lib.plotting import learning_curves
    >>> "update" in described(learning_curves({"training": [95.0, 90.0]}))
    True
    """
    panels = [words for axes in figure.axes if (words := _words_of(axes))]
    title = figure.get_suptitle()
    parts = [f"titled “{title}”"] if title else []
    parts += panels if len(panels) < 2 else [f"panel {number}: {words}" for number, words in enumerate(panels, 1)]
    return f"Figure (automatic description): {'; '.join(parts) or 'pictures without words'}."


def _words_of(axes: Axes) -> str:
    legend = axes.get_legend()
    named = [
        ("titled", " ".join(filter(None, (axes.get_title(loc=place) for place in ("left", "center", "right"))))),
        ("horizontal axis", axes.get_xlabel() or _names(axes.get_xticklabels())),
        ("vertical axis", axes.get_ylabel() or _names(axes.get_yticklabels())),
        ("legend", _names(legend.get_texts() if legend else [])),
        ("labels", _names(axes.texts)),
    ]
    return ", ".join(f"{name} “{words}”" for name, words in named if words)


def _names(texts: Iterable[Text]) -> str:
    """The texts that are words, not numbers."""
    written = (text.get_text() for text in texts)
    return ", ".join(words for words in written if any(sign.isalpha() for sign in words))
