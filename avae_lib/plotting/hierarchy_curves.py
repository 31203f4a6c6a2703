"""Graphs of lecture 05: tables beside the published ones, rates that add up over layers, densities in a plane."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from avae_lib.plotting.style import COLOURS, GREY, INK, SEQUENTIAL, Numbers, Table, line_styles, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "cumulative_kl",
    "density_maps",
    "layers_in_use",
    "merged_gaussians",
    "published_and_measured",
    "stream_spread",
]


@styled
def published_and_measured(
    published: Mapping[str, float],
    measured: Mapping[str, Numbers],
    x_label: str,
    titles: tuple[str, str],
    y_labels: tuple[str, str] = ("test loss", "bits per dimension"),
) -> Figure:
    """A published table on the left, and on the right the same question answered by runs of our own.

    Args:
        published: setting → published number, in the order in which they are drawn.
        measured: setting → one number for each seed; points are seeds, the line joins their means.
        x_label: what the settings are.
        titles, y_labels: of the two panels.

    >>> published, measured = {"3": 87.3, "5": 85.0}, {"3": [4.9, 5.0], "5": [4.8, 4.7]}
    >>> figure = published_and_measured(published, measured, "layers", ("paper", "ours"))
    >>> [axes.get_title("left") for axes in figure.axes]
    ['paper', 'ours']
    """
    figure, (left, right) = new_figure(7.0, 3.0, ncols=2)
    left.plot(list(published.values()), marker="o", color=GREY)
    right.plot([np.mean(seeds) for seeds in measured.values()], marker="_", markersize=16, color=COLOURS["blue"])
    for place, seeds in enumerate(measured.values()):
        right.plot([place] * len(seeds), list(seeds), "o", color=COLOURS["vermilion"], markersize=4, zorder=3)
    for axes, table, title, y_label in zip((left, right), (published, measured), titles, y_labels, strict=True):
        axes.set_xticks(range(len(table)), list(table))
        axes.set(title=title, xlabel=x_label, ylabel=y_label)
        axes.margins(x=0.12, y=0.15)
    return figure


@styled
def cumulative_kl(models: Mapping[str, Table], resolutions: Sequence[int], share: bool = False) -> Figure:
    """The KL of the layers down to each one, added up from the top.

    Lines are means over seeds, bands reach from the smallest to the largest seed. Below the axis stands the resolution
    of the layers, where all models have the same ones.

    Args:
        models: name → KL of each layer, ``(seeds, layers)``, nats, top first.
        resolutions: height and width of each layer's latents, top first.
        share: whether each seed's curve is divided by its total.

    >>> (axes,) = cumulative_kl({"hierarchy": [[8.0, 14.0, 34.0], [7.0, 15.0, 30.0]]}, resolutions=[1, 4, 8]).axes
    >>> axes.get_ylabel()
    'KL so far (nats per image)'
    """
    figure, axes = new_figure(6.8, 3.4)
    layers = np.arange(len(resolutions) + 1)
    for (name, kl), line in zip(models.items(), line_styles(), strict=False):
        total = np.pad(np.cumsum(np.asarray(kl, dtype=float), axis=1), ((0, 0), (1, 0)))
        total = total / total[:, -1:] if share else total
        axes.plot(layers, total.mean(axis=0), marker="o", markersize=3.5, label=name, **line)
        axes.fill_between(layers, total.min(axis=0), total.max(axis=0), color=line["color"], alpha=0.15, linewidth=0)
    _mark_resolutions(axes, resolutions)
    y_label = "share of the KL so far" if share else "KL so far (nats per image)"
    axes.set(xlabel="layers counted, from the top", ylabel=y_label, xticks=layers[:: max(1, len(layers) // 12)])
    axes.legend(loc="upper left", bbox_to_anchor=(0.02, 0.9))
    return figure


@styled
def layers_in_use(
    models: Mapping[str, tuple[Sequence[int], Sequence[Table] | np.ndarray]], highest_kl: float
) -> Figure:
    """KL of some layers over training, one panel for each model: means over seeds, with their range as a band.

    Args:
        models: title → (steps, KL), the KL as ``(seeds, steps, layers)``, nats, top layer first.
        highest_kl: where the vertical axis ends; what is higher is cut off.

    >>> kl = [[[1.0, 0.5], [2.0, 1.0], [3.0, 1.5]]]
    >>> figure = layers_in_use({"ladder": ([10, 20, 30], kl), "plain": ([10, 20, 30], kl)}, highest_kl=4.0)
    >>> [axes.get_title("left") for axes in figure.axes]
    ['ladder', 'plain']
    """
    figure, panels = new_figure(7.2, 3.1, ncols=len(models), sharex=True, sharey=True, squeeze=False)
    for axes, (title, (steps, kl)) in zip(panels[0], models.items(), strict=True):
        of_layers = np.moveaxis(np.asarray(kl, dtype=float), 2, 0)
        for number, (seeds, line) in enumerate(zip(of_layers, line_styles(), strict=False), start=1):
            label = f"layer {number}{' (top)' if number == 1 else ''}"
            axes.plot(steps, seeds.mean(axis=0), label=label, **line)
            axes.fill_between(steps, seeds.min(axis=0), seeds.max(axis=0), color=line["color"], alpha=0.2, linewidth=0)
        axes.set(title=title, xlabel="update", ylim=(0, highest_kl))
    panels[0, 0].set_ylabel("KL (nats per image)")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(of_layers))
    return figure


@styled
def merged_gaussians(
    evidence: tuple[float, float], prior: tuple[float, float], merged: tuple[float, float], title: str = ""
) -> Figure:
    """Densities of two Gaussians and of the one that merges them, each given as mean and standard deviation.

    >>> (axes,) = merged_gaussians(evidence=(1.0, 0.5), prior=(0.0, 1.0), merged=(0.8, 0.447), title="a ladder").axes
    >>> axes.get_title("left")
    'a ladder'
    """
    figure, axes = new_figure(6.4, 2.8)
    z = np.linspace(-4.0, 5.0, 600)
    named = {"prior, from above": prior, "evidence, from the image": evidence, "merged": merged}
    for (name, (mean, std)), line in zip(named.items(), line_styles(), strict=False):
        density = np.exp(-0.5 * ((z - mean) / std) ** 2) / (std * np.sqrt(2 * np.pi))
        axes.plot(z, density, label=name, **line)
        if name == "merged":
            axes.fill_between(z, density, color=line["color"], alpha=0.12, linewidth=0)
    axes.set(xlabel="z", ylabel="density", title=title, ylim=(0, 1.15), xlim=(z[0], z[-1]))
    axes.legend(loc="upper left")
    return figure


@styled
def density_maps(
    densities: Mapping[str, Tensor],
    extent: tuple[float, float, float, float],
    axis_labels: tuple[str, str] = ("$x_1$", "$x_2$"),
) -> Figure:
    """Densities in the plane side by side, all on one scale of shades.

    Args:
        densities: title → density on a grid, ``(points along the first axis, points along the second)``.
        extent: left, right, bottom, top.

    >>> import torch
    >>> figure = density_maps({"prior": torch.ones(5, 5), "posterior": torch.eye(5)}, extent=(-1, 1, -1, 1))
    >>> [axes.get_title("left") for axes in figure.axes]
    ['prior', 'posterior']
    """
    figure, panels = new_figure(7.2, 2.55, ncols=len(densities), sharey=True, squeeze=False)
    brightest = max(float(density.max()) for density in densities.values())
    for axes, (title, density) in zip(panels[0], densities.items(), strict=True):
        picture = density.detach().cpu().numpy().T
        axes.imshow(picture, origin="lower", extent=extent, cmap=SEQUENTIAL, vmin=0, vmax=brightest)
        axes.set(title=title, xlabel=axis_labels[0])
        axes.grid(False)
    panels[0, 0].set_ylabel(axis_labels[1])
    return figure


@styled
def stream_spread(blocks: Sequence[int], measured: Mapping[str, Numbers], predicted: Mapping[str, Numbers]) -> Figure:
    """Standard deviation of a stream against the number of blocks that add to it, both axes logarithmic.

    Args:
        blocks: numbers of blocks.
        measured: name → one value for each number of blocks; drawn as points.
        predicted: the same names → what was expected; drawn as lines.

    >>> (axes,) = stream_spread([1, 4, 16], {"unscaled": [1.0, 2.1, 3.9]}, {"unscaled": [1.0, 2.0, 4.0]}).axes
    >>> axes.get_xscale(), axes.get_yscale()
    ('log', 'log')
    """
    from matplotlib.ticker import NullFormatter, ScalarFormatter

    figure, axes = new_figure(6.4, 3.0)
    for (name, values), line in zip(measured.items(), line_styles(), strict=False):
        axes.plot(blocks, predicted[name], label=f"{name}, predicted", **line)
        axes.plot(blocks, values, "o", color=line["color"], label=f"{name}, measured")
    axes.set(xscale="log", yscale="log", xlabel="blocks N", ylabel="standard deviation of the stream")
    axes.set_xticks(list(blocks), [str(count) for count in blocks])
    axes.set_yticks([0.5, 1, 2, 4])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.legend()
    return figure


def _mark_resolutions(axes: Axes, resolutions: Sequence[int]) -> None:
    """Dotted lines where the resolution changes, and the resolution between them, at the top."""
    first = 0
    for resolution, group in itertools.groupby(resolutions):
        last = first + len(list(group))
        axes.axvline(last, color=GREY, linestyle=":", linewidth=0.8)
        place = ((first + last) / 2, 1.0)
        axes.annotate(f"{resolution}²", place, xycoords=("data", "axes fraction"), ha="center", va="bottom", color=INK)
        first = last
