"""Measures the model of a capstone, with the same code at home and in the grader."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from avae_lib.capstone.budget import BUDGET, Budget
from avae_lib.capstone.rebuilding import CapstoneRefused
from avae_lib.data import load
from avae_lib.evaluation import Estimate, in_bits_per_dim, measuring, require_density, terms_of_bound
from avae_lib.models.contract import NoDensity, num_classes
from avae_lib.observations import AnyModel

__all__ = ["Measurement", "NotMeasurable", "measure", "public_images"]

_MOST_STANDARD_ERRORS = 5.0
_LARGEST_EXCESS_NATS = 1.0


class NotMeasurable(CapstoneRefused):
    """The model has no meaningful bits per dimension; the message says why."""


@dataclass(frozen=True)
class Measurement:
    """Measured bits per dimension of a model, image by image.

    >>> numbers = Measurement(torch.tensor([5.0, 4.0]), torch.tensor([4.5, 3.5]), samples=16, seconds=1.0)
    >>> numbers.bound.mean, numbers.importance_weighted.mean
    (4.5, 4.0)
    """

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
        """The numbers of one quantity, ``bound`` or ``importance-weighted``."""
        return {"bound": self.bound_bpd, "importance-weighted": self.importance_weighted_bpd}[quantity]


def public_images(budget: Budget = BUDGET) -> UInt8[Tensor, "images channels height width"]:
    """The test images that claims are about.

    >>> public_images().shape
    torch.Size([350, 3, 32, 32])
    """
    return load(budget.data_set).test[: budget.public_images]


def measure(
    model: AnyModel,
    images: UInt8[Tensor, "images channels height width"] | None = None,
    samples: int = BUDGET.max_samples,
    rows: int = 16,
    seed: int = 0,
) -> Measurement:
    """Measure a model as the grader does: the bound, and the importance-weighted estimate of −log p(x).

    Args:
        images: by default the public test images.
        samples: number of posterior samples per image, for the importance-weighted estimate.
        rows: largest number of images that go through the model at once.
        seed: for sampling; the caller's random state is left unchanged.

    Raises:
        NotMeasurable: the model defines no density, or its numbers are not finite or come from rounding.

    >>> from avae_lib.models.vae import VAEConfig
    >>> images = public_images()[:4]
    >>> model = VAEConfig(image_shape=(3, 32, 32), bits=8, likelihood="discretized_logistic").build()
    >>> measure(model, images, samples=2).bound_bpd.shape
    torch.Size([4])
    """
    images = public_images() if images is None else images
    _require_measurable(model)
    started = time.perf_counter()
    with measuring(model, seed):
        bound = terms_of_bound(model, images, rows)
        log_weights = _log_weights(model, images, samples, rows)
    nats = (bound.log_likelihood - bound.kl.sum(dim=1)).double()
    log_likelihood = torch.logsumexp(log_weights, dim=1) - math.log(samples)
    _require_proper(bound.log_likelihood.double(), nats, log_weights)
    num_dims = math.prod(images.shape[1:])
    per_image = (in_bits_per_dim(-value, num_dims) for value in (nats, log_likelihood))
    return Measurement(*per_image, samples=samples, seconds=time.perf_counter() - started)


def _require_measurable(model: AnyModel) -> None:
    try:
        require_density(model)
    except NoDensity as reason:
        raise NotMeasurable(str(reason)) from None
    if not hasattr(model, "image_shape"):
        raise NotMeasurable("this is no model of images")
    if num_classes(model):
        raise NotMeasurable("the model is conditional on the class of an image, and photographs have no classes")


def _log_weights(model: AnyModel, images: Tensor, samples: int, rows: int) -> Float[Tensor, "images samples"]:
    """log p(x, z) − log q(z | x) of each draw."""
    device = next(model.parameters()).device
    return torch.cat(
        [
            torch.stack([model.log_weight(batch.to(device)).double().cpu() for _ in range(samples)], dim=1)
            for batch in images.split(rows)
        ]
    )


def _require_proper(
    log_likelihood: Float[Tensor, " images"],
    bound: Float[Tensor, " images"],
    log_weights: Float[Tensor, "images draws"],
) -> None:
    """Refuse numbers that no density of images can have.

    The mean log weight and the bound with the KL in closed form estimate the same number. If means are so large that
    ``mean + std · noise`` rounds to the mean, z is a single point, but log q(z) is still that of a Gaussian. With a
    narrower prior, the weights are then far too large, and a useless model can reach any log p(x). The closed form is
    not affected, so improvements are judged by the bound.
    """
    for name, values in (("bound", bound), ("log weight", log_weights)):
        if not bool(torch.isfinite(values).all()):
            raise NotMeasurable(f"the {name} of some images is not finite")
    if bool((log_likelihood > 0.1).any()):
        raise NotMeasurable("log p(x | z) of some images is above 0, which no probability of pixels is")
    excess = log_weights.mean(dim=1) - bound
    error = float(excess.std()) / math.sqrt(len(excess)) if len(excess) > 1 else math.inf
    if float(excess.mean()) > _MOST_STANDARD_ERRORS * error + _LARGEST_EXCESS_NATS:
        raise NotMeasurable(
            f"the bound from importance weights ({float(log_weights.mean()):.6g} nats) is better than the bound from "
            f"the KL ({float(bound.mean()):.6g} nats): draws are rounded, or the weights are wrong"
        )
