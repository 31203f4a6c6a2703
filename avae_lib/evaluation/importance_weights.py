"""Importance weights: the log of their mean, computed in chunks, and their effective sample size."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from avae_lib.components import component

__all__ = ["effective_sample_size", "marginal_log_likelihood"]


@component(unit="07_evaluation")
def marginal_log_likelihood(chunks: Iterable[Float[Tensor, "_ batch"]]) -> Float[Tensor, "batch"]:
    r"""The log of the mean importance weight of each example, from chunks of log weights that are seen once, in nats.

    .. math:: \log \frac{1}{K} \sum_{k=1}^{K} w_k, \qquad \log w_k = \log p(x, z_k) - \log q(z_k \mid x)

    It estimates log p(x) from all K draws (Burda et al., 2016, equation 8). Thousands of draws for each example
    are more than fits through a model at once, so they come in chunks.

    Args:
        chunks: log weights, ``(samples, batch)`` each, nats: a list, or an iterator that can be run through once. The
            chunks may differ in the number of samples. There is at least one chunk, and each has a sample. Log
            weights may lie thousands of nats apart or be −∞.

    Returns:
        ``(batch,)`` in the dtype of the chunks, which are not changed; −∞ for an example whose weights are all 0. No
        more than one chunk is held at a time, and no gradient flows.

    Raises:
        ValueError: there is no chunk.

    Three draws for each of two examples: the weights 1, 3, 5 have the mean 3, and the weights 2, 0, 1 the mean 1:

    >>> weights = [torch.tensor([[1.0, 2.0], [3.0, 0.0]]), torch.tensor([[5.0, 1.0]])]
    >>> marginal_log_likelihood(chunk.log() for chunk in weights).exp()
    tensor([3., 1.])
    """
    samples = 0
    log_sum = None
    for chunk in chunks:
        log_sum_of_chunk = torch.logsumexp(chunk.detach().double(), dim=0)  # the digits of many additions add up
        log_sum = log_sum_of_chunk if log_sum is None else torch.logaddexp(log_sum, log_sum_of_chunk)
        samples += len(chunk)
    if log_sum is None:
        raise ValueError("chunks must hold at least one chunk of log weights (samples, batch), got none")
    return (log_sum - math.log(samples)).to(chunk.dtype)


@component(unit="07_evaluation")
def effective_sample_size(log_weights: Float[Tensor, "samples batch"]) -> Float[Tensor, "batch"]:
    r"""The number of equally weighted draws that the importance weights of each example are worth (Kong, 1992).

    .. math:: \frac{\bigl(\sum_k w_k\bigr)^2}{\sum_k w_k^2}

    It is K where all weights are equal, and 1 where a single one outweighs all others: then that draw alone makes the
    estimate of log p(x).

    Args:
        log_weights: log importance weights, ``(samples, batch)``, nats; finite and of any size.

    Returns:
        ``(batch,)``, from 1 to the number of samples, in the dtype of the weights and differentiable in them. They
        are not changed.

    Of four draws, all count alike in the first example, two in the second, and one in the third:

    >>> weights = torch.tensor([[3.0, 5.0, 1.0], [3.0, 5.0, 0.0], [3.0, 0.0, 0.0], [3.0, 0.0, 0.0]])
    >>> effective_sample_size(weights.clamp(min=1e-30).log())
    tensor([4., 2., 1.])
    """
    relative = (log_weights - log_weights.amax(dim=0)).exp()
    return relative.sum(dim=0).square() / relative.square().sum(dim=0)
