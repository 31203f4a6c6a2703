"""Pictures of lecture 04 on likelihoods: densities of pixel levels, bins of a logistic, clouds of colours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from avae_lib.plotting.style import COLOURS, GREY, INK, Numbers, line_styles, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["claimed_bits", "colour_clouds", "level_densities", "logistic_bins"]


@styled
def level_densities(levels: Tensor, shares: Tensor, densities: Mapping[str, tuple[Tensor, Tensor]]) -> Figure:
    """Shares of pixel levels as bars, one level wide, with one density on top of them in each panel.

    Args:
        levels: ``(levels,)``.
        shares: share of pixels with each level, ``(levels,)``; the area of its bar.
        densities: title → places and density there.

    >>> import torch
    >>> levels, shares = torch.arange(4.0), torch.tensor([0.4, 0.3, 0.2, 0.1])
    >>> figure = level_densities(levels, shares, {"fit": (levels, shares), "memorised": (levels, 2 * shares)})
    >>> [axes.get_title("left") for axes in figure.axes]
    ['fit', 'memorised']
    """
    figure, panels = new_figure(7.2, 2.9, ncols=len(densities), sharey=True, squeeze=False)
    for axes, (title, (x, density)) in zip(panels[0], densities.items(), strict=True):
        look = {"color": COLOURS["sky"], "alpha": 0.55, "edgecolor": "white"}
        axes.bar(np.asarray(levels), np.asarray(shares), 1.0, label="share of pixels", **look)
        axes.plot(x, density, color=COLOURS["vermilion"], linewidth=1.5, label="density")
        axes.set(title=title, xlabel="level")
        axes.grid(axis="x", visible=False)
    panels[0, 0].set_ylabel("share, density")
    panels[0, 0].legend(loc="upper left")
    return figure


@styled
def claimed_bits(widths: Numbers, curves: Mapping[str, Numbers], entropy: float) -> Figure:
    """Bits per value by several ways of scoring one family of densities, against the width of their bumps.

    The axis ends at twice the entropy: what lies above is cut off.

    Args:
        widths: in pixel levels; drawn on a logarithmic axis, the narrowest at the right.
        curves: way of scoring → bits per value at each width.
        entropy: of the levels, bits; drawn as a dotted line.

    >>> (axes,) = claimed_bits([1.0, 0.1, 0.01], {"density at the level": [3.0, 0.0, -3.0]}, entropy=3.5).axes
    >>> axes.get_xscale()
    'log'
    """
    figure, axes = new_figure(6.6, 3.6)
    for (name, bits), line in zip(curves.items(), line_styles(), strict=False):
        axes.plot(widths, bits, label=name, **line)
    axes.axhline(entropy, color=INK, linestyle=":", linewidth=1.2, label="entropy of the levels")
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.set(xscale="log", xlabel="width of the bumps (levels)", ylabel="bits per value")
    axes.set_xlim(max(widths), min(widths))
    axes.set_ylim(min(map(min, curves.values())) - 0.5, 2 * entropy)
    figure.legend(loc="outside upper left", ncols=2)
    return figure


@styled
def logistic_bins(mean: float, scale: float, probabilities: Tensor, title: str = "") -> Figure:
    """A logistic density over [−1, 1] and the probabilities of the levels that it is cut into, as areas of bars.

    Args:
        mean, scale: of the logistic, on the scale [−1, 1].
        probabilities: of all levels, ``(levels,)``; level v is drawn at its place on that scale.
        title: of the figure.

    >>> import torch
    >>> (axes,) = logistic_bins(0.0, 0.5, torch.tensor([0.3, 0.2, 0.2, 0.3]), title="two bits").axes
    >>> axes.get_title("left")
    'two bits'
    """
    figure, axes = new_figure(6.4, 2.9)
    places = np.linspace(-1, 1, len(probabilities))
    width = places[1] - places[0]
    colours = [COLOURS["orange"] if place in (-1, 1) else COLOURS["sky"] for place in places]
    heights = np.asarray(probabilities) / width
    axes.bar(places, heights, width, color=colours, alpha=0.7, edgecolor="white")
    t = np.linspace(-1.7, 1.7, 1200)
    density = 1 / (4 * scale * np.cosh(np.clip((t - mean) / (2 * scale), -300, 300)) ** 2)
    axes.plot(t, density, color=INK, linewidth=1.5)
    axes.set_xticks(places, [f"{place:.2f}".replace("-", "−") for place in places])
    axes.set(title=title, xlabel="value of the level on [−1, 1]", ylabel="density", xlim=(t[0], t[-1]))
    axes.set_ylim(0, 1.08 * max(heights.max(), min(density.max(), 1.2 * heights.max())))
    axes.grid(axis="x", visible=False)
    return figure


@styled
def colour_clouds(clouds: Mapping[str, Tensor]) -> Figure:
    """Green against red of pixels, one panel for each set, every dot in the colour of its pixel.

    Args:
        clouds: title → 8-bit levels, ``(pixels, 3)``.

    >>> import torch
    >>> clouds = {"photographs": torch.tensor([[200, 180, 90], [20, 40, 60]], dtype=torch.uint8)}
    >>> [axes.get_title("left") for axes in colour_clouds(clouds).axes]
    ['photographs']
    """
    columns = 2 if len(clouds) > 3 else len(clouds)
    rows = -(-len(clouds) // columns)
    figure, panels = new_figure(6.4, 3.2 * rows, nrows=rows, ncols=columns, sharex=True, sharey=True, squeeze=False)
    for axes in panels.flat[len(clouds) :]:
        axes.set_visible(False)
    for axes, (title, levels) in zip(panels.flat, clouds.items(), strict=False):
        red, green, _ = np.asarray(levels, dtype=float).T
        axes.scatter(red, green, s=9, c=np.asarray(levels, dtype=float) / 255, edgecolors=GREY, linewidths=0.15)
        axes.set(title=title, xlim=(-6, 261), ylim=(-6, 261), xticks=(0, 128, 255), yticks=(0, 128, 255))
    figure.supxlabel("red", fontsize=9)
    figure.supylabel("green", fontsize=9)
    return figure
