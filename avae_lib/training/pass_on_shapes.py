"""A forward and a backward pass without numbers: how much memory it takes, and which parameters it reaches."""

from __future__ import annotations

import contextlib
import copy
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from avae_lib.models.contract import num_classes
from avae_lib.objectives import ELBO
from avae_lib.observations import observed_by
from avae_lib.training.activation_checkpointing import activation_checkpointing
from avae_lib.training.lstms_on_shapes import count_workspace_of_lstms
from avae_lib.training.sizes_of_pieces import sizes_of_pieces
from avae_lib.training.training_config import TrainingConfig

__all__ = ["PassOnShapes", "pass_on_shapes"]


@dataclass(frozen=True)
class PassOnShapes:
    """What a forward and a backward pass do, beside their numbers.

    >>> PassOnShapes(kept=500, peak=900, reaches_all_parameters=True).peak
    900
    """

    kept: int
    """Bytes held between the two passes, beside weights and images."""
    peak: int
    """Bytes held at the fullest moment, gradients of the weights included."""
    reaches_all_parameters: bool
    """Whether each trained parameter gets a gradient."""


def pass_on_shapes(model: nn.Module, config: TrainingConfig) -> PassOnShapes | None:
    """One pass of the largest piece of a batch, on tensors that have shapes only (device meta).

    Returns:
        None if the model reads numbers on its way.

    >>> from avae_lib.models.vae import VAEConfig
    >>> from avae_lib.training.training_config import TrainingConfig
    >>> model = VAEConfig().build()
    >>> one, ten = (pass_on_shapes(model, TrainingConfig(batch_size=size)) for size in (100, 1000))
    >>> round(ten.kept / one.kept, 2), one.reaches_all_parameters
    (10.0, True)
    """
    size = max(sizes_of_pieces(config.batch_size, config.micro_batch))
    try:
        shapes = _without_numbers(model)
        count_workspace_of_lstms(shapes)
        x = observed_by(model).blank(size, "meta")
        labels = {"labels": torch.empty(size, dtype=torch.int64, device="meta")} if num_classes(model) else {}
        counted = _CountedBytes(not_counted=[*shapes.parameters(), *shapes.buffers(), x])
        precision = _Bfloat16 if config.precision == "bfloat16" else contextlib.nullcontext
        with (
            _own_noise(),
            _unchecked_distributions(),
            counted,
            activation_checkpointing(shapes, config.activation_checkpointing, again_within=precision),
            precision(),
        ):
            if size < config.batch_size:
                _hold_gradients(shapes)
            loss = _loss(shapes(x, **labels))
            kept = counted.now
            loss.backward()
    except (RuntimeError, TypeError, ValueError, NotImplementedError):
        return None
    return PassOnShapes(kept, counted.peak, _reaches_all(shapes))


def _reaches_all(model: nn.Module) -> bool:
    return all(parameter.grad is not None for parameter in model.parameters() if parameter.requires_grad)


def _hold_gradients(model: nn.Module) -> None:
    """Those of the pieces before, to which a piece adds its own."""
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)


def _loss(elbo: ELBO) -> Tensor:
    return elbo.bound.mean() + sum(penalty.mean() for penalty in elbo.penalties.values())


def _without_numbers(model: nn.Module) -> nn.Module:
    """A copy in training mode whose weights and buffers have shapes only, and which calls no hook of the user."""
    shapes: dict[int, Any] = {id(buffer): buffer.detach().to("meta") for buffer in model.buffers()}
    for parameter in model.parameters():
        shapes[id(parameter)] = nn.Parameter(parameter.detach().to("meta"), requires_grad=parameter.requires_grad)
    copied = copy.deepcopy(model, shapes).train()
    for module in copied.modules():
        for hooks in (module._forward_hooks, module._forward_pre_hooks):
            for key in [key for key, hook in hooks.items() if not _is_of_torch(hook)]:
                del hooks[key]
    return copied


def _is_of_torch(hook: Any) -> bool:
    """Whether a hook is PyTorch's own, such as that of a weight normalisation."""
    module = getattr(hook, "__module__", None) or type(hook).__module__
    return module.startswith("torch.")


@contextlib.contextmanager
def _own_noise() -> Iterator[None]:
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        yield


@contextlib.contextmanager
def _unchecked_distributions() -> Iterator[None]:
    """Those of torch look at their numbers when they are made, and here there are none."""
    before = Distribution._validate_args
    Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        Distribution.set_default_validate_args(before)


class _CountedBytes(TorchDispatchMode):
    """Counts the bytes of all storage that is made inside a ``with`` block, until it is freed."""

    def __init__(self, not_counted: Iterable[Tensor]) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._sizes = {tensor.untyped_storage()._cdata: 0 for tensor in not_counted}

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._count(tensor.untyped_storage())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        address = storage._cdata  # views of one storage share it
        if address not in self._sizes:
            self._sizes[address] = storage.nbytes()
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._forget, address)

    def _forget(self, address: int) -> None:
        self.now -= self._sizes.pop(address)


_IN_BFLOAT16 = {
    F.linear,
    F.bilinear,
    *(getattr(torch, f"conv{dims}d") for dims in (1, 2, 3)),
    *(getattr(torch, f"conv_transpose{dims}d") for dims in (1, 2, 3)),
    *(torch.matmul, torch.mm, torch.bmm, torch.baddbmm, torch.addmm, torch.einsum),
    *(Tensor.matmul, Tensor.__matmul__, Tensor.mm, Tensor.bmm),
}


class _Bfloat16(TorchFunctionMode):
    """What autocast does to memory, for tensors without numbers, of which autocast knows nothing."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function in _IN_BFLOAT16:
            args = tree_map_only(Tensor, _in_bfloat16, args)
        return function(*args, **(kwargs or {}))


def _in_bfloat16(tensor: Tensor) -> Tensor:
    return tensor.bfloat16() if tensor.is_floating_point() else tensor
