"""The vector-quantised VAE: images explained by a grid of codes from a learned codebook.

A. van den Oord, O. Vinyals, K. Kavukcuoglu, "Neural Discrete Representation Learning", NeurIPS 2017.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

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
    require_latent_shape,
    require_layer_count,
    require_mixtures_used,
    require_pixels,
    require_temperature,
    temperature_of_each_layer,
)
from avae_lib.nn.convolutions import PixelScaling, convolution
from avae_lib.nn.output_heads import LIKELIHOODS, output_head
from avae_lib.nn.strided_networks import strided_decoder, strided_encoder
from avae_lib.nn.vector_quantization import Codebook, CodebookUpdate, Estimator, PointMass, Quantized
from avae_lib.objectives import ELBO

__all__ = [
    "VQVAE",
    "VQVAEConfig",
    "require_codebook",
    "require_codes",
    "require_divisible",
]


@dataclass(frozen=True)
class VQVAEConfig:
    """Configuration of a VQ-VAE.

    64 positions and 128 codes: the codes of an image cost 64 · log 128 nats, or 448 bits:

    >>> model = VQVAEConfig(image_shape=(3, 32, 32), halvings=2, codes=128).build()
    >>> model.grid, round(model.prior_nats / math.log(2))
    ((8, 8), 448)
    """

    image_shape: tuple[int, int, int] = (3, 32, 32)
    """Channels, height and width of an image."""
    bits: int = 8
    """Bits per pixel value; 1 for binarised images."""
    channels: int = 32
    """Channels of all hidden layers of encoder and decoder."""
    halvings: int = 2
    """How often the encoder halves height and width; there is one code for each position that is left."""
    blocks: int = 2
    """Residual blocks of the encoder, and as many of the decoder."""
    codes: int = 128
    """Number of codes in the codebook."""
    code_dim: int = 16
    """Length of the vector that a code stands for."""
    commitment: float = 0.25
    """Weight of the commitment loss, which draws the encoder's vectors to their codes."""
    estimator: Estimator = "straight_through"
    """How gradients pass the quantisation: unchanged (straight_through), or turned as a vector is turned onto its code
    (rotation)."""
    codebook_update: CodebookUpdate = "moving_average"
    """How codes learn: as moving averages of the vectors they replace (moving_average), or by the gradient of the
    codebook loss (loss)."""
    codebook_decay: float = 0.99
    """Decay of the moving averages of the codebook, in each update."""
    revive_below: float = 0.1
    """A code that is used less than this fraction of an even share is put where a vector of the last batch was; 0 never
    does that."""
    likelihood: str = "discretized_logistic_mixture"
    """Likelihood of a pixel: bernoulli (1 bit), discretized_logistic or discretized_logistic_mixture."""
    mixtures: int = 3
    """Number of logistics mixed for each pixel. With a Bernoulli likelihood only the default is accepted."""

    def __post_init__(self) -> None:
        require_image_kind(self.image_shape, self.bits)
        require_mixtures_used(self)
        require_at_least(1, self, "channels", "halvings", "mixtures")
        require_at_least(0, self, "blocks")
        require_codebook(self)
        require_divisible(self.image_shape, "halvings", self.halvings)

    def build(self) -> VQVAE:
        """A model with fresh weights."""
        return VQVAE(self)


