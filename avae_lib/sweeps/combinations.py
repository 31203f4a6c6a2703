"""The combinations of a grid of settings, each with its folder, its options and its experiment."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import io
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from avae_lib.errors import InvalidInput
from avae_lib.train_options import WrongOption, parse_train_options
from avae_lib.training.checkpoints import LATEST, Checkpoints, step_of_weights
from avae_lib.training.costs import Costs
from avae_lib.training.experiment import Experiment
from avae_lib.training.metrics import MetricsFile
from avae_lib.training.runs import require_room_for

__all__ = ["SweptRun", "combinations"]

_OUTSIDE_OF_NAMES = ("name", "source")


@dataclass(frozen=True)
class SweptRun:
    """One combination of a sweep.

    >>> SweptRun("seed=1", Path("runs/sweeps/mine/seed=1"), ("--training.seed", "1"), None).state()
    'new'
    """

    name: str
    """What sets it apart from the others."""
    folder: Path
    options: tuple[str, ...]
    """Options of ``avae train``."""
    experiment: Experiment | None
    """What is trained; None if unknown."""
    minutes: float | None = None
    """Minutes of training in all; None for no limit."""

    def state(self) -> str:
        """Where the run stands: "new", "finished", or how far it is."""
        step = step_of_weights(self.folder / LATEST)
        if step is None or not Checkpoints(self.folder).exist:
            return "new"
        if self.experiment is not None and step >= self.experiment.training.steps:
            return "finished"
        left = self.minutes_left()
        return "finished" if left is not None and left <= 0 else f"stopped after {step:,} updates"

    def minutes_left(self) -> float | None:
        """Minutes of the budget that earlier calls have left over; None without a budget."""
        return None if self.minutes is None else self.minutes - _seconds_trained(self.folder) / 60


def combinations(
    preset: Experiment,
    grid: Sequence[str],
    folder: Path,
    seeds: Sequence[int] = (),
    minutes: float | None = None,
) -> tuple[SweptRun, ...]:
    """All combinations of the values in a grid, each one checked: nothing is trained before all of them can be.

    Args:
        preset: the experiment that the settings change.
        grid: settings with their values, such as ``"training.learning-rate.peak=1e-3,2e-3"``; a setting with one value
            is the same in all runs. The numbers of a setting that holds several are separated by spaces:
            ``"model.hidden-sizes=64 64,128"``.
        folder: folder of the sweep.
        seeds: values of ``training.seed``.
        minutes: minutes of training for each run in all.

    Raises:
        InvalidInput: the preset has no such setting, or a value cannot be used; the message names it.
        RunError: a folder holds another experiment.

    >>> from avae_lib.presets import find_preset
    >>> asked = ["training.learning-rate.peak=1e-3,2e-3", "training.steps=50"]
    >>> [run.name for run in combinations(find_preset("digits-vae"), asked, Path("runs/sweeps/mine"), seeds=[0, 1])]
    ['peak=1e-3,seed=0', 'peak=1e-3,seed=1', 'peak=2e-3,seed=0', 'peak=2e-3,seed=1']
    """
    settings = _settings(preset, [*grid, *([f"training.seed={','.join(map(str, seeds))}"] if seeds else [])])
    if minutes is not None and minutes <= 0:
        raise InvalidInput(f"--minutes must be above 0, got {minutes:g}")
    names = _short_names([key for key, values in settings.items() if len(values) > 1])
    runs = []
    for values in itertools.product(*settings.values()):
        chosen = dict(zip(settings, values, strict=True))
        varied = [f"{names[key]}={value.replace(' ', '-')}" for key, value in chosen.items() if key in names]
        runs.append(_run(preset, ",".join(varied) or preset.name, chosen, folder, minutes))
    return tuple(runs)


def _run(preset: Experiment, name: str, chosen: Mapping[str, str], folder: Path, minutes: float | None) -> SweptRun:
    place = folder / name.replace("/", "_")
    options = tuple(option for key, value in chosen.items() for option in _options(preset, key, value))
    try:
        experiment = parse_train_options(preset, options).experiment
        with torch.device("meta"):  # shapes only: settings that no model can have are refused here
            experiment.model.build()
    except (InvalidInput, WrongOption) as problem:
        raise InvalidInput(f"{name} cannot be trained: {problem}") from problem
    require_room_for(experiment, place)
    return SweptRun(name, place, options, experiment, minutes)


def _settings(preset: Experiment, grid: Sequence[str]) -> dict[str, list[str]]:
    """The values of each setting as typed, by the dotted names of their options."""
    settings: dict[str, list[str]] = {}
    known = dict(_fields(preset))
    for entry in grid:
        key, equals, typed = entry.removeprefix("--").partition("=")
        key, values = key.strip().replace("_", "-"), [value.strip() for value in typed.split(",")]
        if not equals or not all(values):
            raise InvalidInput(f"--grid takes SETTING=VALUE,VALUE,…, for example training.seed=0,1, got {entry!r}")
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f": did you mean {close[0]}?" if close else f": `avae train {preset.name} --help` lists all settings"
            raise InvalidInput(f"--grid names {key!r}, but {preset.name} has no such setting{hint}")
        if key in settings or len(set(values)) < len(values):
            raise InvalidInput(f"--grid gives {key} twice, or a value of it: {entry!r}")
        for value in values:
            _require_kind(preset, key, value)
        settings[key] = values
    return settings


def _require_kind(preset: Experiment, key: str, value: str) -> None:
    """Refuse a value that is of another kind than the setting, such as a word for a number."""
    silence = io.StringIO()
    try:
        with contextlib.redirect_stderr(silence), contextlib.redirect_stdout(silence):
            parse_train_options(preset, _options(preset, key, value))
    except SystemExit:
        default = dict(_fields(preset))[key]
        raise InvalidInput(
            f"--grid gives {key} the value {value!r}, which is not of its kind: the preset has {default!r}; `avae "
            f"train {preset.name} --help` says what it takes"
        ) from None
    except (InvalidInput, WrongOption):
        return  # it may fit the other settings of a combination


def _fields(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The settings of an experiment by the names of their options, with their values."""
    for field in dataclasses.fields(config):
        name, value = f"{prefix}{field.name.replace('_', '-')}", getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from _fields(value, f"{name}.")
        elif name not in _OUTSIDE_OF_NAMES:
            yield name, value


def _options(preset: Experiment, key: str, value: str) -> list[str]:
    """The option that gives a setting its value; one that is true or false has a flag for each."""
    if not isinstance(dict(_fields(preset))[key], bool):
        return [f"--{key}", *value.split()]
    if value.lower() not in ("true", "false"):
        raise InvalidInput(f"--grid gives {key} the value {value!r}, but it is either true or false")
    *groups, name = key.split(".")
    return ["--" + ".".join([*groups, name if value.lower() == "true" else f"no-{name}"])]


def _short_names(keys: Sequence[str]) -> dict[str, str]:
    """The last part of each dotted name, or all of it where two would be the same."""
    last = [key.rpartition(".")[2] for key in keys]
    return {key: short if last.count(short) == 1 else key for key, short in zip(keys, last, strict=True)}


def _seconds_trained(folder: Path) -> float:
    rows = MetricsFile(folder / "metrics.jsonl").rows()
    seconds = [float(row.get("seconds") or 0.0) for row in rows]
    costs = Costs.read(folder)
    if costs is not None:
        seconds.append(3600 * costs.hours)  # with what came after the last row of metrics
    return max(seconds, default=0.0)
