"""Results of runs that differ in their seed alone, as a mean with its standard error."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict

from avae_lib.report.comparison import Comparison

__all__ = ["over_seeds"]

_SEED = "training.seed"


def over_seeds(comparison: Comparison) -> str:
    """A line for each group of runs that differ in their seed alone, the best mean first; empty if there is none.

    >>> over_seeds(Comparison((), {}, ()))
    ''
    """
    fields = [field for field in comparison.differing if field != _SEED]
    groups = defaultdict[tuple[str, ...], list[float]](list)
    for position, run in enumerate(comparison.runs):
        settings = tuple(f"{field}={comparison.differing[field][position]}" for field in fields)
        if run.best is not None:
            groups[settings].append(run.best[1])
    if all(len(values) < 2 for values in groups.values()):
        return ""
    ordered = sorted(groups.items(), key=lambda group: statistics.fmean(group[1]))
    best = comparison.runs[0]
    what = "objective" if best.quantity == "objective" else "−ELBO"
    return "\n".join(
        [
            f"Over seeds, {what} on validation ({best.unit}; ± is the standard error of the mean):",
            *(_line(settings, values) for settings, values in ordered),
        ]
    )


def _line(settings: tuple[str, ...], values: list[float]) -> str:
    named = " ".join(settings) or "all runs"
    error = f" ± {statistics.stdev(values) / math.sqrt(len(values)):.4f}" if len(values) > 1 else ""
    return f"  {statistics.fmean(values):.4f}{error} ({len(values)} seeds)  {named}"