class VQVAE(nn.Module):
    r"""Images explained by a grid of codes, all equally probable before an image is seen.

    .. math:: p(x) = \sum_k K^{-P} \, p(x \mid e_{k_1}, \dots, e_{k_P}), \qquad
              q(k \mid x) = \prod_i \mathbb{1}\bigl[k_i = \arg\min_j \lVert z_i(x) - e_j \rVert\bigr]

    for P positions and K codes. The posterior is a point mass, so the KL is P log K nats whatever the image, and the
    bound is exactly log p(x | k) − P log K. ``log_weight`` is the same number, without noise: a point mass does not
    cover the other grids of codes, and averaging weights brings the bound no nearer to log p(x).

    The codebook loss and the weighted commitment loss are penalties: squared distances summed over one image's
    vectors, in the place of nats. Meets :class:`avae_lib.models.contract.LatentVariableModel`; temperatures have no
    effect, since neither the uniform prior nor a point mass has a width.

    >>> model = VQVAEConfig(channels=8).build()
    >>> model.codes(torch.zeros(2, 3, 32, 32, dtype=torch.uint8)).shape
    torch.Size([2, 8, 8])
    """

    num_layers = 1
    freezes_parameters = False

    head: Any
    """The likelihood, a module of :mod:`avae_lib.nn.output_heads` or one with the same methods."""

    def __init__(self, config: VQVAEConfig) -> None:
        super().__init__()
        self.config = config
        self.image_shape, self.bits = config.image_shape, config.bits
        self.num_dims = math.prod(config.image_shape)
        in_channels, height, width = config.image_shape
        self.grid = (height >> config.halvings, width >> config.halvings)
        self.encoder = nn.Sequential(
            PixelScaling(config.bits),
            strided_encoder(in_channels, config.channels, config.halvings, config.blocks),
            convolution(config.channels, config.code_dim, kernel_size=1),
        )
        self.codebook = Codebook(
            config.codes,
            config.code_dim,
            config.estimator,
            config.codebook_update,
            config.codebook_decay,
            config.revive_below,
        )
        self.decoder = strided_decoder(config.code_dim, config.channels, config.halvings, config.blocks)
        self.head = output_head(config.likelihood, config.channels, in_channels, config.bits, config.mixtures)

    def begin_update(self, step: int) -> None:
        """Revive dead codes; see :class:`avae_lib.models.contract.ModelWithStages`."""
        self.codebook.revive()

    def forward(
        self,
        x: UInt8[Tensor, "batch channels height width"],
        posterior_temperature: float = 1.0,
        generator: Generator | None = None,
    ) -> ELBO:
        require_temperature("posterior_temperature", posterior_temperature)
        quantized = self.quantize(x, generator)
        log_likelihood = self.head.log_likelihood(self.decoder(quantized.vectors), x)
        kl = torch.full_like(log_likelihood, self.prior_nats).unsqueeze(1)
        penalties = {"commitment": self.config.commitment * quantized.commitment_loss}
        if self.config.codebook_update == "loss":
            penalties["codebook"] = quantized.codebook_loss
        return ELBO(log_likelihood, kl, penalties)

    @property
    def prior_nats(self) -> float:
        """−log p of any grid of codes: P log K."""
        return math.prod(self.grid) * math.log(self.config.codes)

    def quantize(
        self, x: UInt8[Tensor, "batch channels height width"], generator: Generator | None = None
    ) -> Quantized:
        """The codes of images, with their vectors and losses; refuses anything but pixel levels with a reason.

        Args:
            generator: in training mode, of the vectors that the codebook keeps to revive dead codes.
        """
        require_pixels(x, self.image_shape, self.bits)
        return self.codebook(self.encoder(x), generator)

    def log_weight(
        self,
        x: UInt8[Tensor, "batch channels height width"],
        keep_layers: int | None = None,
        generator: Generator | None = None,
    ) -> Float[Tensor, "batch"]:
        require_layer_count(keep_layers)
        if keep_layers == 0:
            vectors = self.codebook.values(self._codes(x, keep_layers, generator))
        else:
            vectors = self.quantize(x, generator).vectors
        costs = 0.0 if keep_layers == 0 else self.prior_nats
        return self.head.log_likelihood(self.decoder(vectors), x) - costs

    def latents(
        self, x: UInt8[Tensor, "batch channels height width"], generator: Generator | None = None
    ) -> tuple[PointMass, ...]:
        quantized = self.quantize(x, generator)
        return (PointMass(quantized.codes, quantized.vectors),)

    def infer(
        self,
        x: UInt8[Tensor, "batch channels height width"],
        posterior_temperature: float = 1.0,
        generator: Generator | None = None,
    ) -> Inference:
        require_temperature("posterior_temperature", posterior_temperature)
        (posterior,) = self.latents(x, generator)
        logits = posterior.mean.new_zeros(self.config.codes).expand(*posterior.codes.shape, -1)
        return Inference((posterior.codes,), (posterior,), (Independent(Categorical(logits=logits), 2),))

    @torch.no_grad()
    def sample(
        self, n: int, temperature: float | Sequence[float] = 1.0, generator: Generator | None = None
    ) -> UInt8[Tensor, "n channels height width"]:
        require_count(n)
        temperature_of_each_layer(temperature, self.num_layers)
        return self.sample_pixels(self._codes_of_prior(n, generator), generator)

    @torch.no_grad()
    def reconstruct(
        self,
        x: UInt8[Tensor, "batch channels height width"],
        keep_layers: int | None = None,
        generator: Generator | None = None,
    ) -> UInt8[Tensor, "batch channels height width"]:
        require_layer_count(keep_layers)
        return self.decode(self._codes(x, keep_layers, generator)).round().to(torch.uint8)

    @torch.no_grad()
    def codes(self, x: UInt8[Tensor, "batch channels height width"]) -> Int64[Tensor, "batch rows columns"]:
        """The code at each position of each image."""
        return self.quantize(x).codes

    @torch.no_grad()
    def decode(
        self,
        draws: Int64[Tensor, "batch rows columns"] | Sequence[Tensor | None],
        *,
        temperature: float | Sequence[float] = 1.0,
        generator: Generator | None = None,
    ) -> Float[Tensor, "batch channels height width"]:
        """The expected image of a grid of codes, in pixel levels but not rounded to them.

        Args:
            draws: the codes, or a list with this one item.
            temperature, generator: have no effect, as the only layer is given.
        """
        (codes,) = require_draws(draws, self.num_layers)
        assert codes is not None, "require_draws has refused draws without a latent"
        require_codes(0, codes, self.grid, self.config.codes)
        return self.head.mean(self._features(codes))

    @torch.no_grad()
    def sample_pixels(
        self, codes: Int64[Tensor, "batch rows columns"], generator: Generator | None = None
    ) -> UInt8[Tensor, "batch channels height width"]:
        """An image drawn from the likelihood for each grid of codes."""
        return self.head.sample(self._features(codes), generator)

    def codebook_images(self) -> UInt8[Tensor, "codes channels height width"]:
        """The codebook drawn: for each code the expected image of a grid that holds nothing else."""
        indices = torch.arange(self.config.codes, device=self.codebook.vectors.device)
        return self.decode(indices[:, None, None].expand(-1, *self.grid)).round().to(torch.uint8)

    def code_counts(self, x: UInt8[Tensor, "batch channels height width"]) -> Int64[Tensor, "levels codes"]:
        """How often each code is used in a batch, ``(1, codes)``."""
        return self.codebook.counts(self.codes(x)).unsqueeze(0)

    def _codes(
        self, x: Tensor, keep_layers: int | None, generator: Generator | None
    ) -> Int64[Tensor, "batch rows columns"]:
        """The image's codes, or with no layers kept codes drawn from the prior."""
        if keep_layers == 0:
            require_pixels(x, self.image_shape, self.bits)
            return self._codes_of_prior(len(x), generator)
        return self.quantize(x, generator).codes

    def _codes_of_prior(self, n: int, generator: Generator | None) -> Int64[Tensor, "n rows columns"]:
        device = self.codebook.vectors.device
        drawn_on = device if generator is None else generator.device
        return torch.randint(self.config.codes, (n, *self.grid), generator=generator, device=drawn_on).to(device)

    def _features(self, codes: Tensor) -> Tensor:
        return self.decoder(self.codebook.values(codes))


