"""The way down a model's latents, layer by layer, with each latent given in units of its prior.

Lossless and lossy codes both need three things of a model: what the image says about a layer's latents relative to
their prior, the state after latents have been fixed, and the probabilities of the pixel levels at the end. The
decoder repeats the same walk, so a state is made from the prior's side alone, and sender and receiver compute the
same floats.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from avae_lib.gaussians import DiagonalGaussian
from avae_lib.models.biva import BidirectionalAscent
from avae_lib.models.hierarchy import Draw, Hierarchy, LatentDraw
from avae_lib.models.ladder import DrawingAscent
from avae_lib.models.vae import VAE

__all__ = ["LatentWalk", "Relative", "latent_walk"]


@dataclass(frozen=True)
class Relative:
    r"""A posterior seen from its prior: :math:`u = (z - \mu_p) / \sigma_p` is normal with mean shift and std ratio.

    >>> prior = DiagonalGaussian(torch.zeros(1, 1), torch.full((1, 1), 2.0).log())
    >>> posterior = DiagonalGaussian(torch.full((1, 1), 3.0), torch.zeros(1, 1))
    >>> Relative.of(posterior, prior)
    Relative(shift=tensor([[1.5000]]), ratio=tensor([[0.5000]]))
    """

    shift: Float[Tensor, "batch *latent"]
    r""":math:`(\mu_q - \mu_p) / \sigma_p`"""
    ratio: Float[Tensor, "batch *latent"]
    r""":math:`\sigma_q / \sigma_p`"""

    @classmethod
    def of(cls, posterior: DiagonalGaussian, prior: DiagonalGaussian) -> Relative:
        """The posterior in units of the prior."""
        shift = (posterior.mean - prior.mean) * torch.exp(-prior.log_std)
        return cls(shift, torch.exp(posterior.log_std - prior.log_std))


class LatentWalk(Protocol):
    """A model's latents from the top down. States are opaque: they are what each layer passes to the next."""

    latent_shapes: tuple[torch.Size, ...]
    """Shapes of one image's latents, layer by layer."""
    image_shape: tuple[int, int, int]
    bits: int

    def evidence(self, x: UInt8[Tensor, "batch channels h w"]) -> Any:
        """The encoder's output for the images."""
        ...

    def start(self, batch: int) -> Any:
        """The state before the first layer."""
        ...

    def posterior(self, state: Any, layer: int, evidence: Any) -> Relative:
        """The layer's posterior given the latents above and the images."""
        ...

    def descend(self, state: Any, layer: int, u: Float[Tensor, "batch *latent"]) -> Any:
        r"""The state after the layer's latents have been set to :math:`\mu_p + \sigma_p u`; ``u`` may be flat."""
        ...

    def level_probabilities(
        self, state: Any, known: UInt8[Tensor, "batch known h w"]
    ) -> Float[Tensor, "batch next h w levels"]:
        """Probabilities of the levels of the next channels, given the last state and the channels that are known."""
        ...

    def log_likelihood(self, state: Any, x: UInt8[Tensor, "batch channels h w"]) -> Float[Tensor, "batch"]:
        """log p(x) of images given the last state, nats."""
        ...

    def mean(self, state: Any) -> Float[Tensor, "batch channels h w"]:
        """Expected image given the last state, pixel levels."""
        ...


def latent_walk(model: nn.Module) -> LatentWalk:
    """The walk of a copy of the model in float64, in evaluation mode and on the CPU.

    Args:
        model: a :class:`~avae_lib.models.vae.VAE` with its standard normal prior, or a
            :class:`~avae_lib.models.hierarchy.Hierarchy` of Gaussian layers whose encoder draws nothing on its way up.

    Raises:
        TypeError: another kind of model.

    >>> from avae_lib.data import load, recorded_model
    >>> walk = latent_walk(recorded_model("hierarchy-photos32"))
    >>> len(walk.latent_shapes), walk.latent_shapes[0]
    (11, torch.Size([4, 1, 1]))
    >>> evidence = walk.evidence(load("photos32").test[:1])
    >>> walk.posterior(walk.start(1), 0, evidence).shift.shape
    torch.Size([1, 4, 1, 1])
    """
    model = copy.deepcopy(model).double().cpu().eval()
    if isinstance(model, Hierarchy) and not isinstance(model.bottom_up, DrawingAscent | BidirectionalAscent):
        return _Layered(model)
    if isinstance(model, VAE) and type(model).log_prior is VAE.log_prior and type(model).posterior is VAE.posterior:
        return _OneLayer(model)
    raise TypeError(
        "model must be a VAE with a standard normal prior, or a Hierarchy of Gaussian layers whose encoder draws "
        f"nothing on its way up; got {type(model).__name__}"
    )


