"""Commands to type after a run: train on, evaluate, sample, compare."""

from __future__ import annotations

import shlex
from pathlib import Path

from avae_lib.presets import PRESETS
from avae_lib.training.experiment import Experiment, differing_fields

__all__ = ["next_commands"]

_NOT_OPTIONS = ("name", "source", "training.steps")


def next_commands(experiment: Experiment, run_dir: Path, steps: int) -> list[tuple[str, str]]:
    """Commands that make sense after this run, as (what it does, command).

    >>> for purpose, command in next_commands(PRESETS["digits-vae"], Path("runs/digits-vae"), steps=500):
    ...     print(command)
    avae train digits-vae --run-dir runs/digits-vae --training.steps 2000
    avae evaluate runs/digits-vae --importance-samples 1000
    avae sample runs/digits-vae --temperature 0.8
    avae interpolate runs/digits-vae --from 0 --to 2
    """
    run = shlex.quote(_as_typed(run_dir))
    commands = [
        ("Judge it on the test split, once all choices are made", f"avae evaluate {run} --importance-samples 1000"),
        ("Draw more samples", f"avae sample {run} --temperature 0.8"),
        ("Decode the way from one held-out image to another", f"avae interpolate {run} --from 0 --to 2"),
    ]
    if experiment.name in PRESETS:
        options = _options(experiment)
        asked = experiment.training.steps
        how_far, total = ("the end", asked) if steps < asked else ("twice the length", 2 * steps)
        go_on = f"avae train {experiment.name} --run-dir {run} --training.steps {total}{options}"
        commands.insert(0, (f"Train on, from where it stands, to {how_far}", go_on))
        twin = _twin(experiment.name)
        if twin is not None:
            commands.append((f"Train {twin}, which differs in what a layer is conditioned on", f"avae train {twin}"))
    return commands


def _as_typed(run_dir: Path) -> str:
    """The folder relative to the current one if it lies below it."""
    resolved, here = run_dir.resolve(), Path.cwd()
    return str(resolved.relative_to(here) if resolved.is_relative_to(here) else run_dir)


def _options(experiment: Experiment) -> str:
    """The options in which the run differs from its preset; the command that continues it needs them."""
    differing = differing_fields(PRESETS[experiment.name], experiment)
    changed = {name: now for name, (_, now) in differing.items() if name not in _NOT_OPTIONS}
    return "".join(f" --{name.replace('_', '-')} {_value(now)}" for name, now in changed.items())


def _value(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else shlex.quote(str(value))


def _twin(name: str) -> str | None:
    """The preset whose name has local where this one has attentive, or the other way round, if there is one."""
    other = {"attentive": "local", "local": "attentive"}
    twin = "-".join(other.get(word, word) for word in name.split("-"))
    return twin if twin != name and twin in PRESETS else None
