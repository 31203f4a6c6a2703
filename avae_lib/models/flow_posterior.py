"""A Gaussian bent by a flow, as the posterior of a layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from jaxtyping import Float
from torch import Generator, Tensor

from avae_lib.gaussians import DiagonalGaussian

__all__ = ["Flow", "FlowPosterior"]


class Flow(Protocol):
    """An invertible map of latents, such as :class:`avae_lib.nn.inverse_autoregressive.InverseAutoregressiveFlow`."""

    def __call__(
        self, z: Float[Tensor, "batch *event"]
    ) -> tuple[Float[Tensor, "batch *event"], Float[Tensor, "batch"]]:
        """The transformed latent and the log-determinant of the map at ``z``."""
        ...

    def inverse(self, z: Float[Tensor, "batch *event"]) -> Float[Tensor, "batch *event"]:
        """The latent that the map makes ``z`` of."""
        ...


@dataclass(frozen=True)
class FlowPosterior:
    r"""The distribution of f(z_0), z_0 from a Gaussian.

    .. math:: \log q(z) = \log \mathcal{N}(z_0; \mu, \sigma^2) - \log\Bigl|\det\frac{\partial f}{\partial z_0}\Bigr|,
              \qquad z_0 = f^{-1}(z)

    A model that has just drawn z knows z_0 and takes the equation forwards (:meth:`draw`); :meth:`log_prob` inverts the
    flow and is for looking at a posterior rather than for training.

    A flow that only shifts its latent by 1 leaves a Gaussian with its mean at 1:

    >>> import torch
    >>> class Shift:
    ...     def __call__(self, z):
    ...         return z + 1, torch.zeros(len(z))
    ...     def inverse(self, z):
    ...         return z - 1
    >>> posterior = FlowPosterior(DiagonalGaussian.standard_like(torch.zeros(1, 2)), Shift())
    >>> posterior.mean, posterior.log_prob(torch.ones(1, 2))
    (tensor([[1., 1.]]), tensor([-1.8379]))
    """

    base: DiagonalGaussian
    """Distribution of z_0."""
    flow: Flow
    """f."""

    @property
    def mean(self) -> Float[Tensor, "batch *event"]:
        """f(μ): where the flow takes the mean of z_0, which stands for the mean of z."""
        return self.flow(self.base.mean)[0]

    def sample(
        self, noise: Tensor | None = None, temperature: float = 1.0, generator: Generator | None = None
    ) -> Float[Tensor, "batch *event"]:
        """A differentiable draw; the arguments are those of :meth:`DiagonalGaussian.sample` for z_0."""
        return self.flow(self.base.sample(noise, temperature, generator))[0]

    def draw(
        self, temperature: float = 1.0, generator: Generator | None = None
    ) -> tuple[Float[Tensor, "batch *event"], Float[Tensor, "batch"]]:
        """A differentiable draw z and log q(z), nats, in one pass through the flow."""
        start = self.base.sample(temperature=temperature, generator=generator)
        z, log_determinant = self.flow(start)
        return z, self.base.log_prob(start) - log_determinant

    def log_prob(self, z: Float[Tensor, "batch *event"]) -> Float[Tensor, "batch"]:
        """log q(z) of each example, nats."""
        start = self.flow.inverse(z)
        return self.base.log_prob(start) - self.flow(start)[1]

    def kl(self, other: DiagonalGaussian) -> Float[Tensor, "batch"]:
        """An estimate of KL(self‖other) of each example from one draw, nats."""
        z, log_prob = self.draw()
        return log_prob - other.log_prob(z)
