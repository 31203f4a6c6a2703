"""Output heads: the last layer of a decoder together with the likelihood whose parameters it makes.

A head maps features ``(batch, features, height, width)`` by a projection, any module from the features' channels to
the channels it needs, to the parameters of every pixel. All heads have the methods ``log_likelihood(features, x)``,
``sample(features, generator)``, ``mean(features)`` and ``level_probabilities(features, known)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Generator, Tensor, nn

from avae_lib.errors import InvalidInput
from avae_lib.likelihoods import (
    UPPER_EDGE,
    bernoulli_log_likelihood,
    discretized_logistic_mixture_log_likelihood,
    discretized_logistic_mixture_mean,
    discretized_logistic_sample,
    draw_component,
    draw_from_mixture,
    is_the_exercise,
    logistic_bin_log_prob,
    logistic_level_probabilities,
    mixture_level_probabilities,
    mixture_log_likelihood,
    numbers_per_component,
    scale_pixels,
    uniform_like,
)
from avae_lib.likelihoods.discretized_logistic import widest_float
from avae_lib.likelihoods.logistic_mixture import conditional_mean, logits_and_components
from avae_lib.nn.precision import in_float32

__all__ = [
    "LIKELIHOODS",
    "BernoulliHead",
    "DiscretizedLogisticHead",
    "DiscretizedLogisticMixtureHead",
    "Projection",
    "ReleasedFiveBitHead",
    "output_head",
    "pointwise",
]

LIKELIHOODS = ("bernoulli", "discretized_logistic", "discretized_logistic_mixture")

Projection = Callable[[int, int], nn.Module]
"""From numbers of channels (in, out) to a module that maps the one to the other at every pixel."""


def pointwise(in_channels: int, out_channels: int) -> nn.Conv2d:
    """A 1×1 convolution.

    >>> pointwise(4, 2)(torch.zeros(1, 4, 3, 3)).shape
    torch.Size([1, 2, 3, 3])
    """
    return nn.Conv2d(in_channels, out_channels, kernel_size=1)


def output_head(
    likelihood: str,
    features: int,
    channels: int,
    bits: int,
    mixtures: int = 1,
    projection: Projection | None = None,
    upper_edge: float = UPPER_EDGE,
) -> nn.Module:
    """The head called ``likelihood``, one of ``LIKELIHOODS``.

    Args:
        features: channels of the features it reads.
        channels: channels of the image it describes.
        bits: bits per pixel value.
        mixtures: number of logistics mixed for each pixel; a Bernoulli head ignores it.
        projection: makes the layer from features to parameters, as it shall start; without it that is a 1×1
            convolution, with the components of a mixture apart from one another.
        upper_edge: see :func:`avae_lib.likelihoods.logistic_mixture_log_prob`; other heads ignore it.

    Raises:
        ValueError: the name is unknown, a Bernoulli likelihood is asked for pixels of more than one bit, or a
            discretized logistic mixture for images with neither one channel nor three.

    >>> head = output_head("discretized_logistic", features=8, channels=1, bits=4, mixtures=3)
    >>> head.projection.out_channels  # a weight, a mean and a scale for each component
    9
    """
    project = projection or pointwise
    if likelihood == "bernoulli":
        _require_one_bit(bits)
        return BernoulliHead(project(features, channels))
    if likelihood == "discretized_logistic":
        head = DiscretizedLogisticHead(project(features, 3 * mixtures * channels), channels, bits, mixtures)
    elif likelihood == "discretized_logistic_mixture":
        width = mixtures * numbers_per_component(channels)
        head = DiscretizedLogisticMixtureHead(project(features, width), channels, bits, mixtures, upper_edge)
    else:
        raise InvalidInput(f"likelihood must be one of {', '.join(LIKELIHOODS)}, got {likelihood!r}")
    if projection is None:
        head.spread_components()
    return head


class BernoulliHead(nn.Module):
    """Each pixel is 0 or 1, independently given the features.

    Args:
        projection: from features to one logit for each channel.

    >>> head = BernoulliHead(nn.Identity())  # features are the logits
    >>> head.log_likelihood(torch.zeros(1, 1, 1, 2), torch.tensor([[[[0, 1]]]], dtype=torch.uint8))  # 2 log ½
    tensor([-1.3863])
    """

    def __init__(self, projection: nn.Module) -> None:
        super().__init__()
        self.projection = projection

    def log_likelihood(
        self, features: Float[Tensor, "batch *features"], x: UInt8[Tensor, "batch channels rows columns"]
    ) -> Float[Tensor, "batch"]:
        """log p(x | features) of each example, nats."""
        logits = in_float32(self.projection, features)
        return bernoulli_log_likelihood(logits, x.to(logits.dtype))

    def level_probabilities(
        self, features: Float[Tensor, "batch *features"], known: UInt8[Tensor, "batch 0 rows columns"]
    ) -> Float[Tensor, "batch channels rows columns 2"]:
        """p(0) and p(1) of every pixel."""
        logits = in_float32(self.projection, features)
        return torch.sigmoid(torch.stack([-logits, logits], dim=-1))

    def mean(self, features: Float[Tensor, "batch *features"]) -> Float[Tensor, "batch channels rows columns"]:
        """Expected value of each pixel, in [0, 1]."""
        return torch.sigmoid(in_float32(self.projection, features))

    def sample(
        self, features: Float[Tensor, "batch *features"], generator: Generator | None = None
    ) -> UInt8[Tensor, "batch channels rows columns"]:
        """One image for each row of ``features``."""
        mean = self.mean(features)
        return (uniform_like(mean, generator) < mean).to(torch.uint8)


class DiscretizedLogisticHead(nn.Module):
    """Each pixel and channel follows its own mixture of discretised logistics, independently given the features.

    Args:
        projection: from features to 3 · mixtures · channels numbers: logits, means, log-scales.

    >>> head = DiscretizedLogisticHead(pointwise(8, 3), channels=1, bits=4)
    >>> features = torch.randn(2, 8, 4, 4)
    >>> known = torch.zeros(2, 0, 4, 4, dtype=torch.uint8)
    >>> bool(torch.allclose(head.level_probabilities(features, known).sum(dim=-1), torch.ones(())))
    True
    """

    def __init__(self, projection: nn.Module, channels: int, bits: int, mixtures: int = 1) -> None:
        super().__init__()
        self.projection = projection
        self.channels = channels
        self.bits = bits
        self.mixtures = mixtures

    def log_likelihood(
        self, features: Float[Tensor, "batch *features"], x: UInt8[Tensor, "batch channels rows columns"]
    ) -> Float[Tensor, "batch"]:
        """log P(x | features) of each example, nats."""
        return discretized_logistic_mixture_log_likelihood(*self._mixture(features), x, self.bits)

    def level_probabilities(
        self, features: Float[Tensor, "batch *features"], known: UInt8[Tensor, "batch 0 rows columns"]
    ) -> Float[Tensor, "batch channels rows columns levels"]:
        """P of every level of every pixel and channel."""
        return logistic_level_probabilities(*self._mixture(features), self.bits)

    def mean(self, features: Float[Tensor, "batch *features"]) -> Float[Tensor, "batch channels rows columns"]:
        """Mean of the mixture before it is cut into bins, in pixel levels 0 … 2**bits − 1."""
        logits, mean, _ = self._mixture(features)
        scaled = (logits.softmax(dim=1) * mean.clamp(-1, 1)).sum(dim=1)
        return (scaled + 1) * ((2**self.bits - 1) / 2)

    def sample(
        self, features: Float[Tensor, "batch *features"], generator: Generator | None = None
    ) -> UInt8[Tensor, "batch channels rows columns"]:
        """One image for each row of ``features``."""
        logits, mean, log_scale = self._mixture(features)
        chosen = draw_component(logits, generator)
        mean, log_scale = (parameter.gather(1, chosen).squeeze(1) for parameter in (mean, log_scale))
        return discretized_logistic_sample(mean, log_scale, uniform_like(mean, generator), self.bits)

    @torch.no_grad()
    def spread_components(self) -> None:
        """Put the components at even distances over the grey scale: equal components would stay equal."""
        bias: Any = self.projection.bias
        _, mean, log_scale = bias.view(3, self.mixtures, self.channels)
        mean.copy_(_evenly_spread(self.mixtures)[:, None])
        log_scale.fill_(-1.0)

    def _mixture(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, means and log-scales, each ``(batch, mixtures, channels, height, width)``."""
        parameters = in_float32(self.projection, features)
        logits, mean, log_scale = parameters.unflatten(1, (3, self.mixtures, self.channels)).unbind(dim=1)
        return logits, mean, log_scale


