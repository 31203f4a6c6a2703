"""Several runs beside each other: results, costs, what differs in their configurations, and what makes them unequal."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avae_lib.data.fingerprint import read_fingerprint
from avae_lib.evaluation import Evaluation
from avae_lib.presets import summary
from avae_lib.report.text_tables import in_columns, option_values, settings_table, short_names
from avae_lib.training.checkpoints import BEST, LATEST, step_of_weights
from avae_lib.training.costs import Costs, duration
from avae_lib.training.experiment import Experiment, to_json
from avae_lib.training.looks import Looks
from avae_lib.training.metrics import MetricsFile
from avae_lib.training.runs import read_experiment

__all__ = ["ComparedRun", "Comparison", "compare_runs"]

_EVALUATIONS = {"evaluation.json": LATEST, "evaluation.best.json": BEST}
_NOT_COMPARED = ("name", "source")
_VALIDATION = ("data.name", "data.binarize", "data.validation", "training.logging.evaluation-images")
"""Fields that decide which validation examples a model is evaluated on during training."""
_FEW_LOOKS = 2  # at test examples: the latest and the best weights, once each
_DASH = "—"
_RESULTS = ["run", "−ELBO, validation", "nats", "at update", "updates", "parameters", "time", "evaluations"]
_TESTS = ["run", "weights", "−ELBO", "−log p(x)", "unit", "draws"]


@dataclass(frozen=True)
class ComparedRun:
    """What a comparison shows of one run.

    >>> import tempfile
    >>> from avae_lib.presets import find_preset
    >>> from avae_lib.training.runs import write_run
    >>> preset = find_preset("digits-vae")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_run(preset, preset.build_model(), folder)
    ...     run = ComparedRun.read(Path(folder))
    >>> run.parameters, run.updates, run.best  # weights that were trained elsewhere
    (111280, 0, None)
    """

    run: Path
    experiment: Experiment
    quantity: str
    """What decides: ``bits_per_dim``, or ``objective`` for a model that defines no density."""
    unit: str
    """Unit of that value, for a table: bits/dim, bits/token or nats."""
    curve: tuple[tuple[int, float], ...]
    """Update and value of each evaluation on validation examples during training."""
    nats: float | None
    """Lowest value on validation examples, in nats per example; None if there was no evaluation."""
    parameters: int
    updates: int
    """Updates that the model has had."""
    hours: float
    """Training time."""
    looks: Looks
    tests: dict[str, Evaluation]
    """Results on test examples by file of weights, where the run was evaluated on them."""
    data: dict[str, str]
    """Hash of each split of the data set when the run began; empty for a run of an earlier version."""

    @classmethod
    def read(cls, run_dir: Path) -> ComparedRun:
        """The run in a folder; it may be unfinished.

        Raises:
            RunError: the folder is no run, or its configuration cannot be read.
        """
        experiment, costs = read_experiment(run_dir), Costs.read(run_dir)
        rows = MetricsFile(run_dir / "metrics.jsonl").rows()
        valid = [row for row in rows if row.get("split") == "valid"]
        quantity = "objective" if any("objective" in row for row in valid) else "bits_per_dim"
        in_nats = "objective" if quantity == "objective" else "negative_elbo"
        values = [row[in_nats] for row in valid if row.get(in_nats) is not None]
        return cls(
            run=run_dir,
            experiment=experiment,
            quantity=quantity,
            unit=_unit(quantity, costs),
            curve=tuple((row["step"], row[quantity]) for row in valid if row.get(quantity) is not None),
            nats=min(values, default=None),
            parameters=summary(experiment).parameters if costs is None else costs.parameters,
            updates=max((row["step"] for row in rows), default=step_of_weights(run_dir / LATEST) or 0),
            hours=max((row.get("seconds") or 0.0 for row in rows), default=0.0) / 3600,
            looks=Looks.count(run_dir),
            tests={weights: found for name, weights in _EVALUATIONS.items() if (found := _evaluation(run_dir / name))},
            data=read_fingerprint(run_dir),
        )

    @property
    def best(self) -> tuple[int, float] | None:
        """Update and value of the best evaluation; None if there was none."""
        return min(self.curve, key=lambda point: point[1], default=None)


@dataclass(frozen=True)
class Comparison:
    """Runs in the order of their best value on validation examples, the best one first.

    >>> Comparison((), {}, warnings=("no runs",)).table().splitlines()[-1]
    'warning: no runs'
    """

    runs: tuple[ComparedRun, ...]
    differing: dict[str, tuple[Any, ...]]
    """Settings that are not the same in all runs, by the names of their options: values in the order of the runs."""
    warnings: tuple[str, ...]
    """What makes the numbers unequal, a sentence each."""

    @property
    def names(self) -> tuple[str, ...]:
        """A short name of each run: its folder below the one that holds all of them."""
        return short_names([run.run for run in self.runs])

    def table(self) -> str:
        """All of it as text."""
        parts = [in_columns(_RESULTS, [_result_cells(run) for run in self.runs])]
        tests = [_test_cells(run, weights, found) for run in self.runs for weights, found in run.tests.items()]
        if tests:
            parts.append(
                "Test examples, as evaluated (draws: importance samples for each example):\n"
                + in_columns(_TESTS, tests)
            )
        if self.differing:
            parts.append("Settings that differ:\n" + settings_table(self.names, self.differing))
        if self.warnings:
            parts.append("\n".join(f"warning: {warning}" for warning in self.warnings))
        return "\n\n".join(parts)

    def to_json(self) -> dict[str, Any]:
        """All of it as values that ``json`` can write."""
        return {
            "runs": [_run_json(run) for run in self.runs],
            "differing": {field: list(values) for field, values in self.differing.items()},
            "warnings": list(self.warnings),
        }


def compare_runs(run_dirs: Sequence[Path]) -> Comparison:
    """Read runs and put them beside each other; nothing is evaluated, and no data set is loaded.

    Raises:
        RunError: a folder is no run.

    >>> import contextlib, io, tempfile
    >>> from avae_lib.presets import find_preset
    >>> from avae_lib.presets.derivation import derive
    >>> from avae_lib.training.runs import train_run
    >>> small = derive(find_preset("digits-vae"), training={"steps": 20, "logging": {"evaluate_every": 10}})
    >>> with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
    ...     runs = {name: Path(folder, name) for name in ("slow", "fast")}
    ...     for name, peak in (("slow", 1e-6), ("fast", 1e-2)):
    ...         config = derive(small, training={"learning_rate": {"peak": peak, "warmup_steps": 1}})
    ...         _ = train_run(config, runs[name], progress_bar=False)
    ...     comparison = compare_runs([runs["slow"], runs["fast"]])
    >>> [run.run.name for run in comparison.runs], comparison.differing
    (['fast', 'slow'], {'training.learning-rate.peak': (0.01, 1e-06)})
    """
    runs = sorted((ComparedRun.read(Path(run_dir)) for run_dir in run_dirs), key=_order)
    differing = _differing([run.experiment for run in runs])
    return Comparison(tuple(runs), differing, tuple(_warnings(runs, differing)))


def _order(run: ComparedRun) -> tuple[bool, float]:
    """Bounds before objectives, low values before high ones."""
    return run.quantity == "objective", math.inf if run.best is None else run.best[1]


def _unit(quantity: str, costs: Costs | None) -> str:
    if quantity == "objective":
        return "nats"
    return "bits/token" if costs is not None and costs.example == "sentence" else "bits/dim"


def _evaluation(path: Path) -> Evaluation | None:
    try:
        return Evaluation.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _differing(experiments: Sequence[Experiment]) -> dict[str, tuple[Any, ...]]:
    flat = [dict(option_values(to_json(experiment))) for experiment in experiments]
    fields = dict.fromkeys(field for values in flat for field in values)
    values = {field: tuple(run.get(field) for run in flat) for field in fields if field not in _NOT_COMPARED}
    return {field: found for field, found in values.items() if any(value != found[0] for value in found)}


def _warnings(runs: Sequence[ComparedRun], differing: dict[str, tuple[Any, ...]]) -> Iterator[str]:
    data = [field for field in differing if field in _VALIDATION]
    if data:
        yield f"the validation examples are not the same ({', '.join(data)} differ): do not compare their bounds"
    else:
        yield from _warnings_of_changed_data(runs)
    if len({run.quantity for run in runs}) > 1:
        yield "some models define no density: their training objective is not comparable with a bound"
    yield from (f"{run.run} has no evaluation on validation examples" for run in runs if run.best is None)
    tests = [found for run in runs for found in run.tests.values()]
    for what, values in (
        ("editions of the data set", {found.dataset for found in tests}),
        ("numbers of test examples", {found.examples for found in tests}),
        ("numbers of importance samples", {found.importance_samples for found in tests}),
    ):
        if len(values) > 1:
            yield f"the tests are of different {what}: {', '.join(map(str, sorted(values)))}"
    for run in runs:
        if run.looks.test > _FEW_LOOKS:
            yield f"{run.run} was evaluated on test examples {run.looks.test} times: the best of several is too good"


def _warnings_of_changed_data(runs: Sequence[ComparedRun]) -> Iterator[str]:
    """Runs whose data set has the same name and another content; runs without a fingerprint say nothing."""
    known = [run for run in runs if run.data]
    other = [run for run in known if run.data != known[0].data]
    if other:
        splits = [split for split in known[0].data if any(run.data.get(split) != known[0].data[split] for run in other)]
        names = ", ".join(str(run.run) for run in other)
        yield (
            f"{names} began with other examples or labels in {', '.join(splits)} than {known[0].run}, though the data "
            "sets have one name: do not compare their bounds"
        )


def _result_cells(run: ComparedRun) -> list[str]:
    at, value = run.best or (None, None)
    return [
        str(run.run),
        _DASH if value is None else f"{value:.4f} {run.unit}",
        _DASH if run.nats is None else f"{run.nats:.2f}",
        _DASH if at is None else f"{at:,}",
        f"{run.updates:,} of {run.experiment.training.steps:,}",
        f"{run.parameters:,}",
        duration(3600 * run.hours),
        f"{run.looks.valid} valid, {run.looks.test} test",
    ]


def _test_cells(run: ComparedRun, weights: str, found: Evaluation) -> list[str]:
    estimates = (found.negative_elbo, found.negative_log_likelihood)
    bits = [_DASH if value is None else str(value.in_bits_per_dim(found.num_dims)) for value in estimates]
    return [str(run.run), weights, *bits, run.unit, str(found.importance_samples)]


def _run_json(run: ComparedRun) -> dict[str, Any]:
    at, value = run.best or (None, None)
    return {
        "run": str(run.run),
        "preset": run.experiment.name,
        "quantity": run.quantity,
        "unit": run.unit,
        "validation": value,
        "validation_nats": run.nats,
        "at_update": at,
        "updates": run.updates,
        "steps": run.experiment.training.steps,
        "parameters": run.parameters,
        "hours": run.hours,
        "looks": {"valid": run.looks.valid, "test": run.looks.test},
        "tests": {weights: found.to_json() for weights, found in run.tests.items()},
    }
