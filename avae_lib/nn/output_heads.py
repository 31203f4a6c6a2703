"""Output heads: the last layer of a decoder together with the likelihood whose parameters it makes.

A head maps features ``(batch, features, height, width)`` by a 1×1 convolution to the parameters of every pixel.
All heads answer to ``log_likelihood(features, x)``, ``sample(features, generator)`` and ``mean(features)``.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Generator, Tensor, nn

from avae_lib.likelihoods import (
    bernoulli_log_likelihood,
    discretized_logistic_mixture_log_likelihood,
    discretized_logistic_sample,
)
from avae_lib.nn.precision import at_least_float32

__all__ = ["LIKELIHOODS", "BernoulliHead", "DiscretizedLogisticHead", "output_head"]

LIKELIHOODS = ("bernoulli", "discretized_logistic")


def output_head(likelihood: str, features: int, channels: int, bits: int, mixtures: int = 1) -> nn.Module:
    """The head called ``likelihood``, one of ``LIKELIHOODS``.

    Args:
        features: channels of the features it reads.
        channels: channels of the image it describes.
        bits: bits per pixel value.
        mixtures: number of logistics mixed for each pixel; of no meaning to a Bernoulli head.

    Raises:
        ValueError: the name is unknown, or a Bernoulli likelihood is asked for pixels of more than one bit.
    """
    if likelihood == "bernoulli":
        if bits != 1:
            raise ValueError(
                f"a Bernoulli likelihood describes pixels of 1 bit, got bits={bits}: "
                "binarise the data set, or take likelihood='discretized_logistic'"
            )
        return BernoulliHead(features, channels)
    if likelihood == "discretized_logistic":
        return DiscretizedLogisticHead(features, channels, bits, mixtures)
    raise ValueError(f"likelihood must be one of {', '.join(LIKELIHOODS)}, got {likelihood!r}")


class BernoulliHead(nn.Module):
    """Each pixel is 0 or 1, independently given the features."""

    def __init__(self, features: int, channels: int) -> None:
        super().__init__()
        self.logits = nn.Conv2d(features, channels, kernel_size=1)

    def log_likelihood(
        self, features: Float[Tensor, "batch features height width"], x: UInt8[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch"]:
        """log p(x | features) of each example, nats."""
        logits = at_least_float32(self.logits(features))
        return bernoulli_log_likelihood(logits, x.to(logits.dtype))

    def mean(self, features: Float[Tensor, "batch features height width"]) -> Tensor:
        """Expected value of each pixel, in [0, 1]."""
        return torch.sigmoid(at_least_float32(self.logits(features)))

    def sample(self, features: Tensor, generator: Generator | None = None) -> UInt8[Tensor, "..."]:
        """One image for each row of ``features``."""
        mean = self.mean(features)
        return (_uniform_like(mean, generator) < mean).to(torch.uint8)


class DiscretizedLogisticHead(nn.Module):
    """Each pixel follows a mixture of discretised logistics, independently given the features."""

    def __init__(self, features: int, channels: int, bits: int, mixtures: int = 1) -> None:
        super().__init__()
        self.channels, self.bits, self.mixtures = channels, bits, mixtures
        self.parameters_of_pixels = nn.Conv2d(features, 3 * mixtures * channels, kernel_size=1)
        self._spread_components()

    def log_likelihood(
        self, features: Float[Tensor, "batch features height width"], x: UInt8[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch"]:
        """log P(x | features) of each example, nats."""
        return discretized_logistic_mixture_log_likelihood(*self._mixture(features), x, self.bits)

    def mean(self, features: Float[Tensor, "batch features height width"]) -> Tensor:
        """Mean of the mixture before it is cut into bins, in pixel levels 0 … 2**bits − 1."""
        logits, mean, _ = self._mixture(features)
        scaled = (logits.softmax(dim=1) * mean.clamp(-1, 1)).sum(dim=1)
        return (scaled + 1) * ((2**self.bits - 1) / 2)

    def sample(self, features: Tensor, generator: Generator | None = None) -> UInt8[Tensor, "..."]:
        """One image for each row of ``features``."""
        logits, mean, log_scale = self._mixture(features)
        gumbel = -torch.log(-torch.log(_uniform_like(logits, generator)))  # argmax of logits + Gumbel noise is a draw
        chosen = (logits + gumbel).argmax(dim=1, keepdim=True)
        mean, log_scale = (parameter.gather(1, chosen).squeeze(1) for parameter in (mean, log_scale))
        return discretized_logistic_sample(mean, log_scale, _uniform_like(mean, generator), self.bits)

    def _mixture(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, means and log-scales, each ``(batch, mixtures, channels, height, width)``."""
        parameters = at_least_float32(self.parameters_of_pixels(features))
        return parameters.unflatten(1, (3, self.mixtures, self.channels)).unbind(dim=1)

    def _spread_components(self) -> None:
        """Start the components at even distances over the grey scale: equal components would stay equal."""
        bias = self.parameters_of_pixels.bias.data.view(3, self.mixtures, self.channels)
        bias[1] = torch.linspace(-1, 1, self.mixtures + 2)[1:-1, None]
        bias[2] = -1.0


def _uniform_like(x: Tensor, generator: Generator | None) -> Tensor:
    device = x.device if generator is None else generator.device
    return torch.rand(x.shape, generator=generator, dtype=x.dtype, device=device).to(x.device)
