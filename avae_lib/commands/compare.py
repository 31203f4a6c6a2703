"""``avae compare``."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from tyro.conf import Positional

if TYPE_CHECKING:
    from avae_lib.report.comparison import Comparison

__all__ = ["compare", "draw_curves"]

_RUNS = tyro.conf.arg(metavar="RUN [RUN ...]", help="Folders of runs, for example runs/*.", help_behavior_hint="")


def compare(
    runs: Annotated[Positional[tuple[Path, ...]], _RUNS],
    json: bool = False,
    picture: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None,
) -> None:
    """Compare runs side by side: bounds on validation images, costs, and the settings that differ.

    The best run by validation images comes first. Its bound is the lowest of all evaluations during training; looks
    is the number of evaluations on validation and on test images. Nothing is evaluated here: results on test images are
    shown for runs that avae evaluate has been used on. Runs may be unfinished.

    A warning says what makes numbers unequal: other validation images, another edition of the data set, other numbers
    of importance samples, many looks at test images.

    Args:
        json: Print a JSON object with runs, differing and warnings instead of tables.
        picture: File for the picture of the learning curves on validation images, PNG; by default compare.png, and
            with --json none.
    """
    from avae_lib.errors import InvalidInput
    from avae_lib.report import compare_runs

    runs = tuple(run for run in runs if not run.is_file())  # runs/sweeps/NAME/* also matches the files beside the runs
    if not runs:
        raise InvalidInput("avae compare needs the folders of the runs, for example: avae compare runs/*")
    comparison = compare_runs(runs)
    print(json_format.dumps(comparison.to_json(), indent=2) if json else comparison.table())
    if picture is not None or not json:
        path = draw_curves(comparison, picture or Path("compare.png"))
        if not json:
            print(f"\nlearning curves: {path}")


def draw_curves(comparison: Comparison, path: Path) -> Path:
    """Draw the learning curves of the runs into a PNG file; runs of the most frequent quantity only."""
    from avae_lib import plotting
    from avae_lib.atomic_write import write_atomically

    quantities = [run.quantity for run in comparison.runs]
    quantity = max(quantities, key=quantities.count)
    labels = {"bits_per_dim": "−ELBO, validation (bits per dimension)", "objective": "objective, validation (nats)"}
    named = zip(comparison.names, comparison.runs, strict=True)
    curves = {name: run.curve for name, run in named if run.quantity == quantity}
    return write_atomically(path, plotting.png_bytes(plotting.runs_compared(curves, labels[quantity])))
