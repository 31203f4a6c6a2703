"""The Deep Attentive VAE and its local twin: the configuration, and how a model is built from it.

All layers have the same height and width. A layer is conditioned on the layer above it (``conditioning="local"``) or on
all layers above it (``"attentive"``). On the way up, an image becomes evidence e_{L+1}, e_L, …, e_1. On the way down,
layer l makes its context c_l from c_{l−1} and z_{l−1}, attends to earlier contexts for its prior and to e_{L+1}, …, e_l
for its posterior, and draws z_l. The last context becomes the image.

The equations of a layer are in :mod:`avae_lib.models.variational_layer`, those of attention in
:mod:`avae_lib.nn.depthwise_attention`. :class:`avae_lib.models.hierarchy.Hierarchy` calls the layers in turn.

I. Apostolopoulou, I. Char, E. Rosenfeld, A. Dubrawski, "Deep Attentive Variational Inference", ICLR 2022.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from avae_lib.errors import InvalidInput
from avae_lib.likelihoods import UPPER_EDGE
from avae_lib.models.hierarchy import Hierarchy
from avae_lib.models.requirements import require_at_least, require_image_kind, require_mixtures_used
from avae_lib.models.variational_layer import (
    BottomUp,
    LearnedTop,
    PlainVariationalLayer,
    Readout,
    TopLayer,
    Transition,
    VariationalLayer,
)
from avae_lib.nn.contexts import ChannelSplit, Forgetful, JointNorm, NormalizedLate, NormalizedOnce, Unnormalized
from avae_lib.nn.convolutions import INITIAL_VARIANCE, PixelScaling, Resize, WeightNormConvolution
from avae_lib.nn.depthwise_attention import (
    AttentiveConditioning,
    LocalConditioning,
    NormalizedConditioning,
    TrainedScale,
    UnitScale,
)
from avae_lib.nn.output_heads import output_head
from avae_lib.nn.residual_cells import JoiningConvolution, SummingConvolution, residual_cell
from avae_lib.nn.residual_posteriors import CentredGaussians, PublishedGaussians, SoftplusGaussians

__all__ = ["CORRECTED", "PUBLISHED", "AttentiveConfig", "AttentiveVAE", "Conventions"]


class AttentiveVAE(Hierarchy):
    """A hierarchy of variational layers that also counts its parameters as the paper does.

    >>> model = AttentiveConfig(layers=3, width=16).build()
    >>> trainable = sum(parameter.numel() for parameter in model.parameters())
    >>> trainable - model.parameters_as_published  # τ of three attentions to evidence and two to contexts
    5
    """

    @property
    def parameters_as_published(self) -> int:
        """Trainable numbers as the authors count them.

        They leave out the scales τ of attention over depth, which their optimiser never receives, and the norms of the
        history, which belong to their model and not to its layers.
        """
        not_counted = [module for module in self.modules() if isinstance(module, TrainedScale | JointNorm)]
        return _trainable_numbers(self) - sum(_trainable_numbers(module) for module in not_counted)


@dataclass(frozen=True)
class AttentiveConfig:
    """Configuration of an attentive VAE or its local twin.

    The twins differ in their trainable numbers, because keys and queries need channels:

    >>> for conditioning in ("local", "attentive"):
    ...     model = AttentiveConfig(conditioning=conditioning, layers=3, width=16).build()
    ...     print(conditioning, sum(parameter.numel() for parameter in model.parameters()))
    local 60194
    attentive 187312
    """

    image_shape: tuple[int, int, int] = (1, 8, 8)
    """Channels, height and width of an image."""
    bits: int = 4
    """Bits per pixel value."""
    conditioning: Literal["local", "attentive"] = "attentive"
    """What a layer is conditioned on: the context above it alone (local), or all contexts above and all evidence below
    (attentive)."""
    faithful: bool = False
    """Compute what the published program computes: τ fixed at 1, contexts normalised one layer late, posteriors bounded
    differently from priors, GELUs approximated by a tanh, and 0.99 as the lower edge of the last pixel level."""
    layers: int = 5
    """Number of stochastic layers."""
    width: int = 32
    """Channels of values: what a context or the evidence holds besides keys and queries."""
    latent_channels: int = 2
    """Channels of each layer's latents."""
    key_channels: int = 8
    """Channels of keys and queries of attention over depth; a local model ignores them."""
    normalise_contexts: bool = True
    """Normalise contexts and what attention finds in them; a local model ignores this."""
    normalise_evidence: bool = True
    """Normalise evidence and what attention finds in it; a local model ignores this."""
    blocks: int = 2
    """Residual blocks between two layers, on the way up and on the way down."""
    image_blocks: int = 1
    """Residual blocks at the resolution of the image on each way, besides those that halve or double it."""
    halvings: int = 1
    """How often height and width are halved between the image and its latents."""
    padding: int = 0
    """Width of a border of value −1 around the image before it is encoded; it is cut off the decoded image."""
    cell_key_channels: int = 0
    """Channels of keys of the non-local blocks in cells on the way up and down; 0 for no such blocks."""
    merger_key_channels: int = 0
    """Channels of keys of the non-local blocks where two streams are merged; 0 for no such blocks."""
    output_key_channels: int = 0
    """Channels of keys of the non-local blocks between the last layer and the image; 0 for no such blocks."""
    prior_log_std_range: tuple[float, float] = (-5.0, 5.0)
    """Range of the priors' log standard deviations, around 0."""
    standard_deviation: Literal["exponential", "softplus"] = "exponential"
    """The standard deviation of a prior, and its ratio to that of the posterior, as a function of the predicted number:
    the exponential of a bounded number, or a softplus with slope ln 2 without bounds (Hazami et al., 2022)."""
    likelihood: str = "discretized_logistic"
    """Likelihood of a pixel: bernoulli (1 bit), discretized_logistic or discretized_logistic_mixture."""
    mixtures: int = 3
    """Number of logistics mixed for each pixel. With a Bernoulli likelihood only the default is accepted."""

    def __post_init__(self) -> None:
        require_image_kind(self.image_shape, self.bits)
        require_mixtures_used(self)
        if self.conditioning not in ("local", "attentive"):
            raise InvalidInput(f"conditioning must be local or attentive, got {self.conditioning!r}")
        require_at_least(1, self, "layers", "width", "latent_channels", "key_channels", "blocks", "mixtures")
        require_at_least(0, self, "image_blocks", "padding")
        require_at_least(0, self, "cell_key_channels", "merger_key_channels", "output_key_channels")
        low, high = self.prior_log_std_range
        if not low < 0 < high:
            raise InvalidInput(f"prior_log_std_range must be a number below 0 and one above, got {low} and {high}")
        self._require_standard_deviation()
        self._require_divisible_sizes()

    def build(self) -> AttentiveVAE:
        """A model with fresh weights."""
        return AttentiveVAE(
            bottom_up=_bottom_up(self),
            top=_learned_top(self),
            layers=[_top_layer(self), *(_layer(self, index) for index in range(1, self.layers))],
            readout=_readout(self),
            head=_head(self),
            image_shape=self.image_shape,
            bits=self.bits,
        )

    @property
    def depth_keys(self) -> int:
        """Channels of keys and queries over depth: none in a local model."""
        return self.key_channels if self.conditioning == "attentive" else 0

    @property
    def is_plain(self) -> bool:
        """Whether attention is used without normalisation, which is the form that students write in unit 06."""
        return self.conditioning == "attentive" and not (
            self.faithful or self.normalise_contexts or self.normalise_evidence
        )

    @property
    def context_channels(self) -> int:
        """Channels of a context's value; its first ``depth_keys`` are the query to the evidence."""
        return self.width + self.depth_keys

    @property
    def evidence_channels(self) -> int:
        """Channels of evidence: value and key, which pass through the cells together."""
        return self.width + self.depth_keys

    @property
    def conventions(self) -> Conventions:
        """The parts in which the published program and this library differ."""
        return PUBLISHED if self.faithful else CORRECTED

    def _require_standard_deviation(self) -> None:
        if self.standard_deviation not in ("exponential", "softplus"):
            raise InvalidInput(f"standard_deviation must be exponential or softplus, got {self.standard_deviation!r}")
        if self.standard_deviation == "exponential":
            return
        if self.faithful:
            raise InvalidInput(
                "standard_deviation must be exponential with faithful: the published program has no other"
            )
        if self.prior_log_std_range != AttentiveConfig.prior_log_std_range:
            raise InvalidInput(
                f"prior_log_std_range = {self.prior_log_std_range} has no effect with standard_deviation softplus, "
                f"which is not bounded: choose exponential, or leave it at {AttentiveConfig.prior_log_std_range}"
            )

    def _require_divisible_sizes(self) -> None:
        height, width = (side + 2 * self.padding for side in self.image_shape[1:])
        for name, size in (("height", height), ("width", width), ("channels", self.evidence_channels)):
            if self.halvings < 0 or size % 2**self.halvings:
                raise InvalidInput(
                    f"halvings must be such that height and width of the padded image, and the channels of evidence "
                    f"(width, plus key_channels if attentive), can be divided by 2**halvings; "
                    f"got halvings={self.halvings} and {name} {size}"
                )


