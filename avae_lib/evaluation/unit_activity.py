"""Active units: latents whose posterior means vary from image to image."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from avae_lib.components import component, is_available
from avae_lib.evaluation.evaluation_mode import batches_with_labels
from avae_lib.observations import AnyModel

__all__ = ["ACTIVITY_THRESHOLD", "active_units", "count_active_units", "posterior_means", "unit_activity"]

ACTIVITY_THRESHOLD = 0.01  # Burda et al. (2016), section 5: variances are clearly above or clearly below it


@component(unit="07_evaluation")
def active_units(posterior_means: Float[Tensor, "examples *latent"], threshold: float) -> Int[Tensor, ""]:
    r"""The number of active units in a layer, whose posterior means vary from example to example.

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
    """The number of active units in a layer, by :func:`active_units` if that is written.

    >>> count_active_units(torch.tensor([[0.0, 1.0, 0.05], [0.0, -1.0, -0.05]]))
    1
    """
    if is_available("active_units"):
        return int(active_units(posterior_means, ACTIVITY_THRESHOLD))
    return int((posterior_means.var(dim=0, correction=0) > ACTIVITY_THRESHOLD).sum())


def posterior_means(
    model: AnyModel,
    images: UInt8[Tensor, "examples channels height width"] | Int[Tensor, "examples length"],
    rows: int = 512,
    labels: Int[Tensor, " examples"] | None = None,
) -> tuple[Float[Tensor, "examples ..."], ...]:
    """The mean of the posterior of every image, one tensor for each layer, top first, in float64 on the CPU.

    Args:
        rows: largest number of images that go through the model at once.
        labels: classes of the images, for a conditional model.

    >>> from avae_lib.models.vae import VAEConfig
    >>> images = torch.zeros(5, 1, 8, 8, dtype=torch.uint8)
    >>> [means.shape for means in posterior_means(VAEConfig(latent_dim=3).build(), images)]
    [torch.Size([5, 3])]
    """
    with torch.no_grad():
        batches = [
            [posterior.mean.cpu() for posterior in model.latents(x, **classes)]
            for x, classes in batches_with_labels(model, images, labels, rows)
        ]
    return tuple(torch.cat(layer).double() for layer in zip(*batches, strict=True))


def unit_activity(
    model: AnyModel,
    images: UInt8[Tensor, "examples channels height width"] | Int[Tensor, "examples length"],
    rows: int = 512,
    labels: Int[Tensor, " examples"] | None = None,
) -> tuple[Float[Tensor, "..."], ...]:
    r"""The variance of each unit's posterior mean over images (Burda et al., 2016, section 5).

    .. math:: \mathrm{Var}_x\bigl(\mathbb{E}_{q(z \mid x)}[z]\bigr)

    A unit is active above ``ACTIVITY_THRESHOLD``. Below the top layer, a mean also varies with the draws of the layers
    above, so the number of active units there is an upper bound.

    Returns:
        One tensor for each layer, top first, shaped like one example of its latents.

    Equal images have equal means, so no unit is active:

    >>> from avae_lib.models.vae import VAEConfig
    >>> images = torch.zeros(5, 1, 8, 8, dtype=torch.uint8)
    >>> (activity,) = unit_activity(VAEConfig(latent_dim=3).build(), images)
    >>> bool((activity < ACTIVITY_THRESHOLD).all())
    True
    """
    return tuple(layer.var(dim=0, correction=0) for layer in posterior_means(model, images, rows, labels))
