"""Where a model is trained: the device by its name, and the number of processor threads."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

from avae_lib.errors import InvalidInput

__all__ = ["find_device", "threads_for"]


def find_device(name: str) -> torch.device:
    """The device with this name; ``"auto"`` is a GPU if there is one, else the CPU.

    Raises:
        InvalidInput: this machine has no such device.

    >>> find_device("cpu")
    device(type='cpu')
    """
    name = ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as problem:
        gpus = f"cuda:0 … cuda:{torch.cuda.device_count() - 1}" if torch.cuda.is_available() else "no GPU"
        raise InvalidInput(f"device must be auto or a device of this machine (cpu, {gpus}), got {name!r}") from problem
    return torch.device(name)


_SMALL = 1_000_000  # parameters; for fewer, one thread is faster, because threads wait for each other at every layer


@contextlib.contextmanager
def threads_for(model: nn.Module) -> Iterator[None]:
    """Use one processor thread inside a ``with`` block if the model is small, and restore the number afterwards.

    On two cores that other programs use as well, two threads train a network of 100,000 parameters ten times as
    slowly as one thread.

    >>> with threads_for(nn.Linear(2, 2)):
    ...     torch.get_num_threads()
    1
    """
    before = torch.get_num_threads()
    if sum(parameter.numel() for parameter in model.parameters()) < _SMALL:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