def _bottom_up(config: AttentiveConfig) -> BottomUp:
    """Pixels to e_{L+1}, and a cell from each e_{l+1} to e_l."""
    at_image = config.evidence_channels // 2**config.halvings
    to_latents: tuple[Resize, ...] = ("keep",) * config.image_blocks + ("halve",) * config.halvings
    stem = nn.Sequential(
        PixelScaling(config.bits),
        nn.ConstantPad2d(config.padding, -1.0),
        WeightNormConvolution(config.image_shape[0], at_image, kernel_size=3),
        residual_cell(at_image, to_latents, config.cell_key_channels),
    )
    cells = [_cell(config, config.evidence_channels) for _ in range(config.layers)]
    return BottomUp(stem, cells, splits=[_evidence_split(config) for _ in range(config.layers + 1)])


def _cell(config: AttentiveConfig, channels: int) -> nn.Sequential:
    """The residual blocks between two layers, at the resolution of the latents."""
    resizes: list[Resize] = ["keep"] * config.blocks
    return residual_cell(channels, resizes, config.cell_key_channels)


def _evidence_split(config: AttentiveConfig) -> ChannelSplit:
    return ChannelSplit(value=config.width, key=config.depth_keys)


def _context_split(config: AttentiveConfig, index: int) -> ChannelSplit:
    """Channels of each part of a layer's context. The last layer has no key, because nothing reads it; the first layer
    has no query to contexts, because there are none above."""
    return ChannelSplit(
        value=config.context_channels,
        key=config.depth_keys if index < config.layers - 1 else 0,
        query=config.depth_keys if index > 0 else 0,
        evidence_query=config.depth_keys,
    )


