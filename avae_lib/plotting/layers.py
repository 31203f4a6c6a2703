"""Where a hierarchy keeps its information: KL of each stochastic layer, at the end and during training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from avae_lib.plotting.style import GREY, INK, SEQUENTIAL, SERIES, Numbers, Table, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["codes_in_use", "kl_during_training", "kl_per_layer", "unit_activity"]


@styled
def kl_per_layer(
    kl: Mapping[str, Numbers] | Numbers,
    standard_errors: Numbers | None = None,
    y_label: str = "KL (nats per image)",
    size: tuple[float, float] = (6.4, 3.0),
) -> Figure:
    """One bar for each stochastic layer, top layer first; several models stand side by side.

    Args:
        kl: one value for each layer, top first; or model name → such values, to compare models.
        standard_errors: of a single model's values; bars of two standard errors are drawn.
        size: width and height in inches.

    >>> (axes,) = kl_per_layer([8.0, 14.0, 0.1], standard_errors=[0.2, 0.3, 0.01]).axes
    >>> axes.get_ylabel()
    'KL (nats per image)'
    """
    models = kl if isinstance(kl, Mapping) else {"": kl}
    figure, axes = new_figure(*size)
    width = 0.8 / len(models)
    for number, (name, values) in enumerate(models.items()):
        places = np.arange(1, len(values) + 1) + (number - (len(models) - 1) / 2) * width
        errors = None if standard_errors is None else 2 * np.asarray(standard_errors)
        look = {"color": SERIES[number % len(SERIES)], "ecolor": INK, "capsize": 2}
        axes.bar(places, values, width * 0.9, yerr=errors, label=name, **look)
    _number_bars(axes, max(len(values) for values in models.values()))
    axes.set(xlabel="stochastic layer (1 = top, next to the prior)", ylabel=y_label)
    axes.set_ylim(bottom=0)
    axes.grid(axis="x", visible=False)
    if len(models) > 1:
        axes.legend()
    return figure


@styled
def kl_during_training(
    steps: Sequence[int],
    kl: Table,
    unit: str = "nats per image",
    size: tuple[float, float] = (6.4, 3.2),
) -> Figure:
    """KL of each layer over training as a heat map, with the sum over layers above it.

    Args:
        steps: training step of each row, increasing.
        kl: ``(len(steps), layers)``, top layer first, nats.
        size: width and height in inches.

    >>> figure = kl_during_training([100, 200], kl=[[0.1, 0.2], [8.0, 14.0]])
    >>> [axes.get_ylabel() for axes in figure.axes]
    ['sum', 'layer (1 = top)', 'nats per image']
    """
    nats = np.asarray(kl, dtype=float)
    if nats.shape[1] == 1:
        figure, total = new_figure(*size)
    else:
        heights = {"height_ratios": (1, 2)}
        figure, (total, heat) = new_figure(*size, nrows=2, sharex=True, gridspec_kw=heights)
        _draw_heat(figure, heat, steps, nats, unit)
    total.plot(steps, nats.sum(axis=1), color=SERIES[0], marker="o" if len(steps) == 1 else None)
    total.set_ylabel("KL" if nats.shape[1] == 1 else "sum")
    total.set_ylim(bottom=0)
    figure.axes[-1 if nats.shape[1] == 1 else 1].set_xlabel("update")
    return figure


@styled
def unit_activity(variances: Numbers, threshold: float, size: tuple[float, float] = (6.4, 3.0)) -> Figure:
    """Variance over images of each unit's posterior mean, largest first, with the line between active and not.

    Args:
        variances: one for each unit of a layer.
        threshold: units above it are drawn as active.
        size: width and height in inches.

    >>> (axes,) = unit_activity([0.9, 0.001, 0.5], threshold=0.01).axes
    >>> axes.get_ylabel()
    'variance of the posterior mean'
    """
    figure, axes = new_figure(*size)
    ordered = np.sort(np.asarray(variances, dtype=float))[::-1]
    colours = [SERIES[0] if value > threshold else GREY for value in ordered]
    axes.bar(range(1, len(ordered) + 1), ordered, 0.8, color=colours)
    axes.axhline(threshold, color=INK, linestyle=":", linewidth=1.2)
    axes.set(yscale="log", xlabel="unit, most active first", ylabel="variance of the posterior mean")
    _number_bars(axes, len(ordered))
    axes.grid(axis="x", visible=False)
    return figure


@styled
def codes_in_use(
    counts: Sequence[Sequence[int]], perplexity: Numbers, size: tuple[float, float] = (6.4, 2.6)
) -> Figure:
    """How often each code is used, the most used one first, and what even use of all codes would be (dotted).

    Args:
        counts: uses of each code, for each level of codes, top first.
        perplexity: exp of the entropy of these uses, for each level.
        size: width and height of one level in inches.

    >>> [axes.get_title("left") for axes in codes_in_use([[50, 30, 0]], perplexity=[1.9]).axes]
    ['2 of 3 codes in use, perplexity 1.9']
    """
    figure, axes = new_figure(size[0], size[1] * len(counts), nrows=len(counts), squeeze=False)
    for level, (graph, uses, even) in enumerate(zip(axes[:, 0], counts, perplexity, strict=True), start=1):
        ordered = np.sort(np.asarray(uses, dtype=float))[::-1]
        shares = 100 * ordered / max(1.0, ordered.sum())
        graph.bar(range(1, len(shares) + 1), shares, 0.8, color=SERIES[0])
        graph.axhline(100 / len(shares), color=INK, linestyle=":", linewidth=1.2)
        name = f"level {level}: " if len(counts) > 1 else ""
        used = f"{int((ordered > 0).sum())} of {len(shares)} codes in use"
        graph.set(ylabel="% of positions", title=f"{name}{used}, perplexity {even:.1f}")
        _number_bars(graph, len(shares))
        graph.grid(axis="x", visible=False)
    axes[-1, 0].set_xlabel("code, most used first")
    return figure


def _draw_heat(figure: Figure, axes: Axes, steps: Sequence[int], kl: np.ndarray, unit: str) -> None:
    from matplotlib.colors import PowerNorm

    layers = np.arange(1, kl.shape[1] + 1)
    # Colours follow the square root: on a linear scale one busy layer would hide whether the others are in use.
    scale = PowerNorm(0.5, vmin=0)
    mesh = axes.pcolormesh(steps, layers, kl.T, cmap=SEQUENTIAL, shading="nearest", norm=scale, rasterized=True)
    axes.invert_yaxis()
    axes.set(yticks=layers[:: max(1, len(layers) // 8)], ylabel="layer (1 = top)")
    axes.grid(False)
    figure.colorbar(mesh, ax=axes, label=unit, pad=0.02).outline.set_visible(False)


def _number_bars(axes: Axes, bars: int) -> None:
    axes.set_xticks(range(1, bars + 1, max(1, bars // 16)))
    axes.set_xlim(0.4, bars + 0.6)
