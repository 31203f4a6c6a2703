"""Pictures of the records of ablations: ``results.png`` answers the question, ``curves.png`` shows the training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from avae_lib import plotting
from avae_lib.data import last_bits_per_dim
from avae_lib.plotting.style import COLOURS, GREY, line_styles, new_figure, styled

__all__ = [
    "cumulative_kl",
    "kl_during_training",
    "learning_curves",
    "loss_against",
    "loss_against_depth",
    "loss_and_skips",
    "loss_of_arms",
]


def loss_of_arms(record: dict[str, Any], folder: Path) -> None:
    """Draw one point for each arm and seed, with the labels of the arms on the axis."""
    results = {arm["label"].replace(" at ", "\nat "): last_bits_per_dim(arm) for arm in record["arms"]}
    _save(record, _seeds_and_means(results, "", _judged_by(record)), folder)


def loss_against(record: dict[str, Any], folder: Path, factor: str, label: str) -> None:
    """Draw one point for each arm and seed, with a factor of the arms on the axis."""
    results = {str(arm["factors"][factor]): last_bits_per_dim(arm) for arm in record["arms"]}
    _save(record, _seeds_and_means(results, label, _judged_by(record)), folder)


def loss_against_depth(record: dict[str, Any], folder: Path) -> None:
    """Local and attentive models against their number of layers."""
    results: dict[str, dict[int, list[float]]] = {}
    for arm in record["arms"]:
        factors, seeds = arm["factors"], last_bits_per_dim(arm)
        if seeds:
            results.setdefault(factors["conditioning"], {})[factors["layers"]] = seeds
    _save(record, plotting.bits_per_dim_against_depth(results), folder)


def loss_and_skips(record: dict[str, Any], folder: Path) -> None:
    """Loss and skipped updates against the number of blocks, with and without residual scaling."""
    _save(record, _loss_and_skips(record), folder)


def cumulative_kl(record: dict[str, Any], folder: Path) -> None:
    """KL summed from the top layer down, for each arm."""
    models = {
        arm["label"]: [run["curve"]["kl_per_layer"][-1] for run in arm["runs"]] for arm in record["arms"] if arm["runs"]
    }
    _save(record, plotting.cumulative_kl(models, record["arms"][0]["resolutions"]), folder)


def kl_during_training(record: dict[str, Any], folder: Path) -> None:
    """KL of each layer over training, one panel for each arm."""
    models = {}
    for arm in record["arms"]:
        curves = [run["curve"] for run in arm["runs"]]
        points = min((len(curve["step"]) for curve in curves), default=0)
        if points:
            models[arm["label"]] = (curves[0]["step"][:points], [curve["kl_per_layer"][:points] for curve in curves])
    _save(record, plotting.kl_of_layers_during_training(models), folder)


@styled
def learning_curves(record: dict[str, Any]) -> Figure:
    """The bound on validation images over training: the mean of all seeds of each arm."""
    figure, axes = new_figure(7.0, 3.4)
    for arm, line in zip(record["arms"], line_styles(), strict=False):
        curves = [run["curve"] for run in arm["runs"]]
        points = min((len(curve["step"]) for curve in curves), default=0)
        if points:
            mean = np.mean([curve["bits_per_dim"][:points] for curve in curves], axis=0)
            axes.plot(curves[0]["step"][:points], mean, label=arm["label"], **line)
    axes.set(xlabel="update", ylabel="bits per dimension (validation)")
    axes.legend(loc="upper right")
    return figure


@styled
def _seeds_and_means(results: dict[str, list[float]], x_label: str, judged_by: str) -> Figure:
    """Dots are seeds, joined by a thin line if all arms have equally many; the blue line joins the means."""
    figure, axes = new_figure(6.4, 3.2)
    if len({len(seeds) for seeds in results.values()}) == 1:
        axes.plot(list(results.values()), color=GREY, linewidth=0.7)
    for place, seeds in enumerate(results.values()):
        axes.plot([place] * len(seeds), seeds, "o", color=COLOURS["vermilion"], markersize=4, zorder=3)
    means = [np.mean(seeds) if seeds else np.nan for seeds in results.values()]
    axes.plot(means, marker="_", markersize=18, color=COLOURS["blue"])
    axes.set_xticks(range(len(results)), list(results))
    axes.set(xlabel=x_label, ylabel=f"bits per dimension ({judged_by})")
    axes.margins(x=0.12, y=0.15)
    return figure


def _judged_by(record: dict[str, Any]) -> str:
    runs = [run for arm in record["arms"] for run in arm["runs"]]
    return "test" if all(run["test"] or run["diverged"] for run in runs) else "validation"


@styled
def _loss_and_skips(record: dict[str, Any]) -> Figure:
    figure, (loss, skips) = new_figure(7.0, 3.0, ncols=2)
    for scaled, line in zip((False, True), line_styles(), strict=False):
        arms = [arm for arm in record["arms"] if arm["factors"]["residual_scaling"] == scaled and arm["runs"]]
        name = "with 1/√N" if scaled else "without"
        _draw_seeds(loss, arms, [last_bits_per_dim(arm) for arm in arms], name, line)
        _draw_seeds(skips, arms, [[run["skipped"] for run in arm["runs"]] for arm in arms], name, line)
    loss.set(xlabel="blocks", ylabel=f"bits per dimension ({_judged_by(record)})")
    skips.set(xlabel="blocks", ylabel="skipped updates")
    loss.legend()
    return figure


def _draw_seeds(axes: Axes, arms: list[dict], values: list[list[float]], name: str, line: dict[str, Any]) -> None:
    blocks = [arm["factors"]["blocks"] for arm in arms]
    axes.plot(blocks, [np.mean(seeds) if seeds else np.nan for seeds in values], label=name, **line)
    for place, seeds in zip(blocks, values, strict=True):
        axes.plot([place] * len(seeds), seeds, "o", color=line["color"], markersize=4)
    axes.set_xticks(blocks)


def _save(record: dict[str, Any], results: Figure, folder: Path) -> None:
    (folder / "results.png").write_bytes(plotting.png_bytes(results))
    (folder / "curves.png").write_bytes(plotting.png_bytes(learning_curves(record)))
