"""Bounds on log p(x), and estimates of it by importance sampling in chunks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from avae_lib.components import is_available
from avae_lib.errors import InvalidInput
from avae_lib.evaluation.evaluation_mode import batches_with_labels
from avae_lib.evaluation.importance_weights import effective_sample_size, marginal_log_likelihood
from avae_lib.models.contract import NoDensity, reason_for_no_density
from avae_lib.objectives import ELBO, importance_weighted_bound
from avae_lib.observations import AnyModel

__all__ = ["ImportanceSampled", "image_log_likelihoods", "importance_sampled", "require_density", "terms_of_bound"]


@torch.no_grad()
def terms_of_bound(
    model: AnyModel,
    images: UInt8[Tensor, "examples channels height width"] | Int[Tensor, "examples length"],
    rows: int = 512,
    labels: Int[Tensor, " examples"] | None = None,
) -> ELBO:
    """The terms of the bound for every image, with one draw each, and the penalties, on the CPU.

    Args:
        rows: largest number of images that go through the model at once. A penalty that compares the images of a batch
            depends on it, and is returned as its mean over all images.
        labels: classes of the images, for a conditional model.

    >>> from avae_lib.models.vae import VAEConfig
    >>> terms = terms_of_bound(VAEConfig().build(), torch.zeros(5, 1, 8, 8, dtype=torch.uint8))
    >>> terms.log_likelihood.shape, terms.kl.shape
    (torch.Size([5]), torch.Size([5, 1]))
    """
    batches = [model(batch, **classes) for batch, classes in batches_with_labels(model, images, labels, rows)]
    log_likelihood = torch.cat([batch.log_likelihood.cpu() for batch in batches])
    penalties = {
        name: _gathered([batch.penalties[name].cpu() for batch in batches], batches) for name in batches[0].penalties
    }
    return ELBO(log_likelihood, torch.cat([batch.kl.cpu() for batch in batches]), penalties)


@torch.no_grad()
def image_log_likelihoods(
    model: AnyModel,
    images: UInt8[Tensor, "examples channels height width"] | Int[Tensor, "examples length"],
    samples: int,
    rows: int = 512,
    progress: bool = False,
    keep_layers: int | None = None,
    labels: Int[Tensor, " examples"] | None = None,
) -> Float[Tensor, " examples"]:
    r"""log p(x) of every image by importance sampling, with the whole posterior as proposal, in nats.

    .. math:: \log \frac{1}{K}\sum_{k=1}^{K} \frac{p(x, z_k)}{q(z_k \mid x)}, \qquad z_k \sim q(z \mid x)

    In expectation it is a lower bound on log p(x), and tighter with every draw (Burda et al., 2016, theorem 1). The sum
    is computed in chunks, so memory grows with ``rows`` and not with ``samples``.

    Args:
        samples: K, the number of draws for each image.
        rows: largest number of images that go through the model at once.
        progress: show a progress bar.
        keep_layers: number of top layers to draw from the posterior, with the others drawn from the prior; None draws
            all from the posterior.
        labels: classes of the images, for a conditional model. The result is then log p(x | y).

    Returns:
        ``(examples,)`` in float64, on the CPU.

    Raises:
        NoDensity: the model defines no density of images.

    More draws give a higher estimate of log p(x) on average:

    >>> from avae_lib.models.vae import VAEConfig
    >>> model, images = VAEConfig(hidden_sizes=(16,)).build(), torch.zeros(200, 1, 8, 8, dtype=torch.uint8)
    >>> one, many = (image_log_likelihoods(model, images, samples).mean() for samples in (1, 50))
    >>> bool(one < many)
    True
    """
    batches = _log_weights(model, images, samples, rows, progress, keep_layers, labels)
    return torch.cat([_log_mean_weight(chunks) for chunks in batches])


@dataclass(frozen=True)
class ImportanceSampled:
    """Importance-sampling estimates of every image, in float64 on the CPU."""

    log_likelihood: Float[Tensor, " examples"]
    """log p(x) of each image, as of :func:`image_log_likelihoods`."""
    effective_sample_size: Float[Tensor, " examples"] | None
    """The number of equally weighted draws that the weights of each image are worth. None with a single draw, and
    while ``effective_sample_size`` is not written."""


@torch.no_grad()
def importance_sampled(
    model: AnyModel,
    images: UInt8[Tensor, "examples channels height width"] | Int[Tensor, "examples length"],
    samples: int,
    rows: int = 512,
    progress: bool = False,
    labels: Int[Tensor, " examples"] | None = None,
) -> ImportanceSampled:
    """:func:`image_log_likelihoods` with the effective sample size of each image, from the same draws.

    It keeps the log weights of one batch at a time: at most 8 bytes for each draw of ``rows`` images.

    >>> from avae_lib.models.vae import VAEConfig
    >>> sampled = importance_sampled(VAEConfig().build(), torch.zeros(5, 1, 8, 8, dtype=torch.uint8), samples=10)
    >>> sampled.log_likelihood.shape, bool((1 <= sampled.effective_sample_size).all())
    (torch.Size([5]), True)
    """
    log_likelihoods, sizes = [], []
    for chunks in _log_weights(model, images, samples, rows, progress, None, labels):
        seen: list[Tensor] = []
        log_likelihoods.append(_log_mean_weight(_noted(chunks, seen)))
        if samples > 1 and is_available("effective_sample_size"):
            sizes.append(effective_sample_size(torch.cat(seen)))
    return ImportanceSampled(torch.cat(log_likelihoods), torch.cat(sizes) if sizes else None)


def require_density(model: AnyModel) -> None:
    """Raise if a model defines no density of images.

    Raises:
        NoDensity: the message says why it defines none.

    >>> from avae_lib.models.wasserstein_ae import WassersteinAEConfig
    >>> require_density(WassersteinAEConfig().build())
    Traceback (most recent call last):
        ...
    NoDensity: this model has no likelihood of images: ...
    """
    reason = reason_for_no_density(model)
    if reason is not None:
        raise NoDensity(f"this model has no likelihood of images: {reason}")


def _gathered(values: Sequence[Tensor], batches: Sequence[ELBO]) -> Tensor:
    """The penalty of each image if batches have one number for each image, else the mean over all images."""
    if values[0].ndim > 0:
        return torch.cat(list(values))
    sizes = torch.tensor([len(batch.log_likelihood) for batch in batches], dtype=torch.float64)
    return (torch.stack(list(values)) * sizes).sum() / sizes.sum()


def _log_weights(
    model: AnyModel,
    images: Tensor,
    samples: int,
    rows: int,
    progress: bool,
    keep_layers: int | None,
    labels: Tensor | None,
) -> Iterator[Iterator[Float[Tensor, "draws batch"]]]:
    """For each batch of images, an iterator that draws chunks of log weights."""
    require_density(model)
    if samples < 1 or rows < 1:
        raise InvalidInput(f"samples and rows must be at least 1, got {samples} and {rows}")
    from tqdm import tqdm

    options = {} if keep_layers is None else {"keep_layers": keep_layers}
    with tqdm(total=len(images) * samples, unit="draw", desc="log p(x)", disable=not progress) as bar:
        for x, classes in batches_with_labels(model, images, labels, rows):
            yield _chunks(model, x, samples, rows, classes | options, bar)


def _chunks(
    model: AnyModel, x: Tensor, samples: int, rows: int, options: dict[str, Any], bar: Any
) -> Iterator[Float[Tensor, "draws batch"]]:
    for draws in _chunk_sizes(samples, max(rows // len(x), 1)):
        repeated = _repeat(x, draws)
        arguments = {name: _repeat(value, draws) for name, value in options.items()}
        yield model.log_weight(repeated, **arguments).reshape(draws, len(x)).double().cpu()
        bar.update(draws * len(x))


def _log_mean_weight(chunks: Iterator[Float[Tensor, "draws batch"]]) -> Float[Tensor, "batch"]:
    """By :func:`marginal_log_likelihood` if that is written, else from the bound of each chunk."""
    if is_available("marginal_log_likelihood"):
        return marginal_log_likelihood(chunks)
    log_sum = torch.tensor(-math.inf, dtype=torch.float64)
    samples = 0
    for log_weights in chunks:
        log_sum = torch.logaddexp(log_sum, importance_weighted_bound(log_weights) + math.log(len(log_weights)))
        samples += len(log_weights)
    return log_sum - math.log(samples)


def _noted(chunks: Iterator[Tensor], seen: list[Tensor]) -> Iterator[Tensor]:
    """Pass on the chunks, and append each to ``seen``."""
    for chunk in chunks:
        seen.append(chunk)
        yield chunk


def _repeat(value: Any, times: int) -> Any:
    """A tensor repeated along its first dimension; any other value unchanged."""
    return value.repeat(times, *(1,) * (value.ndim - 1)) if isinstance(value, Tensor) else value


def _chunk_sizes(total: int, largest: int) -> Sequence[int]:
    whole, rest = divmod(total, largest)
    return [largest] * whole + [rest] * (rest > 0)