def _learned_top(config: AttentiveConfig) -> LearnedTop:
    split = _context_split(config, index=0)
    height, width = ((side + 2 * config.padding) // 2**config.halvings for side in config.image_shape[1:])
    bound = math.sqrt(3 * INITIAL_VARIANCE / (height * width))  # as a weight that is summed over the pixels
    return LearnedTop(torch.empty(1, split.channels, height, width).uniform_(-bound, bound), split)


def _top_layer(config: AttentiveConfig) -> TopLayer:
    channels = config.evidence_channels
    posterior = nn.Sequential(
        nn.ELU(),
        WeightNormConvolution(channels, channels),
        nn.ELU(),
        WeightNormConvolution(channels, 2 * config.latent_channels, kernel_size=3),
    )
    return TopLayer(
        latent_channels=config.latent_channels,
        evidence_conditioning=_conditioning(config, config.width, config.normalise_evidence),
        posterior=posterior,
        gaussians=_gaussians(config),
    )


def _layer(config: AttentiveConfig, index: int) -> VariationalLayer:
    """The stochastic layer with ``index`` layers above it, one at least."""
    context = config.context_channels
    evidence = config.evidence_channels
    parameters = 2 * config.latent_channels  # a mean and a log standard deviation for each channel
    layer_class = PlainVariationalLayer if config.is_plain else VariationalLayer
    return layer_class(
        transition=_transition(config, index),
        history=_history(config, index),
        context_conditioning=_conditioning(config, context, config.normalise_contexts),
        prior=nn.Sequential(nn.ELU(), WeightNormConvolution(context, parameters)),
        merge=SummingConvolution(config.width, context, evidence, config.merger_key_channels),
        evidence_split=_evidence_split(config),
        evidence_conditioning=_conditioning(config, config.width, config.normalise_evidence),
        posterior=WeightNormConvolution(evidence, parameters, kernel_size=3),
        gaussians=_gaussians(config),
    )


def _gaussians(config: AttentiveConfig) -> nn.Module:
    """How a layer's prior and posterior are made of what its networks predict."""
    if config.standard_deviation == "softplus":
        return SoftplusGaussians()
    return config.conventions.gaussians(config.prior_log_std_range)


def _conditioning(config: AttentiveConfig, channels: int, normalised: bool) -> nn.Module:
    """How a layer uses others besides the nearest, by attention or not at all: the one difference between the twins."""
    if config.conditioning == "local":
        return LocalConditioning()
    scale = config.conventions.scale(config.key_channels)
    if not normalised:
        return AttentiveConditioning(scale)
    return NormalizedConditioning(channels, scale, config.conventions.approximate_gelu)


def _history(config: AttentiveConfig, index: int) -> nn.Module:
    """What is remembered for attention; nothing in a local model."""
    if config.conditioning == "local":
        return Forgetful()
    return config.conventions.history(config.context_channels, config.key_channels, index, config.normalise_contexts)


def _transition(config: AttentiveConfig, index: int) -> Transition:
    split = _context_split(config, index)
    join = JoiningConvolution(
        config.context_channels, config.latent_channels, split.channels, config.merger_key_channels
    )
    return Transition(join, _cell(config, split.channels), split)


def _readout(config: AttentiveConfig) -> Readout:
    channels = config.context_channels
    to_image: tuple[Resize, ...] = ("double",) * config.halvings + ("keep",) * config.image_blocks
    return Readout(
        JoiningConvolution(channels, config.latent_channels, channels, config.merger_key_channels),
        residual_cell(channels, to_image, config.output_key_channels),
    )


def _head(config: AttentiveConfig) -> nn.Module:
    def projection(in_channels: int, out_channels: int) -> nn.Sequential:
        convolution = WeightNormConvolution(in_channels, out_channels, kernel_size=3)
        return nn.Sequential(nn.ELU(), convolution, nn.ZeroPad2d(-config.padding))  # a negative padding cuts off

    features = config.context_channels // 2**config.halvings
    return output_head(
        config.likelihood,
        features,
        config.image_shape[0],
        config.bits,
        mixtures=config.mixtures,
        projection=projection,
        upper_edge=config.conventions.upper_edge,
    )


def _trainable_numbers(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


@dataclass(frozen=True)
class Conventions:
    """The parts in which the published program and this library differ."""

    scale: Callable[[int], nn.Module]
    """Makes the inverse temperature of attention from the number of key channels."""
    history: Callable[[int, int, int, bool], nn.Module]
    """Makes a history (:mod:`avae_lib.nn.contexts`) from the channels of value and key, the number of contexts above,
    and whether values are normalised."""
    gaussians: Callable[[tuple[float, float]], nn.Module]
    """Makes the parameterisation of prior and posterior from the range of the prior's log standard deviation."""
    upper_edge: float
    """Lower edge of the last pixel level, on the scale −1 … 1."""
    approximate_gelu: bool
    """Whether norms use the GELU's approximation by a tanh."""


def _normalized_once(channels: int, key_channels: int, above: int, normalised: bool) -> nn.Module:
    """The history of :data:`CORRECTED`; it needs neither the key channels nor the number of contexts above."""
    return NormalizedOnce(channels) if normalised else Unnormalized()


PUBLISHED = Conventions(
    scale=UnitScale, history=NormalizedLate, gaussians=PublishedGaussians, upper_edge=0.99, approximate_gelu=True
)
"""What the authors' program computes."""

CORRECTED = Conventions(
    scale=TrainedScale,
    history=_normalized_once,
    gaussians=CentredGaussians,
    upper_edge=UPPER_EDGE,
    approximate_gelu=False,
)
"""What this library computes by default."""
