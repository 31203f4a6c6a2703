"""Ways to run the same update: eager or compiled, in float32 or bfloat16, with the channels last, as a CUDA graph."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from avae_lib.data import ImageDataset
from avae_lib.data.loading import Dataset
from avae_lib.models.contract import num_classes
from avae_lib.observations import AnyModel, Pixels, observed_by
from avae_lib.presets import find_preset
from avae_lib.training.devices import fast_convolutions, find_device
from avae_lib.training.experiment import Experiment
from avae_lib.training.training_config import KLWeightConfig
from avae_lib.training.training_state import TrainingState
from avae_lib.training.updating import updating
from training_steps.plain_loop import PlainLoop

__all__ = ["Variant", "experiment_of", "state_of", "stepping"]

WORDS = ("compiled", "bfloat16", "channels-last", "graphs", "fused", "checkpointing", "pieces", "plain")
PIECES = 4
"""Number of pieces of a batch in the variant of that name."""


@dataclass(frozen=True)
class Variant:
    """One way to run an update. Its name joins what differs from eager float32.

    >>> Variant.named("compiled+bfloat16") == Variant(compiled=True, bfloat16=True)
    True
    >>> Variant(bfloat16=True, channels_last=True).name, Variant().name
    ('bfloat16+channels-last', 'eager')
    """

    compiled: bool = False
    """Whether the update runs through ``torch.compile``."""
    bfloat16: bool = False
    """Whether the networks compute in bfloat16, otherwise in float32."""
    channels_last: bool = False
    """Whether the channels of a pixel lie side by side in memory."""
    graphs: bool = False
    """Whether the update is replayed as a CUDA graph."""
    fused: bool = False
    """Whether attention over depth runs as Triton kernels."""
    checkpointing: bool = False
    """Whether activations are computed again in the backward pass."""
    pieces: bool = False
    """Whether the batch is computed in pieces whose gradients are added up."""
    plain: bool = False
    """Whether it is the plain loop (:mod:`training_steps.plain_loop`) in place of the library's update."""

    @classmethod
    def named(cls, name: str) -> Variant:
        """The variant of a name.

        Raises:
            ValueError: the name has a word that stands for nothing.
        """
        words = [word for word in name.split("+") if word not in ("eager", "float32")]
        if unknown := set(words) - set(WORDS):
            raise ValueError(
                f"{name!r} is no variant because of {', '.join(sorted(unknown))}: join words of eager, float32, "
                f"{', '.join(WORDS)} by +"
            )
        return cls(**{word.replace("-", "_"): True for word in words})

    @property
    def name(self) -> str:
        """The words that :meth:`named` takes."""
        return "+".join(word for word in WORDS if getattr(self, word.replace("-", "_"))) or "eager"

    @property
    def dtype(self) -> torch.dtype:
        """The number format of matrix products and convolutions."""
        return torch.bfloat16 if self.bfloat16 else torch.float32


def experiment_of(preset: str, variant: Variant, batch: int | None, device: str) -> Experiment:
    """The preset as the variant trains it, with this batch size (None: its own)."""
    experiment = find_preset(preset)
    images, kl_weight = batch or experiment.training.batch_size, experiment.training.kl_weight
    if variant.graphs:  # recorded only once the KL weight no longer rises
        kl_weight = KLWeightConfig(final=kl_weight.final, free_bits=kl_weight.free_bits)
    training = dataclasses.replace(
        experiment.training,
        kl_weight=kl_weight,
        batch_size=images,
        micro_batch=max(1, images // PIECES) if variant.pieces else None,
        activation_checkpointing=variant.checkpointing,
        device=device,
        precision="bfloat16" if variant.bfloat16 else "float32",
        compile=variant.compiled,
        channels_last=variant.channels_last,
        cuda_graphs=variant.graphs,
        fused_attention=variant.fused,
    )
    return dataclasses.replace(experiment, training=training)


def state_of(experiment: Experiment) -> TrainingState:
    """The state at the start of training, on the device that the experiment names."""
    model = experiment.build_model()
    dataset = _dataset(experiment, model)
    return TrainingState(model, dataset, experiment.training, find_device(experiment.training.device))


@contextlib.contextmanager
def stepping(state: TrainingState, variant: Variant) -> Iterator[Callable[[], None]]:
    """Inside a ``with`` block, a function that makes one update, as training makes it or as the plain loop does."""
    if not variant.plain:
        with updating(state) as make_update:
            yield make_update
        return
    with fast_convolutions(state.device):
        yield PlainLoop(state, compiled=variant.compiled)


def _dataset(experiment: Experiment, model: AnyModel) -> Dataset:
    """CIFAR-10 where ``AVAE_DATA`` has it; otherwise random examples of the shape that the model takes."""
    seen = observed_by(model)
    if _is_here(experiment.data.name) or not isinstance(seen, Pixels):
        return experiment.data.load()
    images = seen.random(4 * experiment.training.batch_size)
    labels = torch.arange(len(images)) % max(1, num_classes(model))
    takes_labels = num_classes(model) > 0
    return ImageDataset(
        "random",
        images,
        images[:1],
        bits=seen.bits,
        train_labels=labels,
        test_labels=labels[:1],
        gives_labels=takes_labels,
    ).flipped(experiment.data.flip_horizontal, experiment.data.flip_vertical)


def _is_here(name: str) -> bool:
    folder = os.environ.get("AVAE_DATA")
    files = ("cifar10.npz", "cifar-10-batches-py", "data_batch_1")
    return name == "cifar10" and folder is not None and any((Path(folder) / file).exists() for file in files)
