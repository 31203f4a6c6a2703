"""Efficient-VDVAE against VDVAE at equal updates and at equal compute; each of its changes alone; the attentive model.

    python experiments/efficient_vdvae/run.py

Runs come in the order of the questions: the two models first, then the single changes, then the attentive model. A call
can be interrupted at any time; the same command resumes. It writes results.json, the pictures, and the tables of the
README beside this file.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
import tyro
from ablation import Run
from arms import ARMS, ATTENTIVE, UPDATES, Arm, experiment
from costs import flops_per_image, milliseconds_side_by_side, parameters_of
from pictures_and_tables import draw, refresh

from avae_lib.data import ImageDataset
from avae_lib.presets import find_preset

RESULTS = Path(__file__).parent / "results.json"
SEEDS = (0, 1, 2)
EARLY = 200
"""Updates after which learning rates are chosen, and single changes are compared first."""
SWEEP_SEED = 3
"""The seed on which learning rates are chosen; it is not compared."""
RATES = (1e-3, 3e-3, 1e-2, 3e-2)
"""Learning rates from which each arm's is chosen, by :func:`tuned_rate`."""
EQUAL_SECONDS = 700
"""Updates of Efficient-VDVAE that take about as long as UPDATES of VDVAE."""
LONGER = {"vdvae": 1000, "efficient": 1300}
"""Updates to which the two are continued at the end."""
TEST_IMAGES = 350


@dataclass
class Clock:
    """Until when runs may begin."""

    until: float

    @property
    def is_up(self) -> bool:
        """Whether no further run may begin."""
        return time.monotonic() > self.until


class TimeIsUp(Exception):
    """No further run may begin in this call."""


@dataclass(frozen=True)
class Bench:
    """Where runs live, and what they train on."""

    folder: Path
    clock: Clock

    def begun(self, arm: Arm, rate: float, seed: int) -> Run | None:
        """The run of an arm, rate and seed as far as it has come; None if it has not begun."""
        run = self._of(arm, rate, seed, UPDATES)
        return run if run.steps > 0 else None

    def _of(self, arm: Arm, rate: float, seed: int, steps: int) -> Run:
        return Run(experiment(arm, rate, seed, steps), self.folder / f"{arm.name}-{rate:g}-{seed}")

    def run(self, arm: Arm, rate: float, seed: int, steps: int) -> Run:
        """The run of an arm, rate and seed, trained for at least ``steps`` updates."""
        run = self._of(arm, rate, seed, steps)
        if run.steps < steps and not run.has_diverged:
            if self.clock.is_up:
                raise TimeIsUp
            run.train(_dataset(arm), steps)
            print(f"{run.folder.name}: {run.steps} updates, {_last_bits(run):.4f} bits/dim (validation)", flush=True)
        return run

    def evaluated(self, arm: Arm, rate: float, seed: int, steps: int) -> Run:
        """The same, evaluated on test images after exactly ``steps`` updates."""
        run = self.run(arm, rate, seed, steps)
        known = _tests(run)
        if str(steps) not in known and run.steps == steps and not run.has_diverged:
            run.test(_dataset(arm), TEST_IMAGES)
            result = json.loads((run.folder / "notes.json").read_text(encoding="utf-8"))["test"]
            _tests_file(run).write_text(json.dumps(known | {str(steps): result}, indent=1) + "\n", encoding="utf-8")
        return run

    def tuned_rate(self, arm: Arm) -> float:
        """The best of three learning rates: the middle two of RATES, and the next on the side of the better one."""
        lowest, low, high, highest = RATES
        judged = {rate: _last_bits(self.run(arm, rate, SWEEP_SEED, EARLY)) for rate in (low, high)}
        third = highest if judged[high] < judged[low] else lowest
        judged[third] = _last_bits(self.run(arm, third, SWEEP_SEED, EARLY))
        return min(judged, key=judged.__getitem__)


