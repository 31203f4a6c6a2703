"""The table of an ablation's record, as it stands in the README."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from avae_lib.data import last_bits_per_dim

__all__ = ["refresh_readme", "table"]

_START, _END = "<!-- table: written by run.py -->", "<!-- end of the table -->"
_HEAD = (
    "arm",
    "parameters",
    "bits/dim",
    "minus the first arm",
    "seeds",
    "updates",
    "skipped",
    "diverged",
    "settled",
    "ms per update",
)


def table(record: dict[str, Any]) -> str:
    """A Markdown table with one row for each arm, below a line on where the numbers come from.

    bits/dim is the mean over seeds ± the standard deviation over seeds, on test images once all runs are finished; the
    next column has the same for the differences from the first arm's run of the same seed. Skipped updates are counted
    for each seed. "Settled" counts the runs that met the stop rule.
    """
    rows = [_HEAD, tuple("---" for _ in _HEAD), *(_row(arm, record["arms"][0]) for arm in record["arms"])]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([_origin(record), "", *lines])


def refresh_readme(readme: Path, record: dict[str, Any]) -> None:
    """Put the record's table between the marks in a README, if the file exists."""
    if readme.exists():
        before, _, rest = readme.read_text(encoding="utf-8").partition(_START)
        _, _, after = rest.partition(_END)
        readme.write_text(f"{before}{_START}\n{table(record)}\n{_END}{after}", encoding="utf-8")


def _origin(record: dict[str, Any]) -> str:
    images = record["data"]
    runs = [run for arm in record["arms"] for run in arm["runs"]]
    tested = bool(runs) and all(run["test"] or run["diverged"] for run in runs)
    judged_by = f"{images['test']:,} test images" if tested else f"{images['valid']:,} validation images, on the way"
    minutes = sum(run["cpu_seconds"] for run in runs) / 60
    reached = _range([run["steps"] for run in runs if not run["diverged"]])
    return (
        f"**{reached} of {record['planned_steps']:,} updates** in each run. {images['title']}, {images['train']:,} "
        f"training images; judged by {judged_by}. {len(runs)} runs, {minutes:.0f} minutes of processor time in all, "
        f"{record['device']}, PyTorch {record['torch']}."
    )


def _row(arm: dict[str, Any], first: dict[str, Any]) -> tuple[str, ...]:
    runs, bits, bits_of_first = arm["runs"], last_bits_per_dim(arm), last_bits_per_dim(first)
    pairs = zip(bits, bits_of_first, strict=True) if len(bits) == len(bits_of_first) == len(runs) else ()
    return (
        arm["label"],
        f"{arm['parameters']:,}",
        _mean_and_deviation(bits),
        "" if arm is first else _mean_and_deviation([own - other for own, other in pairs]),
        str(len(runs)),
        _range([run["steps"] for run in runs]),
        ", ".join(str(run["skipped"]) for run in runs),
        str(sum(run["diverged"] for run in runs)),
        f"{sum(run['stop_rule_met'] for run in runs)} of {len(runs)}",
        f"{statistics.mean(run['ms_per_step'] for run in runs):.0f}" if runs else "",
    )


def _mean_and_deviation(values: Sequence[float]) -> str:
    if len(values) < 2:
        return "".join(f"{value:.3f}" for value in values)
    return f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}"


def _range(values: Sequence[int]) -> str:
    if not values:
        return ""
    return f"{values[0]:,}" if min(values) == max(values) else f"{min(values):,} to {max(values):,}"
