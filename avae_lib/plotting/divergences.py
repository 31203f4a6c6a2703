"""Pictures of divergences: what contributes to them, which approximation each prefers, how well samples estimate them.

Gaussians are given as a pair: mean ``(2,)`` and covariance ``(2, 2)``, tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from avae_lib.plotting.latents import relative_density
from avae_lib.plotting.style import COLOURS, GREY, INK, SERIES, Numbers, line_styles, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "contribution_bars",
    "contribution_curves",
    "density_projections",
    "divergence_curves",
    "divergence_matrix",
    "estimates_with_errors",
    "estimator_bias_and_spread",
    "gaussian_ellipses",
    "gaussian_fits",
]

Gaussian = tuple[Tensor, Tensor]
_STANDARD_DEVIATIONS = (1.0, 2.0)  # how far out the ellipses of a Gaussian are drawn
_ROUND = (1, 2, 5, 10, 20, 50)
_DARK = 0.7  # of the range of a colour map: above this, numbers are written in white


@styled
def contribution_curves(p_levels: Numbers, points: Sequence[tuple[float, float]] = ()) -> Figure:
    """The contribution q log(q/p) of one outcome to KL(q‖p), against q, one curve for each p.

    Args:
        points: pairs (q, p) to mark and label with their contribution.

    >>> (axes,) = contribution_curves(p_levels=[0.1, 0.5], points=[(0.5, 0.1)]).axes
    >>> axes.get_xlabel()
    'q'
    """
    figure, axes = new_figure(6.4, 3.6)
    q = np.linspace(1e-9, 1, 400)
    for p, line in zip(p_levels, line_styles(), strict=False):
        axes.plot(q, q * np.log(q / p), label=f"p = {p:g}", **line)
    for q_here, p_here in points:
        _label_contribution(axes, q_here, p_here)
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.set(xlabel="q", ylabel="q log(q / p)  (nats)", xlim=(0, 1.02))
    axes.margins(y=0.12)
    axes.legend(loc="upper left")
    return figure


@styled
def contribution_bars(p: Numbers, candidates: Mapping[str, Numbers]) -> Figure:
    """Candidates q beside the target p, and under each the contributions of the outcomes to KL(q‖p) and their sum.

    Args:
        p: probabilities of the outcomes, all positive.
        candidates: name → q over the same outcomes, all positive; q need not sum to one.

    >>> len(contribution_bars(p=[0.5, 0.5], candidates={"fair": [0.5, 0.5], "biased": [0.9, 0.1]}).axes)
    4
    """
    target = np.asarray(p, dtype=float)
    figure, rows = new_figure(7.0, 3.6, nrows=2, ncols=len(candidates), squeeze=False, sharey="row", sharex=True)
    places, names = np.arange(len(target)), [chr(ord("a") + number) for number in range(len(target))]
    for (name, q), above, below in zip(candidates.items(), *rows, strict=True):
        q = np.asarray(q, dtype=float)
        above.bar(places - 0.2, q, 0.38, color=COLOURS["blue"], label="q")
        above.bar(places + 0.2, target, 0.38, color="white", edgecolor=INK, hatch="////", linewidth=0.8, label="p")
        above.set_title(name)
        _signed_bars(below, places, q * np.log(q / target))
        below.set_xticks(places, names)
    rows[0, 0].set_ylabel("probability")
    rows[1, 0].set_ylabel("q log(q / p)  (nats)")
    rows[0, -1].legend(ncols=2)
    rows[1, 0].margins(y=0.25)
    return figure


@styled
def gaussian_ellipses(
    target: Gaussian, approximations: Mapping[str, Gaussian], reach: float = 3.2, title: str = ""
) -> Figure:
    """A Gaussian in the plane as shaded ellipses of one and two standard deviations, others as outlines of two.

    >>> import torch
    >>> target = (torch.zeros(2), torch.tensor([[1.0, 0.8], [0.8, 1.0]]))
    >>> narrow = (torch.zeros(2), 0.36 * torch.eye(2))
    >>> (axes,) = gaussian_ellipses(target, {"KL(q‖p)": narrow}, title="a narrow q").axes
    >>> axes.get_title("left")
    'a narrow q'
    """
    figure, axes = new_figure(4.6, 4.6)
    _ellipses(axes, target, facecolor=INK, alpha=0.16, linewidth=0)
    axes.fill([], [], color=INK, alpha=0.25, label="target")
    for (name, gaussian), line in zip(approximations.items(), line_styles(), strict=False):
        _ellipses(axes, gaussian, _STANDARD_DEVIATIONS[-1:], fill=False, linewidth=1.8, **line)
        axes.plot([], [], label=name, **line)
    axes.set(xlabel="$z_1$", ylabel="$z_2$", aspect="equal", xlim=(-reach, reach), ylim=(-reach, reach), title=title)
    figure.legend(loc="outside upper left", ncols=3)
    return figure


@styled
def gaussian_fits(
    target: Callable[[Tensor], Tensor],
    fits: Mapping[str, Gaussian],
    extent: tuple[float, float, float, float] = (-4.0, 4.0, -4.0, 4.0),
    resolution: int = 120,
) -> Figure:
    """A density in the plane as shades, one panel for each Gaussian fitted to it, drawn as ellipses.

    Args:
        target: log-density (up to a constant) of points ``(n, 2)`` → ``(n,)``.
        fits: title of the panel → the Gaussian.
        extent: left, right, bottom, top.

    >>> import torch
    >>> fits = {"KL(q‖p)": (torch.zeros(2), torch.eye(2)), "KL(p‖q)": (torch.zeros(2), 2 * torch.eye(2))}
    >>> figure = gaussian_fits(lambda z: -0.5 * z.square().sum(dim=1), fits, resolution=20)
    >>> [axes.get_title("left") for axes in figure.axes]
    ['KL(q‖p)', 'KL(p‖q)']
    """
    figure, panels = new_figure(
        min(2.7 * len(fits), 7.2), 3.2, "compressed", ncols=len(fits), squeeze=False, sharey=True
    )
    shades = relative_density(target, extent, resolution)
    for axes, (title, gaussian), line in zip(panels[0], fits.items(), line_styles(), strict=False):
        axes.contourf(*shades, levels=np.linspace(0.02, 1.0, 12), cmap="Greys", alpha=0.75, antialiased=True)
        _ellipses(axes, gaussian, fill=False, linewidth=1.8, **line)
        axes.plot(*gaussian[0].detach().tolist(), marker="+", color=line["color"], markersize=8)
        axes.set(title=title, xlabel="$z_1$", aspect="equal", xlim=extent[:2], ylim=extent[2:])
        axes.grid(False)
    panels[0, 0].set_ylabel("$z_2$")
    return figure


@styled
def density_projections(
    x: Numbers, p: Tensor, projections: Mapping[str, Tensor], title: str = "", highest: float = 0.62
) -> Figure:
    """A density as a shaded area, and the densities fitted to it as lines, all over the same axis.

    >>> import torch
    >>> x = torch.linspace(-3, 3, 50)
    >>> density = torch.exp(-0.5 * x.square()) / 2.5066
    >>> (axes,) = density_projections(x.tolist(), density, {"reverse": density}, title="one dimension").axes
    >>> axes.get_title("left")
    'one dimension'
    """
    figure, axes = new_figure(6.6, 3.5)
    axes.fill_between(x, p, color=INK, alpha=0.18, linewidth=0, label="p")
    for (name, density), line in zip(projections.items(), line_styles(), strict=False):
        axes.plot(x, density, label=name, **line)
    axes.set(title=title, xlabel="x", ylabel="density", ylim=(0, highest))
    axes.margins(x=0)
    figure.legend(loc="outside lower center", ncols=3)
    return figure


@styled
def divergence_curves(
    x: Numbers,
    curves: Mapping[str, Numbers],
    x_label: str,
    y_label: str = "nats",
    marked: Numbers = (),
    largest: float | None = None,
    limit: tuple[str, float] | None = None,
) -> Figure:
    """Divergences against a number that changes one of the distributions.

    Args:
        curves: name → values, nats.
        marked: places on the x axis where vertical dotted lines are drawn.
        largest: where the y axis ends; by default it holds all values.
        limit: name and height of a horizontal dotted line.

    >>> curves = {"KL(q‖p)": [0.0, 0.5, 2.0], "KL(p‖q)": [0.0, 0.7, 3.0]}
    >>> (axes,) = divergence_curves([0.0, 1.0, 2.0], curves, "distance of the means", limit=("log 2", 0.6931)).axes
    >>> axes.get_xlabel(), axes.get_ylabel()
    ('distance of the means', 'nats')
    """
    figure, axes = new_figure(6.4, 3.2)
    for (name, values), line in zip(curves.items(), line_styles(), strict=False):
        axes.plot(x, values, label=name, **line)
    for place in marked:
        axes.axvline(place, color=INK, linestyle=":", linewidth=1.2)
    if limit is not None:
        axes.axhline(limit[1], color=INK, linestyle=":", linewidth=1.2, label=limit[0])
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.set_ylim(0, largest)
    axes.margins(x=0)
    if len(curves) > 1 or limit is not None:
        axes.legend()
    return figure


@styled
def divergence_matrix(matrix: Tensor, names: Sequence[str], row_label: str, column_label: str, unit: str) -> Figure:
    """A divergence between every two of some distributions, as shades with the numbers written in.

    Args:
        matrix: ``(n, n)``, not negative; row and column as the labels say.

    >>> import torch
    >>> matrix = torch.tensor([[0.0, 0.5], [0.7, 0.0]])
    >>> figure = divergence_matrix(matrix, ["fair", "biased"], row_label="q", column_label="p", unit="nats")
    >>> figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()
    ('p', 'q')
    """
    figure, axes = new_figure(6.6, 5.4)
    numbers, ticks = matrix.detach().cpu().numpy(), range(len(names))
    image = axes.imshow(numbers, cmap="Oranges", vmin=0)
    for row, column in np.ndindex(*numbers.shape):
        colour = "white" if numbers[row, column] > _DARK * numbers.max() else INK
        axes.text(column, row, f"{numbers[row, column]:.2f}", ha="center", va="center", fontsize=8, color=colour)
    axes.set_xticks(ticks, names)
    axes.set_yticks(ticks, names)
    axes.set(xlabel=column_label, ylabel=row_label)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, shrink=0.8, label=unit)
    return figure


@styled
def estimator_bias_and_spread(
    kl: Numbers,
    means: Mapping[str, Numbers],
    errors: Mapping[str, Numbers],
    spreads: Mapping[str, Numbers],
    predicted: Mapping[str, Numbers] | None = None,
) -> Figure:
    """Estimators of a KL: on the left their mean, on the right the standard deviation of one draw, as shares of the KL.

    Args:
        kl: the true divergences, nats.
        means, errors: name of the estimator → its mean and the standard error of that for each divergence, nats; errors
            are drawn doubled.
        spreads: name → standard deviation of a single draw for each divergence, nats.
        predicted: name → standard deviations by formula, drawn as a broad pale band under the measured line.

    >>> numbers = {"k1": [0.1, 1.0], "k3": [0.1, 1.0]}
    >>> len(estimator_bias_and_spread([0.1, 1.0], means=numbers, errors=numbers, spreads=numbers).axes)
    2
    """
    figure, (left, right) = new_figure(7.2, 3.6, ncols=2)
    nats = np.asarray(kl, dtype=float)
    for name, line in zip(means, line_styles(), strict=False):
        bars = 2 * np.asarray(errors[name]) / nats
        left.errorbar(nats, np.asarray(means[name]) / nats, yerr=bars, marker="o", capsize=3, label=name, **line)
        right.plot(nats, np.asarray(spreads[name]) / nats, marker="o", label=name, **line)
        if predicted:
            broad = {"color": line["color"], "linewidth": 7, "alpha": 0.28, "solid_capstyle": "round"}
            right.plot(nats, np.asarray(predicted[name]) / nats, zorder=1, **broad)
    left.axhline(1, color=INK, linestyle=":", linewidth=1.2)
    left.set(xscale="log", xlabel="KL(q‖p)  (nats)", title="mean / KL")
    right.set(xscale="log", yscale="log", xlabel="KL(q‖p)  (nats)", title="standard deviation of one draw / KL")
    right.set_yticks(_ROUND, [f"{number:g}" for number in _ROUND])
    left.legend()
    return figure


@styled
def estimates_with_errors(
    samples: Sequence[int],
    estimates: Mapping[str, Sequence[tuple[float | Tensor, float | Tensor]]],
    exact: float | None = None,
    y_label: str = "estimate of KL(q‖p)  (nats)",
) -> Figure:
    """Estimates from more and more samples with bars of two standard errors, side by side, and the true value.

    Args:
        samples: the numbers of samples.
        estimates: name of the estimator → (estimate, standard error) for each number of samples.
        exact: the truth, drawn as a dotted line.

    >>> (axes,) = estimates_with_errors([10, 100], {"k1": [(0.4, 0.2), (0.5, 0.05)]}, exact=0.5).axes
    >>> axes.get_ylabel()
    'estimate of KL(q‖p)  (nats)'
    """
    figure, axes = new_figure()
    shifts = np.geomspace(0.94, 1.06, len(estimates))  # so that bars at the same place do not hide one another
    for (name, pairs), shift, line in zip(estimates.items(), shifts, line_styles(), strict=False):
        values, errors = np.asarray([[float(value), float(error)] for value, error in pairs]).T
        axes.errorbar(np.asarray(samples) * shift, values, yerr=2 * errors, marker="o", capsize=3, label=name, **line)
    if exact is not None:
        axes.axhline(exact, color=INK, linestyle=":", linewidth=1.2, label="exact")
    axes.set_xscale("log")
    axes.set_xticks(list(samples), [f"{n:,}" for n in samples])
    axes.set(xlabel="samples", ylabel=y_label)
    axes.legend(ncols=2)
    return figure


def _ellipses(axes: Axes, gaussian: Gaussian, distances: Numbers = _STANDARD_DEVIATIONS, **look: Any) -> None:
    """Ellipses at the given numbers of standard deviations of a Gaussian."""
    from matplotlib.patches import Ellipse

    mean, cov = (parameter.detach().double().cpu().numpy() for parameter in gaussian)
    variances, directions = np.linalg.eigh(cov)
    angle = np.degrees(np.arctan2(directions[1, 1], directions[0, 1]))
    for distance in distances:
        height, width = 2 * distance * np.sqrt(variances)
        ellipse = Ellipse(mean, width, height, angle=angle, **look)  # pyright: ignore[reportArgumentType]  an array
        axes.add_patch(ellipse)


def _signed_bars(axes: Axes, places: np.ndarray, values: np.ndarray) -> None:
    """Bars above and below zero with their values, and the sum of them in the title."""
    colours = [SERIES[1] if value > 0 else SERIES[2] for value in values]
    bars = axes.bar(places, values, 0.6, color=colours)
    axes.bar_label(bars, [_signed(value) for value in values], padding=2, fontsize=8)
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.set_title(f"sum: {_signed(values.sum(), 3)} nats", fontsize=9)


def _signed(value: float, digits: int = 2) -> str:
    """A number with a typographic minus sign, and zero without a sign."""
    text = f"{value:.{digits}f}"
    return f"{0:.{digits}f}" if float(text) == 0 else text.replace("-", "−")


def _label_contribution(axes: Axes, q: float, p: float) -> None:
    """A dot at (q, q log(q/p)) and its value beside it; for small q, where curves crowd, at some distance."""
    height = q * np.log(q / p)
    axes.plot(q, height, "o", color=INK, zorder=3)
    if q > 0.5:
        place = {"xytext": (-9, 3), "ha": "right"}
    else:
        place = {"xytext": (8, -20 if height < 0 else 32), "arrowprops": {"arrowstyle": "-", "color": GREY, "lw": 0.8}}
    axes.annotate(f"({q:g}, {p:g}): {_signed(height)}", (q, height), textcoords="offset points", **place)
