"""Shuffled batches from a set that stays on the device, or on the host if it is too large: no workers."""

from __future__ import annotations

from typing import Any, Literal

import torch
from jaxtyping import Int
from torch import Tensor

from avae_lib.data.image_dataset import ImageDataset
from avae_lib.data.loading import Dataset
from avae_lib.errors import InvalidInput

__all__ = ["BatchSampler"]

_FLIP_STREAM = 2**32  # added to the seed, so that flips are drawn independently of pixels


DataOn = Literal["auto", "device", "host"]
"""Where a training split is kept."""


def _belongs_on_device(size: int, device: torch.device, data_on: DataOn) -> bool:
    if data_on != "auto" or device.type != "cuda":
        return data_on == "device"
    free, _ = torch.cuda.mem_get_info(device)
    return size <= free // 4


class BatchSampler:
    """Batches of the training split, drawn without replacement and reshuffled in every epoch.

    The order depends on ``seed`` alone. A batch that reaches the end of an epoch is filled up from the next
    one, so each example is seen equally often whatever the batch size.

    Args:
        dataset: the images, and how they are binarised and flipped; or the sentences.
        batch_size: examples per batch.
        seed: seed for shuffling, dynamic binarisation and flips.
        device: device that gets the batches.
        data_on: where the training split is kept: on the device, on the host (in memory or mapped), or auto: on a GPU
            where it takes at most a quarter of the free memory. The batches are the same.

    Raises:
        ValueError: the batch is empty or larger than the training split.

    Ten batches of 150 are one epoch of the digits, in which each image appears once:

    >>> from avae_lib.data import load
    >>> sampler = BatchSampler(load("digits"), batch_size=150)
    >>> sampler.draw().shape
    torch.Size([150, 1, 8, 8])
    >>> indices = [sampler.last_indices.tolist()]
    >>> for _ in range(9):
    ...     _ = sampler.draw()
    ...     indices.append(sampler.last_indices.tolist())
    >>> sorted(sum(indices, [])) == list(range(1500))
    True
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        seed: int = 0,
        device: torch.device | str = "cpu",
        data_on: DataOn = "auto",
    ) -> None:
        if not 1 <= batch_size <= len(dataset.train):
            raise InvalidInput(
                f"batch_size must be between 1 and the {len(dataset.train)} training "
                f"{dataset.observed.example}s of {dataset.name}, got {batch_size}"
            )
        self.batch_size = batch_size
        self._device = torch.device(device)
        on_device = _belongs_on_device(dataset.train.nbytes, self._device, data_on)
        self._examples = dataset.train.to(self._device) if on_device else dataset.train
        self._reads_files = isinstance(dataset, ImageDataset) and dataset.mapped and self._examples is dataset.train
        self._as_batch = dataset.as_batch
        labels = dataset.labels("train")
        self._labels = None if labels is None else labels.to(device)
        self._pixel_noise = torch.Generator(device).manual_seed(seed)
        self._flip_noise = torch.Generator(device).manual_seed(seed + _FLIP_STREAM)
        self._shuffle = torch.Generator().manual_seed(seed)
        self._begin_epoch()
        self.last_indices: Tensor = torch.empty(0, dtype=torch.long)
        """Indices in the training split of the examples in the last batch, on the CPU."""
        self.last_labels: Int[Tensor, " batch"] | None = None
        """Labels of the last batch, on the device; None for a data set that gives a model no labels."""

    def draw(self) -> Tensor:
        """The next batch, as the model sees it."""
        self.last_indices = self._next_indices()
        indices = self.last_indices.to(self._device, non_blocking=True)
        self.last_labels = None if self._labels is None else self._labels[indices]
        return self._as_batch(self._stored(self.last_indices), self._pixel_noise, self._flip_noise)

    @property
    def bytes_held(self) -> int:
        """Memory that the training split takes on the device; 0 if it is on the host, or in files."""
        is_elsewhere = self._reads_files or self._examples.device.type != self._device.type
        return 0 if is_elsewhere else self._examples.nbytes

    def _stored(self, indices: Int[Tensor, " batch"]) -> Tensor:
        """The examples with these indices, on the device."""
        if not self._reads_files:
            indices = indices.to(self._examples.device, non_blocking=True)
            return self._examples[indices].to(self._device, non_blocking=True)
        ordered = indices.sort()  # a disk reads forward faster than to and fro
        examples = torch.empty((len(indices), *self._examples.shape[1:]), dtype=self._examples.dtype)
        examples[ordered.indices] = self._examples[ordered.values]
        return examples.to(self._device, non_blocking=True)

    def state_dict(self) -> dict[str, Tensor | int]:
        """Everything that determines the following batches."""
        return {
            "examples": len(self._examples),
            "position": self._position,
            "shuffle": self._epoch_start,
            "pixel_noise": self._pixel_noise.get_state(),
            "flip_noise": self._flip_noise.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly where the sampler of ``state`` stopped.

        Raises:
            ValueError: the state belongs to a training split of another size.
        """
        if state["examples"] != len(self._examples):
            raise InvalidInput(
                f"the state is of a sampler over {state['examples']} examples, but this one has {len(self._examples)}"
            )
        self._shuffle.set_state(state["shuffle"])
        self._begin_epoch()
        self._position = state["position"]
        self._pixel_noise.set_state(state["pixel_noise"])
        if "flip_noise" in state:  # states of samplers that could not flip have none
            self._flip_noise.set_state(state["flip_noise"])

    def _begin_epoch(self) -> None:
        self._epoch_start = self._shuffle.get_state()
        self._order = torch.randperm(len(self._examples), generator=self._shuffle)
        self._position = 0

    def _next_indices(self) -> Tensor:
        parts = [self._take(self.batch_size)]
        if len(parts[0]) < self.batch_size:
            self._begin_epoch()
            parts.append(self._take(self.batch_size - len(parts[0])))
        return torch.cat(parts)

    def _take(self, count: int) -> Tensor:
        taken = self._order[self._position : self._position + count]
        self._position += len(taken)
        return taken
