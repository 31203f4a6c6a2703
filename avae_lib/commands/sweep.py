"""``avae sweep``."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from tyro.conf import Positional

from avae_lib.errors import InvalidInput, UserError

if TYPE_CHECKING:
    from avae_lib.sweeps import Outcome, SweptRun

__all__ = ["SomeFailed", "sweep"]

_GRID = tyro.conf.arg(metavar="SETTING=VALUE,VALUE", help_behavior_hint="")
_SLURM_OPTION = tyro.conf.arg(metavar="OPTION=VALUE", help_behavior_hint="")


class SomeFailed(UserError, RuntimeError):
    """Some runs of a sweep failed; the message names them."""


def sweep(
    preset: Annotated[Positional[str], tyro.conf.arg(metavar="PRESET", help="A name from `avae presets`.")],
    grid: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], _GRID] = (),
    seeds: Annotated[str | None, tyro.conf.arg(metavar="N,N", help_behavior_hint="")] = None,
    minutes: Annotated[float | None, tyro.conf.arg(metavar="M", help_behavior_hint="")] = None,
    jobs: Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")] = None,
    slurm: bool = False,
    slurm_minutes: Annotated[int, tyro.conf.arg(metavar="M")] = 240,
    slurm_gpus: Annotated[int, tyro.conf.arg(metavar="N")] = 1,
    slurm_cpus: Annotated[int, tyro.conf.arg(metavar="N")] = 4,
    slurm_option: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], _SLURM_OPTION] = (),
    name: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = None,
    dry_run: bool = False,
) -> None:
    """Train a preset with every combination of some settings, and compare the runs by validation images.

    For example: avae sweep digits-vae --grid training.learning-rate.peak=1e-3,2e-3 --grid model.latent-dim=4,8 --seeds
    0,1,2 trains twelve runs. All values are checked before the first run starts. Each run has a folder in
    runs/sweeps/NAME, where sweep.log has what its training wrote.

    If the sweep is stopped, by Ctrl-C or a kill, the same command continues: finished runs are skipped, the others
    resume. A run that fails does not stop the others; it is listed at the end, and the exit status is 1.

    At the end the runs are compared as by avae compare, with the best one first; runs that differ in their seed alone
    also have a mean with its standard error. The tables are printed, and compare.json and compare.png written into the
    folder of the sweep.

    On a cluster, --slurm submits an array of Slurm jobs and returns. A job that reaches its time limit saves its state
    and is queued again. The same command says how far the runs are, compares them, and submits those that are neither
    finished nor in the queue. The folder of the sweep must be on a disk that all machines see.

    Args:
        grid: A setting and its values; the option may be given several times. The settings are those of `avae train
            PRESET --help`. With a single value, the setting is the same in all runs. The numbers of a setting that
            holds several are separated by spaces, in quotes.
        seeds: Train every combination with each of these seeds.
        minutes: Minutes of training for each run in all, over all calls; by default the runs end after their steps.
        jobs: Number of runs to train at the same time. By default one, and all with --slurm. If there are several on
            this machine, each uses one processor thread.
        slurm: Train on a Slurm cluster; needs submitit.
        slurm_minutes: With --slurm: time limit of a job.
        slurm_gpus: With --slurm: GPUs for each run, all on one machine; 0 for none.
        slurm_cpus: With --slurm: processors for each run.
        slurm_option: With --slurm: an option of sbatch, such as partition=gpu or account=mine; may be given several
            times.
        name: Name of the folder in runs/sweeps; by default that of the preset.
        dry_run: List the runs and how far they are, and train none.
    """
    from avae_lib.presets import find_preset
    from avae_lib.sweeps import SlurmOptions, combinations, submit, train_all

    if (jobs is not None and jobs < 1) or not (grid or seeds):
        raise InvalidInput("avae sweep needs a --grid or --seeds, and --jobs of at least 1")
    folder = Path("runs/sweeps") / (name or preset)
    runs = combinations(find_preset(preset), grid, folder, _numbers(seeds), minutes)
    if dry_run:
        print("\n".join(f"{run.name}: {run.state()}" for run in runs))
        return
    folder.mkdir(parents=True, exist_ok=True)
    if slurm:
        asked = SlurmOptions(slurm_minutes, slurm_gpus, slurm_cpus, _options_of_slurm(slurm_option))
        submit(preset, runs, asked, folder, jobs)
        _compare(runs, folder)
        return
    outcomes = train_all(preset, runs, jobs or 1)
    _compare(runs, folder)
    _require_no_failure(outcomes)


def _options_of_slurm(typed: Sequence[str]) -> dict[str, str]:
    options = dict[str, str]()
    for option in typed:
        name, equals, value = option.partition("=")
        if not (name.strip("-") and equals and value):
            raise InvalidInput(f"--slurm-option takes OPTION=VALUE, for example partition=gpu, got {option!r}")
        options[name.lstrip("-")] = value
    return options


def _numbers(seeds: str | None) -> list[int]:
    try:
        numbers = [int(seed) for seed in (seeds or "").split(",") if seed.strip()]
    except ValueError:
        raise InvalidInput(
            f"--seeds takes whole numbers separated by commas, for example 0,1,2, got {seeds!r}"
        ) from None
    if len(set(numbers)) < len(numbers):
        raise InvalidInput(f"--seeds must name each seed once, got {seeds!r}")
    return numbers


def _compare(runs: tuple[SweptRun, ...], folder: Path) -> None:
    from avae_lib.atomic_write import write_atomically
    from avae_lib.commands.compare import draw_curves
    from avae_lib.report import compare_runs
    from avae_lib.sweeps import over_seeds

    begun = [run.folder for run in runs if (run.folder / "metrics.jsonl").exists()]
    if not begun:
        return
    comparison = compare_runs(begun)
    print("", comparison.table(), sep="\n")
    if means := over_seeds(comparison):
        print("", means, sep="\n")
    write_atomically(folder / "compare.json", json.dumps(comparison.to_json(), indent=2) + "\n")
    print(f"\nlearning curves: {draw_curves(comparison, folder / 'compare.png')}")


def _require_no_failure(outcomes: tuple[Outcome, ...]) -> None:
    failed = [outcome for outcome in outcomes if outcome.failure is not None]
    if failed:
        raise SomeFailed(
            f"{len(failed)} of {len(outcomes)} runs failed: {_by_reason(failed)}. sweep.log in the folder of a run "
            "says more; the same command tries them again"
        )


def _by_reason(failed: list[Outcome]) -> str:
    """Names of the runs with the reason of each, which is said once for those that failed in the same way."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in failed:
        same = re.sub(r"\d+(\.\d+)?", "#", (outcome.failure or "").replace(str(outcome.run.folder), "RUN"))
        groups.setdefault(same, []).append(outcome)
    return "; ".join(
        f"{' and '.join(outcome.run.name for outcome in group)} ({group[0].failure})" for group in groups.values()
    )
