"""Learning curves of several runs in one picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from avae_lib.plotting.style import CLASSES, line_styles, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["runs_compared"]

_SETTLED = 0.15  # fraction of a run after which its curve is worth magnifying
_WIDE = 3.0  # ratio of the highest to the lowest value from which the vertical axis is logarithmic
_LINE = 0.22  # height of one line of the legend, in inches

Points = Sequence[tuple[int, float]]


@styled
def runs_compared(curves: Mapping[str, Points], y_label: str) -> Figure:
    """Curves of runs against updates, with a dot at the lowest point of each and the legend beside the axes.

    The vertical axis shows all that happens after the first 15% of each run; a remark above the axes says so where
    earlier values lie outside. It is logarithmic where the highest of these values is more than 3 times the lowest.

    Args:
        curves: name → (update, value) of each evaluation; names appear in this order, those without a finite value
            are left out.

    >>> curves = {"slow": [(10, 9.0), (100, 2.5)], "failed": [], "fast": [(10, 2.0), (100, 1.5)]}
    >>> (axes,) = runs_compared(curves, "bits per dimension").axes
    >>> [text.get_text() for text in axes.get_legend().get_texts()], axes.get_title("left")
    (['slow', 'fast'], 'the first 15% of a run may lie outside')
    """
    drawn = {name: found for name, curve in curves.items() if (found := _finite(curve))}
    figure, axes = new_figure(7.5, max(3.2, 0.8 + _LINE * len(drawn)))
    for (name, curve), line in zip(drawn.items(), _lines(len(drawn)), strict=True):
        axes.plot(*zip(*curve, strict=True), label=name, **line)
        axes.plot(*min(curve, key=lambda point: point[1]), marker="o", markersize=4, color=line["color"])
    axes.set(xlabel="update", ylabel=y_label)
    if drawn:
        _magnify(axes, drawn)
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)
    return figure


def _finite(curve: Points) -> Points:
    return [(step, value) for step, value in curve if math.isfinite(value)]


def _lines(number: int) -> list[dict[str, Any]]:
    """As many different colours as there are lines, with dashes; of more than ten they follow the order of the runs."""
    import matplotlib

    spread = matplotlib.colormaps["turbo"]
    colours = CLASSES if number <= len(CLASSES) else [spread(index / (number - 1)) for index in range(number)]
    return [line | {"color": colour} for line, colour in zip(line_styles(), colours[:number], strict=False)]


def _magnify(axes: Axes, curves: Mapping[str, Points]) -> None:
    """Limits of the vertical axis that hold the settled part and the lowest point of every curve."""
    settled = [value for curve in curves.values() for value in _settled(curve)]
    low, high = min(settled), max(settled)
    if low > 0 and high > _WIDE * low:
        margin = (high / low) ** 0.05
        limits = (low / margin, high * margin)
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("{x:g}")
    else:
        margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
        limits = (low - margin, high + margin)
    axes.set_ylim(*limits)
    if any(value > limits[1] for curve in curves.values() for _, value in curve):
        axes.set_title("the first 15% of a run may lie outside", fontsize=8)


def _settled(curve: Points) -> list[float]:
    end = max(step for step, _ in curve)
    lowest = min(value for _, value in curve)
    return [lowest, *(value for step, value in curve if step >= _SETTLED * end)]