class DiscretizedLogisticMixtureHead(nn.Module):
    """Each pixel follows a mixture of discretised logistics in which colour channels depend on one another.

    The likelihood of PixelCNN++ and of very deep VAEs, see :mod:`avae_lib.likelihoods.logistic_mixture`. Three
    channels with the true upper edge are the exercises of unit 04 and run on the student's functions.

    Args:
        projection: from features to 10 · mixtures numbers for three channels, 3 · mixtures for one.

    >>> head = DiscretizedLogisticMixtureHead(pointwise(8, 20), channels=3, bits=8, mixtures=2)
    >>> head.sample(torch.randn(2, 8, 4, 4)).shape
    torch.Size([2, 3, 4, 4])
    """

    def __init__(
        self, projection: nn.Module, channels: int, bits: int, mixtures: int, upper_edge: float = UPPER_EDGE
    ) -> None:
        super().__init__()
        self.projection = projection
        self.channels = channels
        self.bits = bits
        self.mixtures = mixtures
        self.upper_edge = upper_edge

    def log_likelihood(
        self, features: Float[Tensor, "batch *features"], x: UInt8[Tensor, "batch channels rows columns"]
    ) -> Float[Tensor, "batch"]:
        """log P(x | features) of each example, nats."""
        return mixture_log_likelihood(x, self._mixture(features), self.bits, self.upper_edge)

    def level_probabilities(
        self, features: Float[Tensor, "batch *features"], known: UInt8[Tensor, "batch known rows columns"]
    ) -> Float[Tensor, "batch 1 rows columns levels"]:
        """P of every level of the next channel at every pixel, given the channels before it.

        Raises:
            ValueError: with the published upper edge, whose probabilities sum to more than one.
        """
        if self.upper_edge != UPPER_EDGE:
            raise InvalidInput(f"upper_edge must be {UPPER_EDGE} for probabilities of levels, got {self.upper_edge}")
        return mixture_level_probabilities(self._mixture(features), known, self.channels, self.bits).unsqueeze(1)

    def mean(self, features: Float[Tensor, "batch *features"]) -> Float[Tensor, "batch channels rows columns"]:
        """Mean of the mixture before it is cut into bins, in pixel levels 0 … 2**bits − 1."""
        return discretized_logistic_mixture_mean(self._mixture(features), self.channels, self.bits)

    def sample(
        self, features: Float[Tensor, "batch *features"], generator: Generator | None = None
    ) -> UInt8[Tensor, "batch channels rows columns"]:
        """One image for each row of ``features``."""
        return draw_from_mixture(self._mixture(features), self.channels, self.bits, generator)

    @torch.no_grad()
    def spread_components(self) -> None:
        """Put the components at even distances over the scale of pixels: equal components would stay equal."""
        bias: Any = self.projection.bias
        of_channels = bias[self.mixtures :].view(self.channels, -1, self.mixtures)
        of_channels[:, 0] = _evenly_spread(self.mixtures)
        of_channels[:, 1] = -1.0
        of_channels[:, 2:] = 0.0

    @property
    def own_wiring(self) -> str | None:
        """What the report of components says where the likelihood is not the exercise's."""
        if is_the_exercise(self.channels, self.upper_edge):
            return None
        kind = "grey pixels" if self.channels == 1 else "published upper edge"
        return f"{kind}: own wiring, not discretized_logistic_mixture_log_prob"

    def _mixture(self, features: Tensor) -> Tensor:
        """The parameters of every pixel."""
        return in_float32(self.projection, features)


