"""Learning curves of several runs in one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from avae_lib.plotting.style import line_styles, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["runs_compared"]

_SETTLED = 0.15  # fraction of the longest run after which the curves are worth magnifying
_LINE = 0.22  # height of one line of the legend, in inches


@styled
def runs_compared(curves: Mapping[str, Sequence[tuple[int, float]]], y_label: str) -> Figure:
    """Curves of runs against updates, with a dot at the lowest point of each and the legend beside the axes.

    The vertical axis shows what happens after the first 15% of the longest run, where the curves have settled.

    Args:
        curves: name → (update, value) of each evaluation; names appear in this order.

    >>> figure = runs_compared({"slow": [(10, 3.0), (20, 2.5)], "fast": [(10, 2.0), (20, 1.5)]}, "bits per dimension")
    >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    ['slow', 'fast']
    """
    figure, axes = new_figure(7.5, max(3.2, 0.8 + _LINE * len(curves)))
    for (name, curve), line in zip(curves.items(), line_styles(), strict=False):
        steps, values = zip(*curve, strict=True) if curve else ((), ())
        axes.plot(steps, values, label=name, **line)
        if curve:
            axes.plot(*min(curve, key=lambda point: point[1]), marker="o", markersize=4, color=line["color"])
    settled = _settled(curves)
    if settled:
        margin = 0.05 * (max(settled) - min(settled)) or 0.05 * abs(max(settled)) or 1.0
        axes.set_ylim(min(settled) - margin, max(settled) + margin)
    axes.set(xlabel="update", ylabel=y_label)
    if curves:
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)
    return figure


def _settled(curves: Mapping[str, Sequence[tuple[int, float]]]) -> list[float]:
    longest = max((step for curve in curves.values() for step, _ in curve), default=0)
    late = [[value for step, value in curve if step >= _SETTLED * longest] for curve in curves.values()]
    return [value for values in late for value in values]
