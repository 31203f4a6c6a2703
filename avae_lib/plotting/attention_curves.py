"""Curves of lecture 06: what depth brings, what attention costs, and where a hierarchy's KL goes during training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from avae_lib.plotting.style import GREY, INK, SEQUENTIAL, Numbers, Table, line_styles, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "bits_per_dim_against_depth",
    "costs_against_size",
    "gates_of_layers",
    "kl_of_layers_during_training",
    "quality_against_gpu_hours",
]


@styled
def bits_per_dim_against_depth(
    results: Mapping[str, Mapping[int, Numbers]], size: tuple[float, float] = (6.4, 3.2)
) -> Figure:
    """Bits per dimension against the number of layers: the mean over seeds, with a bar from the best to the worst.

    Args:
        results: model name → number of layers → bits/dim of each seed; a single number where only one is known.
        size: width and height in inches.

    >>> results = {"local": {4: [4.9, 5.0], 8: [4.7, 4.8]}, "attentive": {4: [4.8, 4.9], 8: [4.5, 4.6]}}
    >>> (axes,) = bits_per_dim_against_depth(results).axes
    >>> [label.get_text() for label in axes.get_legend().get_texts()]
    ['local', 'attentive']
    """
    figure, axes = new_figure(*size)
    depths = sorted({depth for of_model in results.values() for depth in of_model})
    for place, ((name, of_model), line) in enumerate(zip(results.items(), line_styles(), strict=False)):
        shift = 1 + 0.025 * (place - (len(results) - 1) / 2)  # so that bars of two models do not cover each other
        seeds = [np.atleast_1d(of_model[depth]) for depth in of_model]
        means = np.array([values.mean() for values in seeds])
        reach = np.array(
            [[mean - values.min(), values.max() - mean] for mean, values in zip(means, seeds, strict=True)]
        )
        axes.errorbar(np.array(list(of_model)) * shift, means, reach.T, marker="o", capsize=3, label=name, **line)
    axes.set_xscale("log", base=2)
    axes.set_xticks(depths, [str(depth) for depth in depths])
    axes.set(xlabel="stochastic layers L", ylabel="bits per dimension")
    if len(results) > 1:
        axes.legend()
    return figure


@styled
def costs_against_size(
    sizes: Numbers,
    costs: Mapping[str, Numbers],
    x_label: str,
    y_label: str,
    size: tuple[float, float] = (6.4, 3.2),
) -> Figure:
    """Costs against a size, both axes logarithmic, each line with the slope between its last two points.

    Args:
        sizes: what grows, increasing.
        costs: name → one positive number for each size.
        size: width and height of the figure in inches.

    >>> (axes,) = costs_against_size([8, 16, 32], {"over space": [1.0, 16.0, 256.0]}, "side", "seconds").axes
    >>> axes.get_xscale(), axes.get_yscale()
    ('log', 'log')
    """
    figure, axes = new_figure(*size)
    for (name, values), line in zip(costs.items(), line_styles(), strict=False):
        slope = np.log(values[-1] / values[-2]) / np.log(sizes[-1] / sizes[-2])
        axes.plot(sizes, values, marker="o", label=f"{name} (slope {slope:.1f})", **line)
    axes.set(xscale="log", yscale="log", xlabel=x_label, ylabel=y_label)
    axes.set_xticks(list(sizes), [f"{value:g}" for value in sizes])
    axes.set_xticks([], minor=True)
    axes.legend()
    return figure


@styled
def kl_of_layers_during_training(
    models: Mapping[str, tuple[Sequence[int], Sequence[Table] | np.ndarray]],
    y_label: str = "KL (nats per image)",
    size: tuple[float, float] = (7.0, 3.6),
) -> Figure:
    """KL of each layer over training, one panel for each model, on the same axes.

    A line is the mean over seeds, the band around it reaches from the smallest to the largest seed.

    Args:
        models: name → (steps, KL), the KL as ``(seeds, steps, layers)``, top layer first.
        size: width and height in inches.

    Two seeds, three moments of training, two layers:

    >>> kl = [[[1.0, 0.5], [2.0, 1.0], [3.0, 1.5]], [[1.2, 0.4], [2.2, 0.9], [3.1, 1.6]]]
    >>> figure = kl_of_layers_during_training({"local": ([10, 20, 30], kl), "attentive": ([10, 20, 30], kl)})
    >>> [axes.get_title("left") for axes in figure.axes]
    ['local', 'attentive', '']
    """
    figure, panels = new_figure(*size, ncols=len(models), sharex=True, sharey=True, squeeze=False)
    for axes, (name, (steps, kl)) in zip(panels[0], models.items(), strict=True):
        _draw_layers(axes, steps, np.asarray(kl, dtype=float))
        axes.set(title=name, xlabel="update")
    panels[0, 0].set(ylabel=y_label)
    panels[0, 0].set_ylim(bottom=0)
    _layer_colours(figure, panels[0].tolist(), max(np.asarray(kl, dtype=float).shape[2] for _, kl in models.values()))
    return figure


@styled
def gates_of_layers(
    gates: Mapping[str, Mapping[str, Numbers]], first_layer: Mapping[str, int], height: float = 3.0
) -> Figure:
    """Gates of attention, one panel for each kind of gate, one line for each moment of training.

    Args:
        gates: kind → moment → one gate for each layer that has one.
        first_layer: kind → number of the first layer with such a gate, 1 for the top.
        height: of the figure in inches.

    >>> gates = {"gate of contexts": {"start": [0.1, 0.1], "end": [0.5, 0.9]}}
    >>> (axes,) = gates_of_layers(gates, first_layer={"gate of contexts": 2}).axes
    >>> axes.get_title("left")
    'gate of contexts'
    """
    figure, panels = new_figure(7.0, height, ncols=len(gates), sharey=True, squeeze=False)
    for axes, (kind, moments) in zip(panels[0], gates.items(), strict=True):
        for (moment, values), line in zip(moments.items(), line_styles(), strict=False):
            layers = range(first_layer[kind], first_layer[kind] + len(values))
            axes.plot(layers, values, marker="o", label=moment, **line)
        axes.axhline(0, color=GREY, linewidth=0.8)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set(title=kind, xlabel="layer (1 = top)")
    panels[0, 0].set_ylabel("gate")
    panels[0, -1].legend()
    return figure


@styled
def quality_against_gpu_hours(results: Mapping[str, Sequence[tuple[float, float, str]]]) -> Figure:
    """Bits per dimension against the GPU hours that training took, each point with its label.

    Args:
        results: model → (GPU hours, bits/dim, label) of each run.

    >>> (axes,) = quality_against_gpu_hours({"NVAE": [(100.0, 2.91, "NVAE")], "attentive": [(50.0, 2.79, "ours")]}).axes
    >>> axes.get_ylabel()
    'bits per dimension (lower is better)'
    """
    figure, axes = new_figure(6.4, 3.2)
    for (name, runs), line in zip(results.items(), line_styles(), strict=False):
        hours, bits, labels = zip(*runs, strict=True)
        axes.plot(hours, bits, marker="o", markersize=7, label=name, **line)
        for place in zip(hours, bits, labels, strict=True):
            axes.annotate(place[2], place[:2], textcoords="offset points", xytext=(7, 5), color=INK)
    axes.set(xlabel="GPU hours", ylabel="bits per dimension (lower is better)")
    axes.margins(0.14)
    axes.legend(loc="upper right")
    return figure


def _colour_of(layer: int, layers: int) -> tuple[float, float, float, float]:
    """Dark for the top layer, bright for the bottom one, without the yellow that is too pale on white paper."""
    from matplotlib import colormaps

    return colormaps[SEQUENTIAL](0.9 * layer / max(1, layers - 1))


def _draw_layers(axes: Axes, steps: Sequence[int], kl: np.ndarray) -> None:
    for layer in range(kl.shape[2]):
        colour = _colour_of(layer, kl.shape[2])
        of_layer = kl[:, :, layer]
        axes.plot(steps, of_layer.mean(axis=0), color=colour)
        axes.fill_between(steps, of_layer.min(axis=0), of_layer.max(axis=0), color=colour, alpha=0.2, linewidth=0)


def _layer_colours(figure: Figure, panels: list[Axes], layers: int) -> None:
    """A scale beside the panels that shows which colour is which layer."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import BoundaryNorm, ListedColormap

    colours = ListedColormap([_colour_of(layer, layers) for layer in range(layers)])
    scale = ScalarMappable(BoundaryNorm(np.arange(layers + 1) + 0.5, layers), colours)
    bar = figure.colorbar(scale, ax=panels, ticks=range(1, layers + 1, max(1, layers // 8)), pad=0.02)
    bar.ax.invert_yaxis()
    bar.set_label("layer (1 = top)")
    bar.outline.set_visible(False)
