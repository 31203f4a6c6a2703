"""What training a model will take of a device's memory, told before anything is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from avae_lib.data import Dataset
from avae_lib.evaluation import measuring
from avae_lib.models.contract import num_classes
from avae_lib.observations import observed_by
from avae_lib.training.optimizers import optimizer_tensors
from avae_lib.training.training_state import TrainingState

__all__ = ["Memory", "expected_memory", "saved_for_backward"]

_GIBIBYTE = 2**30
_IN_WORDS = {"images": "training data"}


@dataclass(frozen=True)
class Memory:
    """Bytes that lie on the device while a model is trained."""

    weights: int
    """Parameters and buffers."""
    gradients: int
    optimizer: int
    """Moments and counts."""
    average: int
    """The moving average of the weights."""
    rollback: int
    """Copies of weights and moments, with which an update can be taken back."""
    images: int
    """The training split, of images or of sentences."""
    activations: int | None
    """What one batch keeps for the backward pass in float32; None where the model cannot tell without data."""

    @property
    def total(self) -> int:
        """All of it together; what single operations need for a moment comes on top."""
        fixed = self.weights + self.gradients + self.optimizer + self.average + self.rollback + self.images
        return fixed + (self.activations or 0)

    def text(self) -> str:
        """One line for people."""
        parts = [f"{_IN_WORDS.get(name, name)} {_size(size)}" for name, size in vars(self).items() if size]
        caveat = "" if self.activations else "; activations not counted, the model needs data to tell"
        return f"{_size(self.total)} ({', '.join(parts)}{caveat})"


def expected_memory(state: TrainingState, dataset: Dataset) -> Memory:
    """What a run on ``dataset`` that stands at ``state`` holds on its device."""
    weights = _bytes([*state.model.parameters(), *state.model.buffers()])
    moments = _bytes(optimizer_tensors(state.optimizer))
    return Memory(
        weights=weights,
        gradients=_bytes(parameter for parameter in state.model.parameters() if parameter.requires_grad),
        optimizer=moments,
        average=weights,
        rollback=weights + moments,
        images=dataset.train.nbytes,
        activations=saved_for_backward(state.model, state.config.batch_size),
    )


def saved_for_backward(model: nn.Module, batch_size: int) -> int | None:
    """Bytes of all that autograd keeps of one forward pass, by sending shapes without numbers through the model.

    None if the model looks at numbers on its way.
    """
    shapes = {
        name: tensor.detach().to("meta").requires_grad_(tensor.requires_grad)
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]
    }
    x = observed_by(model).blank(batch_size, "meta")
    labels = {"labels": torch.empty(batch_size, dtype=torch.int64, device="meta")} if num_classes(model) else {}
    try:
        with measuring(model):
            return _bytes_saved(lambda: functional_call(model, shapes, (x,), labels).bound.sum(), shapes.values())
    except (RuntimeError, TypeError, ValueError):
        return None


def _bytes_saved(compute: Callable[[], Tensor], not_counted: Iterable[Tensor]) -> int:
    known = {tensor.untyped_storage()._cdata for tensor in not_counted}
    saved: dict[int, torch.UntypedStorage] = {}  # views of one storage share its memory; holding it keeps its address

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in known:
            saved[storage._cdata] = storage
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        result = compute()
    del result
    return sum(storage.nbytes() for storage in saved.values())


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _size(size: int) -> str:
    return f"{size / _GIBIBYTE:.2f} GiB" if size >= _GIBIBYTE / 10 else f"{size / 2**20:.1f} MiB"
