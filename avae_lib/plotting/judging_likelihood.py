"""Pictures of lecture 07 on the numbers that judge a model: bits, importance weights, temperatures, distances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from avae_lib.plotting.style import GREY, INK, SERIES, Numbers, line_styles, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "against_temperature",
    "distances_against_samples",
    "intervals",
    "knowledge_by_depth",
    "numbers_reported",
    "shares_of_weights",
]

_MARKERS = ("o", "D", "s", "^")


@styled
def numbers_reported(models: Mapping[str, Mapping[str, float]], x_label: str) -> Figure:
    """Several numbers for each of a few models, one row for each way to compute it, written beside the markers.

    Args:
        models: model → way → number; every model has the same ways.
        x_label: below the axis.

    >>> models = {"VAE": {"−ELBO": 92.0, "64 samples": 90.1}, "hierarchy": {"−ELBO": 88.0, "64 samples": 87.2}}
    >>> (axes,) = numbers_reported(models, "nats per image").axes
    >>> axes.get_xlabel()
    'nats per image'
    """
    ways = list(next(iter(models.values())))
    figure, axes = new_figure(7.0, 0.8 + 0.36 * len(ways))
    axes.axvline(0, color=GREY, linewidth=0.8)
    for (name, numbers), colour, marker in zip(models.items(), SERIES, _MARKERS, strict=False):
        axes.plot([numbers[way] for way in ways], range(len(ways)), marker, color=colour, label=name)
    for row, way in enumerate(ways):
        numbers = [of_model[way] for of_model in models.values()]
        words = " and ".join(f"{number:.2f}".replace("-", "−") for number in numbers)
        place = {"xytext": (9, 0), "textcoords": "offset points", "va": "center", "color": INK}
        label = axes.annotate(words, (max(numbers), row), **place)
        label.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1})
    axes.set_yticks(range(len(ways)), ways)
    axes.set(xlabel=x_label, ylim=(len(ways) - 0.5, -0.5))
    axes.margins(x=0.16)
    figure.legend(loc="outside upper right", ncols=len(models))
    return figure


@styled
def intervals(rows: Mapping[str, tuple[float, float]], x_label: str) -> Figure:
    """Estimates with their intervals, one below the other, beside a line at zero.

    Args:
        rows: name → (estimate, half the width of its interval).
        x_label: below the axis.

    >>> (axes,) = intervals({"A − B": (0.02, 0.03), "A − C": (0.10, 0.03)}, "bits per dimension").axes
    >>> axes.get_xlabel()
    'bits per dimension'
    """
    figure, axes = new_figure(6.8, 0.8 + 0.36 * len(rows))
    axes.axvline(0, color=GREY, linewidth=0.8)
    means, reaches = zip(*rows.values(), strict=True)
    axes.errorbar(means, range(len(rows)), xerr=reaches, fmt="o", capsize=4, color=SERIES[0])
    axes.set_yticks(range(len(rows)), list(rows))
    axes.set(xlabel=x_label, ylim=(len(rows) - 0.5, -0.5))
    return figure


@styled
def shares_of_weights(weights: Mapping[str, Numbers]) -> Figure:
    """Share of the sum of importance weights that the largest ones hold together, against how many these are.

    Args:
        weights: name → importance weights of one example, up to a common factor, in any order.

    >>> (axes,) = shares_of_weights({"even": [1.0, 1.0, 1.0], "uneven": [10.0, 1.0, 0.1]}).axes
    >>> axes.get_xlabel()
    'how many draws, the heaviest first'
    """
    figure, axes = new_figure(6.4, 3.0)
    for (name, values), line in zip(weights.items(), line_styles(), strict=False):
        shares = np.cumsum(np.sort(np.asarray(values, dtype=float))[::-1])
        axes.plot(range(1, len(shares) + 1), shares / shares[-1], label=name, **line)
    axes.set(xscale="log", ylim=(0, 1.03), xlabel="how many draws, the heaviest first", ylabel="share of all weight")
    axes.legend(loc="lower right")
    return figure


@styled
def knowledge_by_depth(
    bits: Numbers, errors: Mapping[str, Numbers], resolutions: Sequence[int], error_label: str
) -> Figure:
    """What each layer costs, above, and how well images are reconstructed with the top k layers kept, below.

    Args:
        bits: KL of each layer, top first, bits per dimension.
        errors: name → error with 0, 1, … layers kept, one more than there are layers.
        resolutions: height of each layer's latents, written below its bar.
        error_label: beside the lower panel.

    >>> figure = knowledge_by_depth([0.5, 2.0], {"photos": [30.0, 20.0, 5.0]}, resolutions=[1, 8], error_label="error")
    >>> [axes.get_ylabel() for axes in figure.axes]
    ['KL (bits per dimension)', 'error']
    """
    figure, (above, below) = new_figure(6.8, 4.4, nrows=2, sharex=True)
    layers = np.arange(1, len(bits) + 1)
    above.bar(layers, bits, 0.8, color=SERIES[0])
    above.set(ylabel="KL (bits per dimension)")
    for (name, values), line in zip(errors.items(), line_styles(), strict=False):
        below.plot([0, *layers], values, marker="o", label=name, **line)
    names = ["none"] + [f"{layer}\n{size}×{size}" for layer, size in zip(layers, resolutions, strict=True)]
    below.set_xticks([0, *layers], names)
    below.set(xlabel="layer; layers kept from the top", ylabel=error_label)
    below.set_ylim(bottom=0)
    below.legend()
    for axes in (above, below):
        axes.grid(axis="x", visible=False)
    return figure


@styled
def against_temperature(temperatures: Numbers, panels: Mapping[str, Mapping[str, Numbers]], at: float = 1.0) -> Figure:
    """Measurements of samples against their temperature, one panel for each measurement.

    Args:
        temperatures: increasing.
        panels: what is measured → name → one number for each temperature.
        at: temperature marked by a dotted line.

    >>> panels = {"variety": {"model": [0.2, 0.5]}, "distance": {"model": [30.0, 35.0]}}
    >>> [axes.get_title("left") for axes in against_temperature([0.5, 1.0], panels).axes]
    ['variety', 'distance']
    """
    figure, all_axes = new_figure(7.2, 2.9, ncols=len(panels), squeeze=False)
    for axes, (title, curves) in zip(all_axes[0], panels.items(), strict=True):
        axes.axvline(at, color=GREY, linestyle=":", linewidth=1.2)
        for (name, values), line in zip(curves.items(), line_styles(), strict=False):
            axes.plot(temperatures, values, marker="o", label=name, **line)
        axes.set(title=title, xlabel="temperature")
        if len(curves) > 1:
            axes.legend()
    return figure


@styled
def distances_against_samples(
    sizes: Sequence[int], distances: Mapping[str, tuple[Numbers, Numbers]], y_label: str
) -> Figure:
    """A distance between two sets of samples against how many there are in each, both axes logarithmic.

    Args:
        sizes: how many samples, increasing.
        distances: name → (mean for each size, standard deviation over repetitions for each size).
        y_label: beside the axis.

    >>> (axes,) = distances_against_samples([10, 100], {"two halves": ([9.0, 1.0], [1.0, 0.1])}, "distance").axes
    >>> axes.get_yscale()
    'log'
    """
    figure, axes = new_figure(6.4, 3.2)
    for (name, (means, spreads)), line in zip(distances.items(), line_styles(), strict=False):
        axes.errorbar(sizes, means, yerr=spreads, marker="o", capsize=3, label=name, **line)
    axes.set(xscale="log", yscale="log", xlabel="images in each set", ylabel=y_label)
    axes.set_xticks(list(sizes), [f"{size:,}" for size in sizes])
    axes.set_xticks([], minor=True)
    axes.legend()
    return figure
