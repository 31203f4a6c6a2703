"""Graphs of numbers against steps, samples and weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from avae_lib.plotting.style import COLOURS, GREY, INK, Numbers, Table, line_styles, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "bound_gaps",
    "gradient_estimates",
    "gradient_variance",
    "importance_weighted_bounds",
    "learners_compared",
    "learning_curves",
    "rate_distortion",
    "signal_to_noise",
]

Curve = Numbers | tuple[Numbers, Numbers]
_NOISY = 60  # values from which a curve gets a running mean
_TOO_CLOSE = 0.05  # parts of an axis within which two labels would overlap


@styled
def learning_curves(
    curves: Mapping[str, Curve],
    y_label: str = "−ELBO (nats per image)",
    x_label: str = "update",
    title: str | None = None,
    size: tuple[float, float] = (6.4, 3.2),
    log_steps: bool = False,
) -> Figure:
    """Curves over training; long noisy ones are drawn faint, with their running mean on top.

    Args:
        curves: name → values (one for each update, from 1), or a pair (steps, values).
        size: width and height in inches.
        log_steps: whether the horizontal axis is logarithmic.

    >>> curves = {"training": [95.0, 90.0, 88.0], "validation": ([1, 3], [97.0, 92.0])}
    >>> (axes,) = learning_curves(curves).axes
    >>> axes.get_xlabel(), axes.get_ylabel()
    ('update', '−ELBO (nats per image)')
    """
    figure, axes = new_figure(*size)
    for (name, curve), line in zip(curves.items(), line_styles(), strict=False):
        steps, values = _steps_and_values(curve)
        _draw_noisy(axes, steps, values, name, line)
    axes.set(xlabel=x_label, ylabel=y_label, title=title or "")
    axes.margins(x=0.02)
    if log_steps:
        axes.set_xscale("log")
    if len(curves) > 1:
        axes.legend()
    return figure


@styled
def importance_weighted_bounds(
    samples: Sequence[int],
    bounds: Mapping[str, Numbers],
    standard_errors: Mapping[str, Numbers] | None = None,
    exact: float | None = None,
    y_label: str = "bound on log p(x) (nats per image)",
) -> Figure:
    """The importance-weighted bound against the number of samples k, with bars of two standard errors.

    Args:
        samples: the values of k.
        bounds: name → one bound for each k, nats.
        standard_errors: name → standard error of each bound; drawn doubled.
        exact: log p(x) itself where it is known; drawn as a dotted line.

    >>> figure = importance_weighted_bounds([1, 10], {"VAE": [-92.0, -90.0]}, {"VAE": [0.2, 0.1]}, exact=-89.5)
    >>> figure.axes[0].get_ylabel()
    'bound on log p(x) (nats per image)'
    """
    figure, axes = new_figure()
    for (name, values), line in zip(bounds.items(), line_styles(), strict=False):
        errors = 2 * np.asarray(standard_errors[name]) if standard_errors else None
        axes.errorbar(samples, values, yerr=errors, marker="o", capsize=3, label=name, **line)
    if exact is not None:
        axes.axhline(exact, color=INK, linestyle=":", linewidth=1.2, label="log p(x)")
    axes.set_xscale("log")
    axes.set_xticks(list(samples), [f"{k}" for k in samples])
    axes.set(xlabel="importance samples k", ylabel=y_label)
    if len(bounds) > 1 or exact is not None:
        axes.legend()
    return figure


@styled
def bound_gaps(samples: Sequence[int], gaps: Mapping[str, Numbers], standard_errors: Mapping[str, Numbers]) -> Figure:
    """How far the importance-weighted bound lies below log p(x), both axes logarithmic, beside the slope −1.

    Args:
        samples: the values of k.
        gaps: name → log p(x) − L_k for each k, nats; those within two standard errors of 0 are left out.
        standard_errors: name → standard error of each gap; drawn doubled.

    >>> (axes,) = bound_gaps([1, 10, 100], {"VAE": [2.0, 0.2, 0.02]}, {"VAE": [0.01, 0.01, 0.001]}).axes
    >>> axes.get_xscale(), axes.get_yscale()
    ('log', 'log')
    """
    figure, axes = new_figure(6.4, 3.4)
    draws = np.asarray(samples, dtype=float)
    for (name, values), line in zip(gaps.items(), line_styles(), strict=False):
        values, errors = np.asarray(values), 2 * np.asarray(standard_errors[name])
        sure = values > errors
        axes.errorbar(draws[sure], values[sure], yerr=errors[sure], marker="o", capsize=3, label=name, **line)
    steepest = max(values[0] for values in gaps.values())
    axes.plot(draws, 2 * steepest / draws, color=GREY, linestyle=":", linewidth=1.2, label="slope −1")
    axes.set(xscale="log", yscale="log", xlabel="importance samples k", ylabel="log p(x) − $L_k$ (nats per image)")
    axes.set_xticks(list(draws), [f"{k:g}" for k in draws])
    axes.legend()
    return figure


@styled
def signal_to_noise(samples: Sequence[int], ratios: Mapping[str, Numbers]) -> Figure:
    """Signal-to-noise ratio of gradient estimates against the number of importance samples k, both axes logarithmic.

    >>> (axes,) = signal_to_noise([1, 10, 100], {"encoder": [1.0, 0.3, 0.1], "decoder": [1.0, 3.0, 10.0]}).axes
    >>> axes.get_xscale(), axes.get_yscale()
    ('log', 'log')
    """
    figure, axes = new_figure(6.4, 3.4)
    for (name, values), line in zip(ratios.items(), line_styles(), strict=False):
        axes.plot(samples, values, marker="o", label=name, **line)
    axes.set(xscale="log", yscale="log", xlabel="importance samples k", ylabel="signal-to-noise ratio")
    axes.set_xticks(list(samples), [f"{k}" for k in samples])
    axes.legend()
    return figure


@styled
def learners_compared(passes: Sequence[int], panels: Mapping[str, Mapping[str, Mapping[str, Table]]]) -> Figure:
    """log p(x) against computation for several learners, one panel for each training set.

    Args:
        passes: at how many passes the learners were judged.
        panels: title → learner → ``"train"`` and ``"test"`` → one curve for each seed, nats; means over seeds are
            drawn as lines (dashed for training), their ranges as bands.

    >>> curves = {"train": [[-110.0, -100.0]], "test": [[-112.0, -105.0]]}
    >>> figure = learners_compared([1, 2], {"100 images": {"AEVB": curves}, "1000 images": {"AEVB": curves}})
    >>> [axes.get_title("left") for axes in figure.axes]
    ['100 images', '1000 images']
    """
    figure, all_axes = new_figure(7.2, 3.6, ncols=len(panels), sharey=True, squeeze=False)
    for axes, (title, learners) in zip(all_axes.flat, panels.items(), strict=True):
        for (name, curves), line in zip(learners.items(), line_styles(), strict=False):
            for split, dashes in (("test", "-"), ("train", "--")):
                seeds = np.asarray(curves[split], dtype=float)
                axes.fill_between(passes, seeds.min(0), seeds.max(0), color=line["color"], alpha=0.15, linewidth=0)
                axes.plot(passes, seeds.mean(0), color=line["color"], linestyle=dashes, label=f"{name}, {split}")
        axes.set(xscale="log", title=title, xlabel="passes of a batch through a network")
    all_axes[0, 0].set_ylabel("log p(x) (nats per image)")
    figure.legend(*all_axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


@styled
def rate_distortion(rates: Numbers, distortions: Numbers, betas: Numbers, unit: str = "nats per image") -> Figure:
    """Distortion (minus the reconstruction log-likelihood) against rate (KL), one point for each β.

    The straight line through β = 1, if that is among the points, joins all pairs with the same ELBO.

    >>> (axes,) = rate_distortion(rates=[30.0, 20.0, 10.0], distortions=[70.0, 75.0, 90.0], betas=[0.5, 1.0, 4.0]).axes
    >>> axes.get_xlabel()
    'rate: KL (nats per image)'
    """
    figure, axes = new_figure(5.2, 3.8)
    order = np.argsort(rates)
    axes.plot(np.asarray(rates)[order], np.asarray(distortions)[order], marker="o", color=COLOURS["blue"])
    for place, together in _close_points(rates, distortions, betas):
        label = "β = " + ", ".join(f"{beta:g}" for beta in together)
        axes.annotate(label, place, xytext=(7, 5), textcoords="offset points")
    if 1 in betas:
        corner = list(betas).index(1)
        place = (rates[corner], distortions[corner])
        axes.axline(place, slope=-1, color=GREY, linestyle=":", linewidth=1.2, zorder=1, label="same ELBO as β = 1")
        axes.legend()
    axes.set(xlabel=f"rate: KL ({unit})", ylabel=f"distortion: −log p(x | z) ({unit})")
    axes.margins(x=0.2, y=0.12)
    axes.set_xlim(left=min(rates) - 0.03 * (max(rates) - min(rates)))
    return figure


@styled
def gradient_estimates(
    estimates: Mapping[str, Numbers],
    exact: float | None = None,
    x_label: str = "estimated gradient",
    half_width: float | None = None,
) -> Figure:
    """Single-sample gradient estimates of several estimators on one axis, each with its variance written out.

    Args:
        estimates: name of the estimator → its estimates of the same derivative.
        exact: the derivative itself; drawn as a dotted line.
        half_width: how far the axis reaches from its centre; estimates beyond it are counted, not drawn.

    >>> estimates = {"score function": [-4.0, 1.0, 6.0], "reparameterised": [0.9, 1.0, 1.1]}
    >>> len(gradient_estimates(estimates, exact=1.0).axes)
    1
    """
    figure, axes = new_figure(6.4, 0.5 + 0.85 * len(estimates))
    jitter = np.random.default_rng(0)
    centre = exact if exact is not None else float(np.mean([np.mean(values) for values in estimates.values()]))
    lowest, highest = (extreme([extreme(values) for values in estimates.values()]) for extreme in (min, max))
    # Labels stand on the side away from the dotted line, which most estimates are near.
    edge, side = (0.01, "left") if half_width is None and centre > (lowest + highest) / 2 else (0.99, "right")
    for row, (values, line) in enumerate(zip(estimates.values(), line_styles(), strict=False)):
        values = np.asarray(values, dtype=float)
        shown = values if half_width is None else values[np.abs(values - centre) <= half_width]
        heights = -row + jitter.uniform(-0.22, 0.22, len(shown))
        axes.scatter(shown, heights, s=7, alpha=0.35, color=line["color"], linewidths=0)
        axes.errorbar(values.mean(), -row, xerr=values.std(), color=INK, marker="o", markersize=4, capsize=4, lw=1.2)
        place = {"xy": (edge, -row + 0.34), "xycoords": ("axes fraction", "data"), "ha": side}
        missing = len(values) - len(shown)
        outside = f"; {missing:,} of {len(values):,} outside the picture" if missing else ""
        label = axes.annotate(f"variance {_three_digits(values.var())}{outside}", **place)
        label.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1})
    if exact is not None:
        axes.axvline(exact, color=INK, linestyle=":", linewidth=1.2)
    if half_width is not None:
        axes.set_xlim(centre - half_width, centre + half_width)
    axes.set_yticks([-row for row in range(len(estimates))], list(estimates))
    axes.set(xlabel=x_label, ylim=(-len(estimates) + 0.45, 0.6))
    axes.grid(axis="y", visible=False)
    return figure


@styled
def gradient_variance(x: Numbers, variances: Mapping[str, Numbers], x_label: str = "samples per estimate") -> Figure:
    """Variance of several gradient estimators against some setting, both axes logarithmic.

    >>> (axes,) = gradient_variance([1, 10, 100], {"score function": [9.0, 0.9, 0.09]}).axes
    >>> axes.get_xlabel()
    'samples per estimate'
    """
    figure, axes = new_figure()
    for (name, values), line in zip(variances.items(), line_styles(), strict=False):
        axes.plot(x, values, marker="o", label=name, **line)
    axes.set(xscale="log", yscale="log", xlabel=x_label, ylabel="variance of the gradient")
    axes.set_xticks(list(x), [f"{value:g}" for value in x])
    axes.legend()
    return figure


def _close_points(
    rates: Numbers, distortions: Numbers, betas: Numbers
) -> list[tuple[tuple[float, float], list[float]]]:
    """Where the labels go, each with the β of the points that are so close together that they share it."""
    points = np.stack([np.asarray(rates, dtype=float), np.asarray(distortions, dtype=float)], axis=1)
    relative = points / np.maximum(np.ptp(points, axis=0), np.finfo(float).tiny)
    groups: list[list[int]] = []
    for index in np.argsort(betas):
        near = (group for group in groups if np.abs(relative[group[0]] - relative[index]).max() < _TOO_CLOSE)
        group = next(near, None)
        if group is None:
            groups.append([index])
        else:
            group.append(index)
    places: list[list[float]] = points.tolist()
    return [((places[group[0]][0], places[group[0]][1]), [float(betas[i]) for i in group]) for group in groups]


def _three_digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _steps_and_values(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(curve, tuple):
        return np.asarray(curve[0], dtype=float), np.asarray(curve[1], dtype=float)
    return np.arange(1, len(curve) + 1, dtype=float), np.asarray(curve, dtype=float)


def _draw_noisy(axes: Axes, steps: np.ndarray, values: np.ndarray, name: str, line: dict) -> None:
    if len(values) < _NOISY:
        axes.plot(steps, values, label=name, marker="o" if len(values) < 25 else None, markersize=3.5, **line)
        return
    window = max(len(values) // 40, 5)
    smooth = np.convolve(values, np.ones(window) / window, mode="valid")
    centre = steps[window // 2 : window // 2 + len(smooth)]
    axes.plot(steps, values, color=line["color"], alpha=0.25, linewidth=0.8)
    axes.plot(centre, smooth, label=name, **line)
