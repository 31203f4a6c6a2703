"""Random inputs for cases. Sizes with different meanings always differ, so exchanged dimensions are noticed."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

__all__ = ["between", "map_weight", "normal", "sizes", "uniform"]


def sizes(generator: Generator, count: int, smallest: int = 2) -> list[int]:
    """``count`` different sizes in random order. Many sizes come from a smaller range, to keep requests small."""
    largest = smallest + (max(count, 4) - 1 if count > 3 else 5)
    order = torch.randperm(largest - smallest + 1, generator=generator)
    return (order[:count] + smallest).tolist()


def normal(generator: Generator, *shape: int, scale: float = 1.0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Normal numbers with standard deviation ``scale``, drawn in full precision of ``dtype``."""
    return scale * torch.randn(shape, generator=generator, dtype=dtype)


def uniform(
    generator: Generator, *shape: int, low: float = 0.0, high: float = 1.0, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Numbers drawn uniformly from [low, high)."""
    return low + (high - low) * torch.rand(shape, generator=generator, dtype=dtype)


def between(generator: Generator, low: float, high: float) -> float:
    """One Python float drawn uniformly between ``low`` and ``high``."""
    return uniform(generator, 1, low=low, high=high, dtype=torch.float64).item()


def map_weight(generator: Generator, inputs: int, outputs: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """The weight of a :class:`Map` from ``inputs`` to ``outputs`` channels whose results have a size of about one."""
    return normal(generator, 2 * outputs, inputs + 1, scale=inputs**-0.5, dtype=dtype)