class _OneLayer:
    """A VAE: the state is None before the layer, and z after it."""

    def __init__(self, model: VAE) -> None:
        self._model, self.image_shape, self.bits = model, model.image_shape, model.bits
        self.latent_shapes = (torch.Size((model.config.latent_dim,)),)

    def evidence(self, x: Tensor) -> DiagonalGaussian:
        return self._model.posterior(x)

    def start(self, batch: int) -> None:
        return None

    def posterior(self, state: None, layer: int, evidence: DiagonalGaussian) -> Relative:
        return Relative(evidence.mean, evidence.log_std.exp())

    def descend(self, state: None, layer: int, u: Tensor) -> Tensor:
        return u.reshape(-1, *self.latent_shapes[0])

    def level_probabilities(self, state: Tensor, known: Tensor) -> Tensor:
        return self._model.level_probabilities(state)

    def log_likelihood(self, state: Tensor, x: Tensor) -> Tensor:
        return self._model.log_likelihood(x, state)

    def mean(self, state: Tensor) -> Tensor:
        return self._model.decode(state)


class _Layered:
    """A hierarchy. States are computed from the prior's side alone; posteriors are computed beside them."""

    def __init__(self, model: Hierarchy) -> None:
        self._model, self.image_shape, self.bits = model, model.image_shape, model.bits
        self.latent_shapes = self._shapes()

    def evidence(self, x: Tensor) -> Any:
        return self._model.bottom_up(x, [GivenNoise()] * len(self.latent_shapes))

    def start(self, batch: int) -> Any:
        return self._model.top(batch)

    def posterior(self, state: Any, layer: int, evidence: Any) -> Relative:
        _, latent = self._model.layers[layer](state, evidence[layer:], GivenNoise())
        self._require_gaussians(latent)
        return Relative.of(latent.posterior, latent.prior)

    def descend(self, state: Any, layer: int, u: Tensor) -> Any:
        handed_down, _ = self._model.layers[layer](state, None, GivenNoise(given=u))
        return handed_down

    def level_probabilities(self, state: Any, known: Tensor) -> Tensor:
        return self._model.head.level_probabilities(self._model.readout(state), known)

    def log_likelihood(self, state: Any, x: Tensor) -> Tensor:
        return self._model.head.log_likelihood(self._model.readout(state), x)

    def mean(self, state: Any) -> Tensor:
        return self._model.head.mean(self._model.readout(state))

    @torch.no_grad()
    def _shapes(self) -> tuple[torch.Size, ...]:
        state, shapes = self._model.top(1), []
        for layer in self._model.layers:
            state, latent = layer(state, None, GivenNoise())
            shapes.append(latent.z.shape[1:])
        return tuple(shapes)

    @staticmethod
    def _require_gaussians(latent: LatentDraw) -> None:
        for distribution in (latent.prior, latent.posterior):
            if type(distribution) is not DiagonalGaussian:
                raise TypeError(f"layers must have diagonal Gaussians, got {type(distribution).__name__}")


@dataclass(frozen=True)
class GivenNoise(Draw):
    """A draw whose standardised noise is given, or 0 if it is not."""

    given: Tensor | None = None

    def __call__(self, distribution: DiagonalGaussian) -> Tensor:
        return distribution.sample(noise=self.noise(distribution.mean))

    def noise(self, like: Tensor) -> Tensor:
        """The given noise, in the shape of ``like``."""
        if self.given is None:
            return torch.zeros_like(like)
        return self.given.to(like).reshape(like.shape)
