"""Skipped updates: the rule that decides, how an update is undone, and when training stops because of too many.

A very deep VAE meets a few batches whose gradient is far longer than usual, and one step along such a gradient can
ruin the weights. Child (2021) skips these updates.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from avae_lib.components import component, is_available
from avae_lib.errors import UserError
from avae_lib.training.training_config import TrainingConfig

__all__ = ["GradientLimit", "Rollback", "SkippedUpdate", "SkippedUpdates", "TrainingDiverged", "should_skip_update"]


_SETTLING = 20
"""Updates that only count towards what is usual."""
_MEMORY = 100
"""Updates over which that is forgotten."""


@component(unit="05_hierarchical_vae")
def should_skip_update(
    loss: Float[Tensor, ""], gradient_norm: Float[Tensor, ""], threshold: Float[Tensor, ""] | float | None
) -> Bool[Tensor, ""]:
    """Whether an update is better left out: its gradient is too long, or something is not finite.

    A very deep VAE meets a few batches whose gradient is far longer than usual. Leaving them out keeps a run alive
    that would diverge otherwise (Child, 2021).

    Args:
        loss: the loss, a scalar.
        gradient_norm: norm of its gradient over all parameters, a scalar.
        threshold: a norm of this size or above is too long; 0.0 lets none pass. A number, a scalar tensor, or None
            for no threshold.

    Returns:
        A scalar of booleans on the device of the loss, never read by the host: true where the norm is not below the
        threshold, or where loss or norm is NaN or infinite.

    >>> loss, norm = torch.tensor(3.5), torch.tensor(200.0)
    >>> [should_skip_update(loss, norm, threshold).item() for threshold in (200.0, 201.0, None)]
    [True, False, False]
    """
    taken = torch.isfinite(loss) & torch.isfinite(gradient_norm)
    if threshold is not None:
        taken = taken & (gradient_norm < threshold)
    return ~taken


class GradientLimit:
    r"""A fixed limit to the gradient norm g (Child, 2021), one that follows it, both, or none.

    The one that follows is ``skip_factor`` · exp(m), where m is the running mean of log g. Norms above the limit count
    as the limit itself: a single outlier moves it little, while norms that have grown for good are let through in
    time, so that it cannot fire for ever. Decided on the device; nothing waits.
    """

    def __init__(self, config: TrainingConfig, device: torch.device) -> None:
        self._threshold, self._factor = config.skip_threshold, config.skip_factor
        self._mean_log_norm = torch.zeros((), device=device)
        self._count = torch.zeros((), device=device)

    def skips(self, loss: Float[Tensor, ""], gradient_norm: Float[Tensor, ""]) -> Bool[Tensor, ""]:
        """Whether an update is to be skipped, by :func:`should_skip_update` once that is written."""
        threshold = self._threshold if self._factor is None else self._following_threshold()
        decide = should_skip_update if is_available("should_skip_update") else _leaves_no_margin
        skipped = torch.as_tensor(decide(loss, gradient_norm, threshold), device=gradient_norm.device)
        if self._factor is not None:
            self._count_towards_usual(gradient_norm)
        return skipped

    def state_dict(self) -> dict[str, Tensor]:
        return {"mean_log_norm": self._mean_log_norm, "count": self._count}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self._mean_log_norm = state["mean_log_norm"].to(self._count.device)
        self._count = state["count"].to(self._count.device)

    def _following_threshold(self) -> Float[Tensor, ""]:
        """The lower one of both limits; that of the usual norm counts once it has settled."""
        usual = torch.where(self._count < _SETTLING, math.inf, self._factor * self._mean_log_norm.exp())
        return usual if self._threshold is None else usual.clamp(max=self._threshold)

    def _count_towards_usual(self, gradient_norm: Tensor) -> None:
        log_norm, limit = gradient_norm.log(), self._mean_log_norm + math.log(self._factor)
        counted = torch.where(self._count < _SETTLING, log_norm, torch.minimum(log_norm, limit))
        rate = (1 / (1 + self._count)).clamp(min=1 / _MEMORY)
        counts = torch.isfinite(log_norm)
        self._mean_log_norm = torch.where(counts, torch.lerp(self._mean_log_norm, counted, rate), self._mean_log_norm)
        self._count = self._count + counts


def _leaves_no_margin(loss: Tensor, gradient_norm: Tensor, threshold: Tensor | float | None) -> Tensor:
    """Decides like :func:`should_skip_update`, for training while that is still to be written.

    What is not finite makes the margin NaN or −∞, which is not positive either.
    """
    margin = (math.inf if threshold is None else threshold) - gradient_norm + 0 * loss
    return ~(margin > 0)


_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class Rollback:
    """Copies of tensors that an update changes in place, to put back the ones from before where it must not count.

    Both directions select bits, as integers: the tensors from before come back exactly, whatever the update made of
    the others, while arithmetic in floating point would spread its NaN.

    Args:
        tensors: what an update changes; they must stay the same objects. The copies take as much memory again.
    """

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        groups: dict[torch.dtype, list[Tensor]] = defaultdict(list)
        for tensor in tensors:
            bits = _BITS[tensor.element_size()]
            groups[bits].append(tensor.detach().view(bits))
        self._groups = [(live, [torch.empty_like(bits) for bits in live]) for live in groups.values()]

    @torch.no_grad()
    def remember(self) -> None:
        """Take the tensors as they are now for those to go back to."""
        for live, before in self._groups:
            torch._foreach_copy_(before, live)

    @torch.no_grad()
    def undo_unless(self, taken: Tensor) -> None:
        """Put the remembered tensors back unless ``taken``, a scalar of booleans on their device, is true.

        Computed as before + taken · (now − before); integers wrap around, so that nothing is lost on the way.
        """
        for live, before in self._groups:
            torch._foreach_sub_(live, before)
            torch._foreach_mul_(live, taken.to(live[0].dtype))
            torch._foreach_add_(live, before)


_WINDOW = 200
_MANY = 0.1  # published runs leave out fewer than one update in a thousand (Child, 2021)


class TrainingDiverged(UserError, RuntimeError):
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