def require_codebook(config: Any) -> None:
    """Refuse a configuration whose codebook cannot be, or cannot learn.

    Raises:
        ValueError: names the field and what it holds.

    >>> VQVAEConfig(codes=1)
    Traceback (most recent call last):
        ...
    avae_lib.errors.InvalidInput: codes must be at least 2, got 1
    """
    require_at_least(2, config, "codes")
    require_at_least(1, config, "code_dim")
    require_at_least(0, config, "commitment", "revive_below")
    if not 0 <= config.codebook_decay < 1:
        raise InvalidInput(f"codebook_decay must be at least 0 and below 1, got {config.codebook_decay}")
    choices = {"estimator": Estimator, "codebook_update": CodebookUpdate, "likelihood": LIKELIHOODS}
    for name, kinds in choices.items():
        names = get_args(kinds) or kinds
        if getattr(config, name) not in names:
            raise InvalidInput(f"{name} must be one of {', '.join(names)}, got {getattr(config, name)!r}")


def require_codes(layer: int, codes: Tensor, grid: tuple[int, int], number: int) -> None:
    """Refuse what is no grid of codes of a layer. Values are looked at on the CPU only.

    Raises:
        ValueError: names the item of ``draws``, what was wanted and what it is.

    >>> require_codes(0, torch.full((1, 2, 2), 9), grid=(2, 2), number=8)
    Traceback (most recent call last):
        ...
    avae_lib.errors.InvalidInput: draws[0] must hold codes 0 … 7, got 9 … 9
    """
    if codes.dtype != torch.int64:
        raise InvalidInput(f"draws[{layer}] must be int64 codes, got {codes.dtype}: see infer(x).draws")
    require_latent_shape(layer, codes, grid)
    if codes.device.type == "cpu" and len(codes) and not (codes.min() >= 0 and codes.max() < number):
        least, most = int(codes.min()), int(codes.max())
        raise InvalidInput(f"draws[{layer}] must hold codes 0 … {number - 1}, got {least} … {most}")


def require_divisible(image_shape: tuple[int, int, int], name: str, halvings: int) -> None:
    """Refuse images whose height and width cannot be halved so often.

    Raises:
        ValueError: they cannot; the message begins with the field ``name``.

    >>> require_divisible((3, 30, 30), "halvings", 2)
    Traceback (most recent call last):
        ...
    avae_lib.errors.InvalidInput: halvings: height and width of an image must be multiples of 2**2 = 4, got ...
    """
    _, height, width = image_shape
    if height % 2**halvings or width % 2**halvings:
        raise InvalidInput(
            f"{name}: height and width of an image must be multiples of 2**{halvings} = {2**halvings}, "
            f"got image_shape {image_shape}"
        )