def _evenly_spread(count: int) -> Float[Tensor, "count"]:
    return torch.linspace(-1, 1, count + 2)[1:-1]


def _require_one_bit(bits: int) -> None:
    if bits != 1:
        raise InvalidInput(
            f"a Bernoulli likelihood describes pixels of 1 bit, got bits={bits}: "
            "binarise the data set, or take likelihood='discretized_logistic'"
        )


class ReleasedFiveBitHead(nn.Module):
    """The likelihood of the released Very Deep VAE of FFHQ-256: the encoder sees eight bits, the likelihood five.

    A mixture of discretised logistics of 8·⌊x/8⌋, in which colour channels depend on one another. It is kept as
    published, so that the released weights give the published numbers. It is not a distribution over the 32 levels:
    they lie 16/255 apart on the scale [−1, 1], each bin is 2/31 wide, and the last bin is closed. Where a logistic is
    wider than a few bins, the probabilities add up to as much as 255/248, which counts 0.04 bits per dimension too few.

    Args:
        projection: from features to 10 · mixtures numbers, laid out as for
            :func:`avae_lib.likelihoods.discretized_logistic_mixture_log_prob`.

    >>> head = ReleasedFiveBitHead(pointwise(8, 20), mixtures=2)
    >>> head.sample(torch.randn(2, 8, 4, 4)).shape
    torch.Size([2, 3, 4, 4])
    """

    name = "released_five_bits"
    own_wiring = "likelihood of the released five-bit model: own wiring, not discretized_logistic_mixture_log_prob"

    def __init__(self, projection: nn.Module, mixtures: int) -> None:
        super().__init__()
        self.projection = projection
        self.mixtures = mixtures

    def log_likelihood(
        self, features: Float[Tensor, "batch *features"], x: UInt8[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch"]:
        """log P(8·⌊x/8⌋ | features) of each example, nats, with x of eight bits."""
        logits, components = logits_and_components(in_float32(self.projection, features), channels=3)
        level = x.unsqueeze(1) // 8
        wide = widest_float(components)
        pixels = scale_pixels(8 * level, 8, wide)
        # Five exact bits put level j at 2j/31 − 1 with bins as wide as here; the mean is moved along to that place.
        mean = conditional_mean(pixels, components) + scale_pixels(level, 5, wide) - pixels
        log_probs = logistic_bin_log_prob(level, mean, components[:, :, 1], bits=5, upper_edge=math.inf)
        log_weights = logits.log_softmax(dim=1)
        return torch.logsumexp(log_weights + log_probs.sum(dim=2), dim=1).flatten(start_dim=1).sum(dim=1)

    def mean(self, features: Float[Tensor, "batch *features"]) -> Float[Tensor, "batch 3 height width"]:
        """Mean of the mixture before it is cut into bins, in pixel levels 0 … 255."""
        return discretized_logistic_mixture_mean(in_float32(self.projection, features), channels=3, bits=8)

    def sample(self, features: Tensor, generator: Generator | None = None) -> UInt8[Tensor, "batch 3 height width"]:
        """One image of eight bits for each row of ``features``, as the released code draws it: not cut to five."""
        return draw_from_mixture(in_float32(self.projection, features), 3, 8, generator)
