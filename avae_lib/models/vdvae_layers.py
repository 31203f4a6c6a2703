"""What a Very Deep VAE is built of: encoder, streams that are handed down, and the block that draws a latent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from jaxtyping import Float, Num
from torch import Tensor, nn

from avae_lib.components import component
from avae_lib.gaussians import DiagonalGaussian, gaussian_kl_per_layer, reparameterize
from avae_lib.models.hierarchy import Draw, LatentDraw, StepDraw
from avae_lib.nn.convolutions import convolution
from avae_lib.nn.precision import at_least_float32

__all__ = [
    "ActivationEncoder",
    "GroupedBlock",
    "ImageReadout",
    "MatchedChannels",
    "PixelStem",
    "StartingStreams",
    "Streams",
    "TopDownBlock",
    "TopDownParts",
    "top_down_step",
]


class TopDownParts(Protocol):
    """The four maps of a block; each may be called any number of times."""

    def posterior(
        self, x: Float[Tensor, "batch stream_and_evidence h w"]
    ) -> tuple[Float[Tensor, "batch latent h w"], Float[Tensor, "batch latent h w"]]:
        """Mean and log standard deviation of q(z | z above, image), from stream and evidence side by side."""
        ...

    def prior(
        self, stream: Float[Tensor, "batch width h w"]
    ) -> tuple[Float[Tensor, "batch latent h w"], Float[Tensor, "batch latent h w"], Float[Tensor, "batch width h w"]]:
        """Mean and log standard deviation of p(z | z above), and h, which is added to the stream."""
        ...

    def project(self, z: Float[Tensor, "batch latent h w"]) -> Float[Tensor, "batch width h w"]:
        """What the latent adds to the stream."""
        ...

    def refine(self, stream: Float[Tensor, "batch width h w"]) -> Float[Tensor, "batch width h w"]:
        """The stream after a last residual block, the stream itself included."""
        ...


@component(unit="05_hierarchical_vae")
def top_down_step(
    stream: Float[Tensor, "batch width h w"],
    evidence: Float[Tensor, "batch evidence_width h w"] | None,
    parts: TopDownParts,
    noise: Float[Tensor, "batch latent h w"],
) -> tuple[Float[Tensor, "batch width h w"], Float[Tensor, "batch latent h w"], Float[Tensor, "batch"]]:
    r"""Draw the latent of one block and add it to the stream (Child, 2021, figure 3 and the released program).

    .. math::
        q(z \mid z_<, \text{image}) &= Q(x \oplus e) \\
        p(z \mid z_<),\; h &= P(x) \\
        z &= \mu + \sigma \odot \varepsilon \\
        x' &= R(x + h + W z)

    Posterior and prior both see the stream as it came in.

    Args:
        stream: x, ``(batch, width, h, w)``.
        evidence: e, the encoder's features at this resolution, ``(batch, evidence_width, h, w)``. Without it (None)
            the latent is drawn from the prior, and ``parts.posterior`` is not called.
        parts: the block's maps Q, P, W and R.

            * ``parts.posterior(torch.cat([stream, evidence], dim=1))`` returns (mean, log_std), shaped like ``noise``:
              the posterior itself, no residual to the prior.
            * ``parts.prior(stream)`` returns (mean, log_std, h); h is shaped like ``stream``.
            * ``parts.project(z)`` returns W z, shaped like ``stream``.
            * ``parts.refine(stream)`` returns the new stream; its residual sum is in it.
        noise: ε, standard normal numbers, ``(batch, latent, h, w)``.

    Returns:
        ``(stream, z, kl)``: the new stream; the latent, shaped like ``noise``; and KL(posterior‖prior) of each
        example, ``(batch,)`` nats, summed over channels and pixels. Without evidence kl is zeros of the stream's
        dtype. Differentiable in all inputs and in the parts' weights; no input is changed.

    A block whose maps predict standard normals and add nothing but the latent:

    >>> from types import SimpleNamespace
    >>> nothing = lambda x: (torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1, 1))
    >>> parts = SimpleNamespace(
    ...     posterior=nothing, prior=lambda x: (*nothing(x), 0.0), project=lambda z: z, refine=lambda x: x
    ... )
    >>> one = torch.ones(1, 1, 1, 1)
    >>> stream, z, kl = top_down_step(5 * one, one, parts, 2 * one)
    >>> stream.item(), z.item(), kl
    (7.0, 2.0, tensor([0.]))
    """
    prior_mean, prior_log_std, h = parts.prior(stream)
    if evidence is None:
        z = reparameterize(prior_mean, prior_log_std, noise)
        kl = stream.new_zeros(len(stream))
    else:
        mean, log_std = parts.posterior(torch.cat([stream, evidence], dim=1))
        z = reparameterize(mean, log_std, noise)
        kl = gaussian_kl_per_layer([mean], [log_std], [prior_mean], [prior_log_std])[:, 0]
    stream = stream + h
    return parts.refine(stream + parts.project(z)), z, kl


@dataclass(frozen=True)
class Streams:
    """What the blocks above hand down."""

    features: Mapping[int, Float[Tensor, "batch _ _ _"]]
    """The stream of each resolution."""
    held_back: Mapping[int, Float[Tensor, "batch _ _ _"]] = field(default_factory=dict)
    """What latents of a group that has not ended will add to some of them."""


class StartingStreams(nn.Module):
    """Streams before the first block: learned constants that start at zero, or at fine resolutions just zeros.

    Args:
        widths: channels at each resolution of the decoder.
        no_bias_above: the finest resolution whose stream starts from a learned constant.

    >>> top = StartingStreams({1: 16, 8: 16}, no_bias_above=4)
    >>> {resolution: tuple(stream.shape) for resolution, stream in top(batch=2).features.items()}, list(top.constants)
    ({1: (2, 16, 1, 1), 8: (2, 16, 8, 8)}, ['1'])
    """

    zero: Float[Tensor, "1 1 1 1"]

    def __init__(self, widths: Mapping[int, int], no_bias_above: int) -> None:
        super().__init__()
        self.widths = dict(widths)
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
    r"""One block of the decoder: the maps of a :func:`top_down_step`.

    The coarser stream, where there is one, is added to the stream before the step.

    Args:
        resolution: of its stream.
        source: resolution of the coarser stream that is first added to it, or None.
        upsample: brings that stream to this resolution; linear.
        posterior: from stream and the encoder's activation, side by side, to means and log standard deviations.
        prior: from the stream to means, log standard deviations and what is added to the stream.
        from_latent: what the latent adds to the stream.
        residual: the last residual block, its residual sum included.
        log_std: from what is predicted for a standard deviation, in float32 at least, to its logarithm.

    >>> from avae_lib.models.vdvae import VDVAEConfig
    >>> config = VDVAEConfig((1, 8, 8), bits=4, enc_blocks="8d8,1x1", dec_blocks="1x1,8m1", width=16, latent_channels=2)
    >>> model = config.build()
    >>> streams, latent = model.layers[0](model.top(batch=3), evidence=None, draw=Draw())  # z from the prior
    >>> latent.z.shape, streams.features[1].shape
    (torch.Size([3, 2, 1, 1]), torch.Size([3, 16, 1, 1]))
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
        log_std: Callable[[Tensor], Tensor],
    ) -> None:
        super().__init__()
        self.resolution = resolution
        self.source = source
        self.upsample = upsample
        self.posterior = posterior
        self.prior = prior
        self.from_latent = from_latent
        self.residual = residual
        self.log_std = log_std

    def forward(self, above: Streams, evidence: Sequence[Tensor] | None, draw: Draw) -> tuple[Streams, LatentDraw]:
        """Draw z from the posterior where there is evidence, else from the prior, and add to the stream."""
        streams = self._with_source(above.features)
        parts = BlockParts(self, draw.known_latent)
        before = streams[self.resolution]
        activation = None if evidence is None else evidence[0]
        stream, z, kl = top_down_step(before, activation, parts, self._noise(before, draw))
        assert parts.latest_prior is not None, "the step has called parts.prior"
        latent = StepDraw(z, parts.latest_prior, parts.latest_posterior, step_kl=kl)
        return Streams({**streams, self.resolution: stream}), latent

    def _with_source(self, streams: Mapping[int, Tensor]) -> Mapping[int, Tensor]:
        if self.source is None or self.source not in streams:
            return streams
        return _added(streams, {self.resolution: self.upsample(streams[self.source])})

    def _noise(self, stream: Tensor, draw: Draw) -> Float[Tensor, "batch latent resolution resolution"]:
        like = at_least_float32(stream).new_empty(len(stream), self.from_latent.in_channels, *stream.shape[2:])
        return draw.noise(like)


