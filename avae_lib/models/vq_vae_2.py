"""VQ-VAE-2: two grids of codes, a coarse one and a fine one, and an autoregressive prior trained after them.

A. Razavi, A. van den Oord, O. Vinyals, "Generating Diverse High-Fidelity Images with VQ-VAE-2", NeurIPS 2019.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Generator, Tensor, nn
from torch.distributions import Categorical, Independent

from avae_lib.errors import InvalidInput
from avae_lib.models.contract import Inference
from avae_lib.models.requirements import (
    require_at_least,
    require_count,
    require_draws,
    require_image_kind,
    require_mixtures_used,
    require_pixels,
    require_temperature,
    temperature_of_each_layer,
)
from avae_lib.models.vq_vae import require_codebook, require_codes, require_divisible
from avae_lib.nn.convolutions import PixelScaling, convolution
from avae_lib.nn.gated_pixelcnn import GatedPixelCNN
from avae_lib.nn.output_heads import output_head
from avae_lib.nn.strided_networks import strided_decoder, strided_encoder
from avae_lib.nn.vector_quantization import Codebook, CodebookUpdate, Estimator, PointMass, Quantized
from avae_lib.objectives import ELBO

__all__ = ["VQVAE2", "VQVAE2Config"]


@dataclass(frozen=True)
class VQVAE2Config:
    """Configuration of a VQ-VAE of two levels, and of its prior.

    >>> model = VQVAE2Config(channels=8, halvings=2, top_halvings=1).build()
    >>> model.num_layers, [q.codes.shape[1:] for q in model.latents(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))]
    (2, [torch.Size([4, 4]), torch.Size([8, 8])])
    """

    image_shape: tuple[int, int, int] = (3, 32, 32)
    """Channels, height and width of an image."""
    bits: int = 8
    """Bits per pixel value; 1 for binarised images."""
    channels: int = 32
    """Channels of all hidden layers of encoders and decoders."""
    halvings: int = 2
    """How often height and width are halved between the image and the lower grid of codes."""
    top_halvings: int = 1
    """How often they are halved again between the lower grid and the upper one."""
    blocks: int = 2
    """Residual blocks of each encoder and decoder."""
    codes: int = 128
    """Number of codes in each of the two codebooks."""
    code_dim: int = 16
    """Length of the vector that a code stands for."""
    commitment: float = 0.25
    """Weight of the commitment loss, which draws the encoders' vectors to their codes."""
    estimator: Estimator = "straight_through"
    """How gradients pass the quantisation: unchanged (straight_through), or turned as a vector is turned onto its code
    (rotation)."""
    codebook_update: CodebookUpdate = "moving_average"
    """How codes learn: as moving averages of the vectors they replace (moving_average), or by the gradient of the
    codebook loss (loss)."""
    codebook_decay: float = 0.99
    """Decay of the moving averages of the codebooks, in each update."""
    revive_below: float = 0.1
    """A code that is used less than this fraction of an even share is put where a vector of the last batch was; 0 never
    does that."""
    likelihood: str = "discretized_logistic_mixture"
    """Likelihood of a pixel: bernoulli (1 bit), discretized_logistic or discretized_logistic_mixture."""
    mixtures: int = 3
    """Number of logistics mixed for each pixel. With a Bernoulli likelihood only the default is accepted."""
    prior_from_step: int = 1000
    """Number of updates for encoders, decoders and codebooks. They are frozen then, and the remaining updates train the
    prior alone, which is uniform before."""
    prior_channels: int = 32
    """Channels of the prior's networks."""
    prior_layers: int = 4
    """Gated layers of each of the prior's two PixelCNNs."""
    prior_kernel_size: int = 5
    """Width of the PixelCNNs' vertical kernels, odd and at least 3."""

    def __post_init__(self) -> None:
        require_image_kind(self.image_shape, self.bits)
        require_mixtures_used(self)
        sizes = ("channels", "halvings", "top_halvings", "mixtures", "prior_channels", "prior_layers")
        require_at_least(1, self, *sizes, "prior_from_step")
        require_at_least(0, self, "blocks")
        require_codebook(self)
        require_divisible(self.image_shape, "halvings + top_halvings", self.halvings + self.top_halvings)
        if self.prior_kernel_size < 3 or self.prior_kernel_size % 2 == 0:
            raise InvalidInput(f"prior_kernel_size must be odd and at least 3, got {self.prior_kernel_size}")

    def build(self) -> VQVAE2:
        """A model with fresh weights."""
        return VQVAE2(self)


