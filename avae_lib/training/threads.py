"""How many processor threads a training loop should use."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

__all__ = ["threads_for"]

_SMALL = 1_000_000  # parameters: below this one thread is faster, for threads wait for one another at every layer


@contextlib.contextmanager
def threads_for(model: nn.Module) -> Iterator[None]:
    """One processor thread inside a ``with`` block if the model is small, and the number from before after it.

    On two cores that other programs use as well, two threads train a network of 100,000 parameters ten times as
    slowly as one thread.
    """
    before = torch.get_num_threads()
    if sum(parameter.numel() for parameter in model.parameters()) < _SMALL:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
