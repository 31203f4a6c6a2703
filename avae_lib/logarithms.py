"""Arithmetic on logarithms of quantities too large or too small to hold."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from avae_lib.components import component

__all__ = ["log_mean_exp"]


@component(unit="00_start_here")
def log_mean_exp(x: Tensor, dim: int) -> Tensor:
    r"""The logarithm of the mean of exponentials along one dimension, safe for entries of any size.

    .. math:: \log \frac{1}{n} \sum_{i=1}^{n} e^{x_i}

    Args:
        x: logarithms, any shape, finite.
        dim: the dimension to average over; it is removed from the result.

    Returns:
        A tensor shaped like ``x`` without ``dim``, in its dtype. ``x`` is not changed.

    The exponentials of these logarithms overflow, and their mean has a logarithm all the same:

    >>> log_mean_exp(torch.tensor([1000.0, 1000.0 + math.log(3)]), dim=0) - 1000
    tensor(0.6931)
    """
    return torch.logsumexp(x, dim=dim) - math.log(x.shape[dim])
