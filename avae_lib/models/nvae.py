"""NVAE: residual cells of depthwise convolutions, and posteriors parameterised relative to the prior.

A. Vahdat, J. Kautz, "NVAE: A Deep Hierarchical Variational Autoencoder", NeurIPS 2020. The regularisation that makes it
trainable (spectral norms, KL balancing during warm-up) belongs to training:
``training.penalties.spectral`` and ``training.kl_weight.balancing``.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from avae_lib.errors import InvalidInput
from avae_lib.gaussians import DiagonalGaussian, residual_gaussian
from avae_lib.models.flow_posterior import FlowPosterior
from avae_lib.models.hierarchy import Draw, Hierarchy, LatentDraw, SingleSampleDraw
from avae_lib.models.requirements import require_at_least, require_image_kind, require_mixtures_used, require_sizes
from avae_lib.nn.convolutions import PixelScaling
from avae_lib.nn.inverse_autoregressive import InverseAutoregressiveFlow
from avae_lib.nn.nvae_cells import decoder_cell, encoder_cell, normalised_convolution
from avae_lib.nn.output_heads import output_head
from avae_lib.nn.precision import at_least_float32
from avae_lib.nn.residual_posteriors import bounded_log_std

__all__ = ["NVAEConfig"]

POSTPROCESS_EXPANSION = 3
"""How many times more channels there are inside the cells below the latents; between latents it is 6."""


@dataclass(frozen=True)
class NVAEConfig:
    """Configuration of an NVAE.

    Two scales of latents for images of 32×32; the streams have twice the channels where they have half the side:

    >>> config = NVAEConfig(image_shape=(3, 32, 32), groups=(2, 3), channels=16, halvings=1)
    >>> config.scale_of_layer, [config.shape_of_scale(scale) for scale in (0, 1)]
    ((0, 0, 1, 1, 1), [(64, 8, 8), (32, 16, 16)])
    """

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
    """Number of logistics mixed for each pixel. With a Bernoulli likelihood only the default is accepted."""

    def __post_init__(self) -> None:
        require_image_kind(self.image_shape, self.bits)
        require_mixtures_used(self)
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


class LearnedConstant(nn.Module):
    """What is handed down to the first layer: a learned constant, the same for all images."""

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__()
        self.constant = nn.Parameter(torch.rand(1, channels, height, width))

    def forward(self, batch: int) -> Float[Tensor, "batch channels h w"]:
        return self.constant.expand(batch, -1, -1, -1)


class BottomUp(nn.Module):
    """Features of an image for each layer.

    Args:
        stem: from pixels (uint8) to features at the finest latents' resolution.
        stages: from the features of a layer to those of the one above, lowest first; the first reads the stem.
        summit: what becomes of the features of the top layer.
    """

    def __init__(self, stem: nn.Module, stages: Sequence[nn.Module], summit: nn.Module) -> None:
        super().__init__()
        self.stem = stem
        self.stages = nn.ModuleList(stages)
        self.summit = summit

    def forward(self, x: UInt8[Tensor, "batch channels height width"], draws: Sequence[Draw]) -> tuple[Tensor, ...]:
        features = list(itertools.accumulate(self.stages, lambda below, stage: stage(below), initial=self.stem(x)))
        return self.summit(features[-1]), *features[-2:0:-1]


class Group(nn.Module):
    r"""One stochastic layer.

    .. math::
        s_l &= C_l(s'_{l-1}) \\
        p(z_l \mid z_{<l}) &= P_l(s_l) \\
        q(z_l \mid z_{<l}, x) &= Q_l(e_l + W s_l) \text{ relative to } p(z_l \mid z_{<l}) \\
        s'_l &= J_l(s_l \oplus z_l)

    Args:
        cells: C_l.
        prior: P_l.
        merge: from e_l and s_l to e_l + W s_l.
        posterior: Q_l, from what is merged, the prior and how to draw to a ``LatentDraw``.
        join: J_l.
    """

    def __init__(
        self, cells: nn.Module, prior: nn.Module, merge: nn.Module, posterior: nn.Module, join: nn.Module
    ) -> None:
        super().__init__()
        self.cells = cells
        self.prior = prior
        self.merge = merge
        self.posterior = posterior
        self.join = join

    def forward(
        self, above: Float[Tensor, "batch c h w"], evidence: Sequence[Tensor] | None, draw: Draw
    ) -> tuple[Float[Tensor, "batch c2 h2 w2"], LatentDraw]:
        stream = self.cells(above)
        prior = self.prior(stream)
        if evidence is None:
            latent = LatentDraw(draw(prior), prior, None)
        else:
            latent = self.posterior(self.merge(evidence[0], stream), prior, draw)
        return self.join(torch.cat((stream, latent.z), dim=1)), latent


class StandardPrior(nn.Module):
    """p(z_1): standard normal, at the resolution of the stream."""

    def __init__(self, latent_channels: int) -> None:
        super().__init__()
        self.latent_channels = latent_channels

    def forward(self, stream: Float[Tensor, "batch c h w"]) -> DiagonalGaussian:
        like = at_least_float32(stream).new_empty(len(stream), self.latent_channels, *stream.shape[2:])
        return DiagonalGaussian.standard_like(like)


class ConvolvedPrior(nn.Module):
    """p(z_l | z_<l), read off the stream pixel by pixel."""

    def __init__(self, channels: int, latent_channels: int, weight_norm: bool) -> None:
        super().__init__()
        to_parameters = normalised_convolution(channels, 2 * latent_channels, 1, weight_norm=weight_norm)
        self.parameters_of_z = nn.Sequential(nn.ELU(), to_parameters)

    def forward(self, stream: Float[Tensor, "batch c h w"]) -> DiagonalGaussian:
        mean, raw_log_std = at_least_float32(self.parameters_of_z(stream)).chunk(2, dim=1)
        return DiagonalGaussian(mean, bounded_log_std(raw_log_std))


class ResidualPosterior(nn.Module):
    """q(z_l | z_<l, x) = N(μ_p + Δμ, (σ_p Δσ)²) (Vahdat & Kautz, 2020, section 3.2).

    >>> prior = DiagonalGaussian.standard_like(torch.zeros(2, 3, 4, 4))
    >>> posterior = ResidualPosterior(channels=8, latent_channels=3, weight_norm=False)
    >>> posterior(torch.zeros(2, 8, 4, 4), prior, Draw()).z.shape
    torch.Size([2, 3, 4, 4])
    """

    def __init__(self, channels: int, latent_channels: int, weight_norm: bool) -> None:
        super().__init__()
        self.shifts_of_z = normalised_convolution(channels, 2 * latent_channels, 3, weight_norm=weight_norm)

    def forward(self, features: Float[Tensor, "batch c h w"], prior: DiagonalGaussian, draw: Draw) -> LatentDraw:
        posterior = self.relative_to(prior, features)
        return LatentDraw(draw(posterior), prior, posterior)

    def relative_to(self, prior: DiagonalGaussian, features: Float[Tensor, "batch c h w"]) -> DiagonalGaussian:
        """The Gaussian."""
        mean_shift, raw_log_std_shift = at_least_float32(self.shifts_of_z(features)).chunk(2, dim=1)
        log_std_shift = bounded_log_std(raw_log_std_shift)
        return DiagonalGaussian(*residual_gaussian(prior.mean, prior.log_std, mean_shift, log_std_shift))


class BentPosterior(ResidualPosterior):
    """A residual Gaussian bent by inverse autoregressive steps (Vahdat & Kautz, 2020, section 3.4).

    As in the released code the steps look at the latent alone, not at the image.
    """

    own_wiring = "KL of flows, estimated from the draw: own wiring, not gaussian_kl_per_layer"

    def __init__(self, channels: int, latent_channels: int, weight_norm: bool, flow: InverseAutoregressiveFlow) -> None:
        super().__init__(channels, latent_channels, weight_norm)
        self.flow = flow

    def forward(self, features: Float[Tensor, "batch c h w"], prior: DiagonalGaussian, draw: Draw) -> LatentDraw:
        base = self.relative_to(prior, features)
        start = draw(base)
        z, log_determinant = self.flow(start)
        posterior = FlowPosterior(base, self.flow)
        return SingleSampleDraw(z, prior, posterior, log_posterior=base.log_prob(start) - log_determinant)


class AddStream(nn.Module):
    """e_l + W s_l."""

    def __init__(self, channels: int, weight_norm: bool) -> None:
        super().__init__()
        self.of_stream = normalised_convolution(channels, channels, 1, weight_norm=weight_norm)

    def forward(self, evidence: Tensor, stream: Tensor) -> Float[Tensor, "batch c h w"]:
        return evidence + self.of_stream(stream)


class EvidenceAlone(nn.Module):
    """e_1: at the top the stream is a constant."""

    def forward(self, evidence: Tensor, stream: Tensor) -> Float[Tensor, "batch c h w"]:
        return evidence


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
    """The decoder cells between a layer and the one above; the first of them doubles where a finer scale begins."""
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
    """The encoder cells below the layer ``index``; the first of them halves where a coarser scale begins."""
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
