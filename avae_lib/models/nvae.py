"""NVAE: residual cells of depthwise convolutions, and posteriors told relative to the prior.

A. Vahdat, J. Kautz, "NVAE: A Deep Hierarchical Variational Autoencoder", NeurIPS 2020. The regularisation that makes it
trainable (spectral norms, KL balancing during warm-up) is the training's: ``spectral_penalty``, ``kl_balancing``.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from torch import nn

from avae_lib.errors import InvalidInput
from avae_lib.models.config_fields import require_at_least, require_sizes
from avae_lib.models.hierarchy import Hierarchy
from avae_lib.models.nvae_groups import (
    AddStream,
    BentPosterior,
    BottomUp,
    ConvolvedPrior,
    EvidenceAlone,
    Group,
    LearnedConstant,
    ResidualPosterior,
    StandardPrior,
)
from avae_lib.models.pixel_input import PixelScaling, require_image_kind
from avae_lib.nn.autoregressive import InverseAutoregressiveFlow
from avae_lib.nn.nvae_cells import decoder_cell, encoder_cell, normalised_convolution
from avae_lib.nn.output_heads import output_head

__all__ = ["NVAEConfig"]

POSTPROCESS_EXPANSION = 3
"""How many times more channels there are inside the cells below the latents; between latents it is 6."""


@dataclass(frozen=True)
class NVAEConfig:
    """What an NVAE is made of."""

    image_shape: tuple[int, int, int] = (1, 8, 8)
    """Channels, height and width of an image."""
    bits: int = 4
    """Bits per pixel value."""
    groups: tuple[int, ...] = (2, 3)
    """Stochastic layers ("groups") of each spatial scale, coarsest first; each scale has twice the height and width of
    the one before and half its channels."""
    channels: int = 16
    """Channels at the resolution of the image."""
    latent_channels: int = 4
    """Channels of each layer's latents."""
    halvings: int = 1
    """How often height and width are halved between the image and the finest latents."""
    encoder_cells: int = 1
    """Cells between two layers on the way up."""
    decoder_cells: int = 1
    """Cells between two layers on the way down."""
    outer_cells: int = 1
    """Cells for each halving between image and latents, and for each doubling back."""
    flows: int = 0
    """Pairs of inverse autoregressive steps that bend each posterior; 0 leaves it Gaussian."""
    flow_rescales: bool = False
    """Whether these steps also scale; the published ones only shift."""
    weight_norm: bool = False
    """Whether convolutions not followed by a batch norm are weight-normalised."""
    likelihood: str = "discretized_logistic_mixture"
    """Likelihood of a pixel: bernoulli (1 bit), discretized_logistic or discretized_logistic_mixture."""
    mixtures: int = 3
    """Number of logistics mixed for each pixel; a Bernoulli likelihood ignores it."""

    def __post_init__(self) -> None:
        require_image_kind(self.image_shape, self.bits)
        require_sizes(self, "groups")
        require_at_least(1, self, "channels", "latent_channels", "mixtures")
        require_at_least(1, self, "encoder_cells", "decoder_cells", "outer_cells")
        require_at_least(0, self, "halvings", "flows")
        factor = 2 ** self._halvings_of(0)
        for name, size in (("height", self.image_shape[1]), ("width", self.image_shape[2])):
            if size % factor:
                raise InvalidInput(
                    f"image {name} must be divisible by {factor}, for {self.halvings} halvings and {len(self.groups)} "
                    f"scales of latents; got {size}"
                )

    def build(self) -> Hierarchy:
        """A model with fresh weights."""
        return Hierarchy(
            bottom_up=_bottom_up(self),
            top=LearnedConstant(*self.shape_of_scale(0)),
            layers=[_group(self, index) for index in range(sum(self.groups))],
            readout=_readout(self),
            head=_head(self),
            image_shape=self.image_shape,
            bits=self.bits,
        )

    def shape_of_scale(self, scale: int) -> tuple[int, int, int]:
        """Channels, height and width of the streams at a spatial scale, 0 for the coarsest."""
        factor = 2 ** self._halvings_of(scale)
        return self.channels * factor, self.image_shape[1] // factor, self.image_shape[2] // factor

    @property
    def scale_of_layer(self) -> tuple[int, ...]:
        """The spatial scale of each layer, top first."""
        return tuple(scale for scale, groups in enumerate(self.groups) for _ in range(groups))

    def _halvings_of(self, scale: int) -> int:
        return self.halvings + len(self.groups) - 1 - scale


