"""Skipped updates: the rule that decides, how buffers are restored, and when training stops because of too many.

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

__all__ = [
    "GradientLimit",
    "Rollback",
    "SkippedUpdate",
    "SkippedUpdates",
    "TrainingDiverged",
    "bits_of",
    "should_skip_update",
]

_SETTLING = 20
"""Number of updates before the limit that follows the usual gradient norm comes into force."""
_MEMORY = 100
"""Number of updates over which the usual gradient norm is averaged."""
_WINDOW = 200
"""Number of updates that count as recent."""
_MANY = 0.1  # published runs skip fewer than one update in a thousand (Child, 2021)
_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@component(unit="05_hierarchical_vae")
def should_skip_update(
    loss: Float[Tensor, ""], gradient_norm: Float[Tensor, ""], threshold: Float[Tensor, ""] | float | None
) -> Bool[Tensor, ""]:
    """Whether to skip an update because its gradient is too long, or because something is not finite.

    A very deep VAE meets a few batches whose gradient is far longer than usual. Skipping them keeps a run alive that
    would diverge otherwise (Child, 2021).

    Args:
        loss: the loss, a scalar.
        gradient_norm: norm of its gradient over all parameters, a scalar.
        threshold: a norm of this size or above is too long; 0.0 lets none pass. A number, a scalar tensor, or None
            for no threshold.

    Returns:
        A boolean scalar on the device of the loss, never read by the host: true where the norm is not below the
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
    r"""The limit on the gradient norm g: a fixed one (Child, 2021), one that follows the gradients, both, or none.

    The limit that follows is ``skipping.factor`` · exp(m), where m is the running mean of log g. A norm above the limit
    enters this mean as the limit itself. A single outlier therefore moves the limit little, and norms that have grown
    for good pass after a while, so the limit cannot skip every update for long. The device decides; the host does not
    wait.

    >>> from avae_lib.training.training_config import SkippingConfig
    >>> limit = GradientLimit(TrainingConfig(skipping=SkippingConfig(threshold=10.0)), torch.device("cpu"))
    >>> [limit.skips(torch.tensor(1.0), torch.tensor(norm)).item() for norm in (9.0, 11.0, math.nan)]
    [False, True, True]
    """

    def __init__(self, config: TrainingConfig, device: torch.device) -> None:
        self._threshold, self._factor = config.skipping.threshold, config.skipping.factor
        self._mean_log_norm = torch.zeros((), device=device)
        self._count = torch.zeros((), device=device)

    def skips(self, loss: Float[Tensor, ""], gradient_norm: Float[Tensor, ""]) -> Bool[Tensor, ""]:
        """Whether to skip an update, decided by :func:`should_skip_update` if that is available."""
        threshold = self._threshold if self._factor is None else self._following_threshold(self._factor)
        decide = should_skip_update if is_available("should_skip_update") else _leaves_no_margin
        skipped = torch.as_tensor(decide(loss, gradient_norm, threshold), device=gradient_norm.device)
        if self._factor is not None:
            self._count_towards_usual(gradient_norm, self._factor)
        return skipped

    def state_dict(self) -> dict[str, Tensor]:
        """The running mean of log g, and the number of norms in it."""
        return {"mean_log_norm": self._mean_log_norm, "count": self._count}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from the limit that gave ``state``."""
        self._mean_log_norm.copy_(state["mean_log_norm"])
        self._count.copy_(state["count"])

    def _following_threshold(self, factor: float) -> Float[Tensor, ""]:
        """The lower of the two limits; the one that follows is infinite until it has settled."""
        following = torch.where(self._count < _SETTLING, math.inf, factor * self._mean_log_norm.exp())
        return following if self._threshold is None else following.clamp(max=self._threshold)

    def _count_towards_usual(self, gradient_norm: Tensor, factor: float) -> None:
        log_norm = gradient_norm.log()
        log_limit = self._mean_log_norm + math.log(factor)
        counted = torch.where(self._count < _SETTLING, log_norm, torch.minimum(log_norm, log_limit))
        rate = (1 / (1 + self._count)).clamp(min=1 / _MEMORY)
        moved = torch.lerp(self._mean_log_norm, counted, rate)
        is_counted = torch.isfinite(log_norm)
        self._mean_log_norm.copy_(torch.where(is_counted, moved, self._mean_log_norm))
        self._count += is_counted


def _leaves_no_margin(loss: Tensor, gradient_norm: Tensor, threshold: Tensor | float | None) -> Tensor:
    """The same decision as :func:`should_skip_update`, for training while that function is still to be written.

    If the loss or the norm is not finite, the margin is NaN or −∞, which is not positive either.
    """
    margin = (math.inf if threshold is None else threshold) - gradient_norm + 0 * loss
    return ~(margin > 0)


class Rollback:
    """Copies of the buffers that a forward pass changes in place, so that a skipped update leaves them as they were.

    The decision falls after the forward pass, when statistics such as those of batch normalisation have moved already.
    (Weights and moments need no copies: the optimizer's step comes after the decision.) The device restores the buffers
    without telling the host whether it had to. The arithmetic is on the bits, as integers: the earlier values come back
    exactly, whatever the update made of the tensors. Floating-point arithmetic would spread NaN.

    Args:
        tensors: the tensors that an update may change; they must stay the same objects. The copies take as much memory
            again.

    >>> mean = torch.tensor([1.0, 2.0])
    >>> rollback = Rollback([mean])
    >>> rollback.remember()
    >>> mean /= 0
    >>> rollback.undo_unless(torch.tensor(False))
    >>> mean
    tensor([1., 2.])
    """

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        groups: dict[torch.dtype, list[Tensor]] = defaultdict(list)
        for tensor in tensors:
            bits = bits_of(tensor)
            groups[bits.dtype].append(bits)
        self._groups = [(live, [torch.empty_like(bits) for bits in live]) for live in groups.values()]

    @torch.no_grad()
    def remember(self) -> None:
        """Copy the present values, for :meth:`undo_unless` to restore."""
        for live, before in self._groups:
            torch._foreach_copy_(before, live)

    @torch.no_grad()
    def undo_unless(self, taken: Tensor) -> None:
        """Restore the remembered values unless ``taken``, a boolean scalar on their device, is true.

        Computed as before + taken · (now − before); integers wrap around, so no bit is lost.
        """
        for live, before in self._groups:
            torch._foreach_sub_(live, before)
            torch._foreach_mul_(live, taken.to(live[0].dtype))
            torch._foreach_add_(live, before)


def bits_of(tensor: Tensor) -> Tensor:
    """The bits of a tensor as integers of the same size, in the same memory.

    >>> bits_of(torch.tensor([1.0, 0.0])).tolist()
    [1065353216, 0]
    """
    return tensor.detach().view(_BITS[tensor.element_size()])


class TrainingDiverged(UserError, RuntimeError):
    """Too many updates in a row were skipped."""


@dataclass(frozen=True)
class SkippedUpdate:
    """One skipped update, a line of ``skipped.jsonl``."""

    step: int
    """Number of the update, counted from 1."""
    reason: str
    """Why it was skipped, for people to read."""
    loss: float
    """Loss of the update, in nats per image."""
    gradient_norm: float
    """Norm of the gradient before clipping."""
    images: tuple[int, ...]
    """Indices, in the training split, of the images in the batch."""


class SkippedUpdates:
    """Counts skipped updates. Readings stay on the device until :meth:`read` fetches them, so training does not wait.

    >>> skips = SkippedUpdates(TrainingConfig())
    >>> batch, taken, loss, norm = torch.tensor([4, 7]), torch.tensor(False), torch.tensor(math.nan), torch.tensor(1.0)
    >>> skips.add(1, batch, taken, loss, norm)
    >>> [(update.reason, update.images) for update in skips.read()], skips.total
    ([('the loss was nan', (4, 7))], 1)
    """

    def __init__(self, config: TrainingConfig) -> None:
        self._config = config
        self._unread: list[tuple[int, Tensor, Tensor]] = []  # update, images, (taken, loss, norm) on the device
        self._recent: deque[bool] = deque(maxlen=_WINDOW)
        self._last: SkippedUpdate | None = None
        self._stuck_at: int | None = None
        self._read_up_to = 0
        self.total = 0
        self.in_a_row = 0

    def add(self, step: int, images: Tensor, taken: Tensor, loss: Tensor, gradient_norm: Tensor) -> None:
        """Note update number ``step``: the indices of its images, whether it was taken, its loss and gradient norm."""
        readings = torch.stack([taken.double(), loss.detach().double(), gradient_norm.detach().double()])
        self._unread.append((step, images, readings))

    def read(self) -> list[SkippedUpdate]:
        """Fetch the updates since the last call from the device, count them, and return the skipped ones."""
        if not self._unread:
            return []
        steps, images, readings = zip(*self._unread, strict=True)
        self._unread, self._read_up_to = [], steps[-1]
        counted = map(self._count, steps, images, torch.stack(readings).tolist())
        return [skipped for skipped in counted if skipped is not None]

    @property
    def recent_rate(self) -> float:
        """Fraction of the last 200 updates that was skipped; of all updates, if there were fewer."""
        return sum(self._recent) / max(1, len(self._recent))

    @property
    def warning(self) -> str | None:
        """A warning with advice if more than a tenth of the recent updates were skipped, else None."""
        if self._last is None or len(self._recent) < _WINDOW // 2 or self.recent_rate <= _MANY:
            return None
        return (
            f"{sum(self._recent)} of the last {len(self._recent)} updates were skipped, the latest because "
            f"{self._last.reason}: {self._advice()}"
        )

    def require_progress(self) -> None:
        """Stop a run that makes no progress.

        Raises:
            TrainingDiverged: ``skipping.max_in_a_row`` updates in a row were skipped at some time. The weights, and
                those in the checkpoint, are the ones from before these updates.
        """
        if self._stuck_at is not None and self._last is not None:
            raise TrainingDiverged(
                f"{self._config.skipping.max_in_a_row} updates in a row, up to update {self._stuck_at}, were skipped "
                f"(noticed at update {self._read_up_to}), the latest because {self._last.reason}: {self._advice()}. "
                "skipped.jsonl lists the images of each"
            )

    def state_dict(self) -> dict[str, Any]:
        """The counts, over the updates that have been read."""
        recent = [int(was_skipped) for was_skipped in self._recent]
        return {"skipped": self.total, "skipped_in_a_row": self.in_a_row, "recently_skipped": recent}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from the counts in ``state``."""
        self.total = state["skipped"]
        self.in_a_row = state["skipped_in_a_row"]
        self._recent = deque(map(bool, state.get("recently_skipped", ())), maxlen=_WINDOW)

    def _count(self, step: int, images: Tensor, readings: list[float]) -> SkippedUpdate | None:
        taken, loss, gradient_norm = readings
        self._recent.append(not taken)
        self.in_a_row = 0 if taken else self.in_a_row + 1
        if taken:
            return None
        self.total += 1
        if self.in_a_row == self._config.skipping.max_in_a_row and self._stuck_at is None:
            self._stuck_at = step
        self._last = SkippedUpdate(step, self._reason(loss, gradient_norm), loss, gradient_norm, tuple(images.tolist()))
        return self._last

    def _reason(self, loss: float, gradient_norm: float) -> str:
        if not math.isfinite(loss):
            return f"the loss was {loss}"
        if not math.isfinite(gradient_norm):
            return f"the gradient norm was {gradient_norm} although the loss was finite"
        threshold, factor = self._config.skipping.threshold, self._config.skipping.factor
        too_long = f"the gradient norm {gradient_norm:.4g} was not below training.skipping"
        if threshold is not None and gradient_norm >= threshold:
            return f"{too_long}.threshold = {threshold:g}"
        if factor is None:
            return f"should_skip_update decided so, with a finite loss and the gradient norm {gradient_norm:.4g}"
        return f"{too_long}.factor = {factor:g} times the usual one"

    def _advice(self) -> str:
        assert self._last is not None
        if not math.isfinite(self._last.gradient_norm):
            return (
                "start in another run folder with a smaller training.learning_rate.peak or "
                "training.optimizer.clip_norm, or with a longer training.learning_rate.warmup_steps"
            )
        if "should_skip_update" in self._last.reason:
            return 'check your should_skip_update, or use the reference: components.restore("should_skip_update")'
        if "skipping.factor" in self._last.reason:
            return "continue in the same run folder with a larger training.skipping.max_in_a_row; the limit will follow"
        return (
            "the gradients may never get shorter than the threshold. In the same run folder, raise "
            "training.skipping.threshold or use training.skipping.factor instead; or lower training.learning_rate.peak "
            "in another one"
        )
