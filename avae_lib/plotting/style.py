"""One restrained style for all pictures: colours, line styles, and figures that need not be closed."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar

import numpy as np
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "CLASSES",
    "COLOURS",
    "GREY",
    "INK",
    "PIXELS_PER_INCH",
    "RULE",
    "SCREEN_PIXELS_PER_INCH",
    "SERIES",
    "Numbers",
    "Table",
    "blank",
    "line_styles",
    "new_figure",
    "styled",
    "styles",
]

Numbers = Sequence[float] | np.ndarray | Tensor
"""The numbers of one curve, in any form that matplotlib draws."""
Table = Sequence[Sequence[float]] | np.ndarray | Tensor
"""Rows of equally many numbers."""

SCREEN_PIXELS_PER_INCH = 96
PIXELS_PER_INCH = 144  # of saved pictures: half as much again as a screen's, for sharp text at the size shown

COLOURS = {
    "blue": "#0072B2",
    "vermilion": "#D55E00",
    "green": "#009E73",
    "purple": "#CC79A7",
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "black": "#000000",
    "yellow": "#F0E442",
}
"""The palette of Okabe and Ito (2008), told apart with every common form of colour blindness."""

# Yellow is left out: on white paper a thin yellow line is hard to see for everyone.
SERIES = tuple(colour for name, colour in COLOURS.items() if name != "yellow")
# Ten classes need ten colours: three of Paul Tol's "muted" scheme join those of Okabe and Ito.
CLASSES = (*SERIES, "#999933", "#882255", "#888888")
INK, GREY, RULE = "#1f2328", "#6e7781", "#d8dee4"
_DASHES = ("-", (0, (5, 1.6)), (0, (1.2, 1.4)), (0, (6, 1.5, 1.2, 1.5)))
SEQUENTIAL = "cividis"

_RC: dict[Any, Any] = {
    "figure.dpi": 96,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "text.color": INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.labelsize": 9,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "image.cmap": SEQUENTIAL,
    "svg.hashsalt": "avae",
}

P = ParamSpec("P")
T = TypeVar("T")


def styles():
    """A context in which matplotlib draws in the style of the course and leaves no trace after it.

    >>> import matplotlib
    >>> before = matplotlib.rcParams["axes.spines.top"]
    >>> with styles():
    ...     inside = matplotlib.rcParams["axes.spines.top"]
    >>> inside, matplotlib.rcParams["axes.spines.top"] == before
    (False, True)
    """
    import matplotlib

    return matplotlib.rc_context(_RC)


def styled(draw: Callable[P, T]) -> Callable[P, T]:
    """Make a plotting function draw in the style of the course, whatever the caller's settings are.

    >>> import matplotlib
    >>> styled(lambda: matplotlib.rcParams["axes.spines.top"])()
    False
    """

    @functools.wraps(draw)
    def in_style(*args: P.args, **kwargs: P.kwargs) -> T:
        with styles():
            return draw(*args, **kwargs)

    return in_style


def new_figure(
    width: float = 6.4,
    height: float = 3.2,
    layout: Literal["constrained", "compressed"] = "constrained",
    **subplots: Any,
) -> tuple[Figure, Any]:
    """A figure (inches) outside pyplot's list of open figures, and its axes (as ``Figure.subplots`` gives them).

    ``layout="compressed"`` keeps labels inside the figure beside axes of a fixed shape.

    >>> figure, (left, right) = new_figure(width=6.0, height=2.5, ncols=2)
    >>> figure.get_size_inches().tolist(), len(figure.axes)
    ([6.0, 2.5], 2)
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout=layout)
    return figure, figure.subplots(**subplots)


def blank(axes: Axes) -> Axes:
    """Remove frame, ticks and grid: for pictures that are not graphs.

    >>> figure, axes = new_figure()
    >>> blank(axes).get_xticks().tolist()
    []
    """
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    axes.spines[:].set_visible(False)
    return axes


def line_styles() -> Iterator[dict[str, Any]]:
    """Colour and dashes of the first, second, third … line, so that no line is known by its colour alone.

    >>> first, second, third = itertools.islice(line_styles(), 3)
    >>> len({first["color"], second["color"], third["color"]})
    3
    """
    for colour, dashes in zip(itertools.cycle(SERIES), itertools.cycle(_DASHES), strict=False):
        yield {"color": colour, "linestyle": dashes}
