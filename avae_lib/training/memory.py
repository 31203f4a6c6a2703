"""The memory that training needs, found without the numbers: from shapes of weights and of one pass."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from avae_lib.data import published_training_images
from avae_lib.observations import observed_by
from avae_lib.training.experiment import Experiment
from avae_lib.training.pass_on_shapes import pass_on_shapes
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
_IN_WORDS = {"images": "training data", "rollback": "copies of buffers"}


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
    """Copies of the buffers, from which a skipped update restores them."""
    images: int
    """The training split, of images or of sentences; 0 where it is not kept on the device."""
    activations: int | None
    """Tensors that the forward pass of one batch (of one piece, with ``micro_batch``) keeps for the backward pass;
    None if the model cannot be run without data."""
    temporary: int = 0
    """What comes on top when memory is fullest: in the forward or backward pass, or in the optimizer's step."""

    @property
    def total(self) -> int:
        """The sum of all. Workspace of single operations (but of an LSTM), the compiler's choices and the gaps that an
        allocator leaves (:meth:`taken_on`) are not in it. Nor are evaluations, which keep nothing for a backward pass,
        but compute 512 images at once where ``micro_batch`` asks for no smaller pieces."""
        return sum(size or 0 for size in vars(self).values())

    def taken_on(self, device: torch.device) -> int:
        """The memory that a process may take on a device, with what its allocator cannot use.

        On the CPU freed tensors leave gaps, so what is made and freed in an update counts twice here. With glibc there
        are few gaps where it returns freed memory at once (``MALLOC_MMAP_THRESHOLD_`` and ``MALLOC_TRIM_THRESHOLD_`` of
        65536). ``benchmarks/memory.py`` measures both.

        >>> memory = Memory(4000, 4000, 8000, 4000, 12000, images=0, activations=50_000)
        >>> memory.taken_on(torch.device("cpu")) - memory.total
        50000
        """
        gaps = (self.activations or 0) + self.temporary
        return self.total + (gaps if device.type == "cpu" else 0)

    def text(self, device: torch.device | None = None) -> str:
        """The main figures in one line; on the CPU also what the process may take."""
        parts = [f"{_IN_WORDS.get(name, name)} {size_in_words(size)}" for name, size in vars(self).items() if size]
        caveat = "" if self.activations else "; activations not counted, the model needs data to tell"
        taken = self.total if device is None else self.taken_on(device)
        limit = f"; with gaps between tensors up to {size_in_words(taken)}" if taken > self.total else ""
        return f"{size_in_words(self.total)} ({', '.join(parts)}{caveat}){limit}"


def expected_memory(model: nn.Module, config: TrainingConfig, data_bytes: int, processes: int = 1) -> Memory:
    """The memory that training needs on its device.

    Args:
        model: the model; its weights may lack numbers (device meta).
        config: how it is trained. Of several processes, ``batch_size`` must be the share of one.
        data_bytes: size of the training split.
        processes: how many train together; with ``sharded`` they divide among them what belongs to weights. The answer
            is then that of the first process, which also holds the whole average to evaluate it.

    >>> from avae_lib.presets import find_preset
    >>> preset = find_preset("digits-vae")
    >>> memory = expected_memory(preset.build_model(), preset.training, data_bytes=86_400)
    >>> memory.weights == 4 * 111_280, memory.gradients == memory.weights, memory.optimizer > 2 * memory.weights
    (True, True, True)
    """
    weights = _bytes([*model.parameters(), *model.buffers()])
    moments = 2 * _bytes(model.parameters()) + 4 * len(list(model.parameters()))  # adam, adamax and adamw alike
    gradients = _bytes(parameter for parameter in model.parameters() if parameter.requires_grad)
    one_pass = pass_on_shapes(model, config)
    kept, peak = (one_pass.kept, one_pass.peak) if one_pass else (None, 0)
    in_step = gradients + weights  # each optimizer, and the moving average, computes with one number more per weight
    memory = Memory(
        weights=weights,
        gradients=gradients,
        optimizer=moments,
        average=weights,
        rollback=_bytes(model.buffers()),
        images=0 if config.data_on == "host" else data_bytes,
        activations=kept,
        temporary=max(0, max(peak, in_step) - gradients - (kept or 0)),
    )
    return _sharded(memory, processes) if config.sharded else memory


def _sharded(memory: Memory, processes: int) -> Memory:
    """The memory of the first process: its parts, and for a pass all weights, whose whole gradients come and go."""
    parts = {name: -(-getattr(memory, name) // processes) for name in ("weights", "gradients", "optimizer")}
    return replace(
        memory,
        **parts,
        average=memory.average + parts["weights"],
        temporary=memory.temporary + memory.weights + memory.gradients,
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


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def size_in_words(size: int) -> str:
    """A number of bytes for people to read.

    >>> size_in_words(3 * 2**30), size_in_words(2**20), size_in_words(7570 * 2**30)
    ('3.00 GiB', '1.0 MiB', '7.39 TiB')
    """
    if size >= 1000 * _GIBIBYTE:
        return f"{size / 2**40:,.2f} TiB"
    if size >= 100 * _GIBIBYTE:
        return f"{size / _GIBIBYTE:.0f} GiB"
    return f"{size / _GIBIBYTE:.2f} GiB" if size >= _GIBIBYTE / 10 else f"{size / 2**20:.1f} MiB"
