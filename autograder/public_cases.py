"""The public cases of ``check("name")``: drawn once, answered by the reference, stored for students' editions.

``python -m autograder.public_cases`` writes them again after a check or a reference has changed.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import avae_lib.checking
from autograder.checks import all_checks
from autograder.checks.case import ComponentCheck
from avae_lib.checking.records import Observation
from avae_lib.checking.trials import Probe, Trial, agree, compared

__all__ = ["public_trials", "write_public_cases"]

FOLDER = Path(avae_lib.checking.__file__).parent / "public"
PUBLIC_SEED = 2024  # grading draws other inputs, from a secret seed for each student


def write_public_cases(folder: Path = FOLDER) -> list[Path]:
    """Write one small JSON file for each unit that has checks; returns the files."""
    units: dict[str, dict[str, list]] = {}
    for check in all_checks():
        trials = [trial.to_json() for trial in public_trials(check)]
        units.setdefault(check.unit, {})[check.component] = trials
    return [_write(folder / f"{unit}.json", content) for unit, content in units.items()]


def public_trials(check: ComponentCheck) -> tuple[Trial, ...]:
    """All cases of a component on public inputs, drawn once, with only what a comparison needs of each observation."""
    cases = tuple(dataclasses.replace(case, draws=1) for case in check.cases)
    return tuple(map(_stored, dataclasses.replace(check, cases=cases).trials(PUBLIC_SEED)))


def _stored(trial: Trial) -> Trial:
    """The trial with what each of its mistakes shows in each probe, and nothing where that is right."""
    probes = tuple(
        Probe(probe.request, _needed(trial, probe.expected), tuple(_mistakes(trial, probe))) for probe in trial.probes
    )
    return dataclasses.replace(trial, probes=probes)


def _mistakes(trial: Trial, probe: Probe) -> Iterator[tuple[str, Observation | None]]:
    for sentence, shown in probe.mistakes:
        yield sentence, None if agree(trial, shown, probe.expected) else _needed(trial, shown)


def _needed(trial: Trial, observation: Observation) -> Observation:
    """The observation without what this kind of trial never compares."""
    if observation.error is not None:
        return Observation(error=dataclasses.replace(observation.error, line=""))
    return Observation(
        **{"gradients" if trial.kind == "gradient" else "outputs": compared(trial, observation)},
        inputs_after=observation.inputs_after if trial.kind == "form" else {},
    )


def _write(path: Path, content: dict[str, list]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")
    return path


if __name__ == "__main__":
    for written in write_public_cases():
        print(written)
