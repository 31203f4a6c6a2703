"""Pictures of variational inference: bounds, their landscapes, and mixtures of Gaussians."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from avae_lib.plotting.style import COLOURS, INK, SERIES, Numbers, Table, line_styles, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "bound_and_gap",
    "bound_landscape",
    "bound_next_to_sampling",
    "log_partition_bounds",
    "mixture_bounds",
    "mixture_components",
]

_MARKERS = "osD^vPX*"
_PALE = 0.18


@styled
def bound_and_gap(bounds: Mapping[str, float], log_partition: float, unit: str = "nats") -> Figure:
    """One bar for each q: the ELBO, and the KL that fills the rest up to log Z.

    Args:
        bounds: name of q → its ELBO, at most ``log_partition``.

    >>> (axes,) = bound_and_gap({"start": 1.0, "mean field": 1.8}, log_partition=2.0).axes
    >>> [label.get_text() for label in axes.get_yticklabels()]
    ['start', 'mean field']
    """
    figure, axes = new_figure(6.4, 0.7 + 0.5 * len(bounds))
    places = -np.arange(len(bounds), dtype=float)
    values = np.array(list(bounds.values()), dtype=float)
    left = min(values.min(), 0.0)
    axes.barh(places, values - left, left=left, height=0.55, color=COLOURS["sky"], label="ELBO")
    gaps = axes.barh(places, log_partition - values, left=values, height=0.55, **_HATCHED, label="KL(q‖p)")
    axes.bar_label(gaps, [f"{gap:.2f}" for gap in log_partition - values], padding=4, fontsize=8)
    axes.axvline(log_partition, color=INK, linestyle=":", linewidth=1.2, label="log Z")
    axes.set_yticks(places, list(bounds))
    axes.grid(axis="y", visible=False)
    axes.margins(x=0.08)
    axes.set(xlabel=unit)
    figure.legend(loc="outside upper left", ncols=3)
    return figure


_HATCHED = {"color": "white", "edgecolor": COLOURS["vermilion"], "hatch": "////", "linewidth": 0.8}


@styled
def bound_landscape(
    bound: Callable[[Tensor], Tensor],
    paths: Sequence[Tensor] = (),
    truth: tuple[float, float] | None = None,
    title: str = "",
    resolution: int = 81,
) -> Figure:
    """The bound as a function of two means in [−1, 1], and the staircases that coordinate ascent climbs on it.

    Each shade is a quarter of a nat.

    Args:
        bound: means ``(n, 2)`` → ELBO ``(n,)``, nats.
        paths: places visited, ``(steps, 2)`` each; a ring marks the start, a dot the end.
        truth: the means of the distribution itself, marked by a cross.

    >>> bound = lambda means: means.prod(dim=1) + torch.special.entr((1 + means) / 2).sum(dim=1)
    >>> figure = bound_landscape(bound, paths=[torch.tensor([[0.0, 0.0], [0.5, 0.0], [0.5, 0.4]])], resolution=21)
    >>> len(figure.axes)
    1
    """
    figure, axes = new_figure(3.3, 3.4)
    grid = torch.linspace(-0.999, 0.999, resolution, dtype=torch.float64)
    second, first = torch.meshgrid(grid, grid, indexing="ij")
    heights = bound(torch.stack([first, second], dim=-1).reshape(-1, 2)).reshape(resolution, resolution).numpy()
    axes.contourf(grid, grid, heights - heights.max(), levels=np.linspace(-3, 0, 13), extend="min")
    for path in paths:
        steps = path.detach().cpu().numpy()
        axes.plot(*steps.T, color="white", linewidth=2.6)
        axes.plot(*steps.T, color=COLOURS["vermilion"], linewidth=1.4)
        axes.plot(*steps[0], marker="o", markerfacecolor="white", markeredgecolor=COLOURS["vermilion"])
        axes.plot(*steps[-1], marker="o", markerfacecolor=COLOURS["vermilion"], markeredgecolor="white", markersize=7)
    if truth is not None:
        axes.plot(*truth, marker="X", color="white", markeredgecolor=INK, markersize=9, linestyle="none")
    axes.set(xlabel="$m_1$", ylabel="$m_2$", aspect="equal", title=title)
    axes.set(xticks=(-1, 0, 1), yticks=(-1, 0, 1))
    axes.grid(False)
    return figure


@styled
def log_partition_bounds(
    couplings: Numbers,
    differences: Mapping[str, Numbers],
    standard_errors: Mapping[str, Numbers] | None = None,
    converged: Mapping[str, Sequence[bool]] | None = None,
    title: str = "",
) -> Figure:
    """Estimates of log Z less its exact value, against the strength of the couplings.

    Args:
        differences: name → estimate − exact at each coupling, nats.
        standard_errors: name → errors, drawn doubled as bars.
        converged: name → whether each estimate is of a method that came to rest; hollow where it did not.

    >>> (axes,) = log_partition_bounds([0.5, 1.0], {"mean field": [-0.1, -0.4], "reweighted": [0.1, 0.3]}).axes
    >>> axes.get_xlabel()
    'strength of the couplings'
    """
    figure, axes = new_figure(6.4, 3.6)
    for (name, values), line, marker in zip(differences.items(), line_styles(), _MARKERS, strict=False):
        errors = 2 * np.asarray(standard_errors[name]) if standard_errors and name in standard_errors else None
        axes.errorbar(couplings, values, yerr=errors, marker=marker, capsize=3, label=name, **line)
        rests = (converged or {}).get(name, [True] * len(couplings))
        hollow = [(x, y) for x, y, rest in zip(couplings, values, rests, strict=True) if not rest]
        if hollow:
            axes.plot(*zip(*hollow, strict=True), marker=marker, color=line["color"], mfc="white", ls="none", zorder=3)
    axes.axhline(0, color=INK, linewidth=1.0)
    axes.set(xlabel="strength of the couplings", ylabel="estimate − log Z  (nats)", title=title)
    axes.legend()
    return figure


@styled
def mixture_components(
    x: Tensor,
    responsibilities: Tensor,
    means: Tensor,
    variances: Tensor,
    weights: Tensor,
    title: str = "",
    axis_labels: tuple[str, str] = ("$x_1$", "$x_2$"),
) -> Figure:
    """Points in the colour of their likeliest component; components as ellipses, drawn thicker for larger weights.

    Args:
        x: ``(n, 2)``.
        responsibilities: ``(n, components)``.
        means, variances: ``(components, 2)``.
        weights: ``(components,)``.

    >>> x, means = torch.tensor([[-1.0, 0.2], [1.0, -0.2]]), torch.tensor([[-2.0, 0.0], [2.0, 0.0]])
    >>> weights = torch.tensor([0.5, 0.5])
    >>> (axes,) = mixture_components(x, torch.eye(2), means, torch.ones(2, 2), weights, title="two components").axes
    >>> axes.get_title("left")
    'two components'
    """
    from matplotlib.patches import Ellipse

    figure, axes = new_figure(5.2, 3.6)
    best = responsibilities.argmax(dim=1)
    for k, colour in zip(range(len(weights)), np.resize(SERIES, len(weights)), strict=True):
        points = x[best == k].numpy()
        axes.scatter(*points.T, s=14, color=colour, marker=_MARKERS[k % len(_MARKERS)], alpha=0.7, linewidths=0)
        if weights[k] > 0.01:
            width, height = (4 * variances[k].sqrt()).tolist()
            look = {"facecolor": "none", "edgecolor": colour, "linewidth": 0.8 + 4 * weights[k].item()}
            axes.add_patch(Ellipse(tuple(means[k].tolist()), width, height, **look))
    axes.set(xlabel=axis_labels[0], ylabel=axis_labels[1], title=title)
    _hold_points(axes, x)
    return figure


def _hold_points(axes: Axes, x: Tensor) -> None:
    """Limits from the points alone, so that the frames of a slider share them."""
    lowest, highest = x.amin(dim=0), x.amax(dim=0)
    room = 0.2 * (highest - lowest)
    axes.set_xlim((lowest - room)[0].item(), (highest + room)[0].item())
    axes.set_ylim((lowest - room)[1].item(), (highest + room)[1].item())


@styled
def mixture_bounds(
    climbs: Sequence[tuple[int, Numbers]], best: Mapping[int, float], reference: tuple[str, float]
) -> Figure:
    """On the left the ELBO of several starts against sweeps; on the right the best bound against components in use.

    Args:
        climbs: for each start the components in use at its end, and the ELBO after each sweep, nats.
        best: components in use → highest ELBO found with as many.
        reference: name and ELBO of the solution that climbs are compared with; dotted.

    >>> climbs = [(2, [-90.0, -80.0]), (3, [-95.0, -85.0])]
    >>> figure = mixture_bounds(climbs, best={2: -80.0, 3: -85.0}, reference=("true components", -79.0))
    >>> [axes.get_xlabel() for axes in figure.axes]
    ['sweep', 'components in use']
    """
    figure, (left, right) = new_figure(7.0, 3.2, ncols=2, sharey=True)
    counts = sorted({used for used, _ in climbs})
    looks = dict(zip(counts, line_styles(), strict=False))
    for used, values in climbs:
        left.plot(range(1, len(values) + 1), values, alpha=0.8, **(looks[used] | {"linewidth": 1.2}))
    for used in counts:
        left.plot([], [], label=f"{used} components at the end", **looks[used])
    left.axhline(reference[1], color=INK, linestyle=":", linewidth=1.2, label=reference[0])
    left.set(xscale="log", xlabel="sweep", ylabel="ELBO (nats)", title="coordinate ascent from several starts")
    left.legend(loc="lower right")
    right.plot(list(best), list(best.values()), marker="o", color=COLOURS["blue"])
    following = [*list(best.values())[1:], -np.inf]
    for (used, value), after in zip(best.items(), following, strict=True):
        place = {"xytext": (0, -14 if after > value else 7), "textcoords": "offset points", "ha": "center"}
        right.annotate(f"{value:.1f}".replace("-", "−"), (used, value), **place)  # away from the line that leads on
    right.set(xlabel="components in use", xticks=list(best), title="best bound found")
    right.margins(x=0.15)
    left.margins(y=0.12)
    return figure


@styled
def bound_next_to_sampling(
    elbo: Mapping[str, Numbers],
    log_partition: float,
    sampling: tuple[Numbers, Table],
    mean_field: tuple[float, float],
) -> Figure:
    """On the left the ELBO against sweeps of coordinate ascent; on the right the error of Gibbs sampling against time.

    Args:
        elbo: name of the start → bound before the first sweep and after each, nats.
        log_partition: what the bound cannot exceed; dotted.
        sampling: seconds, and for each chain the error of its estimated means at these times.
        mean_field: seconds it took, and its error.

    >>> sampling = ([0.1, 1.0], [[0.5, 0.1], [0.4, 0.2]])
    >>> len(bound_next_to_sampling({"from zero": [1.0, 1.8]}, 2.0, sampling, mean_field=(0.01, 0.3)).axes)
    2
    """
    figure, (left, right) = new_figure(7.2, 3.2, ncols=2)
    for (name, values), line in zip(elbo.items(), line_styles(), strict=False):
        left.plot(range(len(values)), values, marker="o", markersize=3.5, label=name, **line)
    left.axhline(log_partition, color=INK, linestyle=":", linewidth=1.2, label="log Z")
    left.set(xlabel="sweep", ylabel="nats", title="mean field: ELBO")
    left.legend()
    seconds, chains = sampling
    for errors in chains:
        right.plot(seconds, errors, color=COLOURS["green"], alpha=_PALE * 2, linewidth=0.9)
    right.plot(seconds, np.sqrt(np.mean(np.square(chains), axis=0)), color=COLOURS["green"], label="Gibbs sampling")
    right.plot(*mean_field, marker="o", color=COLOURS["blue"], linestyle="none", label="mean field")
    right.axhline(mean_field[1], color=COLOURS["blue"], linestyle=(0, (5, 1.6)), linewidth=1.2)
    right.set(xscale="log", yscale="log", xlabel="seconds", ylabel="root mean square", title="error of the means")
    right.legend()
    return figure
