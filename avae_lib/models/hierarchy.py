"""The skeleton of all hierarchies of latents: evidence on the way up, stochastic layers on the way down, a likelihood.

Families (:mod:`avae_lib.models.attentive`, …) differ in the parts they fill it with.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Generator, Tensor, nn

from avae_lib.components import is_available
from avae_lib.errors import InvalidInput
from avae_lib.gaussians import DiagonalGaussian, gaussian_kl_per_layer, standard_normal_like
from avae_lib.models.contract import Inference, keep_top_layers
from avae_lib.models.flow_posterior import FlowPosterior
from avae_lib.models.requirements import (
    require_count,
    require_draws,
    require_latent_shape,
    require_pixels,
    require_temperature,
    temperature_of_each_layer,
)
from avae_lib.objectives import ELBO

__all__ = ["Draw", "Hierarchy", "KnownLatent", "LatentDraw", "SingleSampleDraw", "StepDraw"]


@dataclass(frozen=True)
class Draw:
    """How a latent is drawn from its distribution.

    >>> Draw(temperature=0.0)(DiagonalGaussian.standard_like(torch.zeros(1, 3)))
    tensor([[0., 0., 0.]])
    """

    temperature: float = 1.0
    """Factor on the standard deviation; 0 takes the mean."""
    generator: Generator | None = None
    """Source of the noise; None for torch's global one."""

    @property
    def known_latent(self) -> Tensor | None:
        """The latent itself, where it is not drawn; None where it is."""
        return None

    def __call__(self, distribution: DiagonalGaussian) -> Tensor:
        return distribution.sample(temperature=self.temperature, generator=self.generator)

    def noise(self, like: Tensor) -> Tensor:
        """Standard normal noise times the temperature, with the shape, dtype and device of ``like``."""
        if self.temperature == 1:
            return standard_normal_like(like, self.generator)
        return self(DiagonalGaussian.standard_like(like))


@dataclass(frozen=True, kw_only=True)
class KnownLatent(Draw):
    """A latent that is known: whatever the distribution, this is what "drawing" returns.

    >>> KnownLatent(z=torch.tensor([[7.0]]), layer=0)(DiagonalGaussian.standard_like(torch.zeros(1, 1)))
    tensor([[7.]])
    """

    z: Tensor
    layer: int
    """Number of the layer, 0 for the top; for messages."""

    @property
    def known_latent(self) -> Tensor:
        return self.z

    def __call__(self, distribution: DiagonalGaussian) -> Tensor:
        require_latent_shape(self.layer, self.z, distribution.mean.shape[1:])
        return self.z.to(distribution.mean)

    def noise(self, like: Tensor) -> Tensor:
        """Zeros: a layer that draws with noise of its own is to add none to the given latent."""
        require_latent_shape(self.layer, self.z, like.shape[1:])
        return torch.zeros_like(like)


@dataclass(frozen=True)
class LatentDraw:
    """What one layer drew, and from what.

    >>> p = DiagonalGaussian.standard_like(torch.zeros(1, 2))
    >>> q = DiagonalGaussian(torch.ones(1, 2), torch.zeros(1, 2))
    >>> LatentDraw(q.mean, prior=p, posterior=q).kl()  # ½ for each unit
    tensor([1.])
    """

    z: Float[Tensor, "batch *latent"]
    prior: DiagonalGaussian
    """p(z_l | z_<l)"""
    posterior: DiagonalGaussian | FlowPosterior | None
    """q(z_l | z_<l, x), from which z was drawn; None where it was drawn from the prior."""

    def kl(self) -> Float[Tensor, "batch"]:
        """KL(q‖p) of this layer, nats."""
        q, p = self.posterior, self.prior
        assert q is not None, "a latent drawn from the prior has no KL"
        if not isinstance(q, DiagonalGaussian):
            return q.kl(p)
        return gaussian_kl_per_layer([q.mean], [q.log_std], [p.mean], [p.log_std])[:, 0]

    def log_ratio(self) -> Float[Tensor, "batch"]:
        """log p(z_l | z_<l) − log q(z_l | z_<l, x), nats."""
        assert self.posterior is not None, "a latent drawn from the prior has no ratio"
        return self.prior.log_prob(self.z) - self.posterior.log_prob(self.z)


@dataclass(frozen=True)
class StepDraw(LatentDraw):
    """A latent whose KL was computed by the function that drew it: ``top_down_step`` or ``variational_layer_step``.

    >>> p = DiagonalGaussian.standard_like(torch.zeros(1, 2))
    >>> StepDraw(p.mean, prior=p, posterior=p, step_kl=torch.tensor([0.3])).kl()
    tensor([0.3000])
    """

    step_kl: Float[Tensor, "batch"]
    """KL(q‖p), nats."""

    def kl(self) -> Float[Tensor, "batch"]:
        return self.step_kl