def _group(config: NVAEConfig, index: int) -> Group:
    """The layer with ``index`` layers above it."""
    channels, _, _ = config.shape_of_scale(config.scale_of_layer[index])
    latent, norm = config.latent_channels, config.weight_norm
    return Group(
        cells=_cells_above(config, index),
        prior=ConvolvedPrior(channels, latent, norm) if index else StandardPrior(latent),
        merge=AddStream(channels, norm) if index else EvidenceAlone(),
        posterior=_posterior(config, channels),
        join=normalised_convolution(channels + latent, channels, 1, weight_norm=norm),
    )


def _posterior(config: NVAEConfig, channels: int) -> ResidualPosterior:
    if config.flows == 0:
        return ResidualPosterior(channels, config.latent_channels, config.weight_norm)
    flow = InverseAutoregressiveFlow(config.latent_channels, config.flows, config.flow_rescales)
    return BentPosterior(channels, config.latent_channels, config.weight_norm, flow)


def _cells_above(config: NVAEConfig, index: int) -> nn.Sequential:
    """The decoder cells between a layer and the one above, of which the first doubles where a finer scale begins."""
    if index == 0:
        return nn.Sequential()
    scale_above, scale = config.scale_of_layer[index - 1], config.scale_of_layer[index]
    channels, _, _ = config.shape_of_scale(scale)
    cells = [decoder_cell(channels, channels, weight_norm=config.weight_norm) for _ in range(config.decoder_cells)]
    if scale_above != scale:
        cells.insert(0, decoder_cell(2 * channels, channels, "double", weight_norm=config.weight_norm))
    return nn.Sequential(*cells)


def _bottom_up(config: NVAEConfig) -> BottomUp:
    top, _, _ = config.shape_of_scale(0)
    summit = nn.Sequential(nn.ELU(), normalised_convolution(top, top, 1, weight_norm=config.weight_norm), nn.ELU())
    return BottomUp(_stem(config), [_stage(config, index) for index in reversed(range(sum(config.groups)))], summit)


def _stage(config: NVAEConfig, index: int) -> nn.Sequential:
    """The encoder cells below the layer ``index``, of which the first halves where a coarser scale begins."""
    scales, norm = config.scale_of_layer, config.weight_norm
    channels, _, _ = config.shape_of_scale(scales[index])
    cells = [encoder_cell(channels, channels, weight_norm=norm) for _ in range(config.encoder_cells)]
    if index + 1 < len(scales) and scales[index + 1] != scales[index]:
        cells.insert(0, encoder_cell(channels // 2, channels, "halve", weight_norm=norm))
    return nn.Sequential(*cells)


def _stem(config: NVAEConfig) -> nn.Sequential:
    """Pixels scaled and convolved; then for each halving some cells, the last of which halves."""
    norm = config.weight_norm
    modules = [PixelScaling(config.bits), normalised_convolution(config.image_shape[0], config.channels, 3, 1, norm)]
    for halving in range(config.halvings):
        channels = config.channels * 2**halving
        modules += [encoder_cell(channels, channels, weight_norm=norm) for _ in range(config.outer_cells - 1)]
        modules.append(encoder_cell(channels, 2 * channels, "halve", norm))
    return nn.Sequential(*modules)


def _readout(config: NVAEConfig) -> nn.Sequential:
    """For each doubling back to the size of the image some cells, the first of which doubles."""
    cell = functools.partial(decoder_cell, expansion=POSTPROCESS_EXPANSION, weight_norm=config.weight_norm)
    modules = []
    for halving in reversed(range(config.halvings)):
        channels = config.channels * 2**halving
        modules.append(cell(2 * channels, channels, "double"))
        modules += [cell(channels, channels) for _ in range(config.outer_cells - 1)]
    return nn.Sequential(*modules, nn.ELU())


def _head(config: NVAEConfig) -> nn.Module:
    """The likelihood, its parameters read off by a 3×3 convolution."""
    project = functools.partial(normalised_convolution, weight_norm=config.weight_norm)
    channels, _, _ = config.image_shape
    return output_head(config.likelihood, config.channels, channels, config.bits, config.mixtures, project)
