"""How a run is going: ``metrics.jsonl``, ``skipped.jsonl`` and the progress bar."""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn
from tqdm import tqdm

from avae_lib.atomic_write import append_line, write_atomically
from avae_lib.errors import UserError
from avae_lib.evaluation import in_bits_per_dim, measuring, terms_of_bound
from avae_lib.models.contract import reason_for_no_density
from avae_lib.training.checkpoints import BestWeights
from avae_lib.training.optimizers_and_schedules import kl_weight_at, learning_rate_factor
from avae_lib.training.training_config import TrainingConfig
from avae_lib.training.training_state import TrainingState
from avae_lib.training.update import PENALTY

__all__ = ["Callback", "CallbackFailed", "Journal", "MetricsFile"]


class MetricsFile:
    """The rows of ``metrics.jsonl``, in the order of their steps.

    Every row has

    * ``split``: ``"train"`` for means over the updates since the previous row; ``"valid"`` for validation images under
      the averaged weights; ``"test"`` in older runs without validation images;
    * ``step``: number of finished updates; ``seconds``: training time so far;
    * ``negative_elbo``, ``log_likelihood`` and ``kl`` in nats per image, ``kl_per_layer`` (top first) and
      ``bits_per_dim``.

    A training row also has ``loss`` (nats per image, with the KL weighted by ``beta``), ``beta``, ``learning_rate``,
    ``gradient_norm`` (before clipping), ``skipped`` (number of skipped updates so far) and ``skip_rate`` (fraction of
    the last 200 updates that was skipped). Values that are not finite are null.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     metrics = MetricsFile(Path(folder) / "metrics.jsonl")
    ...     for step in (10, 20, 30):
    ...         metrics.append({"split": "train", "step": step, "loss": 1 / step})
    ...     metrics.keep_through(20)
    ...     metrics.rows()[-1]
    {'split': 'train', 'step': 20, 'loss': 0.05}
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, row: dict[str, Any]) -> None:
        """Write one row at the end of the file."""
        append_line(self.path, json.dumps(_finite(row), allow_nan=False))

    def rows(self) -> list[dict[str, Any]]:
        """All rows whose entries are of their kinds; others, and a line that a killed run left unfinished, are ignored.

        Any entry but ``step`` may be missing or null.
        """
        if not self.path.exists():
            return []
        parsed = [_parse(line) for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines()]
        return [row for row in parsed if row is not None]

    def keep_through(self, step: int) -> None:
        """Drop the rows after ``step``: a run that resumes from there writes them again."""
        if self.path.exists():
            kept = [json.dumps(row) + "\n" for row in self.rows() if row["step"] <= step]
            write_atomically(self.path, "".join(kept))


def _parse(line: str) -> dict[str, Any] | None:
    try:
        row = _finite(json.loads(line))
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or type(row.get("step")) is not int or row["step"] < 0:
        return None
    known = {name: value for name, value in row.items() if name in _KINDS and value is not None}
    return row if all(_KINDS[name](value) for name, value in known.items()) else None


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < _LARGEST  # True is no number


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _are_numbers(values: Any) -> bool:
    """Whether this is a list, or a dictionary, of numbers and nulls."""
    entries = values.values() if isinstance(values, dict) else values
    return isinstance(values, dict | list) and all(entry is None or _is_number(entry) for entry in entries)


_NUMBERS = """seconds negative_elbo log_likelihood kl bits_per_dim objective
loss beta learning_rate gradient_norm skipped skip_rate"""
_KINDS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(_NUMBERS.split(), _is_number),
    "split": _is_text,
    "reason": _is_text,
    "kl_per_layer": lambda value: isinstance(value, list) and _are_numbers(value),
    "images": lambda value: isinstance(value, list) and _are_numbers(value),
    "penalties": lambda value: isinstance(value, dict) and _are_numbers(value),
}
"""What an entry of a row must be, if it is there."""
_MOST_ROWS = 512  # validation examples at once
_LARGEST = 1e300  # whole numbers in JSON have no limit, and those of Python cannot all be turned into floats


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


Callback = Callable[[dict[str, Any], nn.Module], None]
"""Called with each row of metrics, and the model under its averaged weights in evaluation mode."""


class CallbackFailed(UserError, RuntimeError):
    """A callback raised an exception; the message names the callback and the step."""


class Journal:
    """Progress bar and metrics of one stretch of training; a context manager that closes the bar.

    Args:
        state: where training stands; asked again at every :meth:`record`.
        held_out: validation images or sentences as the model sees them; None without any.
        run_dir: where ``metrics.jsonl`` and ``skipped.jsonl`` are; rows after ``state.step`` are dropped from them.
        callbacks: called in this order with each row of metrics and the model under its averaged weights.
        labels: classes of the held-out examples, for a conditional model.
        progress_bar: whether to show the bar.

    >>> import tempfile
    >>> import torch
    >>> from avae_lib.presets import find_preset
    >>> from avae_lib.training.update import update
    >>> preset = find_preset("digits-vae")
    >>> state = TrainingState(preset.build_model(), preset.data.load(), preset.training, torch.device("cpu"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     say = lambda row, model: print(row["split"], row["step"])
    ...     with Journal(state, None, Path(folder), callbacks=[say], progress_bar=False) as journal:
    ...         for _ in range(20):
    ...             update(state, state.model)
    ...             journal.record()
    train 10
    train 20
    """

    def __init__(
        self,
        state: TrainingState,
        held_out: Tensor | None,
        run_dir: Path,
        callbacks: Sequence[Callback] = (),
        labels: Int[Tensor, " examples"] | None = None,
        progress_bar: bool = True,
    ) -> None:
        self._state, self._held_out, self._labels = state, held_out, labels
        self._callbacks, self._shows_bar = callbacks, progress_bar
        self._has_callbacks = state.team.any(len(callbacks) > 0)  # loggers are with the leader only
        self.failure: CallbackFailed | None = None
        self._metrics = MetricsFile(run_dir / "metrics.jsonl")
        self._skipped = MetricsFile(run_dir / "skipped.jsonl")
        if state.team.is_leader:
            for file in (self._metrics, self._skipped):
                file.keep_through(state.step)
        self._best = BestWeights(state, self._metrics.rows(), run_dir)
        self._has_density = reason_for_no_density(state.model) is None
        self._quantity = "bits_per_dim" if self._has_density else "objective"
        self._readings: dict[str, str] = {}
        self._has_warned = False
        self._first_step, self._seconds_before = state.step, state.seconds

    def __enter__(self) -> Journal:
        # A log file is no terminal: at the usual rate the bar would fill it with thousands of lines.
        seconds = 0.1 if sys.stderr.isatty() else 10.0
        total, done = self._state.config.steps, self._state.step
        self._bar = tqdm(
            total=total,
            initial=done,
            unit="step",
            mininterval=seconds,
            dynamic_ncols=True,
            disable=not (self._shows_bar and self._state.team.is_leader),
        )
        return self

    def __exit__(self, *exception) -> None:
        self._bar.close()

    @property
    def needs_average(self) -> bool:
        """Whether the next :meth:`record` evaluates the averaged weights or shows them to a callback."""
        logging = self._state.config.logging
        evaluates = self._held_out is not None and self._state.is_due(logging.evaluate_every)
        return evaluates or (self._has_callbacks and self._state.is_due(logging.metrics_every))

    def record(self) -> None:
        """Move the bar by one update, and write the rows that are due; of a team only the leader writes.

        The callbacks follow once all rows are written. If one fails, ``failure`` says so, and none is called again.
        """
        logging, rows = self._state.config.logging, []
        if self._state.is_due(logging.metrics_every):
            self.record_skipped()
            rows.append(self._training_row())
        if self._state.is_due(logging.evaluate_every) and self._state.team.is_leader and self._held_out is not None:
            rows.append(self._validation_row())
        if self._state.team.is_leader:
            for row in rows:
                self._write(row)
            self._call_back(rows)
        self._bar.update()

    def record_skipped(self) -> None:
        """Record the updates that were skipped since the last call, and warn if there are many."""
        skipped = self._state.skips.read()
        if not self._state.team.is_leader:
            return
        for update in skipped:
            self._skipped.append(asdict(update))
        warning = self._state.skips.warning
        if warning is not None and not self._has_warned:
            self._bar.write(f"warning: {warning}")
        self._has_warned = warning is not None

    def _write(self, row: dict[str, Any]) -> None:
        self._metrics.append(row)
        if row["split"] == "valid":
            self._best.offer(row)
        if self._quantity in row:
            self._readings[row["split"]] = f"{row['split']} {row[self._quantity]:.3f}"
            self._bar.set_postfix_str(self._progress(), refresh=False)

    def _call_back(self, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            for callback in self._callbacks:
                if self.failure is None:
                    self._call(callback, row)

    def _call(self, callback: Callback, row: dict[str, Any]) -> None:
        with _unchanged_random_state(self._state.device):
            try:
                callback(dict(row), self._state.averaged.module)
            except Exception as problem:
                self.failure = CallbackFailed(
                    f"the callback {_name_of(callback)} failed at step {self._state.step} "
                    f"({type(problem).__name__}: {problem}); everything is saved: mend or leave out the callback, and "
                    "the same call continues"
                )
                self.failure.__cause__ = problem

    def _progress(self) -> str:
        """What the bar says beside the time that is left."""
        state = self._state
        examples = (state.step - self._first_step) * state.config.batch_size
        speed = examples / max(1e-9, state.seconds - self._seconds_before)
        skipped = [f"{state.skips.recent_rate:.1%} skipped"] * (state.skips.recent_rate > 0)
        name = f"bits/{state.observed.value_in_short}" if self._quantity == "bits_per_dim" else self._quantity
        readings = f"{name}: {', '.join(self._readings.values())}"
        return ", ".join([readings, f"{speed:.0f} {state.observed.example}s/s", *skipped])

    def _training_row(self) -> dict[str, Any]:
        state = self._state
        means = state.means.take()
        penalties = {name.removeprefix(PENALTY): means.pop(name) for name in list(means) if name.startswith(PENALTY)}
        values = state.values_per_example
        terms = self._terms(means.pop("log_likelihood"), means.pop("kl_per_layer"), penalties, values) if means else {}
        return {
            **self._where("train"),
            **terms,
            **means,
            "beta": kl_weight_at(state.step - 1, state.config),
            "learning_rate": state.config.learning_rate.peak * learning_rate_factor(state.step - 1, state.config),
            "skipped": state.skips.total,
            "skip_rate": state.skips.recent_rate,
        }

    def _validation_row(self) -> dict[str, Any]:
        model = self._state.averaged.module
        assert self._held_out is not None, "without held-out examples there are no such rows"
        with measuring(model):
            elbo = terms_of_bound(model, self._held_out, rows_in_evaluation(self._state.config), self._labels)
        penalties = {name: penalty.mean().item() for name, penalty in elbo.penalties.items()}
        values = self._state.observed.values_per_example(self._held_out)
        terms = self._terms(elbo.log_likelihood.mean().item(), elbo.kl.mean(dim=0).tolist(), penalties, values)
        return self._where("valid") | terms

    def _where(self, split: str) -> dict[str, Any]:
        return {"split": split, "step": self._state.step, "seconds": round(self._state.seconds, 3)}

    def _terms(
        self, log_likelihood: float, kl_per_layer: list[float], penalties: dict[str, float], values_per_example: float
    ) -> dict[str, Any]:
        """The terms of the bound; of a model without a density, its training objective in place of the bound."""
        kl = sum(kl_per_layer)
        terms = {"log_likelihood": log_likelihood, "kl": kl, "kl_per_layer": kl_per_layer}
        extra = {"penalties": penalties} if penalties else {}
        if not self._has_density:
            return {"objective": kl - log_likelihood + sum(penalties.values()), **terms, **extra}
        bound = in_bits_per_dim(kl - log_likelihood, values_per_example)
        return {"negative_elbo": kl - log_likelihood, "bits_per_dim": bound, **terms, **extra}


def rows_in_evaluation(config: TrainingConfig) -> int:
    """Most validation examples that go through the model at once: with ``micro_batch`` no more than in training.

    >>> rows_in_evaluation(TrainingConfig()), rows_in_evaluation(TrainingConfig(micro_batch=16))
    (512, 16)
    """
    return min(_MOST_ROWS, config.micro_batch or _MOST_ROWS)


def _unchanged_random_state(device: torch.device) -> contextlib.AbstractContextManager:
    """A callback may draw samples: training must not notice."""
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])


def _name_of(callback: Callback) -> str:
    return getattr(callback, "__qualname__", type(callback).__qualname__)
