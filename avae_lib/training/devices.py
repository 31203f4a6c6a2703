"""The machine's devices by name."""

from __future__ import annotations

import torch

__all__ = ["find_device"]


def find_device(name: str) -> torch.device:
    """The device of that name; ``"auto"`` is a GPU if there is one, else the CPU.

    Raises:
        ValueError: this machine has no such device.
    """
    name = ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as problem:
        gpus = f"cuda:0 … cuda:{torch.cuda.device_count() - 1}" if torch.cuda.is_available() else "no GPU"
        raise ValueError(f"device must be auto or one that is here (cpu, {gpus}), got {name!r}") from problem
    return torch.device(name)