class TwoLevelAutoencoder(nn.Module):
    r"""Encoders, codebooks, decoders and likelihood: all that the first stage trains.

    .. math:: k_\text{top} = Q_\text{top}\bigl(E_\text{top}(E(x))\bigr), \quad
              k = Q\bigl(E(x),\, D_\text{top}(e_{k_\text{top}})\bigr), \quad
              p(x \mid k_\text{top}, k) = p\bigl(x \mid D(e_k, \mathrm{up}(e_{k_\text{top}}))\bigr)

    The lower codes are chosen with the upper ones in view, and hold what those leave open.
    """

    head: Any
    """The likelihood, a module of :mod:`avae_lib.nn.output_heads` or one with the same methods."""

    def __init__(self, config: VQVAE2Config) -> None:
        super().__init__()
        channels, dim, blocks = config.channels, config.code_dim, config.blocks
        in_channels = config.image_shape[0]
        self.encoder = nn.Sequential(
            PixelScaling(config.bits), strided_encoder(in_channels, channels, config.halvings, blocks)
        )
        self.top_encoder = nn.Sequential(
            strided_encoder(channels, channels, config.top_halvings, blocks), convolution(channels, dim, kernel_size=1)
        )
        self.top_codebook, self.codebook = _codebook(config), _codebook(config)
        self.top_decoder = strided_decoder(dim, channels, config.top_halvings, blocks)
        self.merge = convolution(2 * channels, dim, kernel_size=1)
        self.enlarge = nn.ConvTranspose2d(dim, dim, kernel_size=2**config.top_halvings, stride=2**config.top_halvings)
        self.decoder = strided_decoder(2 * dim, channels, config.halvings, blocks)
        self.head = output_head(config.likelihood, channels, in_channels, config.bits, config.mixtures)

    def quantize(
        self, x: UInt8[Tensor, "batch channels height width"], generator: Generator | None = None
    ) -> tuple[Quantized, Quantized]:
        """Upper and lower codes of images, with their vectors and losses."""
        features = self.encoder(x)
        top = self.top_codebook(self.top_encoder(features), generator)
        lower = self.codebook(self.merge(torch.cat([features, self.top_decoder(top.vectors)], dim=1)), generator)
        return top, lower

    def features(self, top: Float[Tensor, "batch dim h w"], lower: Float[Tensor, "batch dim h2 w2"]) -> Tensor:
        """What the likelihood is computed from, given the vectors of both levels."""
        return self.decoder(torch.cat([lower, self.enlarge(top)], dim=1))

    def features_of_codes(self, top: Int64[Tensor, "batch h w"], lower: Int64[Tensor, "batch h2 w2"]) -> Tensor:
        """The same given the codes."""
        return self.features(self.top_codebook.values(top), self.codebook.values(lower))


class TwoLevelPrior(nn.Module):
    r"""A PixelCNN over the upper codes, and one over the lower codes that sees all upper ones.

    .. math:: p(k_\text{top}, k) = \prod_i p\bigl(k_{\text{top}, i} \mid k_{\text{top}, <i}\bigr)
              \prod_i p\bigl(k_i \mid k_{<i}, k_\text{top}\bigr)

    Uniform until it is trained.
    """

    def __init__(self, config: VQVAE2Config) -> None:
        super().__init__()
        channels, layers, kernel_size = config.prior_channels, config.prior_layers, config.prior_kernel_size
        self.top = GatedPixelCNN(config.codes, channels, layers, kernel_size)
        self.embedding = nn.Embedding(config.codes, channels)
        self.from_above = strided_decoder(channels, channels, config.top_halvings, blocks=1)
        self.lower = GatedPixelCNN(config.codes, channels, layers, kernel_size, condition_channels=channels)

    def log_prob(
        self, top: Int64[Tensor, "batch h w"], lower: Int64[Tensor, "batch h2 w2"]
    ) -> Float[Tensor, "batch 2"]:
        """log p of the upper codes, and of the lower ones given them, nats."""
        return torch.stack([self.top.log_prob(top), self.lower.log_prob(lower, self._condition(top))], dim=1)

    def of_positions(
        self, top: Int64[Tensor, "batch h w"], lower: Int64[Tensor, "batch h2 w2"]
    ) -> tuple[Independent, Independent]:
        """The distribution of the code at each position of both levels, given the codes before it."""
        logits = self.top(top), self.lower(lower, self._condition(top))
        of_top, of_lower = (Independent(Categorical(logits=of_level.movedim(1, -1)), 2) for of_level in logits)
        return of_top, of_lower

    def sample_lower(
        self, top: Int64[Tensor, "n h w"], size: Sequence[int], temperature: float, generator: Generator | None
    ) -> Int64[Tensor, "n h2 w2"]:
        """Lower codes drawn for given upper ones."""
        height, width = size
        return self.lower.sample(len(top), height, width, self._condition(top), temperature, generator)

    def _condition(self, top: Tensor) -> Tensor:
        return self.from_above(self.embedding(top).movedim(-1, 1))


