"""The words in which every latent-variable model answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Protocol, runtime_checkable

from jaxtyping import Float, UInt8
from torch import Generator, Tensor

from avae_lib.gaussians import DiagonalGaussian
from avae_lib.objectives import ELBO

__all__ = ["LatentVariableModel", "require_count", "require_temperature", "temperature_of_each_layer"]


@runtime_checkable
class LatentVariableModel(Protocol):
    """A model of images with one or more stochastic layers.

    Pixels enter and leave as uint8, ``(batch, channels, height, width)`` with levels 0 … 2**bits − 1; the model
    scales them itself. Layers are counted from the top, the one farthest from the pixels. Everything measured is
    in nats, summed over one example.
    """

    num_layers: int
    """Number of stochastic layers."""
    image_shape: tuple[int, int, int]
    """Channels, height and width of an image."""
    bits: int
    """Bits per pixel value."""
    num_dims: int
    """Number of values in an image; what bits per dimension are counted over."""

    def __call__(self, x: UInt8[Tensor, "batch channels height width"], posterior_temperature: float = 1.0) -> ELBO:
        """The terms of the bound for one draw from the posterior; temperature 0 takes its mean, without noise."""
        ...

    def log_weight(
        self, x: UInt8[Tensor, "batch channels height width"], keep_layers: int | None = None
    ) -> Float[Tensor, "batch"]:
        """log p(x, z) − log q(z | x) for one draw z from q: the log of an unbiased estimate of p(x).

        Args:
            keep_layers: how many layers, from the top, q draws from the posterior, the others being drawn from the
                prior, where numerator and denominator cancel; None for all.
        """
        ...

    def sample(
        self, n: int, temperature: float | Sequence[float] = 1.0, generator: Generator | None = None
    ) -> UInt8[Tensor, "n channels height width"]:
        """``n`` images drawn from the prior and the likelihood; no image is looked at.

        Args:
            temperature: factor on the prior's standard deviation, for all layers or one for each, top first.
        """
        ...

    def reconstruct(
        self, x: UInt8[Tensor, "batch channels height width"], keep_layers: int | None = None
    ) -> UInt8[Tensor, "batch channels height width"]:
        """Images decoded from latents of which the top ``keep_layers`` are drawn from the posterior given ``x``
        and the others from the prior; None keeps all. Pixels are the mean of the likelihood, rounded to a level."""
        ...

    def latents(self, x: UInt8[Tensor, "batch channels height width"]) -> tuple[DiagonalGaussian, ...]:
        """The posterior of each layer given ``x`` (and a draw of the layers above), top first."""
        ...


def temperature_of_each_layer(
    temperature: float | Sequence[float] | Float[Tensor, " layers"], num_layers: int
) -> tuple[float, ...]:
    """One temperature for each layer, top first, from a single number or a sequence, a tensor or an array of them.

    Raises:
        ValueError: not one number and not one for each layer, or one that is negative or not finite.
    """
    given = temperature.tolist() if hasattr(temperature, "tolist") else temperature
    temperatures = (given,) * num_layers if isinstance(given, Real) else tuple(given)
    if len(temperatures) != num_layers:
        raise ValueError(
            f"temperature must be one number, or one for each of the {num_layers} layers (top first); "
            f"got {len(temperatures)} numbers"
        )
    for of_layer in temperatures:
        require_temperature("temperature", of_layer)
    return temperatures


def require_temperature(name: str, temperature: float) -> None:
    """Refuse what is no factor on a standard deviation.

    Raises:
        ValueError: not a number, negative or not finite.
    """
    if not (isinstance(temperature, Real) and 0 <= temperature < math.inf):
        raise ValueError(f"{name} must be a number, 0 (no noise) or more, got {temperature!r}")


def require_count(n: int) -> None:
    """Refuse what is no number of images to draw.

    Raises:
        ValueError: not a whole number, or below 1.
    """
    if not (isinstance(n, Integral) and n >= 1):
        raise ValueError(f"n must be a whole number of images, at least 1, got {n!r}")
