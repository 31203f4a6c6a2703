"""Draws the figures of a class report as SVG inside the page, each with a description in words."""

from __future__ import annotations

import base64
import io
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from autograder.reports.stumbling import ComponentRecord, median

__all__ = ["Picture", "component_picture", "points_picture", "seconds_picture"]

_ALL, _SOME, _NONE, _INK, _SOFT = "#0a7d57", "#e0b040", "#b3401f", "#1d2326", "#5c676d"
_STYLE: dict[Any, Any] = {
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _SOFT,
    "axes.labelcolor": _INK,
    "xtick.color": _SOFT,
    "ytick.color": _SOFT,
    "svg.hashsalt": "class report",  # the same numbers give the same file
}


@dataclass(frozen=True)
class Picture:
    """An image for ``<img>``: its address, and a description for readers who cannot see it."""

    source: str
    alt: str


def points_picture(points: Sequence[float], max_points: float) -> Picture:
    """A histogram of the points of a unit."""
    with matplotlib.rc_context(_STYLE):
        figure, axes = _figure(3.2)
        edges = _edges(max_points)
        axes.hist(np.clip(points, 0, max_points), bins=edges.tolist(), color=_ALL, edgecolor="white")
        middle = statistics.median(points)
        axes.axvline(middle, color=_INK, linewidth=1.2, linestyle="--")
        axes.annotate(
            f"median {middle:g}", (middle, 1), xycoords=("data", "axes fraction"), color=_INK, va="bottom", ha="center"
        )
        _label(axes, f"points, of {max_points:g}", "students")
        alt = (
            f"Histogram of the points of {len(points)} students: median {middle:g} of {max_points:g}, "
            f"lowest {min(points):g}, highest {max(points):g}."
        )
        return Picture(_address(figure), alt)


def component_picture(records: Sequence[ComponentRecord]) -> Picture:
    """Bars that show how many students got all, some and none of the points of each component."""
    with matplotlib.rc_context(_STYLE):
        figure, axes = _figure(0.9 + 0.42 * len(records))
        names = [record.name for record in records]
        left = np.zeros(len(records))
        for label, colour in (("full", _ALL), ("some", _SOME), ("none", _NONE)):
            widths = np.array([100 * getattr(record, label) / record.count for record in records])
            text = {"full": "all points", "some": "some", "none": "none"}[label]
            axes.barh(names, widths, left=left, color=colour, edgecolor="white", label=text)
            left += widths
        axes.invert_yaxis()
        axes.set_xlim(0, 100)
        _label(axes, "percentage of the class", "")
        figure.legend(loc="outside upper right", ncols=3, frameon=False)
        shares = "; ".join(f"{record.name} {record.full} of {record.count}" for record in records)
        return Picture(_address(figure), f"Bars: how many students got all points of each component: {shares}.")


def seconds_picture(seconds: Sequence[float]) -> Picture:
    """A histogram of the seconds that grading each submission took."""
    with matplotlib.rc_context(_STYLE):
        figure, axes = _figure(3.2)
        axes.hist(seconds, bins=min(30, max(5, math.isqrt(len(seconds)) * 2)), color="#25609f", edgecolor="white")
        _label(axes, "seconds to grade", "submissions")
        alt = f"Histogram of the time it took to grade: median {median(seconds):.1f} s, longest {max(seconds):.1f} s."
        return Picture(_address(figure), alt)


def _figure(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6.4, height), layout="constrained")
    return figure, figure.subplots()


def _edges(max_points: float) -> np.ndarray:
    """The edges of the bins: one per point, or at most 25 wider ones."""
    width = max(1.0, math.ceil(max_points / 25))
    return width * np.arange(math.ceil(max_points / width) + 1)


def _label(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if y:
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))


def _address(figure: Figure) -> str:
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
