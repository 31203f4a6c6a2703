"""What a Very Deep VAE is built of: encoder, streams that are handed down, and the block that draws a latent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from avae_lib.gaussians import DiagonalGaussian
from avae_lib.models.hierarchy import Draw, LatentDraw
from avae_lib.models.vdvae_notation import DecoderStep
from avae_lib.nn.convolutions import convolution
from avae_lib.nn.precision import at_least_float32

__all__ = [
    "ActivationEncoder",
    "Bottleneck",
    "ImageReadout",
    "MatchedChannels",
    "PixelStem",
    "StartingStreams",
    "Streams",
    "TopDownBlock",
]


@dataclass(frozen=True)
class Streams:
    """What the blocks above hand down."""

    features: Mapping[int, Float[Tensor, "batch width resolution resolution"]]
    """The stream of each resolution."""
    held_back: Mapping[int, Float[Tensor, "batch width resolution resolution"]] = field(default_factory=dict)
    """What latents of a group that has not ended will add to some of them."""


class StartingStreams(nn.Module):
    """Streams before the first block: a learned constant, zero at initialisation, or above a resolution just zeros."""

    def __init__(self, widths: Mapping[int, int], decoder: Sequence[DecoderStep], no_bias_above: int) -> None:
        super().__init__()
        self.widths = {step.resolution: widths[step.resolution] for step in decoder}
        self.constants = nn.ParameterDict(
            {
                str(resolution): nn.Parameter(torch.zeros(1, width, resolution, resolution))
                for resolution, width in self.widths.items()
                if resolution <= no_bias_above
            }
        )
        self.register_buffer("zero", torch.zeros(1, 1, 1, 1), persistent=False)

    def forward(self, batch: int) -> Streams:
        return Streams({resolution: self._start(resolution).expand(batch, -1, -1, -1) for resolution in self.widths})

    def _start(self, resolution: int) -> Tensor:
        if str(resolution) in self.constants:
            return self.constants[str(resolution)]
        return self.zero.expand(1, self.widths[resolution], resolution, resolution)


class TopDownBlock(nn.Module):
    r"""One block of the decoder. With x the stream of its resolution and a the encoder's activation there:

    .. math::
        q(z \mid z_<, \text{image}) &= Q(x, a) \\
        [p(z \mid z_<),\; h] &= P(x), & x &\leftarrow x + h \\
        & & x &\leftarrow x + W z \\
        & & x &\leftarrow x + R(x)

    Args:
        resolution: of its stream.
        source: resolution of the coarser stream that is first added to it, or None.
        upsample: brings that stream to this resolution; linear.
        posterior: Q, to means and log standard deviations.
        prior: P, to means, log standard deviations and h.
        from_latent: W.
        residual: x + R(x).
        ends_group: whether z joins the stream at once, with what earlier blocks of the group have held back.
    """

    def __init__(
        self,
        resolution: int,
        source: int | None,
        upsample: nn.Module,
        posterior: nn.Module,
        prior: nn.Module,
        from_latent: nn.Conv2d,
        residual: nn.Module,
        ends_group: bool = True,
    ) -> None:
        super().__init__()
        self.resolution, self.source, self.ends_group = resolution, source, ends_group
        self.upsample = upsample
        self.posterior = posterior
        self.prior = prior
        self.from_latent = from_latent
        self.residual = residual

    def forward(self, above: Streams, evidence: Sequence[Tensor] | None, draw: Draw) -> tuple[Streams, LatentDraw]:
        """Draw z from the posterior where there is evidence, else from the prior, and add to the stream."""
        x, held_back = self._with_source(above.features), self._with_source(above.held_back)
        posterior = None if evidence is None else self._posterior(x[self.resolution], evidence[0])
        prior, correction = self._prior(x[self.resolution])
        z = draw(prior if posterior is None else posterior)
        x = _added(x, {self.resolution: correction})
        held_back = _added(held_back, {self.resolution: self.from_latent(z)})
        if self.ends_group:
            x, held_back = _added(x, held_back), {}
        x = {**x, self.resolution: self.residual(x[self.resolution])}
        return Streams(x, held_back), LatentDraw(z, prior, posterior)

    def _with_source(self, streams: Mapping[int, Tensor]) -> Mapping[int, Tensor]:
        if self.source not in streams:
            return streams
        return _added(streams, {self.resolution: self.upsample(streams[self.source])})

    def _posterior(self, x: Tensor, activation: Tensor) -> DiagonalGaussian:
        mean, log_std = at_least_float32(self.posterior(torch.cat((x, activation), dim=1))).chunk(2, dim=1)
        return DiagonalGaussian(mean, log_std)

    def _prior(self, x: Tensor) -> tuple[DiagonalGaussian, Tensor]:
        latents = self.from_latent.in_channels
        mean, log_std, correction = self.prior(x).split((latents, latents, x.shape[1]), dim=1)
        return DiagonalGaussian(at_least_float32(mean), at_least_float32(log_std)), correction


def _added(streams: Mapping[int, Tensor], terms: Mapping[int, Tensor]) -> dict[int, Tensor]:
    """Streams with terms added to some of them; a stream that is not there yet starts as its term."""
    return {**streams, **{at: streams[at] + term if at in streams else term for at, term in terms.items()}}


class Bottleneck(nn.Module):
    r"""Four convolutions, narrow inside: GELU → 1×1 → GELU → k×k → GELU → k×k → GELU → 1×1.

    Args:
        in_width, middle_width, out_width: channels before, inside and after.
        resolution: of what it is applied to. Where that is 1 or 2, k is 1, else 3.
        is_residual: whether the input is added to the output.
        last_scale: factor on the initial weights of the last convolution.
    """

    def __init__(
        self,
        in_width: int,
        middle_width: int,
        out_width: int,
        resolution: int,
        is_residual: bool = False,
        last_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.is_residual = is_residual
        kernel_size = 3 if resolution > 2 else 1
        self.convolutions = nn.ModuleList(
            [
                convolution(in_width, middle_width, 1),
                convolution(middle_width, middle_width, kernel_size),
                convolution(middle_width, middle_width, kernel_size),
                convolution(middle_width, out_width, 1, init_scale=last_scale),
            ]
        )

    def forward(self, x: Float[Tensor, "batch in_width h w"]) -> Float[Tensor, "batch out_width h w"]:
        y = x
        for layer in self.convolutions:
            y = layer(F.gelu(y))
        return x + y if self.is_residual else y


class ActivationEncoder(nn.Module):
    """The way up: for each block of the decoder, the last activation at its resolution.

    Args:
        stem: from pixels to features.
        blocks: from the image up, with their pooling.
        read_at: resolution of each block of the decoder, top first.
    """

    def __init__(self, stem: nn.Module, blocks: Sequence[nn.Module], read_at: Sequence[int]) -> None:
        super().__init__()
        self.stem = stem
        self.blocks = nn.ModuleList(blocks)
        self.read_at = tuple(read_at)

    def forward(self, x: UInt8[Tensor, "batch channels height width"], draws: Sequence[Draw]) -> list[Tensor]:
        features = self.stem(x)
        last_at = {features.shape[-1]: features}
        for block in self.blocks:
            features = block(features)
            last_at[features.shape[-1]] = features
        return [last_at[resolution] for resolution in self.read_at]


class PixelStem(nn.Module):
    """A convolution of normalised pixels.

    Args:
        mean, std: the pixel level that it sees as 0, and the distance from it that it sees as 1.
    """

    def __init__(self, channels: int, width: int, mean: float, std: float) -> None:
        super().__init__()
        self.mean, self.std = mean, std
        self.convolution = convolution(channels, width)

    def forward(self, x: UInt8[Tensor, "batch channels height width"]) -> Float[Tensor, "batch width height width"]:
        levels = x.to(self.convolution.weight.dtype)
        return self.convolution((levels - self.mean) * (1 / self.std))


class MatchedChannels(nn.Module):
    """The first channels of a picture, followed by zeros where it has too few."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, x: Float[Tensor, "batch channels h w"]) -> Float[Tensor, "batch width h w"]:
        return F.pad(x, (0, 0, 0, 0, 0, self.width - x.shape[1]))  # padding by a negative number cuts


class ImageReadout(nn.Module):
    """The stream at the resolution of the image, each channel with a gain and a bias."""

    def __init__(self, resolution: int, width: int) -> None:
        super().__init__()
        self.resolution = resolution
        self.gain = nn.Parameter(torch.ones(1, width, 1, 1))
        self.bias = nn.Parameter(torch.zeros(1, width, 1, 1))

    def forward(self, streams: Streams) -> Float[Tensor, "batch width height width"]:
        return streams.features[self.resolution] * self.gain + self.bias
