"""Bounds on log p(x), and estimates of it by importance sampling in chunks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from avae_lib.evaluation.measuring import batches_on_device
from avae_lib.objectives import ELBO, importance_weighted_bound

__all__ = ["marginal_log_likelihood", "terms_of_bound"]


@torch.no_grad()
def terms_of_bound(model: nn.Module, images: UInt8[Tensor, "examples channels height width"], rows: int = 512) -> ELBO:
    """The terms of the bound for every image, one draw each, gathered on the CPU."""
    batches = [model(batch) for batch in batches_on_device(model, images, rows)]
    log_likelihood = torch.cat([batch.log_likelihood.cpu() for batch in batches])
    return ELBO(log_likelihood, torch.cat([batch.kl.cpu() for batch in batches]))


@torch.no_grad()
def marginal_log_likelihood(
    model: nn.Module,
    images: UInt8[Tensor, "examples channels height width"],
    samples: int,
    rows: int = 512,
    progress: bool = False,
    keep_layers: int | None = None,
) -> Float[Tensor, " examples"]:
    r"""log p(x) of every image by importance sampling, with the whole posterior as proposal, in nats.

    .. math:: \log \frac{1}{K}\sum_{k=1}^{K} \frac{p(x, z_k)}{q(z_k \mid x)}, \qquad z_k \sim q(z \mid x)

    A lower bound on log p(x) in expectation, tighter with every draw (Burda et al., 2016, theorem 1). The sum is
    gathered piece by piece, so that memory grows with ``rows`` and not with ``samples``.

    Args:
        samples: draws K for each image.
        rows: most images that go through the model at once.
        progress: show a progress bar.
        keep_layers: draw only that many layers, from the top, from the posterior and the others from the prior; None
            for all.

    Returns:
        ``(examples,)`` in float64, on the CPU.
    """
    if samples < 1 or rows < 1:
        raise ValueError(f"samples and rows must be at least 1, got {samples} and {rows}")
    from tqdm import tqdm

    with tqdm(total=len(images) * samples, unit="draw", desc="log p(x)", disable=not progress) as bar:
        batches = batches_on_device(model, images, rows)
        return torch.cat([_log_mean_weight(model, x, samples, rows, keep_layers, bar) for x in batches])


def _log_mean_weight(model: nn.Module, x: Tensor, samples: int, rows: int, keep_layers: int | None, bar: Any) -> Tensor:
    log_sum = torch.full((len(x),), -math.inf, dtype=torch.float64)
    for draws in _chunk_sizes(samples, max(rows // len(x), 1)):
        repeated = x.repeat(draws, 1, 1, 1)
        log_weights = model.log_weight(repeated, **_kept(keep_layers)).reshape(draws, len(x))
        log_mean = importance_weighted_bound(log_weights).double().cpu()
        log_sum = torch.logaddexp(log_sum, log_mean + math.log(draws))
        bar.update(draws * len(x))
    return log_sum - math.log(samples)


def _kept(keep_layers: int | None) -> dict[str, int]:
    return {} if keep_layers is None else {"keep_layers": keep_layers}


def _chunk_sizes(total: int, largest: int) -> Sequence[int]:
    whole, rest = divmod(total, largest)
    return [largest] * whole + [rest] * (rest > 0)
