"""Pictures of lecture 07 on images that a model was not trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from avae_lib.plotting.style import COLOURS, GREY, Numbers, line_styles, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["areas_against_kept_layers", "areas_of_scores", "roc_curves", "score_histograms"]


@styled
def score_histograms(panels: Mapping[str, Mapping[str, Numbers]], x_label: str) -> Figure:
    """Distributions of a score over several sets of images; one panel for each score.

    Args:
        panels: title → name of a set → its scores.
        x_label: below every panel.

    >>> scores = {"own images": [1.0, 2.0, 2.5], "other images": [3.0, 4.0, 4.5]}
    >>> figure = score_histograms({"−log p(x)": scores, "LLR": scores}, "nats per image")
    >>> [axes.get_title("left") for axes in figure.axes]
    ['−log p(x)', 'LLR']
    """
    figure, all_axes = new_figure(7.2, 2.9, ncols=len(panels), squeeze=False)
    for axes, (title, sets) in zip(all_axes[0], panels.items(), strict=True):
        every = np.concatenate([np.asarray(scores, dtype=float) for scores in sets.values()])
        edges = np.linspace(every.min(), np.quantile(every, 0.995), 40)
        for (name, scores), line in zip(sets.items(), line_styles(), strict=False):
            axes.hist(np.asarray(scores, dtype=float), edges, density=True, histtype="step", label=name, **line)
        axes.set(title=title, xlabel=x_label, yticks=[])
    figure.legend(*all_axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(sets))
    return figure


@styled
def roc_curves(panels: Mapping[str, Mapping[str, tuple[Numbers, Numbers]]]) -> Figure:
    """Share of outside images found against share of inside images suspected, for every threshold of a score.

    Args:
        panels: title → name of a score → (scores of inside images, scores of outside images); higher means outside.

    >>> figure = roc_curves({"noise": {"LLR": ([1.0, 2.0, 2.5], [2.2, 4.0, 4.5])}})
    >>> [axes.get_title("left") for axes in figure.axes]
    ['noise']
    """
    figure, all_axes = new_figure(7.2, 3.5, ncols=len(panels), sharey=True, squeeze=False)
    for axes, (title, scores) in zip(all_axes[0], panels.items(), strict=True):
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":")
        for (name, (inside, outside)), line in zip(scores.items(), line_styles(), strict=False):
            axes.plot(*_rates(np.asarray(inside, float), np.asarray(outside, float)), label=name, **line)
        axes.set(title=title, xlabel="inside images suspected", aspect="equal", xlim=(0, 1), ylim=(0, 1.01))
    all_axes[0, 0].set_ylabel("outside images found")
    figure.legend(*all_axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(scores))
    return figure


@styled
def areas_of_scores(areas: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]]) -> Figure:
    """Areas under ROC curves with 95 % intervals, one group for each other set, one colour for each score.

    Args:
        areas: name of a set → name of a score → (area, standard error) of each seed.

    >>> (axes,) = areas_of_scores({"noise": {"LLR": [(0.9, 0.01)], "−log p(x)": [(0.4, 0.02)]}}).axes
    >>> axes.get_ylabel()
    'area under the ROC curve'
    """
    figure, axes = new_figure(7.0, 3.2)
    colours = dict(zip(next(iter(areas.values())), COLOURS.values(), strict=False))
    axes.axhline(0.5, color=GREY, linewidth=0.8, linestyle=":")
    for group, scores in enumerate(areas.values()):
        for place, (name, seeds) in enumerate(scores.items()):
            for number, (area, error) in enumerate(seeds):
                x = group + (place - (len(scores) - 1) / 2) * 0.2 + (number - (len(seeds) - 1) / 2) * 0.045
                label = name if group == number == 0 else None
                axes.errorbar(x, area, 1.96 * error, fmt="o", markersize=4, color=colours[name], label=label)
    axes.set(xticks=range(len(areas)), xticklabels=list(areas), ylabel="area under the ROC curve", ylim=(0, 1.02))
    figure.legend(loc="outside lower center", ncols=len(colours))
    return figure


@styled
def areas_against_kept_layers(
    areas: Mapping[str, Mapping[int, tuple[float, float]]], likelihood: Mapping[str, tuple[float, float]]
) -> Figure:
    """Areas under ROC curves of the likelihood ratio against the layers that its second term keeps.

    Args:
        areas: name of a set → kept layers → (area, standard error); bands are 95 % intervals.
        likelihood: name of a set → the same of −log p(x), drawn on the right.

    >>> figure = areas_against_kept_layers({"noise": {1: (0.9, 0.01), 2: (0.8, 0.01)}}, {"noise": (0.4, 0.02)})
    >>> figure.axes[0].get_xlabel()
    'layers kept, from the top'
    """
    figure, (axes, beside) = new_figure(7.2, 3.2, ncols=2, sharey=True, width_ratios=(4, 1))
    for place, (name, line) in enumerate(zip(areas, line_styles(), strict=False)):
        kept, (values, errors) = list(areas[name]), np.array(list(areas[name].values())).T
        axes.plot(kept, values, marker="o", label=name, **line)
        axes.fill_between(
            kept, values - 1.96 * errors, values + 1.96 * errors, color=line["color"], alpha=0.15, linewidth=0
        )
        area, error = likelihood[name]
        beside.errorbar(place, area, 1.96 * error, fmt="o", color=line["color"])
    for each in (axes, beside):
        each.axhline(0.5, color=GREY, linewidth=0.8, linestyle=":")
    axes.set(xlabel="layers kept, from the top", ylabel="area under the ROC curve", ylim=(0, 1.02), title="ratio")
    beside.set(xticks=[], title="−log p(x)")
    figure.legend(loc="outside lower center", ncols=len(areas))
    return figure


def _rates(inside: np.ndarray, outside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shares above each threshold, from the highest one down."""
    thresholds = np.concatenate([[np.inf], np.unique(np.concatenate([inside, outside]))[::-1]])
    return (inside[:, None] >= thresholds).mean(0), (outside[:, None] >= thresholds).mean(0)
