"""Pictures of lecture 07 on codes: what an image does to the stack, how long codes are, and what they lose."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from avae_lib.plotting.style import COLOURS, GREY, INK, Numbers, line_styles, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "code_lengths",
    "cost_per_image",
    "layer_rates",
    "quality_against_rate",
    "rounding_overhead",
    "stack_account",
]


class StackAccount(Protocol):
    """What one image did to the stack, bits."""

    returned: float
    pixels: float
    latents: float


@styled
def stack_account(accounts: Sequence[StackAccount], bounds: Numbers) -> Figure:
    """Height of the stack through the three steps of each image, beside the sum of the bounds.

    Args:
        accounts: of the first images, in order.
        bounds: −ELBO of each of them, bits.

    >>> from avae_lib.compression import Account
    >>> (axes,) = stack_account([Account(20.0, 90.0, 26.0), Account(18.0, 80.0, 22.0)], bounds=[96.0, 84.0]).axes
    >>> axes.get_ylabel()
    'bits on the stack'
    """
    figure, axes = new_figure(7.0, 3.4)
    steps = {"pop z with q(z | x)": "vermilion", "push x with p(x | z)": "blue", "push z with p(z)": "sky"}
    height = 0.0
    for image, account in enumerate(accounts):
        changes = (-account.returned, account.pixels, account.latents)
        for place, (change, (name, colour)) in enumerate(zip(changes, steps.items(), strict=True)):
            label = name if image == 0 else None
            axes.bar(image + 0.22 + 0.28 * place, change, 0.28, bottom=height, color=COLOURS[colour], label=label)
            height += change
    axes.use_sticky_edges = False  # a margin below the lowest bar
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.step(np.arange(len(bounds) + 1), [0, *np.cumsum(bounds)], where="post", color=INK, label="sum of −ELBO")
    axes.set_xticks(np.arange(len(accounts)) + 0.5, [f"image {image + 1}" for image in range(len(accounts))])
    axes.set(ylabel="bits on the stack", xlim=(0, len(accounts)))
    axes.grid(False, axis="x")
    figure.legend(loc="outside lower center", ncols=4)
    return figure


@styled
def code_lengths(panels: Mapping[str, Mapping[str, float]], unit: str, bound: str) -> Figure:
    """Lengths of codes as bars, shortest first; one panel for each data set.

    Args:
        panels: title → name of a code → length.
        bound: name of the entry that is no code but the bound: a line in place of a bar.

    >>> lengths = {"gzip": 5.1, "PNG": 4.9, "−ELBO": 4.2}
    >>> [axes.get_title("left") for axes in code_lengths({"photos32": lengths}, unit="bits/dim", bound="−ELBO").axes]
    ['photos32']
    """
    rows = max(map(len, panels.values()))
    figure, all_axes = new_figure(7.2, 0.9 + 0.28 * rows, ncols=len(panels), squeeze=False)
    for axes, (title, lengths) in zip(all_axes[0], panels.items(), strict=True):
        bars = dict(sorted(((name, length) for name, length in lengths.items() if name != bound), key=lambda x: -x[1]))
        colours = [COLOURS["vermilion"] if "bits back" in name else COLOURS["sky"] for name in bars]
        drawn = axes.barh(list(bars), bars.values(), color=colours)
        axes.axvline(lengths[bound], color=INK, linestyle="--", linewidth=1.2, label=bound)
        paper = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        axes.bar_label(drawn, fmt="%.1f" if max(bars.values()) > 20 else "%.2f", padding=4, bbox=paper)
        axes.set(title=title, xlabel=unit, xlim=(0, 1.2 * max(bars.values())))
        axes.grid(False, axis="y")
        axes.tick_params(axis="y", labelcolor=INK)
    figure.legend(*all_axes[0, 0].get_legend_handles_labels(), loc="outside lower center")
    return figure


@styled
def cost_per_image(curves: Mapping[str, Numbers], bound: float, unit: str = "bits per image") -> Figure:
    """Length of a file divided by the number of images in it.

    Args:
        curves: name → value after 1, 2, 3, … images.
        bound: −ELBO, a horizontal line.

    >>> (axes,) = cost_per_image({"bits back": [200.0, 150.0, 133.0]}, bound=100.0).axes
    >>> axes.get_ylabel()
    'bits per image'
    """
    figure, axes = new_figure(6.4, 3.2)
    for (name, values), line in zip(curves.items(), line_styles(), strict=False):
        axes.plot(np.arange(1, len(values) + 1), values, label=name, **line)
    axes.axhline(bound, color=INK, linestyle="--", linewidth=1.2, label="−ELBO")
    axes.set(xscale="log", yscale="log", xlabel="images in the file", ylabel=unit)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("{x:g}" if axis is axes.yaxis else "")
    axes.legend()
    return figure


@styled
def rounding_overhead(overheads: Mapping[str, Mapping[int, tuple[float, float]]], unit: str) -> Figure:
    """What rounding the latents adds to the parts of a code, against the bits of a latent; near 0 the axis is linear.

    Args:
        overheads: part → bits of a latent → (mean change, standard error); bars reach two of them.

    >>> overheads = {"pixels": {4: (2.0, 0.1), 8: (0.1, 0.01)}, "latents": {4: (0.5, 0.1), 8: (0.0, 0.01)}}
    >>> (axes,) = rounding_overhead(overheads, unit="bits per image").axes
    >>> axes.get_ylabel()
    'bits per image'
    """
    figure, axes = new_figure(6.4, 3.4)
    axes.axhline(0, color=GREY, linewidth=0.8)
    for (name, changes), line in zip(overheads.items(), line_styles(), strict=False):
        means, errors = np.array(list(changes.values()), dtype=float).T
        axes.errorbar(list(changes), means, 2 * errors, marker="o", capsize=3, label=name, **line)
    axes.set_yscale("symlog", linthresh=0.1)
    axes.set(xlabel="bits of a latent", ylabel=unit, xticks=list(changes))
    axes.legend()
    return figure


@styled
def layer_rates(rates: Mapping[str, Numbers], unit: str) -> Figure:
    """What each layer costs under several ways to count, as grouped bars on a logarithmic axis.

    Args:
        rates: way of counting → value of each layer, top first.

    >>> (axes,) = layer_rates({"KL": [8.0, 14.0], "measured": [7.0, 15.0]}, unit="bits per image").axes
    >>> axes.get_yscale()
    'log'
    """
    figure, axes = new_figure(7.0, 3.2)
    width = 0.8 / len(rates)
    colours = itertools.cycle(COLOURS[name] for name in ("blue", "orange", "green", "purple"))
    for place, ((name, values), colour) in enumerate(zip(rates.items(), colours, strict=False)):
        layers = np.arange(1, len(values) + 1)
        axes.bar(layers + (place - (len(rates) - 1) / 2) * width, values, width, label=name, color=colour)
    axes.set(yscale="log", xlabel="layer (1 is the top)", ylabel=unit, xticks=layers)
    axes.grid(False, axis="x")
    figure.legend(loc="outside lower center", ncols=len(rates))
    return figure


@styled
def quality_against_rate(
    curves: Mapping[str, Sequence[tuple[float, float]]], points: Mapping[str, tuple[float, float]] | None = None
) -> Figure:
    """Peak signal-to-noise ratio against rate: a line for each codec, crosses for what is no code.

    Args:
        curves: name → (bits per pixel, decibels), in the order in which they are joined.
        points: name → (bits per pixel, decibels).

    >>> curves = {"JPEG": [(0.5, 25.0), (1.0, 28.0)], "hierarchy": [(0.4, 25.0), (0.9, 29.0)]}
    >>> (axes,) = quality_against_rate(curves, points={"mean image": (0.0, 15.0)}).axes
    >>> axes.get_xlabel()
    'bits per pixel'
    """
    figure, axes = new_figure(6.8, 3.8)
    for (name, pairs), line in zip(curves.items(), line_styles(), strict=False):
        axes.plot(*np.array(pairs, dtype=float).T, marker="o", markersize=4, label=name, **line)
    for name, place in (points or {}).items():
        axes.plot(*place, marker="X", markersize=9, linestyle="", color=INK, label=name)
    axes.set(xlabel="bits per pixel", ylabel="PSNR (dB)")
    axes.set_xlim(left=0)
    figure.legend(loc="outside right upper")
    return figure
