"""The likelihood of black-and-white pixels, in nats."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from avae_lib.components import component

__all__ = ["bernoulli_log_likelihood"]


@component(unit="03_vae")
def bernoulli_log_likelihood(
    logits: Float[Tensor, "batch *event"], x: Float[Tensor, "batch *event"]
) -> Float[Tensor, "batch"]:
    r"""log p(x) of independent Bernoulli variables, in nats, summed over all dimensions but the first.

    .. math:: \sum_d \bigl[x_d \log\sigma(\ell_d) + (1 - x_d) \log(1 - \sigma(\ell_d))\bigr]

    Kingma & Welling (2014), appendix C.1. Accurate for logits as far out as ±100, where σ rounds to 0 or 1
    in float32 and its logarithm would be infinite.

    Args:
        logits: log-odds of a one, ``(batch, …)`` with one or more further dimensions, finite.
        x: observed values in [0, 1], same shape; values between 0 and 1 weight the two terms.

    Returns:
        One log-likelihood for each example, ``(batch,)``, in the dtype of the inputs and differentiable in the
        logits. Neither input is changed.

    At log-odds of 0 each of the three pixels costs log 2, whatever its value:

    >>> import torch
    >>> bernoulli_log_likelihood(torch.zeros(1, 3), torch.tensor([[1.0, 0.0, 1.0]])).exp()
    tensor([0.1250])
    """
    per_element = x * F.logsigmoid(logits) + (1 - x) * F.logsigmoid(-logits)
    return per_element.reshape(len(per_element), -1).sum(dim=1)
