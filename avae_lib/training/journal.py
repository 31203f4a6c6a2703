"""What a run tells while it goes: the progress bar, and the rows of ``metrics.jsonl`` and ``skipped.jsonl``."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jaxtyping import UInt8
from torch import Tensor
from tqdm import tqdm

from avae_lib.evaluation import bits_per_dim, measuring, terms_of_bound
from avae_lib.training.metrics_file import MetricsFile
from avae_lib.training.schedules import beta_at, learning_rate_factor
from avae_lib.training.training_state import TrainingState

__all__ = ["Journal"]


class Journal:
    """Progress bar and metrics of one stretch of training; a context manager that closes the bar.

    Args:
        state: where training stands; asked again at every :meth:`record`.
        held_out: test images as the model sees them.
        run_dir: where ``metrics.jsonl`` and ``skipped.jsonl`` are; rows after ``state.step`` are dropped from them.
    """

    def __init__(
        self, state: TrainingState, held_out: UInt8[Tensor, "examples channels height width"], run_dir: Path
    ) -> None:
        self._state, self._held_out = state, held_out
        self._metrics = MetricsFile(run_dir / "metrics.jsonl")
        self._skipped = MetricsFile(run_dir / "skipped.jsonl")
        if state.team.is_leader:
            for file in (self._metrics, self._skipped):
                file.keep_through(state.step)
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
            disable=not self._state.team.is_leader,
        )
        return self

    def __exit__(self, *exception) -> None:
        self._bar.close()

    def record(self) -> None:
        """Move the bar by one update, and write the rows that are due; of a team only the leader writes."""
        config = self._state.config
        if self._state.is_due(config.log_every):
            self.record_skipped()
            row = self._training_row()
            if self._state.team.is_leader:
                self._write(row)
        if self._state.is_due(config.evaluate_every) and self._state.team.is_leader:
            self._write(self._test_row())
        self._bar.update()

    def record_skipped(self) -> None:
        """Write down the updates left out since the last call, and warn where there are many."""
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
        if "bits_per_dim" in row:
            self._readings[row["split"]] = f"{row['split']} {row['bits_per_dim']:.3f}"
            self._bar.set_postfix_str(self._progress(), refresh=False)

    def _progress(self) -> str:
        """What the bar says beside the time that is left."""
        state = self._state
        images = (state.step - self._first_step) * state.config.batch_size
        speed = images / max(1e-9, state.seconds - self._seconds_before)
        left_out = [f"{state.skips.recent_rate:.1%} left out"] * (state.skips.recent_rate > 0)
        return ", ".join([f"bits/dim: {', '.join(self._readings.values())}", f"{speed:.0f} images/s", *left_out])

    def _training_row(self) -> dict[str, Any]:
        state = self._state
        means = state.means.take()
        terms = self._terms(means.pop("log_likelihood"), means.pop("kl_per_layer")) if means else {}
        return {
            **self._where("train"),
            **terms,
            **means,
            "beta": beta_at(state.step - 1, state.config),
            "learning_rate": state.config.learning_rate * learning_rate_factor(state.step - 1, state.config),
            "skipped": state.skips.total,
            "skip_rate": state.skips.recent_rate,
        }

    def _test_row(self) -> dict[str, Any]:
        model = self._state.averaged.module
        with measuring(model):
            elbo = terms_of_bound(model, self._held_out)
        return self._where("test") | self._terms(elbo.log_likelihood.mean().item(), elbo.kl.mean(dim=0).tolist())

    def _where(self, split: str) -> dict[str, Any]:
        return {"split": split, "step": self._state.step, "seconds": round(self._state.seconds, 3)}

    def _terms(self, log_likelihood: float, kl_per_layer: list[float]) -> dict[str, Any]:
        kl = sum(kl_per_layer)
        return {
            "negative_elbo": kl - log_likelihood,
            "bits_per_dim": bits_per_dim(kl - log_likelihood, self._state.model.num_dims),
            "log_likelihood": log_likelihood,
            "kl": kl,
            "kl_per_layer": kl_per_layer,
        }
