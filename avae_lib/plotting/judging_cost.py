"""Pictures of lecture 07 on what training costs and what it buys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from avae_lib.plotting.style import COLOURS, INK, Numbers, Table, line_styles, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["hours_of_runs", "quality_for_hours", "quality_over_time"]


@styled
def hours_of_runs(hours: Mapping[str, float], x_label: str = "processor hours") -> Figure:
    """How long groups of runs took, the longest on top, each bar with its number.

    Args:
        hours: name of a group → hours.
        x_label: what the hours are hours of.

    >>> (axes,) = hours_of_runs({"lecture 05": 3.0, "lecture 06": 5.5}).axes
    >>> axes.get_xlabel()
    'processor hours'
    """
    ordered = sorted(hours.items(), key=lambda entry: entry[1])
    figure, axes = new_figure(6.4, 0.5 + 0.26 * len(ordered))
    bars = axes.barh([name for name, _ in ordered], [value for _, value in ordered], color=COLOURS["blue"], height=0.65)
    axes.bar_label(bars, [f"{value:.2f}" for _, value in ordered], padding=3, color=INK)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(x_label)
    axes.margins(x=0.1)
    return figure


@styled
def quality_for_hours(
    runs: Mapping[str, Sequence[tuple[float, float]]], seeds: Mapping[str, Numbers] | None = None
) -> Figure:
    """Bits per dimension against GPU hours on a logarithmic axis, with the spread of other seeds.

    Args:
        runs: model → (GPU hours, bits/dim) of each published run.
        seeds: model → bits/dim of further seeds, drawn as a bar at the hours of the model's first run.

    >>> (axes,) = quality_for_hours({"NVAE": [(100.0, 2.91)], "attentive": [(50.0, 2.79)]}).axes
    >>> axes.get_xscale()
    'log'
    """
    figure, axes = new_figure(6.4, 3.2)
    for (name, points), line in zip(runs.items(), line_styles(), strict=False):
        hours, bits = zip(*points, strict=True)
        axes.plot(hours, bits, marker="o", markersize=7, label=name, **line)
        if seeds and name in seeds:
            axes.vlines(hours[0], min(seeds[name]), max(seeds[name]), color=line["color"], linewidth=5, alpha=0.35)
    axes.set_xscale("log", base=2)
    ticks = [250, 350, 500, 700]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set(xlabel="GPU hours (logarithmic)", ylabel="bits per dimension (lower is better)")
    axes.margins(0.14)
    axes.legend(loc="upper right")
    return figure


@styled
def quality_over_time(panels: Mapping[str, Mapping[str, Table]]) -> Figure:
    """Bits per dimension during training, mean of the seeds, one panel for each budget on the horizontal axis.

    Args:
        panels: label of the axis → name of a model → (budget used, bits/dim), two sequences of equal length.

    >>> panels = {"updates": {"local": [[100, 200], [5.5, 5.1]]}, "seconds": {"local": [[9, 18], [5.5, 5.1]]}}
    >>> [axes.get_xlabel() for axes in quality_over_time(panels).axes]
    ['updates', 'seconds']
    """
    figure, all_axes = new_figure(7.2, 3.2, ncols=len(panels), sharey=True, squeeze=False)
    for axes, (label, models) in zip(all_axes[0], panels.items(), strict=True):
        for (name, (spent, bits)), line in zip(models.items(), line_styles(), strict=False):
            axes.plot(np.asarray(spent, float), np.asarray(bits, float), label=name, **line)
        axes.set_xlabel(label)
    all_axes[0, 0].set_ylabel("bits per dimension")
    figure.legend(*all_axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure
