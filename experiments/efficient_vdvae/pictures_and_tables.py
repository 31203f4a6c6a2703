"""The pictures and tables of the record, for the README."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from avae_lib.plotting import png_bytes
from avae_lib.plotting.style import COLOURS, GREY, line_styles, new_figure, styled

__all__ = ["arms_table", "draw", "equal_compute_table", "refresh", "sweep_table"]

Record = Mapping[str, Any]


def draw(record: Record, folder: Path) -> None:
    """Write curves.png and results.png."""
    (folder / "curves.png").write_bytes(png_bytes(_curves(record)))
    (folder / "results.png").write_bytes(png_bytes(_results(record)))


def refresh(record: Record, readme: Path) -> None:
    """Put the tables between their marks in the README, if it exists."""
    if not readme.exists():
        return
    text = readme.read_text(encoding="utf-8")
    tables = {"arms": arms_table, "equal compute": equal_compute_table, "learning rates": sweep_table}
    for name, table in tables.items():
        start, end = f"<!-- {name}: written by run.py -->", f"<!-- end of {name} -->"
        before, _, rest = text.partition(start)
        _, _, after = rest.partition(end)
        text = f"{before}{start}\n{table(record)}\n{end}{after}"
    readme.write_text(text, encoding="utf-8")


def arms_table(record: Record) -> str:
    """Cost of every arm, and its bound: on validation images early on, on test images at the end."""
    early, late = record["early"], record["updates"]
    head = (
        "arm",
        "parameters",
        "MFLOP per image",
        "ms per update",
        "learning rate",
        f"validation, {early} updates",
        "minus the base",
        f"test, {late} updates",
        "minus the base",
    )
    return _table(head, [_arm_row(record, arm) for arm in record["arms"] if arm["runs"]])


def _arm_row(record: Record, arm: Record) -> list[str]:
    base = _base_of(record, arm)
    return [
        arm["label"],
        f"{arm['parameters']:,}",
        f"{arm['megaflops_per_image']:.0f}",
        f"{arm['ms_per_update']:.0f}",
        f"{arm['rate']:g}",
        *_beside_base(_valid_at(arm, record["early"]), _valid_at(base, record["early"]), arm is base),
        *_beside_base(_tests_at(arm, record["updates"]), _tests_at(base, record["updates"]), arm is base),
    ]


def _beside_base(own: Mapping[int, float], base: Mapping[int, float], is_base: bool) -> tuple[str, str]:
    """Mean and deviation over seeds, and of the differences from the base's run of the same seed."""
    differences = [own[seed] - base[seed] for seed in own if seed in base]
    return _mean_and_deviation(list(own.values())), "" if is_base else _mean_and_deviation(differences)


def equal_compute_table(record: Record) -> str:
    """VDVAE and Efficient-VDVAE after equally many updates, seconds and floating-point operations: validation bound.

    All come from one curve for each seed, because the learning rate is constant. Updates are the nearest at which both
    were looked at.
    """
    vdvae, efficient = (_arm(record, name) for name in ("vdvae", "efficient"))
    longest = {arm["name"]: min(run["curve"]["step"][-1] for run in arm["runs"]) for arm in (vdvae, efficient)}
    rows = []
    for what, cost in (("updates", None), ("seconds", "ms_per_update"), ("operations", "megaflops_per_image")):
        ratio = 1.0 if cost is None else vdvae[cost] / efficient[cost]
        ours = min(longest["efficient"], ratio * longest["vdvae"])
        at = {"vdvae": _nearest(vdvae, ours / ratio), "efficient": _nearest(efficient, ours)}
        first, second = (_valid_at(arm, at[arm["name"]]) for arm in (vdvae, efficient))
        differences = [second[seed] - first[seed] for seed in first.keys() & second.keys()]
        bounds = [_mean_and_deviation(list(values.values())) for values in (first, second)]
        rows.append(
            [what, str(at["vdvae"]), bounds[0], str(at["efficient"]), bounds[1], _mean_and_deviation(differences)]
        )
    head = ("equal", "updates, VDVAE", "bits/dim", "updates, Efficient-VDVAE", "bits/dim", "difference")
    return _table(head, rows)


def sweep_table(record: Record) -> str:
    """Validation bound of each arm for the learning rates that were tried; the chosen one is bold."""
    rates = sorted({rate for arm in record["arms"] for rate in arm["sweep"]}, key=float)
    rows = [[arm["label"], *(_judged(arm, rate) for rate in rates)] for arm in record["arms"] if len(arm["sweep"]) >= 3]
    return _table(("arm", *rates), rows)