def main(
    minutes: float = math.inf, runs: Path = Path("runs/experiments/efficient_vdvae"), draw_only: bool = False
) -> None:
    """Train, evaluate, write the record and draw it.

    Args:
        minutes: Time limit for this call, checked before each run. Repeat the command to resume.
        runs: Folder that holds the run folders.
        draw_only: Write tables and pictures from the existing record; train nothing.
    """
    torch.set_num_threads(1)
    if not draw_only:
        bench = Bench(runs, Clock(time.monotonic() + 60 * minutes))
        try:
            for _ in plan(bench):
                pass
        except TimeIsUp:
            print("time is up; the same command resumes from here")
        RESULTS.write_text(json.dumps(record_of(bench), indent=1) + "\n", encoding="utf-8")
    content = json.loads(RESULTS.read_text(encoding="utf-8"))
    draw(content, Path(__file__).parent)
    refresh(content, Path(__file__).parent / "README.md")


def plan(bench: Bench) -> Iterator[Run]:
    """All runs in the order of the questions."""
    yield from _all_seeds(bench, ARMS[:2], UPDATES)
    yield from _all_seeds(bench, ARMS[1:2], EQUAL_SECONDS)
    yield from _all_seeds(bench, ATTENTIVE[:2], UPDATES)
    for arms in (ARMS[2:], ATTENTIVE[2:]):
        yield from _all_seeds(bench, arms, EARLY, tested=False)
    for arms in (ARMS[2:], ATTENTIVE[2:]):
        yield from _all_seeds(bench, arms, UPDATES)
    for arm in ARMS[:2]:
        yield from _all_seeds(bench, [arm], LONGER[arm.name])


def _all_seeds(bench: Bench, arms: Sequence[Arm], steps: int, tested: bool = True) -> Iterator[Run]:
    rates = {arm.name: bench.tuned_rate(arm) for arm in arms}
    train = bench.evaluated if tested else bench.run
    for seed in SEEDS:
        for arm in arms:
            yield train(arm, rates[arm.name], seed, steps)


def record_of(bench: Bench) -> dict[str, Any]:
    """The results of all runs that are finished, and what an update of each arm costs."""
    arms = [*ARMS, *ATTENTIVE]
    milliseconds = milliseconds_side_by_side([experiment(arm, 1e-3, 0, UPDATES) for arm in arms])
    return {
        "updates": UPDATES,
        "batch_size": find_preset("photos32-vdvae").training.batch_size,
        "test_images": TEST_IMAGES,
        "early": EARLY,
        "sweep_seed": SWEEP_SEED,
        "torch": torch.__version__,
        "device": "CPU, one thread",
        "arms": [_arm_record(bench, arm, cost) for arm, cost in zip(arms, milliseconds, strict=True)],
    }


def _arm_record(bench: Bench, arm: Arm, milliseconds: float) -> dict[str, Any]:
    sweep = {rate: run for rate in RATES if (run := bench.begun(arm, rate, SWEEP_SEED)) is not None}
    judged = {f"{rate:g}": None if run.has_diverged else _last_bits(run) for rate, run in sweep.items()}
    best = min(sweep, key=lambda rate: _last_bits(sweep[rate])) if len(sweep) >= 3 else None
    runs = [] if best is None else [run for seed in SEEDS if (run := bench.begun(arm, best, seed)) is not None]
    return {
        "name": arm.name,
        "label": arm.label,
        "parameters": parameters_of(arm.model),
        "megaflops_per_image": round(flops_per_image(arm.model) / 1e6, 1),
        "ms_per_update": milliseconds,
        "sweep": judged,
        "rate": best,
        "runs": [run.record() | {"tests": _tests(run)} for run in runs],
    }


def _dataset(arm: Arm) -> ImageDataset:
    return find_preset(arm.preset).data.load()


def _last_bits(run: Run) -> float:
    """Bits per dimension of the last look at validation images; infinite for a run that diverged."""
    if run.has_diverged:
        return math.inf
    return run.record()["curve"]["bits_per_dim"][-1]


def _tests_file(run: Run) -> Path:
    return run.folder / "tests.json"


def _tests(run: Run) -> dict[str, Any]:
    file = _tests_file(run)
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


if __name__ == "__main__":
    tyro.cli(main)
