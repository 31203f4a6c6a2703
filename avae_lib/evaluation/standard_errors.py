"""Means with their standard errors, and nats as bits per dimension."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

from jaxtyping import Float
from torch import Tensor

from avae_lib.components import component, is_available

__all__ = ["Estimate", "bits_per_dim", "in_bits_per_dim"]

Nats = TypeVar("Nats", float, Tensor)

_MOST_DECIMALS = 5
_BITS_PER_NAT = math.log2(math.e)


@component(unit="07_evaluation")
def bits_per_dim(nats: Nats, num_dims: float) -> Nats:
    r"""Nats per example as bits per dimension, the only conversion between the two.

    .. math:: \frac{\text{nats}}{D \log 2}

    Args:
        nats: a negative log-likelihood or a divergence, summed over one example.
        num_dims: number of values D in one example: pixels × channels, or for bits per token the mean number of tokens
            in a sentence.

    Returns:
        A float for a float; for a tensor a new one in its dtype, differentiable.

    Raises:
        ValueError: ``num_dims`` is below 1.

    64 pixels, each of 16 equally likely levels, take 4 bits each:

    >>> round(bits_per_dim(64 * math.log(16), 64), 6)
    4.0
    """
    if num_dims < 1:
        raise ValueError(f"num_dims must be the number of values in an example, at least 1, got {num_dims}")
    return nats / (num_dims * math.log(2))


def in_bits_per_dim(nats: Nats, num_dims: float) -> Nats:
    """Nats per example as bits per dimension, by :func:`bits_per_dim` once that is written.

    >>> in_bits_per_dim(64 * math.log(2), num_dims=64)
    1.0
    """
    return bits_per_dim(nats, num_dims) if is_available("bits_per_dim") else nats * _BITS_PER_NAT / num_dims  # pyright: ignore[reportReturnType]


@dataclass(frozen=True)
class Estimate:
    """A mean over test examples, with its standard error.

    >>> import torch
    >>> nats = Estimate.over(torch.tensor([90.0, 92.0, 91.0, 91.0]))
    >>> print(nats)
    91.00 ± 0.41
    >>> print(nats.in_bits_per_dim(64))
    2.0513 ± 0.0092
    """

    mean: float
    standard_error: float
    """Standard deviation over examples, divided by the root of their number; NaN for a single example."""

    @classmethod
    def from_json(cls, record: dict[str, float | None]) -> Estimate:
        """The inverse of ``dataclasses.asdict``, with None for numbers that are not finite."""
        return cls(**{name: math.nan if value is None else value for name, value in record.items()})

    @classmethod
    def over(cls, values: Float[Tensor, "*examples"]) -> Estimate:
        """Mean and standard error of one number for each example; a number that is not finite makes both so.

        A single number for all examples, a scalar tensor, has no standard error.
        """
        values = values.double()
        spread = values.std().item() if values.numel() > 1 else math.nan
        return cls(values.mean().item(), spread / math.sqrt(values.numel()))

    def __str__(self) -> str:
        """Mean and standard error, rounded to two digits of the standard error, for example ``91.14 ± 0.63``."""
        decimals = 2
        if math.isfinite(self.standard_error) and self.standard_error > 0:
            decimals = min(max(1 - math.floor(math.log10(self.standard_error)), 0), _MOST_DECIMALS)
        return f"{self.mean:.{decimals}f} ± {self.standard_error:.{decimals}f}"

    def in_bits_per_dim(self, num_dims: float) -> Estimate:
        """This estimate, given in nats per example, in bits per dimension."""
        return Estimate(in_bits_per_dim(self.mean, num_dims), in_bits_per_dim(self.standard_error, num_dims))
