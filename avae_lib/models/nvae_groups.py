"""The parts of an NVAE: what goes up, and one stochastic layer ("group") going down.

A. Vahdat, J. Kautz, "NVAE: A Deep Hierarchical Variational Autoencoder", NeurIPS 2020.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from avae_lib.gaussians import DiagonalGaussian, residual_gaussian
from avae_lib.models.flow_posterior import FlowPosterior
from avae_lib.models.hierarchy import Draw, LatentDraw
from avae_lib.models.single_sample_kl import SingleSampleDraw
from avae_lib.nn.autoregressive import InverseAutoregressiveFlow
from avae_lib.nn.gaussian_conditionals import bounded_log_std
from avae_lib.nn.nvae_cells import normalised_convolution
from avae_lib.nn.precision import at_least_float32

__all__ = [
    "AddStream",
    "BentPosterior",
    "BottomUp",
    "ConvolvedPrior",
    "EvidenceAlone",
    "Group",
    "LearnedConstant",
    "ResidualPosterior",
    "StandardPrior",
]


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
    """q(z_l | z_<l, x) = N(μ_p + Δμ, (σ_p Δσ)²) (Vahdat & Kautz, 2020, section 3.2)."""

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
