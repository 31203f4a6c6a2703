"""The table of all objectives, as it stands in the README."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["refresh_readme", "table"]

_START, _END = "<!-- table: written by run.py -->", "<!-- end of the table -->"
_HEAD = (
    "model",
    "−ELBO",
    "−log p(x)",
    "bits/dim",
    "rate",
    "distortion",
    "wrong pixels",
    "active units",
    "MIG",
    "parameters",
    "multiply-adds",
    "CPU seconds",
    "kWh",
)
_DASH = "—"


def refresh_readme(readme: Path, record: dict[str, Any]) -> None:
    """Put the record's table between the marks in a README, if the file exists."""
    if readme.exists():
        before, _, rest = readme.read_text(encoding="utf-8").partition(_START)
        _, _, after = rest.partition(_END)
        readme.write_text(f"{before}{_START}\n{table(record)}\n{_END}{after}", encoding="utf-8")


def table(record: dict[str, Any]) -> str:
    """A Markdown table with a row for each model, mean over seeds ± standard error, and why numbers are missing."""
    digits, sprites = record["data"]["digits"], record["data"]["sprites"]
    above = (
        f"{record['steps']:,} updates of {record['batch_size']} images for each model, "
        f"{len(record['rows'][0]['runs'])} seeds, mean ± standard error over seeds. Binarised digits "
        f"({digits['train']:,} for training, {digits['test']} test images, {record['num_dims']} pixels); MIG: sprites "
        f"({sprites['train']} for training, measured on all). {record['device']}, PyTorch {record['torch']}."
    )
    lines = [_HEAD, tuple("---" for _ in _HEAD), *(_row(row, record["num_dims"]) for row in record["rows"])]
    reasons = [row["no_density"] for row in record["rows"] if row["no_density"]]
    return "\n".join([above, "", *("| " + " | ".join(line) + " |" for line in lines), "", *_remarks(reasons, record)])


def _row(row: dict[str, Any], num_dims: int) -> tuple[str, ...]:
    runs = row["runs"]

    def entry(name: str, decimals: int = 2, scale: float = 1.0) -> str:
        return _mean_and_error([run[name] and scale * run[name] for run in runs], decimals)

    return (
        row["label"] + (" †" if row["conditional"] else ""),
        entry("negative_elbo"),
        entry("negative_log_likelihood"),
        entry("negative_log_likelihood", 3, 1 / (num_dims * math.log(2))),
        entry("rate"),
        entry("distortion"),
        _mean_and_error([100 * run["pixels_wrong"] for run in runs], 1) + " %",
        entry("active_units", 1),
        entry("mutual_information_gap"),
        f"{row['parameters']:,}",
        f"{row['multiply_adds']:,}",
        f"{statistics.mean(run['cpu_seconds'] for run in runs):.0f}",
        entry("energy_kwh", 4),
    )


def _mean_and_error(values: Sequence[float | None], decimals: int) -> str:
    if any(value is None for value in values):
        return _DASH
    mean = f"{statistics.mean(values):.{decimals}f}"
    if len(values) < 2:
        return mean
    return f"{mean} ± {statistics.stdev(values) / math.sqrt(len(values)):.{decimals}f}"


def _remarks(reasons: Sequence[str], record: dict[str, Any]) -> list[str]:
    codes = [
        f"{row['label']}: " + ", ".join(" + ".join(map(str, run["codes_in_use"])) for run in row["runs"])
        for row in record["rows"]
        if row["runs"][0]["codes_in_use"]
    ]
    return [
        "† p(x | class), not to be compared with the others' p(x).",
        "",
        f"A dash under −ELBO, −log p(x), bits/dim and rate: {' '.join(dict.fromkeys(reasons))}",
        "A dash under active units and MIG: the latents are a grid of codes and have no units. Codes in use, of 32 at "
        f"each level (top + bottom), for each seed: {'; '.join(codes)}.",
        "A dash under kWh: the machine has no meter that the library can read.",
    ]
