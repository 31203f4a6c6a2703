"""What can be said of a figure without looking at it: its titles, the names of its axes, its legend."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["described"]


def described(figure: Figure) -> str:
    """A description for readers who cannot see the figure, made from the words in it.

    It says that it was made automatically, because it cannot say what the figure shows.
    """
    panels = [words for axes in figure.axes if (words := _words_of(axes))]
    title = figure.get_suptitle()
    parts = [f"“{title}”"] if title else []
    parts += panels if len(panels) < 2 else [f"panel {number}: {words}" for number, words in enumerate(panels, 1)]
    return f"Figure (automatic description): {'; '.join(parts) or 'no words in it'}."


def _words_of(axes: Axes) -> str:
    legend = axes.get_legend()
    entries = [text.get_text() for text in legend.get_texts()] if legend else []
    titles = [axes.get_title(loc=place) for place in ("left", "center", "right")]
    named = [
        ("titled", " ".join(filter(None, titles))),
        ("horizontal axis", axes.get_xlabel()),
        ("vertical axis", axes.get_ylabel()),
        ("legend", ", ".join(entries)),
    ]
    return ", ".join(f"{name} “{words}”" for name, words in named if words)
