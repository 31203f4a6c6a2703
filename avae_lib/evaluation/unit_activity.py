"""Which units of the latents carry something."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from avae_lib.components import component, is_available
from avae_lib.evaluation.evaluation_mode import batches_with_labels

__all__ = ["ACTIVITY_THRESHOLD", "active_units", "count_active_units", "posterior_means", "unit_activity"]

ACTIVITY_THRESHOLD = 0.01  # Burda et al. (2016), section 5: variances are clearly above or clearly below it


@component(unit="07_evaluation")
def active_units(posterior_means: Float[Tensor, "examples *latent"], threshold: float) -> Int[Tensor, ""]:
    r"""How many units of a layer are active: their posterior means move from example to example.

    .. math:: \#\Bigl\{u : \frac1N \sum_n \bigl(\mu_{nu} - \bar\mu_u\bigr)^2 > \text{threshold}\Bigr\}

    Burda et al. (2016), section 5, with a threshold of 0.01.

    Args:
        posterior_means: the mean of q(z | x) for each example, ``(examples, *latent)`` with any number of latent
            dimensions. Means may lie far from zero.
        threshold: a unit counts if its variance over the examples, with 1/N, is above this.

    Returns:
        The count, a scalar of int64. The means are not changed.

    Three units of two examples have variances 0, 1 and 4:

    >>> active_units(torch.tensor([[5.0, 1.0, 2.0], [5.0, -1.0, -2.0]]), threshold=0.5)
    tensor(2)
    """
    deviations = posterior_means - posterior_means.mean(dim=0)
    return (deviations.square().mean(dim=0) > threshold).sum()


def count_active_units(posterior_means: Float[Tensor, "examples *latent"]) -> int:
    """How many units of a layer are active, by :func:`active_units` once that is written."""
    if is_available("active_units"):
        return int(active_units(posterior_means, ACTIVITY_THRESHOLD))
    return int((posterior_means.var(dim=0, correction=0) > ACTIVITY_THRESHOLD).sum())


def posterior_means(
    model: nn.Module,
    images: UInt8[Tensor, "examples channels height width"],
    rows: int = 512,
    labels: Int[Tensor, " examples"] | None = None,
) -> tuple[Float[Tensor, "examples *event"], ...]:
    """The mean of the posterior of every image, one tensor for each layer, top first, in float64 on the CPU.

    Args:
        rows: most images that go through the model at once.
        labels: classes of the images, for a conditional model.
    """
    with torch.no_grad():
        batches = [
            [posterior.mean.cpu() for posterior in model.latents(x, **classes)]
            for x, classes in batches_with_labels(model, images, labels, rows)
        ]
    return tuple(torch.cat(layer).double() for layer in zip(*batches, strict=True))


def unit_activity(
    model: nn.Module,
    images: UInt8[Tensor, "examples channels height width"],
    rows: int = 512,
    labels: Int[Tensor, " examples"] | None = None,
) -> tuple[Float[Tensor, "*event"], ...]:
    r"""How far the posterior mean of each unit moves from image to image (Burda et al., 2016, section 5).

    .. math:: \mathrm{Var}_x\bigl(\mathbb{E}_{q(z \mid x)}[z]\bigr)

    A unit is called active above ``ACTIVITY_THRESHOLD``. Below the top layer a mean also moves because the layers
    above do, so there the number of active units is an upper one.

    Returns:
        One tensor for each layer, top first, shaped like one example of its latents.
    """
    return tuple(layer.var(dim=0, correction=0) for layer in posterior_means(model, images, rows, labels))
