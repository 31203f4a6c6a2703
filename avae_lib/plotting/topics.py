"""Pictures of topic models: lists of likely words, and what documents are about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from avae_lib.plotting.style import GREY, INK, RULE, Numbers, blank, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["topic_shares", "topics_side_by_side"]

_NAMED_SHARE = 0.05
"""Share of a document from which its percentage is written into the cell."""
_PALE_INK_SHARE = 0.6
"""Share from which a cell is so dark that its text is white."""


@styled
def topics_side_by_side(
    columns: Mapping[str, Sequence[Sequence[str]]], labels: Sequence[str] | None = None, shared: bool = True
) -> Figure:
    """The likeliest words of each topic in one column for each method, topics in one row for each pair.

    Args:
        columns: name of the method → for each topic its words; topic i of every method stands in row i.
        labels: a name for each row.
        shared: whether words that stand in the same row of all columns are drawn dark, and the others grey.

    >>> mean_field, sampling = [["socket", "port"], ["date", "time"]], [["port", "host"], ["date", "year"]]
    >>> columns = {"mean field": mean_field, "sampling": sampling}
    >>> len(topics_side_by_side(columns, labels=["network", "calendar"]).axes)
    2
    """
    rows = len(next(iter(columns.values())))
    figure, panels = new_figure(7.2, 0.35 + 0.38 * rows, ncols=len(columns), squeeze=False)
    for number, ((name, topics), axes) in enumerate(zip(columns.items(), panels[0], strict=True)):
        blank(axes).set(xlim=(0, 1), ylim=(-rows + 0.4, 0.6))
        axes.set_title(name)
        for row, words in enumerate(topics):
            common = set.intersection(*(set(other[row]) for other in columns.values())) if shared else set(words)
            _draw_words(axes, row, words, common, len(columns))
            if labels and number == 0:
                axes.annotate(
                    labels[row], (0, -row), xytext=(-6, 0), textcoords="offset points", ha="right", va="center"
                )
            axes.axhline(-row - 0.5, color=RULE, linewidth=0.6)
    return figure


def _draw_words(axes: Axes, row: int, words: Sequence[str], dark: set[str], columns: int) -> None:
    """Words in two lines if there is more than one column, each in its shade."""
    emphasised = columns > 1
    half = (len(words) + 1) // 2 if emphasised else len(words)
    heights = (0.16, -0.22) if emphasised else (0.0,)
    for height, line in zip(heights, (words[:half], words[half:]), strict=False):
        place = 0.0
        for word in line:
            colour = INK if word in dark else GREY
            weight = "bold" if emphasised and word in dark else "normal"
            text = axes.text(place, -row + height, word, fontsize=8, va="center", color=colour, weight=weight)
            text.set_family("DejaVu Sans Mono")
            place += columns * _LETTER * (len(word) + 1.5)


_LETTER = 0.0096  # width of a letter of eight points, as a share of the width of the figure


@styled
def topic_shares(shares: Mapping[str, Numbers], topics: Sequence[str]) -> Figure:
    """What a few documents are about: a table with one row for each document and one column for each topic.

    The darker a cell, the larger the share of the document's words; shares of 5 % and more are written into it.

    Args:
        shares: title of the document → share of each topic, summing to one.
        topics: a short name for each topic.

    >>> len(topic_shares({"socket": [0.9, 0.1], "datetime": [0.0, 1.0]}, topics=["network", "calendar"]).axes)
    1
    """
    table = np.array(list(shares.values()), dtype=float)
    figure, axes = new_figure(7.0, 1.3 + 0.3 * len(shares))
    axes.pcolormesh(table, cmap="Blues", vmin=0, vmax=1.25, edgecolor="white", linewidth=1.5)
    for (row, column), share in np.ndenumerate(table):
        if share >= _NAMED_SHARE:
            look: dict[str, Any] = {"color": "white" if share > _PALE_INK_SHARE else INK, "fontsize": 8}
            axes.text(column + 0.5, row + 0.5, f"{100 * share:.0f} %", ha="center", va="center", **look)
    axes.set_yticks(np.arange(len(shares)) + 0.5, list(shares))
    axes.set_xticks(np.arange(len(topics)) + 0.5, list(topics), rotation=35, ha="left", rotation_mode="anchor")
    axes.tick_params(length=0, top=False, bottom=False, labeltop=True, labelbottom=False, labelsize=8)
    axes.invert_yaxis()
    axes.grid(False)
    axes.spines[:].set_visible(False)
    return figure
