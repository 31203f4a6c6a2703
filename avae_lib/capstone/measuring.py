"""How a capstone's model is measured: by the student before handing in, and by the grader, with the same code."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from avae_lib import components
from avae_lib.capstone.budget import BUDGET, Budget
from avae_lib.data import load
from avae_lib.evaluation import Estimate, in_bits_per_dim, measuring, require_density, terms_of_bound
from avae_lib.models.contract import num_classes

__all__ = ["Measurement", "NotMeasurable", "measure", "public_images"]

_LARGEST_ROUNDING = 1e-4  # mean square, beside that of the noise, which is 1
_MOST_STANDARD_ERRORS = 6.0
_ROUNDING_NATS_PER_DIM = 1e-3


class NotMeasurable(ValueError):
    """The model has no bits per dimension that mean anything; the message says why."""


@dataclass(frozen=True)
class Measurement:
    """What was measured of a model, image by image, in bits per dimension."""

    bound_bpd: Float[Tensor, " images"]
    """−ELBO of each image, from one draw."""
    importance_weighted_bpd: Float[Tensor, " images"]
    """The importance-weighted estimate of −log p(x), from ``samples`` draws."""
    samples: int
    seconds: float

    @property
    def bound(self) -> Estimate:
        """The mean bound, with its standard error over images."""
        return Estimate.over(self.bound_bpd)

    @property
    def importance_weighted(self) -> Estimate:
        """The mean importance-weighted estimate, with its standard error over images."""
        return Estimate.over(self.importance_weighted_bpd)

    def of(self, quantity: str) -> Float[Tensor, " images"]:
        """The numbers of a claim's quantity: ``bound`` or ``importance-weighted``."""
        return {"bound": self.bound_bpd, "importance-weighted": self.importance_weighted_bpd}[quantity]


def public_images(budget: Budget = BUDGET) -> UInt8[Tensor, "images channels height width"]:
    """The test images that claims are about.

    >>> public_images().shape
    torch.Size([350, 3, 32, 32])
    """
    return load(budget.data_set).test[: budget.public_images]


def measure(
    model: nn.Module,
    images: UInt8[Tensor, "images channels height width"] | None = None,
    samples: int = BUDGET.max_samples,
    rows: int = 16,
    seed: int = 0,
) -> Measurement:
    """Measure a model as the grader does: the bound, and the importance-weighted estimate of −log p(x).

    Args:
        images: by default the public test images.
        samples: draws for each image of the importance-weighted estimate.
        rows: images that go through the model at once.
        seed: of all draws; the caller's random state is left unchanged.

    Raises:
        NotMeasurable: the model defines no density, or its numbers are not finite, or rounding decides them.
    """
    images = public_images() if images is None else images
    _require_measurable(model)
    started = time.perf_counter()
    with measuring(model, seed), _watched_draws():
        bound = terms_of_bound(model, images, rows)
        log_weights = _log_weights(model, images, samples, rows)
    nats = (bound.log_likelihood - bound.kl.sum(dim=1)).double()
    log_likelihood = torch.logsumexp(log_weights, dim=1) - math.log(samples)
    _require_proper(bound.log_likelihood.double(), nats, log_weights)
    num_dims = math.prod(images.shape[1:])
    per_image = (in_bits_per_dim(-value, num_dims) for value in (nats, log_likelihood))
    return Measurement(*per_image, samples=samples, seconds=time.perf_counter() - started)


def _require_measurable(model: nn.Module) -> None:
    try:
        require_density(model)
    except ValueError as reason:
        raise NotMeasurable(str(reason)) from None
    if not hasattr(model, "image_shape"):
        raise NotMeasurable("this is no model of images")
    if num_classes(model):
        raise NotMeasurable("the model is conditional on the class of an image, and photographs have no classes")


def _log_weights(model: nn.Module, images: Tensor, samples: int, rows: int) -> Float[Tensor, "images samples"]:
    """log p(x, z) − log q(z | x) of each draw."""
    device = next(model.parameters()).device
    return torch.cat(
        [
            torch.stack([model.log_weight(batch.to(device)).double().cpu() for _ in range(samples)], dim=1)
            for batch in images.split(rows)
        ]
    )


@contextlib.contextmanager
def _watched_draws() -> Iterator[None]:
    """A block in which every draw from a Gaussian must be a draw, and no rounded mean.

    Where means are so large beside standard deviations that ``mean + std · noise`` rounds to the mean, z is a point,
    but log q(z) is still that of a Gaussian. With a prior that is narrower there, the importance weight exceeds 1 in
    each such dimension, and a model without any merit gets any log p(x) that is wanted.
    """

    def reparameterize(mean: Tensor, log_std: Tensor, noise: Tensor) -> Tensor:
        std = torch.exp(log_std)
        z = mean + std * noise
        rounding = ((z - mean) / std - noise).double().square().mean()
        if not bool(rounding <= _LARGEST_ROUNDING):  # NaN too
            raise NotMeasurable(
                "the means of the latents are so large beside their standard deviations that draws are rounded: "
                "log q(z) of such draws is wrong"
            )
        return z

    with components.using("reparameterize", reparameterize):
        yield


def _require_proper(
    log_likelihood: Float[Tensor, " images"],
    bound: Float[Tensor, " images"],
    log_weights: Float[Tensor, "images draws"],
) -> None:
    """Refuse what no density of images can give.

    The mean log weight estimates the same bound as the analytic KL does, by other means.
    """
    for name, values in (("bound", bound), ("log weight", log_weights)):
        if not bool(torch.isfinite(values).all()):
            raise NotMeasurable(f"the {name} of some images is not finite")
    if bool((log_likelihood > 0.1).any()):
        raise NotMeasurable("log p(x | z) of some images is above 0, which no probability of pixels is")
    differences = log_weights.mean(dim=1) - bound
    error = float(differences.std()) / math.sqrt(len(differences)) if len(differences) > 1 else math.inf
    rounding = _ROUNDING_NATS_PER_DIM * float(bound.abs().mean())
    if abs(float(differences.mean())) > _MOST_STANDARD_ERRORS * error + rounding:
        raise NotMeasurable(
            f"the bound from importance weights ({float(log_weights.mean()):.6g} nats) and the bound from the KL "
            f"({float(bound.mean()):.6g} nats) disagree: one of them is no bound"
        )