def _judged(arm: Record, rate: str) -> str:
    if rate not in arm["sweep"]:
        return ""
    bits = arm["sweep"][rate]
    text = "diverged" if bits is None else f"{bits:.3f}"
    return f"**{text}**" if float(rate) == arm["rate"] else text


@styled
def _curves(record: Record) -> Figure:
    """The validation bound of both models against updates, seconds and operations: mean and range over seeds."""
    figure, panels = new_figure(7.2, 2.9, ncols=3, sharey=True)
    for name, line in zip(("vdvae", "efficient"), line_styles(), strict=False):
        arm = _arm(record, name)
        update_costs = (1.0, arm["ms_per_update"] / 1000, arm["megaflops_per_image"] * record["batch_size"] / 1e6)
        for axes, cost in zip(panels, update_costs, strict=True):
            _draw_curve(axes, arm, cost, line)
    for axes, label in zip(panels, ("updates", "seconds of one thread", "teraflops"), strict=True):
        axes.set(xlabel=label, xlim=(0, None), ylim=(None, 6.6))
    panels[0].set_ylabel("bits per dimension (validation)")
    panels[1].legend(loc="upper right")
    return figure


def _draw_curve(axes: Axes, arm: Record, cost: float, line: Mapping[str, Any]) -> None:
    points = min(len(run["curve"]["step"]) for run in arm["runs"])
    steps = np.array(arm["runs"][0]["curve"]["step"][:points])
    bits = np.array([run["curve"]["bits_per_dim"][:points] for run in arm["runs"]])
    axes.fill_between(cost * steps, bits.min(axis=0), bits.max(axis=0), color=line["color"], alpha=0.2, linewidth=0)
    axes.plot(cost * steps, bits.mean(axis=0), label=arm["label"], **line)


@styled
def _results(record: Record) -> Figure:
    """One dot for each arm and seed early on, the mean as a bar; the base's mean as a line."""
    arms = [arm for arm in record["arms"] if arm["runs"]]
    figure, axes = new_figure(7.2, 3.1)
    for place, arm in enumerate(arms):
        bits = list(_valid_at(arm, record["early"]).values())
        axes.plot([place] * len(bits), bits, "o", color=COLOURS["vermilion"], markersize=4, zorder=3)
        axes.plot([place], [statistics.mean(bits)], "_", color=COLOURS["blue"], markersize=18, markeredgewidth=2)
    for base in {_base_of(record, arm)["name"] for arm in arms}:
        places = [place for place, arm in enumerate(arms) if _base_of(record, arm)["name"] == base]
        mean = statistics.mean(_valid_at(_arm(record, base), record["early"]).values())
        axes.hlines(mean, min(places) - 0.4, max(places) + 0.4, color=GREY, linewidth=0.8, linestyle="--", zorder=1)
    axes.set_xticks(range(len(arms)), [arm["label"].replace(", ", ",\n").replace(" and ", "\nand ") for arm in arms])
    axes.set_ylabel(f"bits per dimension (validation)\nafter {record['early']} updates")
    axes.margins(x=0.05, y=0.12)
    return figure


def _arm(record: Record, name: str) -> Record:
    (found,) = [arm for arm in record["arms"] if arm["name"] == name]
    return found


def _base_of(record: Record, arm: Record) -> Record:
    return _arm(record, "attentive" if arm["name"].startswith("attentive") else "vdvae")


def _tests_at(arm: Record, updates: int) -> dict[int, float]:
    """Test bound by seed."""
    return {
        run["seed"]: run["tests"][str(updates)]["bits_per_dim"] for run in arm["runs"] if str(updates) in run["tests"]
    }


def _valid_at(arm: Record, updates: int) -> dict[int, float]:
    """Validation bound by seed."""
    return {
        run["seed"]: run["curve"]["bits_per_dim"][run["curve"]["step"].index(updates)]
        for run in arm["runs"]
        if updates in run["curve"]["step"]
    }


def _nearest(arm: Record, updates: float) -> int:
    """The number of updates nearest to this one at which validation images were looked at."""
    return min(arm["runs"][0]["curve"]["step"], key=lambda step: abs(step - updates))


def _mean_and_deviation(values: Sequence[float]) -> str:
    if len(values) < 2:
        return "".join(f"{value:.3f}" for value in values)
    return f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
