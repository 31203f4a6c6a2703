"""How a model is put while it is measured."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from jaxtyping import UInt8
from torch import Tensor, nn

__all__ = ["batches_on_device", "measuring"]


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