class BlockParts:
    """The maps of a block as a step calls them. The Gaussians of the latest calls are kept for the block.

    Args:
        block: whose maps.
        given: the latent itself where it is not drawn. The step then sees a Gaussian around it, and noise of zeros.
    """

    def __init__(self, block: TopDownBlock, given: Tensor | None = None) -> None:
        self._block = block
        self._given = given
        self.project, self.refine = block.from_latent, block.residual
        self.latest_prior: DiagonalGaussian | None = None
        self.latest_posterior: DiagonalGaussian | None = None

    def posterior(self, x: Float[Tensor, "batch stream_and_evidence h w"]) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation."""
        mean, raw_std = at_least_float32(self._block.posterior(x)).chunk(2, dim=1)
        self.latest_posterior = DiagonalGaussian(mean, self._block.log_std(raw_std))
        return mean, self.latest_posterior.log_std

    def prior(self, stream: Float[Tensor, "batch width h w"]) -> tuple[Tensor, Tensor, Tensor]:
        """Mean, log standard deviation, and what is added to the stream."""
        latents = self._block.from_latent.in_channels
        mean, raw_std, h = self._block.prior(stream).split((latents, latents, stream.shape[1]), dim=1)
        self.latest_prior = DiagonalGaussian(at_least_float32(mean), self._block.log_std(at_least_float32(raw_std)))
        mean = self.latest_prior.mean if self._given is None else self._given.to(self.latest_prior.mean)
        return mean, self.latest_prior.log_std, h


class GroupedBlock(TopDownBlock):
    """A block whose latent joins the stream only where its group ends; until then it is held back.

    The latents of a group are independent given those above it. Arguments as for :class:`TopDownBlock`, and

    Args:
        ends_group: whether z joins the stream at once, with what earlier blocks of the group have held back.

    >>> from avae_lib.models.vdvae import VDVAEConfig
    >>> config = VDVAEConfig((1, 8, 8), bits=4, enc_blocks="8x1", dec_blocks="8x4", width=16, group_size=2)
    >>> [block.ends_group for block in config.build().layers]
    [False, True, False, True]
    """

    own_wiring = "blocks in groups: own wiring, not top_down_step"

    def __init__(self, *args: Any, ends_group: bool, **options: Any) -> None:
        super().__init__(*args, **options)
        self.ends_group = ends_group

    def forward(self, above: Streams, evidence: Sequence[Tensor] | None, draw: Draw) -> tuple[Streams, LatentDraw]:
        """Draw z from the posterior where there is evidence, else from the prior, and add or hold it back."""
        x, held_back = self._with_source(above.features), self._with_source(above.held_back)
        before = x[self.resolution]
        parts = BlockParts(self)
        if evidence is not None:
            parts.posterior(torch.cat((before, evidence[0]), dim=1))
        _, _, h = parts.prior(before)
        assert parts.latest_prior is not None, "parts.prior was called above"
        z = draw(parts.latest_posterior or parts.latest_prior)
        x = _added(x, {self.resolution: h})
        held_back = _added(held_back, {self.resolution: self.from_latent(z)})
        if self.ends_group:
            x = _added(x, held_back)
            held_back = {}
        x = {**x, self.resolution: self.residual(x[self.resolution])}
        return Streams(x, held_back), LatentDraw(z, parts.latest_prior, parts.latest_posterior)


def _added(streams: Mapping[int, Tensor], terms: Mapping[int, Tensor]) -> dict[int, Tensor]:
    """Streams with terms added to some of them; a stream that is not there yet starts as its term."""
    return {**streams, **{at: streams[at] + term if at in streams else term for at, term in terms.items()}}


class ActivationEncoder(nn.Module):
    """The way up: for each block of the decoder, the last activation at its resolution.

    Args:
        stem: from pixels to features.
        blocks: from the image up, with their pooling.
        read_at: resolution of each block of the decoder, top first.

    >>> halve = nn.AvgPool2d(2)
    >>> encoder = ActivationEncoder(PixelStem(1, 16, mean=7.5, std=7.5), [halve, halve], read_at=(2, 4, 8))
    >>> [tuple(features.shape) for features in encoder(torch.zeros(1, 1, 8, 8, dtype=torch.uint8), draws=())]
    [(1, 16, 2, 2), (1, 16, 4, 4), (1, 16, 8, 8)]
    """

    def __init__(self, stem: nn.Module, blocks: Sequence[nn.Module], read_at: Sequence[int]) -> None:
        super().__init__()
        self.stem = stem
        self.blocks = nn.ModuleList(blocks)
        self.read_at = tuple(read_at)

    def forward(self, x: Num[Tensor, "batch channels height width"], draws: Sequence[Draw]) -> list[Tensor]:
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

    >>> PixelStem(channels=3, width=16, mean=127.5, std=127.5)(torch.zeros(2, 3, 8, 8, dtype=torch.uint8)).shape
    torch.Size([2, 16, 8, 8])
    """

    def __init__(self, channels: int, width: int, mean: float, std: float) -> None:
        super().__init__()
        self.mean, self.std = mean, std
        self.convolution = convolution(channels, width)

    def forward(self, x: Num[Tensor, "batch channels height width"]) -> Float[Tensor, "batch stream height width"]:
        levels = x.to(self.convolution.weight.dtype)
        return self.convolution((levels - self.mean) * (1 / self.std))


