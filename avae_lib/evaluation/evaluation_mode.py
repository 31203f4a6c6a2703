"""The state of a model during a measurement: evaluation mode, no gradients, its own random numbers."""

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

    Afterwards every module is back in its former mode, and the caller's random state is unchanged.

    Two measurements with one seed agree, and the model and the random state are as before:

    >>> from avae_lib.models.vae import VAEConfig
    >>> model, before = VAEConfig().build(), torch.random.get_rng_state()
    >>> with measuring(model, seed=1):
    ...     first = model.sample(5)
    >>> with measuring(model, seed=1):
    ...     second = model.sample(5)
    >>> torch.equal(first, second), model.training, torch.equal(before, torch.random.get_rng_state())
    (True, True, True)
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
    model: nn.Module,
    images: UInt8[Tensor, "examples channels height width"] | Int[Tensor, "examples length"],
    rows: int,
) -> Iterator[UInt8[Tensor, "batch channels height width"]]:
    """The images, at most ``rows`` at a time, on the device of the model.

    >>> images = torch.zeros(5, 1, 8, 8, dtype=torch.uint8)
    >>> [len(batch) for batch in batches_on_device(nn.Linear(1, 1), images, rows=2)]
    [2, 2, 1]
    """
    device = next(model.parameters()).device
    return (batch.to(device) for batch in images.split(rows))


def batches_with_labels(
    model: nn.Module,
    images: UInt8[Tensor, "examples channels height width"] | Int[Tensor, "examples length"],
    labels: Int[Tensor, " examples"] | None,
    rows: int,
) -> Iterator[tuple[UInt8[Tensor, "batch channels height width"], dict[str, Int[Tensor, " batch"]]]]:
    """Batches as of :func:`batches_on_device`, each with the keyword arguments that give a conditional model classes.

    Raises:
        ValueError: the model is conditional and there are no labels, or not one for each image.

    >>> from avae_lib.models.vae import VAEConfig
    >>> images = torch.zeros(5, 1, 8, 8, dtype=torch.uint8)
    >>> [(len(x), classes) for x, classes in batches_with_labels(VAEConfig().build(), images, None, rows=3)]
    [(3, {}), (2, {})]
    """
    arguments = label_arguments(model, labels)
    if arguments and labels is not None and len(labels) != len(images):
        raise InvalidInput(f"labels must hold one class for each of the {len(images)} images, got {len(labels)}")
    start = 0
    for batch in batches_on_device(model, images, rows):
        of_batch = slice(start, start + len(batch))
        yield batch, {name: values[of_batch].to(batch.device) for name, values in arguments.items()}
        start += len(batch)
