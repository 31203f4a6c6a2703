"""The memory that training needs, found by taking one update on shapes without numbers."""

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

from avae_lib.data import published_training_images
from avae_lib.models.contract import num_classes
from avae_lib.objectives import ELBO
from avae_lib.observations import observed_by
from avae_lib.training.activation_checkpointing import activation_checkpointing
from avae_lib.training.experiment import Experiment
from avae_lib.training.training_config import TrainingConfig

__all__ = [
    "Memory",
    "bytes_of_training_split",
    "expected_memory",
    "expected_memory_of",
    "model_without_numbers",
    "size_in_words",
]

_GIBIBYTE = 2**30
_IN_WORDS = {"images": "training data", "temporary": "temporary"}


@dataclass(frozen=True)
class Memory:
    """Expected memory on the device while a model is trained, in bytes.

    >>> Memory(4000, 4000, 8000, 4000, 12000, images=64000, activations=None).total
    96000
    """

    weights: int
    """Parameters and buffers."""
    gradients: int
    """One number for each trained parameter."""
    optimizer: int
    """The optimizer's moments and step counts."""
    average: int
    """The moving average of the weights."""
    rollback: int
    """Copies of weights and moments that undo a skipped update."""
    images: int
    """The training split, of images or of sentences; 0 where it is not kept on the device."""
    activations: int | None
    """Tensors that the forward pass of one batch (of one piece, with ``micro_batch``) keeps for the backward pass;
    None if the model cannot be run without data."""
    temporary: int = 0
    """What comes on top when memory is fullest: in the forward or backward pass, or in the optimizer's step."""

    @property
    def total(self) -> int:
        """The sum of all. Workspace of single operations and the compiler's choices are not in it."""
        return sum(size or 0 for size in vars(self).values())

    def text(self) -> str:
        """The main figures in one line."""
        parts = [f"{_IN_WORDS.get(name, name)} {size_in_words(size)}" for name, size in vars(self).items() if size]
        caveat = "" if self.activations else "; activations not counted, the model needs data to tell"
        return f"{size_in_words(self.total)} ({', '.join(parts)}{caveat})"


def expected_memory(model: nn.Module, config: TrainingConfig, data_bytes: int) -> Memory:
    """The memory that training needs on its device.

    Args:
        model: the model; its weights may lack numbers (device meta).
        config: how it is trained. Of several processes, ``batch_size`` must be the share of one.
        data_bytes: size of the training split.

    >>> from avae_lib.presets import find_preset
    >>> preset = find_preset("digits-vae")
    >>> memory = expected_memory(preset.build_model(), preset.training, data_bytes=86_400)
    >>> memory.weights == 4 * 111_280, memory.gradients == memory.weights, memory.optimizer > 2 * memory.weights
    (True, True, True)
    """
    weights = _bytes([*model.parameters(), *model.buffers()])
    moments = 2 * _bytes(model.parameters()) + 4 * len(list(model.parameters()))  # adam, adamax and adamw alike
    gradients = _bytes(parameter for parameter in model.parameters() if parameter.requires_grad)
    one_pass = _measure_pass(model, config)
    kept, peak = (one_pass.kept, one_pass.peak) if one_pass else (None, 0)
    in_step = gradients + weights  # each optimizer, and the moving average, computes with one number more per weight
    return Memory(
        weights=weights,
        gradients=gradients,
        optimizer=moments,
        average=weights,
        rollback=weights + moments,
        images=0 if config.data_on == "host" else data_bytes,
        activations=kept,
        temporary=max(0, max(peak, in_step) - gradients - (kept or 0)),
    )


def expected_memory_of(experiment: Experiment) -> Memory:
    """The memory that an experiment needs on its device. Neither the weights nor published images are loaded.

    >>> from avae_lib.presets import find_preset
    >>> memory = expected_memory_of(find_preset("cifar10-vdvae"))
    >>> round(memory.weights / 1e6), round(memory.images / 1e6)  # 39 million numbers; 50,000 images
    (157, 154)
    """
    model = model_without_numbers(experiment)
    return expected_memory(model, experiment.training, bytes_of_training_split(experiment, model))


def model_without_numbers(experiment: Experiment) -> nn.Module:
    """The model of an experiment with shapes of weights only.

    >>> from avae_lib.presets import find_preset
    >>> next(model_without_numbers(find_preset("imagenet64-vdvae")).parameters()).device
    device(type='meta')
    """
    with torch.device("meta"):
        return experiment.model.build()


def bytes_of_training_split(experiment: Experiment, model: nn.Module) -> int:
    """Size of the training data. A published set is not read; images to hold out are included.

    >>> from avae_lib.presets import find_preset
    >>> preset = find_preset("cifar10-vdvae")
    >>> bytes_of_training_split(preset, model_without_numbers(preset)) == 50_000 * 3 * 32 * 32
    True
    """
    images = published_training_images(experiment.data.name)
    if images is None:
        return experiment.data.load().train.nbytes
    return images * observed_by(model).blank(1, "meta").nbytes


@dataclass(frozen=True)
class _Pass:
    """Bytes of a forward and a backward pass, beside weights and images."""

    kept: int
    """Held between the two passes."""
    peak: int
    """Held at the fullest moment, gradients of the weights included."""


def _measure_pass(model: nn.Module, config: TrainingConfig) -> _Pass | None:
    """One pass on shapes, of the largest piece of a batch; None if the model reads numbers on its way."""
    size = min(config.batch_size, config.micro_batch or config.batch_size)
    try:
        shapes = _without_numbers(model)
        x = observed_by(model).blank(size, "meta")
        labels = {"labels": torch.empty(size, dtype=torch.int64, device="meta")} if num_classes(model) else {}
        counted = _CountedBytes(not_counted=[*shapes.parameters(), *shapes.buffers(), x])
        precision = _Bfloat16() if config.precision == "bfloat16" else contextlib.nullcontext()
        with (
            _own_noise(),
            _unchecked_distributions(),
            counted,
            activation_checkpointing(shapes, config.activation_checkpointing),
            precision,
        ):
            if size < config.batch_size:
                _hold_gradients(shapes)
            loss = _loss(shapes(x, **labels))
            kept = counted.now
            loss.backward()
    except (RuntimeError, TypeError, ValueError, NotImplementedError):
        return None
    return _Pass(kept, counted.peak)


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
            args = tree_map_only(
                Tensor, lambda tensor: tensor.bfloat16() if tensor.is_floating_point() else tensor, args
            )
        return function(*args, **(kwargs or {}))


def _in_bfloat16(tensor: Tensor) -> Tensor:
    return tensor.bfloat16() if tensor.is_floating_point() else tensor


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def size_in_words(size: int) -> str:
    """A number of bytes for people to read.

    >>> size_in_words(3 * 2**30), size_in_words(2**20)
    ('3.00 GiB', '1.0 MiB')
    """
    return f"{size / _GIBIBYTE:.2f} GiB" if size >= _GIBIBYTE / 10 else f"{size / 2**20:.1f} MiB"
