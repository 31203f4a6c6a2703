"""How a model is put while it is measured."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from jaxtyping import Int, UInt8
from torch import Tensor, nn

from avae_lib.errors import InvalidInput
from avae_lib.models.contract import label_arguments

__all__ = ["batches_on_device", "batches_with_labels", "measuring"]


@contextlib.contextmanager
def measuring(model: nn.Module, seed: int = 0) -> Iterator[None]:
    """A block without gradients, with the model in evaluation mode and its own random numbers.

    Afterwards every part of the model is back in the mode it was in, and the random numbers of the program go on as
    if nothing had been drawn.
    """
    modes = [(module, module.training) for module in model.modules()]
    gpus = list(range(torch.cuda.device_count()))
    model.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=gpus):
            torch.manual_seed(seed)
            yield
    finally:
        for module, training in modes:
            module.training = training


def batches_on_device(
    model: nn.Module, images: UInt8[Tensor, "examples channels height width"], rows: int
) -> Iterator[UInt8[Tensor, "batch channels height width"]]:
    """The images, at most ``rows`` at a time, on the device of the model."""
    device = next(model.parameters()).device
    return (batch.to(device) for batch in images.split(rows))


def batches_with_labels(
    model: nn.Module,
    images: UInt8[Tensor, "examples channels height width"],
    labels: Int[Tensor, " examples"] | None,
    rows: int,
) -> Iterator[tuple[UInt8[Tensor, "batch channels height width"], dict[str, Int[Tensor, " batch"]]]]:
    """The images as above, each batch with the keyword arguments that tell a conditional model their classes.

    Raises:
        ValueError: the model is conditional and there are no labels, or not one for each image.
    """
    arguments = label_arguments(model, labels)
    if any(len(values) != len(images) for values in arguments.values()):
        raise InvalidInput(f"labels must hold one class for each of the {len(images)} images, got {len(labels)}")
    start = 0
    for batch in batches_on_device(model, images, rows):
        of_batch = slice(start, start + len(batch))
        yield batch, {name: values[of_batch].to(batch.device) for name, values in arguments.items()}
        start += len(batch)
