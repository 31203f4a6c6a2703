"""Pictures of lecture 04 on latents: bent posteriors, collapse, codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from avae_lib.plotting.style import COLOURS, GREY, INK, SEQUENTIAL, Numbers, line_styles, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "codes_and_vectors",
    "density_of_draws",
    "density_table",
    "eigenvalues_and_rates",
    "straight_through",
    "units_in_use",
]


def density_of_draws(draws: Tensor, axis: Tensor) -> Tensor:
    """Density of points in the plane on a grid, from counts in the cells around its points, smoothed over 3 × 3 cells.

    Points outside the grid are ignored.

    Args:
        draws: ``(points, 2)``.
        axis: places along both axes, equally spaced, ``(side,)``.

    Returns:
        ``(side, side)``, first coordinate first.

    All of the draws lie on the grid, so the density integrates to one:

    >>> axis = torch.linspace(-5, 5, 41)
    >>> density = density_of_draws(torch.randn(1000, 2), axis)
    >>> density.shape, round((density.sum() * 0.25**2).item(), 2)
    (torch.Size([41, 41]), 1.0)
    """
    step, side = axis[1] - axis[0], len(axis)
    places = ((draws - axis[0]) / step).round().long()
    inside = ((places >= 0) & (places < side)).all(dim=1)
    cells = places[inside, 0] * side + places[inside, 1]
    counts = torch.bincount(cells, minlength=side**2).reshape(1, 1, side, side).float()
    smooth = torch.nn.functional.avg_pool2d(counts, 3, stride=1, padding=1)[0, 0]
    return smooth / (len(draws) * step**2)


@styled
def density_table(densities: Mapping[str, Tensor], extent: tuple[float, float, float, float], columns: int) -> Figure:
    """Densities in the plane, row by row; each row has one scale of shades.

    Args:
        densities: title → density on a grid, ``(points along the first axis, points along the second)``.
        extent: left, right, bottom, top.
        columns: panels in a row; the densities must fill the rows.

    >>> densities = {"exact": torch.ones(5, 5), "Gaussian": torch.eye(5)}
    >>> [axes.get_title("left") for axes in density_table(densities, extent=(-1, 1, -1, 1), columns=2).axes]
    ['exact', 'Gaussian']
    """
    rows = len(densities) // columns
    figure, panels = new_figure(7.2, 2.2 * rows, nrows=rows, ncols=columns, sharex=True, sharey=True, squeeze=False)
    titles = np.array(list(densities), dtype=object).reshape(rows, columns)
    for row_of_panels, row_of_titles in zip(panels, titles, strict=True):
        brightest = max(float(densities[title].max()) for title in row_of_titles)
        for axes, title in zip(row_of_panels, row_of_titles, strict=True):
            picture = densities[title].detach().cpu().numpy().T
            axes.imshow(picture, origin="lower", extent=extent, cmap=SEQUENTIAL, vmin=0, vmax=brightest)
            axes.set_title(title, fontsize=9)
            axes.grid(False)
    for axes in panels[-1]:
        axes.set_xlabel("$z_1$")
    for axes in panels[:, 0]:
        axes.set_ylabel("$z_2$")
    return figure


@styled
def units_in_use(kl: Mapping[str, Mapping[str, Numbers]], highest: float) -> Figure:
    """KL of every latent unit, largest first: one panel for each decoder, one line for each way of training.

    Args:
        kl: title of a panel → name of a line → KL of each unit, nats.
        highest: where the vertical axis ends.

    >>> kl = {"weak decoder": {"β = 1": [3.0, 2.0]}, "strong decoder": {"β = 1": [0.1, 0.0]}}
    >>> [axes.get_title("left") for axes in units_in_use(kl, highest=4.0).axes]
    ['weak decoder', 'strong decoder']
    """
    figure, panels = new_figure(7.2, 3.0, ncols=len(kl), sharey=True, squeeze=False)
    for axes, (title, lines) in zip(panels[0], kl.items(), strict=True):
        for (name, units), line in zip(lines.items(), line_styles(), strict=False):
            ordered = np.sort(np.asarray(units, dtype=float))[::-1]
            axes.plot(range(1, len(ordered) + 1), ordered, marker="o", markersize=3.5, label=name, **line)
        axes.set(title=title, xlabel="unit, most used first", ylim=(-0.02 * highest, highest))
        axes.set_xticks(range(1, len(ordered) + 1, max(1, len(ordered) // 5)))
    panels[0, 0].set_ylabel("KL (nats)")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(lines))
    return figure


@styled
def eigenvalues_and_rates(
    eigenvalues: Numbers,
    noise_variance: float,
    predicted: Numbers,
    measured: Numbers,
    title: str = "",
) -> Figure:
    """Left, eigenvalues of the data and the noise variance of a linear VAE; right, the KL of its units.

    Args:
        eigenvalues: of the data's covariance, largest first; as many are drawn as there are units.
        noise_variance: of the decoder; drawn as a line across the left panel.
        predicted: KL of each unit in the optimum, largest first, nats; drawn as a line.
        measured: KL of each unit of a trained model, in any order, nats; drawn as points.
        title: of the figure.

    >>> figure = eigenvalues_and_rates([4.0, 2.0, 0.5], 1.0, predicted=[0.7, 0.3, 0.0], measured=[0.3, 0.7, 0.0])
    >>> len(figure.axes)
    2
    """
    figure, (left, right) = new_figure(7.0, 3.0, ncols=2)
    units = np.arange(1, len(measured) + 1)
    shown = np.asarray(eigenvalues, dtype=float)[: len(units)]
    above = shown > noise_variance
    left.bar(units, shown, color=[COLOURS["blue"] if kept else GREY for kept in above])
    left.axhline(noise_variance, color=COLOURS["vermilion"], linewidth=1.5, label="noise variance σ²")
    left.legend(loc="upper right")
    left.set(yscale="log", xlabel="eigenvalue", ylabel="variance", ylim=(0.02, 1.6))
    right.plot(units, predicted, color=COLOURS["blue"], label="predicted")
    right.plot(
        units, np.sort(np.asarray(measured, dtype=float))[::-1], "o", color=COLOURS["vermilion"], label="trained"
    )
    right.set(xlabel="unit, most used first", ylabel="KL (nats)", ylim=(-0.05, 1.3))
    right.legend()
    for axes in (left, right):
        axes.set_xticks(units[:: max(1, len(units) // 8)])
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    return figure


@styled
def straight_through(z: Tensor, loss: Tensor, slope: Tensor, codes: Tensor) -> Figure:
    """A loss behind a quantiser, and the steps that straight-through gradients would take.

    Args:
        z: outputs of the encoder, rising, ``(places,)``.
        loss: at each of them, ``(places,)``.
        slope: the gradient that arrives at each of them, ``(places,)``; every few are drawn as arrows, downhill.
        codes: ``(codes,)``; drawn as dots on the axis.

    >>> z = torch.linspace(-1, 1, 20)
    >>> len(straight_through(z, loss=z.square(), slope=2 * z, codes=torch.tensor([-0.5, 0.5])).axes)
    1
    """
    places, height, gradient = (tensor.detach().numpy() for tensor in (z, loss, slope))
    figure, axes = new_figure(6.4, 3.1)
    axes.plot(places, height, color=COLOURS["blue"], label="loss behind the quantiser")
    every = slice(len(places) // 40, None, len(places) // 20)
    lift = height[every] + 0.03 * np.ptp(height)
    axes.quiver(
        places[every], lift, -gradient[every], np.zeros_like(lift), color=COLOURS["vermilion"],
        angles="xy", scale_units="xy", scale=16, width=0.005, label="straight-through step",
    )  # fmt: skip
    bottom = -0.08 * np.ptp(height)
    axes.plot(codes, [bottom] * len(codes), "o", color=INK, label="codes")
    axes.set(xlabel="encoder's output z", ylabel="loss")
    axes.legend(loc="upper right")
    return figure


@styled
def codes_and_vectors(vectors: Tensor, books: Mapping[str, tuple[Tensor, Tensor]]) -> Figure:
    """Colours in the plane of red and green, and the codes that stand for them; one panel for each codebook.

    Args:
        vectors: colours in [0, 1], ``(vectors, 3)``; drawn in grey.
        books: title → codes, ``(codes, 3)``, and the share of vectors that choose each, ``(codes,)``. A code is a dot
            in its own colour whose area grows with its share; one that nothing chooses is a cross.

    >>> vectors = torch.rand(20, 3)
    >>> figure = codes_and_vectors(vectors, {"start": (vectors[:2], torch.tensor([0.9, 0.1]))})
    >>> [axes.get_title("left") for axes in figure.axes]
    ['start: 2 in use']
    """
    figure, panels = new_figure(7.0, 3.6, ncols=len(books), sharex=True, sharey=True, squeeze=False)
    for axes, (title, (codes, shares)) in zip(panels[0], books.items(), strict=True):
        used = np.asarray(shares) > 0
        codes, shares = np.asarray(codes).clip(0, 1), np.asarray(shares)
        axes.scatter(*np.asarray(vectors)[:, :2].T, s=3, color="#c8ccd0", linewidths=0)
        sizes = 25 + 900 * shares[used]
        axes.scatter(*codes[used, :2].T, s=sizes, c=codes[used], edgecolors=INK, linewidths=0.8)
        axes.scatter(*codes[~used, :2].T, s=28, marker="x", color=COLOURS["vermilion"], linewidths=1.4)
        axes.set(title=f"{title}: {used.sum()} in use", xlabel="red", xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    panels[0, 0].set_ylabel("green")
    return figure