class MatchedChannels(nn.Module):
    """The first channels of a picture, followed by zeros where it has too few.

    >>> MatchedChannels(3)(torch.ones(1, 2, 1, 1)).flatten().tolist()
    [1.0, 1.0, 0.0]
    >>> MatchedChannels(1)(torch.ones(1, 2, 1, 1)).flatten().tolist()
    [1.0]
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, x: Float[Tensor, "batch channels h w"]) -> Float[Tensor, "batch width h w"]:
        return F.pad(x, (0, 0, 0, 0, 0, self.width - x.shape[1]))  # padding by a negative number cuts


class ImageReadout(nn.Module):
    """The stream at the resolution of the image, each channel with a gain and a bias.

    >>> streams = Streams({8: torch.ones(1, 2, 8, 8)})
    >>> bool((ImageReadout(resolution=8, width=2)(streams) == 1).all())  # fresh gains are 1, biases 0
    True
    """

    def __init__(self, resolution: int, width: int) -> None:
        super().__init__()
        self.resolution = resolution
        self.gain = nn.Parameter(torch.ones(1, width, 1, 1))
        self.bias = nn.Parameter(torch.zeros(1, width, 1, 1))

    def forward(self, streams: Streams) -> Float[Tensor, "batch stream height width"]:
        return streams.features[self.resolution] * self.gain + self.bias