class VQVAE2(nn.Module):
    r"""Images explained by two grids of codes under a learned prior.

    .. math:: \log p(x) \ge \log p(x \mid k_\text{top}, k) + \log p(k_\text{top}) + \log p(k \mid k_\text{top})

    with the codes of the image. The posterior is a point mass, so the two KL terms are −log p of its codes. Training
    has two stages, see :meth:`begin_update`. In the first one the prior is uniform and the KL is constant; in the
    second one the KL is all that changes. As the posterior has no noise, ``log_weight`` is the bound itself.

    Meets :class:`avae_lib.models.contract.LatentVariableModel`. The temperature of ``sample`` divides the prior's
    logits; ``posterior_temperature`` has no effect.

    Before its training begins, the prior is uniform over 128 codes at 16 + 64 positions:

    >>> elbo = VQVAE2Config(channels=8, prior_channels=8).build()(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
    >>> (elbo.kl / math.log(128)).round().tolist()  # the upper level first
    [[16.0, 64.0]]
    """

    num_layers = 2

    def __init__(self, config: VQVAE2Config) -> None:
        super().__init__()
        self.config = config
        self.image_shape, self.bits = config.image_shape, config.bits
        self.num_dims = math.prod(config.image_shape)
        _, height, width = config.image_shape
        self.grid = (height >> config.halvings, width >> config.halvings)
        self.top_grid = (self.grid[0] >> config.top_halvings, self.grid[1] >> config.top_halvings)
        self.autoencoder = TwoLevelAutoencoder(config)
        self.prior = TwoLevelPrior(config)
        self.prior_learns = False

    def begin_update(self, step: int) -> None:
        """Before ``prior_from_step`` revive dead codes and let the autoencoder learn, from there on the prior alone.

        See :class:`avae_lib.models.contract.ModelWithStages`.
        """
        self.prior_learns = step >= self.config.prior_from_step
        self.autoencoder.requires_grad_(not self.prior_learns).train(not self.prior_learns)
        self.prior.requires_grad_(self.prior_learns)
        if not self.prior_learns:
            self.autoencoder.top_codebook.revive()
            self.autoencoder.codebook.revive()

    def forward(
        self,
        x: UInt8[Tensor, "batch channels height width"],
        posterior_temperature: float = 1.0,
        generator: Generator | None = None,
    ) -> ELBO:
        require_temperature("posterior_temperature", posterior_temperature)
        top, lower = self.quantize(x, generator)
        features = self.autoencoder.features(top.vectors, lower.vectors)
        log_likelihood = self.autoencoder.head.log_likelihood(features, x)
        return ELBO(log_likelihood, self._kl(top.codes, lower.codes, log_likelihood), self._penalties(top, lower))

    def quantize(
        self, x: UInt8[Tensor, "batch channels height width"], generator: Generator | None = None
    ) -> tuple[Quantized, Quantized]:
        """Upper and lower codes of images; refuses anything but pixel levels with a reason.

        Args:
            generator: in training mode, of the vectors that the codebooks keep to revive dead codes.
        """
        require_pixels(x, self.image_shape, self.bits)
        return self.autoencoder.quantize(x, generator)

    def log_weight(
        self,
        x: UInt8[Tensor, "batch channels height width"],
        keep_layers: int | None = None,
        generator: Generator | None = None,
    ) -> Float[Tensor, "batch"]:
        top, lower = self._codes(x, keep_layers, generator)
        kept = self.num_layers if keep_layers is None else keep_layers
        log_prior = self.prior.log_prob(top, lower)[:, :kept].sum(dim=1)
        return self.autoencoder.head.log_likelihood(self.autoencoder.features_of_codes(top, lower), x) + log_prior

    def latents(
        self, x: UInt8[Tensor, "batch channels height width"], generator: Generator | None = None
    ) -> tuple[PointMass, ...]:
        return tuple(PointMass(quantized.codes, quantized.vectors) for quantized in self.quantize(x, generator))

    def infer(
        self,
        x: UInt8[Tensor, "batch channels height width"],
        posterior_temperature: float = 1.0,
        generator: Generator | None = None,
    ) -> Inference:
        require_temperature("posterior_temperature", posterior_temperature)
        top, lower = posteriors = self.latents(x, generator)
        draws = (top.codes, lower.codes)
        return Inference(draws, posteriors, self.prior.of_positions(*draws))

    @torch.no_grad()
    def sample(
        self, n: int, temperature: float | Sequence[float] = 1.0, generator: Generator | None = None
    ) -> UInt8[Tensor, "n channels height width"]:
        require_count(n)
        top_temperature, temperature = temperature_of_each_layer(temperature, self.num_layers)
        top = self.prior.top.sample(n, *self.top_grid, temperature=top_temperature, generator=generator)
        lower = self.prior.sample_lower(top, self.grid, temperature, generator)
        return self.autoencoder.head.sample(self.autoencoder.features_of_codes(top, lower), generator)

    @torch.no_grad()
    def reconstruct(
        self,
        x: UInt8[Tensor, "batch channels height width"],
        keep_layers: int | None = None,
        generator: Generator | None = None,
    ) -> UInt8[Tensor, "batch channels height width"]:
        return self.decode(*self._codes(x, keep_layers, generator)).round().to(torch.uint8)

    @torch.no_grad()
    def codes(
        self, x: UInt8[Tensor, "batch channels height width"], generator: Generator | None = None
    ) -> tuple[Int64[Tensor, "batch rows columns"], Int64[Tensor, "batch rows2 columns2"]]:
        """Upper and lower codes of each image."""
        top, lower = self.quantize(x, generator)
        return top.codes, lower.codes

    @torch.no_grad()
    def decode(
        self,
        draws: Int64[Tensor, "batch rows columns"] | Sequence[Tensor | None],
        lower: Int64[Tensor, "batch rows2 columns2"] | None = None,
        *,
        temperature: float | Sequence[float] = 1.0,
        generator: Generator | None = None,
    ) -> Float[Tensor, "batch channels height width"]:
        """The expected image of two grids of codes, in pixel levels but not rounded to them.

        Args:
            draws: upper and lower codes; a level that is None or missing is drawn from the prior. Or the upper codes
                alone.
            lower: the lower codes beside the upper ones, ``decode(top, lower)``.
            temperature: what the prior's logits are divided by where a level is drawn, for both or one for each.
        """
        both = [draws, lower] if isinstance(draws, Tensor) else draws
        given, grids = require_draws(both, self.num_layers), (self.top_grid, self.grid)
        for level, codes in enumerate(given):
            if codes is not None:
                require_codes(level, codes, grids[level], self.config.codes)
        temperatures = temperature_of_each_layer(temperature, self.num_layers)
        top, below = self._completed(given, temperatures, generator)
        return self.autoencoder.head.mean(self.autoencoder.features_of_codes(top, below))

    def code_counts(self, x: UInt8[Tensor, "batch channels height width"]) -> Int64[Tensor, "levels codes"]:
        """How often each code of each level is used in a batch, ``(2, codes)``, top first."""
        top, lower = self.codes(x)
        return torch.stack([self.autoencoder.top_codebook.counts(top), self.autoencoder.codebook.counts(lower)])

    def _kl(self, top: Tensor, lower: Tensor, like: Float[Tensor, "batch"]) -> Float[Tensor, "batch 2"]:
        """−log p of the codes. While the autoencoder is trained, the prior is uniform and need not be computed."""
        if not self.training or self.prior_learns:
            return -self.prior.log_prob(top, lower)
        nats = [math.prod(grid) * math.log(self.config.codes) for grid in (self.top_grid, self.grid)]
        return torch.stack([torch.full_like(like, of_level) for of_level in nats], dim=1)

    def _penalties(self, top: Quantized, lower: Quantized) -> dict[str, Tensor]:
        if self.training and self.prior_learns:
            return {}
        commitment = self.config.commitment * (top.commitment_loss + lower.commitment_loss)
        if self.config.codebook_update == "moving_average":
            return {"commitment": commitment}
        return {"commitment": commitment, "codebook": top.codebook_loss + lower.codebook_loss}

    @torch.no_grad()
    def _codes(self, x: Tensor, keep_layers: int | None, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
        """The codes of the top ``keep_layers`` levels are those of the image, the others are drawn from the prior."""
        if keep_layers not in (None, 0, 1, 2):
            raise InvalidInput(f"keep_layers must be None or 0 … 2: this model has two layers, got {keep_layers}")
        top, lower = self.codes(x, generator)
        if keep_layers == 0:
            top = self.prior.top.sample(len(x), *self.top_grid, generator=generator)
        if keep_layers in (0, 1):
            lower = self.prior.sample_lower(top, self.grid, 1.0, generator)
        return top, lower

    def _completed(
        self, given: Sequence[Tensor | None], temperatures: Sequence[float], generator: Generator | None
    ) -> tuple[Tensor, Tensor]:
        """Both levels of codes; those that are not given are drawn from the prior."""
        top, lower = given
        if top is None:
            assert lower is not None, "require_draws has refused draws without a latent"
            top = self.prior.top.sample(len(lower), *self.top_grid, None, temperatures[0], generator)
        if lower is None:
            lower = self.prior.sample_lower(top, self.grid, temperatures[1], generator)
        return top, lower


def _codebook(config: VQVAE2Config) -> Codebook:
    return Codebook(
        config.codes,
        config.code_dim,
        config.estimator,
        config.codebook_update,
        config.codebook_decay,
        config.revive_below,
    )
