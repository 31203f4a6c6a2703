"""Pictures of what a divergence means: ink on paper, evidence, areas, coarse-graining, tilted distributions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from avae_lib.plotting.style import COLOURS, GREY, INK, Numbers, blank, line_styles, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "area_between",
    "divergence_areas",
    "evidence_paths",
    "ink_in_bands",
    "pixel_maps",
    "tilted_distribution",
]

_NO_AREA = 5e-4  # nats: this and less is rounding


@styled
def ink_in_bands(pictures: Mapping[str, Tensor], bands: Mapping[str, Tensor]) -> Figure:
    """Two pictures cut into horizontal bands, and beside them the share of the ink in each band.

    Args:
        pictures: name → ``(height, width)``, not negative.
        bands: the same names → ``(bands,)`` shares from top to bottom, each set summing to one.

    >>> import torch
    >>> pictures, bands = {"seven": torch.ones(4, 4), "one": torch.eye(4)}, torch.full((4,), 0.25)
    >>> len(ink_in_bands(pictures, {"seven": bands, "one": bands}).axes)
    3
    """
    figure, panels = new_figure(7.2, 2.7, ncols=len(pictures) + 1, width_ratios=[1] * len(pictures) + [1.6])
    for axes, (name, picture) in zip(panels, pictures.items(), strict=False):
        blank(axes).imshow(picture.numpy(), cmap="Greys", vmin=0)
        axes.set_title(f"ink of the {name}")
        height, count = len(picture), len(bands[name])
        for edge in range(1, count):
            axes.axhline(edge * height / count - 0.5, color=COLOURS["vermilion"], linewidth=1.2)
    _grouped_bars(panels[-1], bands)
    return figure


def _grouped_bars(axes: Axes, bands: Mapping[str, Tensor]) -> None:
    """Horizontal bars side by side for each band, the first band on top, with their values."""
    height = 0.8 / len(bands)
    for number, ((name, shares), line) in enumerate(zip(bands.items(), line_styles(), strict=False)):
        places = np.arange(len(shares)) + (number - (len(bands) - 1) / 2) * height
        look: dict[str, Any] = {"hatch": "////", "facecolor": "white"} if number else {"facecolor": line["color"]}
        bars = axes.barh(places, shares.tolist(), height * 0.92, edgecolor=line["color"], label=name, **look)
        axes.bar_label(bars, [f"{share:.3f}" for share in shares.tolist()], padding=3, fontsize=8)
    axes.set_yticks(range(len(shares)), [f"band {band + 1}" for band in range(len(shares))])
    axes.set(xlabel="share of the ink", ylim=(len(shares) - 0.5, -0.5))
    axes.margins(x=0.18)
    axes.grid(False)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(bands))


@styled
def evidence_paths(
    paths: Mapping[str, Tensor], slopes: Mapping[str, float], x_label: str, y_label: str, level: tuple[str, float]
) -> Figure:
    """Running sums of log-ratios, one thin line for each run, with the straight lines that they follow on average.

    Args:
        paths: where the draws come from → ``(runs, draws)`` running sums, nats.
        slopes: the same names → what one draw adds on average, nats.
        level: name and height of a horizontal dotted line.

    >>> import torch
    >>> paths = {"from q": torch.tensor([[0.5, 1.1, 1.4]]), "from p": torch.tensor([[-0.4, -1.0, -1.5]])}
    >>> slopes = {"from q": 0.5, "from p": -0.5}
    >>> (axes,) = evidence_paths(paths, slopes, "draws", "evidence (nats)", level=("99 : 1", 4.6)).axes
    >>> axes.get_xlabel()
    'draws'
    """
    figure, axes = new_figure(7.0, 3.4)
    for (name, runs), line in zip(paths.items(), line_styles(), strict=False):
        draws = np.arange(1, runs.shape[1] + 1)
        axes.plot(draws, runs.T.numpy(), color=line["color"], linewidth=0.7, alpha=0.45)
        axes.plot(draws, slopes[name] * draws, linewidth=2.6, label=f"{name}, on average", **line)
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.axhline(level[1], color=INK, linestyle=":", linewidth=1.4, label=level[0])
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.margins(x=0)
    axes.legend(loc="upper left")
    return figure


@styled
def area_between(x: Numbers, upper: tuple[str, Tensor], lower: tuple[str, Tensor], marked: float) -> Figure:
    """Two named curves that touch at one place, with the area between them tinted.

    >>> import torch
    >>> x = torch.linspace(0.5, 2, 20)
    >>> (axes,) = area_between(x.tolist(), ("t − 1", x - 1), ("log t", x.log()), marked=1.0).axes
    >>> [label.get_text() for label in axes.get_legend().get_texts()]
    ['t − 1', 'log t']
    """
    figure, axes = new_figure(5.6, 3.2)
    places = np.asarray(x)
    for (name, values), line in zip((upper, lower), line_styles(), strict=False):
        axes.plot(places, np.asarray(values), label=name, **line)
    low, high = np.asarray(lower[1]), np.asarray(upper[1])
    axes.fill_between(places, low, high, color=COLOURS["orange"], alpha=0.35, linewidth=0)
    axes.plot(marked, np.interp(marked, places, high), "o", color=INK, zorder=3)
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.set(xlabel="x")
    axes.margins(x=0)
    axes.legend(loc="lower right")
    return figure


@styled
def divergence_areas(x: Numbers, q: Tensor, p: Tensor) -> Figure:
    """Two densities, and KL(q‖p) twice as an area: under q log(q/p), and under q log(q/p) − q + p.

    Args:
        x: evenly spaced places.
        q, p: positive densities at these places.

    >>> import torch
    >>> x = torch.linspace(-3, 3, 50)
    >>> q, p = torch.exp(-0.5 * x.square()), torch.exp(-0.5 * (x - 1).square())
    >>> len(divergence_areas(x.tolist(), q, p).axes)
    3
    """
    figure, (top, left, right) = new_figure(7.2, 4.9, nrows=3, sharex=True, height_ratios=[1, 1.25, 1])
    places, above, below = (np.asarray(values) for values in (x, q, p))
    for (name, density), line in zip({"q": above, "p": below}.items(), line_styles(), strict=False):
        top.plot(places, density, label=name, **line)
    top.set(ylabel="density")
    top.legend(loc="upper right")
    signed = above * np.log(above / below)
    for axes, heights, label in ((left, signed, "q log(q/p)"), (right, signed - above + below, "q log(q/p) − q + p")):
        _filled(axes, places, heights, label)
    right.set(xlabel="x")
    top.margins(x=0)
    return figure


def _filled(axes: Axes, x: np.ndarray, heights: np.ndarray, label: str) -> None:
    """A curve with the areas above and below zero tinted; their sizes stand in the title."""
    step = x[1] - x[0]
    axes.plot(x, heights, color=INK, linewidth=1.2)
    axes.fill_between(x, heights.clip(min=0), color=COLOURS["vermilion"], alpha=0.4, linewidth=0)
    axes.fill_between(x, heights.clip(max=0), color=COLOURS["green"], alpha=0.4, linewidth=0)
    above, below = heights.clip(min=0).sum() * step, -heights.clip(max=0).sum() * step
    areas = f"{above:.3f} − {below:.3f} = {above - below:.3f}" if below > _NO_AREA else f"{above:.3f}"
    axes.set_title(f"{label}: area {areas} nats", fontsize=9)
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.margins(y=0.15)


@styled
def pixel_maps(rows: Sequence[Mapping[str, Tensor]]) -> Figure:
    """Rows of small maps over the pixels, each under its title.

    Maps without negative entries are drawn as ink, others in two colours with white at zero, each scaled to its own
    largest entry.

    >>> import torch
    >>> figure = pixel_maps([{"mean": torch.ones(4, 4), "difference": torch.eye(4) - 0.5}])
    >>> [axes.get_title("left") for axes in figure.axes]
    ['mean', 'difference']
    """
    columns = max(len(row) for row in rows)
    width = min(7.2, 1.9 * columns)
    figure, panels = new_figure(
        width, (width / columns + 0.35) * len(rows), nrows=len(rows), ncols=columns, squeeze=False
    )
    for axes in panels.flat:
        blank(axes)
    for row, line in zip(rows, panels, strict=True):
        for axes, (title, values) in zip(line, row.items(), strict=False):
            _draw_map(axes, values.detach().cpu().numpy())
            axes.set_title(title, fontsize=9)
    return figure


def _draw_map(axes: Axes, values: np.ndarray) -> None:
    largest = abs(values).max()
    signed = values.min() < 0
    axes.imshow(values, cmap="PuOr_r" if signed else "Greys", vmin=-largest if signed else 0, vmax=largest)
    axes.spines[:].set(visible=True, color=GREY, linewidth=0.6)


@styled
def tilted_distribution(values: Numbers, p: Tensor, q: Tensor, wanted: float, title: str = "") -> Figure:
    """A distribution q over numbered outcomes, the p it was tilted from as outlines, q's mean and the mean wanted.

    Args:
        values: the number of each outcome.
        p, q: their probabilities.
        wanted: the mean that q is to have, drawn as a dotted line.

    >>> import torch
    >>> p, q = torch.full((6,), 1 / 6), torch.tensor([0.054, 0.079, 0.114, 0.165, 0.240, 0.347])
    >>> (axes,) = tilted_distribution(range(1, 7), p, q, wanted=4.5, title="a die").axes
    >>> axes.get_title("left")
    'a die'
    """
    figure, axes = new_figure(5.6, 3.4)
    axes.bar(values, q.tolist(), 0.7, color=COLOURS["sky"], label="q")
    axes.bar(values, p.tolist(), 0.7, facecolor="none", edgecolor=INK, linewidth=1.2, label="p")
    mean = float((q * q.new_tensor(values)).sum())
    axes.axvline(mean, color=COLOURS["blue"], linewidth=2, label=f"mean of q: {mean:.2f}")
    axes.axvline(wanted, color=COLOURS["vermilion"], linestyle=":", linewidth=2, label=f"mean wanted: {wanted:g}")
    axes.set(title=title, xlabel="outcome", ylabel="probability", ylim=(0, 0.7))
    figure.legend(loc="outside lower center", ncols=4)
    axes.grid(False, axis="x")
    return figure
