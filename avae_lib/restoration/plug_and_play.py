r"""Restoration by alternating between the observation and an autoencoder's reconstruction of the image.

J. Prost, A. Houdard, A. Almansa and N. Papadakis, "Inverse problem regularization with hierarchical variational
autoencoders", ICCV 2023.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from avae_lib.gaussians import DiagonalGaussian
from avae_lib.models.hierarchy import Draw, Hierarchy, LatentDraw
from avae_lib.models.requirements import temperature_of_each_layer
from avae_lib.restoration.degradations import Degradation

__all__ = ["Autoencoded", "Restoration", "psnr", "restore", "tempered_pass"]


@dataclass(frozen=True)
class Autoencoded:
    """An image after one pass through an autoencoder."""

    mean: Float[Tensor, "batch channels h w"]
    """Expected image given the latents, pixel levels."""
    energy: Float[Tensor, "batch"]
    r"""What the latents cost, :math:`-\sum_l \log p(z_l \mid z_{<l}) / \tau_l^2`, nats."""


@dataclass(frozen=True)
class Restoration:
    """Restored images and how they got there; entry k of a list is of step k + 1."""

    image: Float[Tensor, "batch channels h w"]
    """Pixel levels; may leave the range of levels by a little."""
    objective: Float[Tensor, "steps batch"]
    """J after each step, nats."""
    data_term: Float[Tensor, "steps batch"]
    """Its part that compares with the observation."""
    change: Float[Tensor, "steps batch"]
    """Root mean squared change of the pixels in each step, levels."""


def restore(
    observation: Float[Tensor, "batch channels h w"],
    degradation: Degradation,
    autoencode: Callable[[Tensor], Autoencoded],
    noise_std: float,
    model_std: float,
    steps: int,
    start: Float[Tensor, "batch channels h w"] | None = None,
) -> Restoration:
    r"""Alternate between latents and image on one objective.

    .. math::
        J(x, z) = \frac{\lVert Ax - y\rVert^2}{2\sigma^2} + \frac{\lVert x - \mu(z)\rVert^2}{2\gamma^2}
                  - \sum_l \frac{1}{\tau_l^2} \log p(z_l \mid z_{<l})

    Each step takes the latents of one pass through the autoencoder and then the exact minimum over x,

    .. math:: x \leftarrow \bigl(A^\top A + \rho I\bigr)^{-1} \bigl(A^\top y + \rho\, \mu(z)\bigr),
              \qquad \rho = \sigma^2 / \gamma^2.

    If the pass minimises J over z, as it does in a linear model, J never rises. In a trained network it may.

    Args:
        observation: y, pixel levels; 0 where a :class:`~avae_lib.restoration.Mask` keeps nothing.
        degradation: A, see :mod:`avae_lib.restoration.degradations`.
        autoencode: from images to the expected images and energies, for example a :func:`tempered_pass`.
        noise_std: σ of the noise in the observation, levels, above 0.
        model_std: γ, how far an image may be from what the latents expect, levels, above 0.
        steps: turns, at least 1.
        start: first image; Aᵀy if there is none.

    Raises:
        ValueError: a standard deviation or the number of steps is not above 0, or the autoencoder changes the shape.

    An autoencoder that returns its input halved pulls a pixel towards 0, until both terms balance:

    >>> from avae_lib.restoration import Unchanged
    >>> half = lambda x: Autoencoded(x / 2, torch.zeros(len(x)))
    >>> y = torch.full((1, 1, 1, 1), 3.0)
    >>> restore(y, Unchanged(), half, noise_std=1.0, model_std=1.0, steps=50).image.item()
    2.0
    """
    _require_positive(noise_std=noise_std, model_std=model_std, steps=steps)
    x = degradation.adjoint(observation) if start is None else start
    back_projected, weight = degradation.adjoint(observation), (noise_std / model_std) ** 2
    objectives, data_terms, changes = [], [], []
    with torch.no_grad():
        for _ in range(steps):
            coded = autoencode(x)
            if coded.mean.shape != x.shape:
                raise ValueError(f"autoencode must keep the shape {tuple(x.shape)}, got {tuple(coded.mean.shape)}")
            before, x = x, degradation.solve(back_projected + weight * coded.mean, weight)
            data_terms.append(_squared(degradation(x) - observation) / noise_std**2)
            objectives.append(data_terms[-1] + _squared(x - coded.mean) / model_std**2 + coded.energy)
            changes.append((x - before).flatten(1).square().mean(1).sqrt())
    return Restoration(x, torch.stack(objectives), torch.stack(data_terms), torch.stack(changes))


@dataclass(frozen=True)
class FixedNoise(Draw):
    """A draw whose standardised noise is given."""

    given: Tensor | None = None

    def __call__(self, distribution: DiagonalGaussian) -> Tensor:
        return distribution.sample(noise=self.given)

    def noise(self, like: Tensor) -> Tensor:
        """The given noise, in the type and on the device of ``like``."""
        assert self.given is not None, "there is noise to give"
        return self.given.to(like)


def tempered_pass(model: Hierarchy, temperature: float | Sequence[float] = 1.0) -> Callable[[Tensor], Autoencoded]:
    r"""One pass through a hierarchy, with the most probable latents under tempered priors.

    Layer by layer from the top, z_l is the maximum of :math:`q(z_l)\, p(z_l)^{1/\tau_l^2 - 1}`, a product of Gaussians:

    .. math:: z_l = \frac{\mu_q / \sigma_q^2 + \lambda_l\, \mu_p / \sigma_p^2}{1 / \sigma_q^2 + \lambda_l / \sigma_p^2},
              \qquad \lambda_l = \frac{1}{\tau_l^2} - 1.

    Temperature 1 takes the posterior's mean; lower temperatures pull it towards the prior's mean.

    Args:
        model: a trained hierarchy of Gaussian layers; evaluation mode.
        temperature: in (0, 1], for all layers or one for each, top first.

    Returns:
        From images in pixel levels, floats ``(batch, channels, h, w)``, to :class:`Autoencoded`. Pixels are not
        rounded on their way in, so that the pass is continuous.

    Raises:
        ValueError: a temperature is outside (0, 1].

    >>> from avae_lib import data
    >>> once = tempered_pass(data.recorded_model("attentive-photos32"), temperature=0.9)
    >>> once(torch.full((2, 3, 32, 32), 127.5)).mean.shape
    torch.Size([2, 3, 32, 32])
    """
    temperatures = temperature_of_each_layer(temperature, model.num_layers)
    for of_layer in temperatures:
        if not 0 < of_layer <= 1:
            raise ValueError(f"temperature must be above 0 and at most 1 in every layer, got {of_layer!r}")
    highest = 2**model.bits - 1

    @torch.no_grad()
    def once(x: Tensor) -> Autoencoded:
        evidence = model.bottom_up(x.clamp(0, highest), [Draw(0.0)] * model.num_layers)
        handed_down, energy = model.top(len(x)), 0.0
        for index, (layer, of_layer) in enumerate(zip(model.layers, temperatures, strict=True)):
            handed_down, latent = _tempered(layer, handed_down, evidence[index:], of_layer)
            energy = energy - latent.prior.log_prob(latent.z) / of_layer**2
        return Autoencoded(model.head.mean(model.readout(handed_down)), torch.as_tensor(energy))

    return once


def psnr(image: Float[Tensor, "batch *shape"], truth: Tensor, highest: float = 255.0) -> Float[Tensor, "batch"]:
    r"""Peak signal-to-noise ratio :math:`10 \log_{10}(\text{highest}^2 / \text{mean squared error})`, decibels.

    >>> psnr(torch.full((1, 4), 25.5), torch.zeros(1, 4)).round(decimals=3)
    tensor([20.], dtype=torch.float64)
    """
    if image.shape != truth.shape:
        raise ValueError(f"image must have the shape of truth, {tuple(truth.shape)}, got {tuple(image.shape)}")
    error = (image.double() - truth.double()).flatten(1).square().mean(1)
    return 10 * torch.log10(highest**2 / error)


def _tempered(layer: Any, handed_down: Any, evidence: Any, temperature: float) -> tuple[Any, LatentDraw]:
    below, latent = layer(handed_down, evidence, Draw(0.0))
    if temperature == 1:
        return below, latent
    p, q = latent.prior, latent.posterior
    share = torch.sigmoid(2 * (p.log_std - q.log_std) - _logit_weight(temperature))  # of the posterior's precision
    shift = (1 - share) * (p.mean - q.mean)
    return layer(handed_down, evidence, FixedNoise(given=shift * torch.exp(-q.log_std)))


def _logit_weight(temperature: float) -> Tensor:
    return torch.tensor(1 / temperature**2 - 1, dtype=torch.float64).log().float()


def _squared(difference: Tensor) -> Float[Tensor, "batch"]:
    return 0.5 * difference.flatten(1).square().sum(1)


def _require_positive(**numbers: float) -> None:
    for name, value in numbers.items():
        if not value > 0:
            raise ValueError(f"{name} must be above 0, got {value!r}")