class Hierarchy(nn.Module):
    r"""Images explained by a chain of latents, each drawn given all those above it.

    .. math::
        p(x, z) = p(x \mid z_{\le L}) \prod_{l=1}^{L} p(z_l \mid z_{<l}), \qquad
        q(z \mid x) = \prod_{l=1}^{L} q(z_l \mid z_{<l}, x)

    Families of hierarchies differ in their parts, never in the walk down the layers, which is here. What the layers
    hand down is theirs to choose: the skeleton passes it on unseen. Meets
    :class:`avae_lib.models.contract.LatentVariableModel`.

    Args:
        bottom_up: from pixels ``x`` (uint8) and how each layer is drawn, to a sequence of evidence, one item or more
            for each layer, top first. Only families that draw latents on the way up look at the second.
        top: from a number of images to what is handed down to the first layer.
        layers: stochastic layers, top first. Each maps (what is handed down, the evidence at and below it or None,
            how to draw) to (what it hands down, a ``LatentDraw``).
        readout: from what the last layer hands down to the features of the head.
        head: the likelihood, see :mod:`avae_lib.nn.output_heads`.
        image_shape: channels, height and width.
        bits: bits per pixel value.

    >>> from avae_lib.models.ladder import LadderConfig
    >>> model = LadderConfig(latent_dims=(4, 2), hidden_sizes=(16, 8)).build()
    >>> x = torch.zeros(5, 1, 8, 8, dtype=torch.uint8)
    >>> model(x).kl.shape, [tuple(q.mean.shape) for q in model.latents(x)]  # the top layer first
    (torch.Size([5, 2]), [(5, 2), (5, 4)])

    Images that share the top latents of a draw, with the lower ones drawn anew:

    >>> top, lower = model.infer(x).draws
    >>> model.decode([top]).shape
    torch.Size([5, 1, 8, 8])
    """

    head: Any
    """The likelihood, a module of :mod:`avae_lib.nn.output_heads` or one with the same methods."""

    def __init__(
        self,
        *,
        bottom_up: nn.Module,
        top: nn.Module,
        layers: Sequence[nn.Module],
        readout: nn.Module,
        head: nn.Module,
        image_shape: tuple[int, int, int],
        bits: int,
    ) -> None:
        super().__init__()
        self.bottom_up = bottom_up
        self.top = top
        self.layers = nn.ModuleList(layers)
        self.readout = readout
        self.head = head
        channels, height, width = image_shape
        self.image_shape = (channels, height, width)
        self.bits = bits
        self.num_dims = math.prod(image_shape)
        self.num_layers = len(layers)

    def forward(
        self,
        x: UInt8[Tensor, "batch channels height width"],
        posterior_temperature: float = 1.0,
        generator: Generator | None = None,
    ) -> ELBO:
        features, latents = self._infer(x, posterior_temperature, generator=generator)
        kl = torch.stack([latent.kl() for latent in latents], dim=1)
        return ELBO(self.head.log_likelihood(features, x), kl)

    def log_weight(
        self,
        x: UInt8[Tensor, "batch channels height width"],
        keep_layers: int | None = None,
        generator: Generator | None = None,
    ) -> Float[Tensor, "batch"]:
        features, latents = self._infer(x, keep_layers=keep_layers, generator=generator)
        log_ratios = [latent.log_ratio() for latent in latents if latent.posterior is not None]
        return sum(log_ratios, start=self.head.log_likelihood(features, x))

    def latents(
        self, x: UInt8[Tensor, "batch channels height width"], generator: Generator | None = None
    ) -> tuple[DiagonalGaussian | FlowPosterior, ...]:
        _, latents = self._infer(x, generator=generator)
        return tuple(latent.posterior for latent in latents if latent.posterior is not None)

    def infer(
        self,
        x: UInt8[Tensor, "batch channels height width"],
        posterior_temperature: float = 1.0,
        generator: Generator | None = None,
    ) -> Inference:
        _, latents = self._infer(x, posterior_temperature, generator=generator)
        return Inference(
            draws=tuple(latent.z for latent in latents),
            posteriors=tuple(latent.posterior for latent in latents if latent.posterior is not None),
            priors=tuple(latent.prior for latent in latents),
        )

    def decode(
        self,
        draws: Tensor | Sequence[Tensor | None],
        *,
        temperature: float | Sequence[float] = 1.0,
        generator: Generator | None = None,
    ) -> Float[Tensor, "batch channels height width"]:
        given = require_draws(draws, self.num_layers)
        temperatures = temperature_of_each_layer(temperature, self.num_layers)
        ways = [
            Draw(of_layer, generator) if z is None else KnownLatent(z=z, layer=layer)
            for layer, (z, of_layer) in enumerate(zip(given, temperatures, strict=True))
        ]
        batch = next(len(z) for z in given if z is not None)
        features, _ = self._descend(batch, ways)
        return self.head.mean(features)

    @torch.no_grad()
    def sample(
        self, n: int, temperature: float | Sequence[float] = 1.0, generator: Generator | None = None
    ) -> UInt8[Tensor, "n channels height width"]:
        require_count(n)
        temperatures = temperature_of_each_layer(temperature, self.num_layers)
        features, _ = self._descend(n, [Draw(of_layer, generator) for of_layer in temperatures])
        return self.head.sample(features, generator)

    @torch.no_grad()
    def reconstruct(
        self,
        x: UInt8[Tensor, "batch channels height width"],
        keep_layers: int | None = None,
        generator: Generator | None = None,
    ) -> UInt8[Tensor, "batch channels height width"]:
        features, _ = self._infer(x, keep_layers=keep_layers, generator=generator)
        return self.head.mean(features).round().to(torch.uint8)

    def _infer(
        self,
        x: Tensor,
        temperature: float = 1.0,
        keep_layers: int | None = None,
        generator: Generator | None = None,
    ) -> tuple[Tensor, list[LatentDraw]]:
        """Features and latents with the top ``keep_layers`` (all by default) drawn from the posterior."""
        require_pixels(x, self.image_shape, self.bits)
        require_temperature("posterior_temperature", temperature)
        keep_layers = self.num_layers if keep_layers is None else keep_layers
        if keep_layers not in range(self.num_layers + 1):
            raise InvalidInput(f"keep_layers must be None or 0 … {self.num_layers} (all layers), got {keep_layers}")
        draws = [Draw(temperature, generator)] * self.num_layers
        return self._descend(len(x), draws, self.bottom_up(x, draws), keep_layers)

    def _descend(
        self, batch: int, draws: Sequence[Draw], evidence: Sequence | None = None, keep_layers: int = 0
    ) -> tuple[Tensor, list[LatentDraw]]:
        """Walk down the layers, drawing the top ``keep_layers`` from the posterior and the others from the prior."""
        handed_down = self.top(batch)
        latents = []
        for layer, source, draw in zip(self.layers, self._sources(evidence, keep_layers), draws, strict=True):
            handed_down, latent = layer(handed_down, source, draw)
            latents.append(latent)
        return self.readout(handed_down), latents

    def _sources(self, evidence: Sequence | None, keep_layers: int) -> list[Sequence | None]:
        """What each layer draws from, top first: the evidence at and below it, or None for the prior."""
        of_prior: list[Sequence | None] = [None] * self.num_layers
        if evidence is None:
            return of_prior
        of_posterior: list[Sequence | None] = [evidence[index:] for index in range(self.num_layers)]
        if keep_layers == self.num_layers:
            return of_posterior
        if is_available("keep_top_layers"):
            return keep_top_layers(of_posterior, of_prior, keep_layers)
        return [source if index < keep_layers else None for index, source in enumerate(of_posterior)]


@dataclass(frozen=True)
class SingleSampleDraw(LatentDraw):
    r"""A latent drawn from a posterior whose KL to the prior is estimated at the draw itself.

    .. math:: \mathrm{KL}(q\,\|\,p) = \mathbb{E}_q\Bigl[\log\frac{q(z)}{p(z)}\Bigr] \approx \log q(z) - \log p(z)

    The estimate has no bias, but a single one may be negative. It is needed where q is not a Gaussian (flows), and
    where the prior depends on a latent that was itself drawn given this one (inference upwards). There the closed form
    would average over this latent once more, as if the other latent did not depend on it.

    >>> p = DiagonalGaussian.standard_like(torch.zeros(1, 2))
    >>> SingleSampleDraw(p.mean, p, posterior=None, log_posterior=torch.tensor([-1.5])).kl()  # −1.5 + log 2π
    tensor([0.3379])
    """

    log_posterior: Float[Tensor, "batch"]
    """log q(z), nats."""

    def kl(self) -> Float[Tensor, "batch"]:
        """An unbiased estimate of KL(q‖p) of this layer, nats."""
        return -self.log_ratio()

    def log_ratio(self) -> Float[Tensor, "batch"]:
        return self.prior.log_prob(self.z) - self.log_posterior
