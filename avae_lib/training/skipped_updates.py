"""Updates that were left out: how many, which, why, and whether they are getting too many."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from avae_lib.training.training_config import TrainingConfig

__all__ = ["SkippedUpdate", "SkippedUpdates", "TrainingDiverged"]

_WINDOW = 200
_MANY = 0.1  # published runs leave out fewer than one update in a thousand (Child, 2021)


class TrainingDiverged(RuntimeError):
    """Too many updates in a row had to be left out."""


@dataclass(frozen=True)
class SkippedUpdate:
    """An update that changed nothing, a line of ``skipped.jsonl``."""

    step: int
    """Its number, counted from 1."""
    reason: str
    loss: float
    gradient_norm: float
    images: tuple[int, ...]
    """Indices into the training split of the images that it saw."""


class SkippedUpdates:
    """Counts of the updates that were left out, which the device is asked for only when somebody reads them."""

    def __init__(self, config: TrainingConfig) -> None:
        self._config = config
        self._unread: list[tuple[int, Tensor, Tensor]] = []  # update, images, (taken, loss, norm) on the device
        self._recent: deque[bool] = deque(maxlen=_WINDOW)
        self._last: SkippedUpdate | None = None
        self._stuck_at: int | None = None
        self.total = self.in_a_row = 0

    def add(self, step: int, images: Tensor, taken: Tensor, loss: Tensor, gradient_norm: Tensor) -> None:
        """Note update number ``step``, the images it saw, whether it was taken and why; waits for nothing."""
        readings = torch.stack([taken.double(), loss.detach().double(), gradient_norm.detach().double()])
        self._unread.append((step, images, readings))

    def read(self) -> list[SkippedUpdate]:
        """Ask the device about the updates since the last call, count them, and return those that were left out."""
        if not self._unread:
            return []
        steps, images, readings = zip(*self._unread, strict=True)
        self._unread = []
        outcomes = zip(steps, images, torch.stack(readings).tolist(), strict=True)
        return [skipped for outcome in outcomes if (skipped := self._count(*outcome)) is not None]

    @property
    def recent_rate(self) -> float:
        """Share of the last updates, up to 200, that was left out."""
        return sum(self._recent) / max(1, len(self._recent))

    @property
    def warning(self) -> str | None:
        """What to say and to advise where many of the last updates were left out, else None."""
        if self._last is None or len(self._recent) < _WINDOW // 2 or self.recent_rate <= _MANY:
            return None
        return (
            f"{sum(self._recent)} of the last {len(self._recent)} updates were left out, the latest because "
            f"{self._last.reason}: {self._advice()}"
        )

    def require_progress(self) -> None:
        """Stop training that goes nowhere.

        Raises:
            TrainingDiverged: ``config.max_skips`` updates in a row were left out at some time. The weights, and the
                checkpoint, are those from before them.
        """
        if self._stuck_at is not None:
            raise TrainingDiverged(
                f"{self._config.max_skips} updates in a row, up to update {self._stuck_at}, were left out, the latest "
                f"because {self._last.reason}: {self._advice()}. Which images they saw is in skipped.jsonl"
            )

    def state_dict(self) -> dict[str, Any]:
        """The counts, of updates that have been read."""
        recent = [int(left_out) for left_out in self._recent]
        return {"skipped": self.total, "skipped_in_a_row": self.in_a_row, "recently_skipped": recent}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.total, self.in_a_row = state["skipped"], state["skipped_in_a_row"]
        self._recent = deque(map(bool, state.get("recently_skipped", ())), maxlen=_WINDOW)

    def _count(self, step: int, images: Tensor, readings: list[float]) -> SkippedUpdate | None:
        taken, loss, gradient_norm = readings
        self._recent.append(not taken)
        self.in_a_row = 0 if taken else self.in_a_row + 1
        if taken:
            return None
        self.total += 1
        if self.in_a_row == self._config.max_skips and self._stuck_at is None:
            self._stuck_at = step
        self._last = SkippedUpdate(step, self._reason(loss, gradient_norm), loss, gradient_norm, tuple(images.tolist()))
        return self._last

    def _reason(self, loss: float, gradient_norm: float) -> str:
        if not math.isfinite(loss):
            return f"the loss was {loss}"
        if not math.isfinite(gradient_norm):
            return f"the gradient norm was {gradient_norm}, under a finite loss"
        threshold = self._config.skip_threshold
        if threshold is not None and gradient_norm >= threshold:
            return f"the gradient norm {gradient_norm:.4g} was not below training.skip_threshold = {threshold:g}"
        if self._config.skip_factor is None:
            return f"should_skip_update said so, with a finite loss and the gradient norm {gradient_norm:.4g}"
        return (
            f"the gradient norm {gradient_norm:.4g} was not below training.skip_factor = {self._config.skip_factor:g} "
            "times the usual one"
        )

    def _advice(self) -> str:
        if not math.isfinite(self._last.gradient_norm):
            return (
                "try a smaller training.learning_rate or training.clip_norm, or a longer training.warmup_steps, in "
                "another run folder"
            )
        if "should_skip_update" in self._last.reason:
            return 'look at your should_skip_update, or do without it by components.restore("should_skip_update")'
        if "skip_factor" in self._last.reason:
            return "raise training.max_skips, so that this limit has time to follow (in the same run folder)"
        return (
            "gradients may stay longer than the threshold for ever, so raise training.skip_threshold or use "
            "training.skip_factor instead (in the same run folder), or lower training.learning_rate in another one"
        )
