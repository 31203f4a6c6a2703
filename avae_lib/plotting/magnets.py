"""Pictures of spins: black-and-white digits, magnetisation against coupling, and how it changes while sampling."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from avae_lib.plotting.images import mosaic
from avae_lib.plotting.style import COLOURS, GREY, INK, Numbers, blank, line_styles, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["magnetisation", "magnetisation_traces", "marginals_against_exact", "spin_pictures"]

_MARKERS = "osD^vPX*"
_PANEL_INCHES = 3.45
_TITLE_INCHES = 0.3


@styled
def spin_pictures(panels: Mapping[str, Tensor], columns: int = 5) -> Figure:
    """Pictures made of spins or of their means, black for −1, white for 1; two panels side by side, then the next two.

    Args:
        panels: title → ``(n, rows, cols)`` in [−1, 1].
        columns: pictures in a row of each panel.

    >>> import torch
    >>> spins = torch.ones(3, 8, 8)
    >>> len(spin_pictures({"noisy": spins, "mean field": spins}).axes)
    2
    """
    rows_of_panels = math.ceil(len(panels) / 2)
    rows, aspect = _layout(next(iter(panels.values())), columns)
    height = rows_of_panels * (_PANEL_INCHES * rows / columns * aspect + _TITLE_INCHES)
    figure, grid = new_figure(2 * _PANEL_INCHES + 0.1, height, nrows=rows_of_panels, ncols=2, squeeze=False)
    for axes in grid.flat:
        blank(axes)
    for axes, (title, means) in zip(grid.flat, panels.items(), strict=False):
        levels = ((1 + means) / 2).unsqueeze(1)
        axes.imshow(mosaic(levels, bits=1, columns=columns), interpolation="nearest")
        axes.set_title(title, fontsize=9)
    return figure


def _layout(pictures: Tensor, columns: int) -> tuple[int, float]:
    return math.ceil(len(pictures) / columns), pictures.shape[1] / pictures.shape[2]


@styled
def marginals_against_exact(exact: Tensor, approximations: Mapping[str, Tensor]) -> Figure:
    """Approximate means of spins against the true ones; on the diagonal they agree.

    Args:
        exact: E[s], any shape, in [−1, 1].
        approximations: name → means of the same shape.

    >>> import torch
    >>> exact = torch.tensor([-0.5, 0.0, 0.8])
    >>> (axes,) = marginals_against_exact(exact, {"mean field": torch.tanh(2 * exact)}).axes
    >>> axes.get_xlabel()
    'true mean of a spin'
    """
    figure, axes = new_figure(4.6, 4.0)
    for marker, (name, means), line in zip(_MARKERS, approximations.items(), line_styles(), strict=False):
        look = {"marker": marker, "s": 26, "color": line["color"], "alpha": 0.85, "linewidths": 0}
        axes.scatter(exact.flatten(), means.flatten(), label=name, **look)
    axes.axline((0, 0), slope=1, color=GREY, linestyle=":", linewidth=1.2, zorder=1)
    axes.set(xlabel="true mean of a spin", ylabel="approximate mean", aspect="equal")
    values = [*exact.flatten().tolist(), *(value for means in approximations.values() for value in means.flatten())]
    limits = float(min(values)) - 0.08, float(max(values)) + 0.08
    axes.set(xlim=limits, ylim=limits)
    axes.legend()
    return figure


@styled
def magnetisation(
    couplings: Numbers,
    curves: Mapping[str, Numbers],
    measured: Mapping[str, tuple[Numbers, Numbers]],
    critical: Mapping[str, float],
) -> Figure:
    """Mean spin of a magnet against the coupling of its neighbours: theories as lines, simulations as points.

    Args:
        curves: name → magnetisation at each coupling.
        measured: name → (couplings, magnetisations).
        critical: name → coupling at which a theory lets order set in; dotted lines, named above the axes.

    >>> curves, measured = {"mean field": [0.0, 0.9]}, {"Gibbs sampling": ([0.3, 0.6], [0.05, 0.95])}
    >>> (axes,) = magnetisation([0.2, 0.6], curves, measured, critical={"mean field": 0.25, "exact": 0.44}).axes
    >>> axes.get_ylabel()
    'magnetisation |m|'
    """
    figure, axes = new_figure(6.4, 3.5)
    for (name, values), line in zip(curves.items(), line_styles(), strict=False):
        axes.plot(couplings, values, label=name, **line)
    for (name, (x, y)), marker in zip(measured.items(), _MARKERS, strict=False):
        axes.plot(x, y, linestyle="none", marker=marker, color=INK, markerfacecolor="white", label=name)
    for name, place in critical.items():
        axes.axvline(place, color=GREY, linestyle=":", linewidth=1.2)
        above = {"xycoords": ("data", "axes fraction"), "ha": "center", "va": "bottom"}
        axes.annotate(name, (place, 1.01), fontsize=8, color=GREY, **above)
    axes.set(xlabel="coupling J", ylabel="magnetisation |m|", ylim=(-0.03, 1.05))
    axes.margins(x=0.01)
    axes.legend(loc="lower right")
    return figure


@styled
def magnetisation_traces(traces: Mapping[str, Numbers]) -> Figure:
    """The mean of all spins after each sweep of Gibbs sampling, one strip for each coupling.

    Args:
        traces: title of the strip → magnetisation after each sweep, in [−1, 1].

    >>> figure = magnetisation_traces({"J = 0.3": [0.1, -0.1, 0.0], "J = 0.6": [0.9, 0.95, 0.92]})
    >>> len(figure.axes)
    2
    """
    figure, panels = new_figure(6.9, 0.5 + 0.95 * len(traces), nrows=len(traces), sharex=True, squeeze=False)
    for axes, (title, values) in zip(panels[:, 0], traces.items(), strict=True):
        axes.plot(range(1, len(values) + 1), values, color=COLOURS["blue"], linewidth=0.7)
        axes.axhline(0, color=GREY, linewidth=0.8)
        axes.set(ylim=(-1.08, 1.08), yticks=(-1, 0, 1))
        axes.set_title(title, fontsize=9, pad=3)
        axes.margins(x=0.01)
    panels[len(traces) // 2, 0].set_ylabel("mean of the spins")
    panels[-1, 0].set_xlabel("sweep")
    return figure
