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
        reason = str(problem).splitlines()[0]
        raise ValueError(f"device must be auto or one of this machine's devices, got {name!r}: {reason}") from problem
    return torch.device(name)
