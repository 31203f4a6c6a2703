"""Prior and posterior of the Gaussians of a mixture: their means and precisions, diagonal or full."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Gamma, kl_divergence

from avae_lib.divergences.requirements import covariance_factor, require_float, require_shape
from avae_lib.meanfield.mixture import mixture_cavi_step
from avae_lib.meanfield.requirements import require_positive

__all__ = ["GaussianPrior", "NormalGamma", "NormalWishart"]


@dataclass(frozen=True)
class GaussianPrior:
    r"""The prior on mean and precision of each component, in the notation of Bishop (2006, equation 10.40).

    With a vector for ``scatter`` components are diagonal, with a matrix they are full:
    :math:`\tau_d \sim \mathrm{Gamma}(\nu_0 / 2, S_d / 2)` or :math:`\Lambda \sim \mathrm{Wishart}(\nu_0, S^{-1})`, and
    :math:`\mu \sim \mathcal{N}(m_0, (\beta_0 \Lambda)^{-1})`.

    Raises:
        ValueError: the shapes do not fit, a number that must be positive is not, or the scatter is no covariance.

    With a prior mean that is worth one point, three points at 4 move the mean to 3:

    >>> prior = GaussianPrior(torch.zeros(1), mean_precision=1.0, degrees_of_freedom=1.0, scatter=torch.ones(1))
    >>> prior.posterior(torch.full((3, 1), 4.0), responsibilities=torch.ones(3, 1)).mean
    tensor([[3.]])
    """

    mean: Float[Tensor, "dim"]
    """m₀."""
    mean_precision: float
    """β₀: the number of points that the prior mean is worth."""
    degrees_of_freedom: float
    """ν₀: the number of points that the prior scatter is worth; above dim − 1 for full components."""
    scatter: Float[Tensor, "dim"] | Float[Tensor, "dim dim"]
    """S: ν₀ times the covariance that is expected before any data."""

    def __post_init__(self) -> None:
        require_float(mean=self.mean, scatter=self.scatter)
        require_shape((self.mean.numel(),), "dim", mean=self.mean)
        least = len(self.mean) - 1 if self.is_full else 0
        if not (self.mean_precision > 0 and self.degrees_of_freedom > least):
            raise ValueError(
                f"mean_precision must be positive and degrees_of_freedom above {least}, "
                f"got {self.mean_precision} and {self.degrees_of_freedom}"
            )
        if self.is_full:
            covariance_factor("scatter", self.scatter, self.mean)
        else:
            require_shape((len(self.mean),), "dim", scatter=self.scatter)
            require_positive(scatter=self.scatter)

    @property
    def is_full(self) -> bool:
        """Whether components have full covariances."""
        return self.scatter.ndim == 2

    def posterior(
        self, x: Float[Tensor, "n dim"], responsibilities: Float[Tensor, "n components"]
    ) -> NormalGamma | NormalWishart:
        """The best q(means, precisions) for the given responsibilities (Bishop, 2006, equations 10.60–10.63)."""
        counts = responsibilities.sum(dim=0)
        mean_precision = self.mean_precision + counts
        mean = (self.mean_precision * self.mean + responsibilities.T @ x) / mean_precision.unsqueeze(1)
        kind = NormalWishart if self.is_full else NormalGamma
        shift = self.mean - mean
        scatter = self.scatter + kind.scatter_around(mean, x, responsibilities)
        scatter = scatter + self.mean_precision * kind.squares(shift)
        return kind(mean, mean_precision, self.degrees_of_freedom + counts, scatter)


@dataclass(frozen=True)
class NormalGamma:
    """Diagonal components: q of each mean is normal given its precision, q of each precision a gamma distribution.

    >>> posterior = NormalGamma(
    ...     torch.zeros(1, 2), torch.ones(1), degrees_of_freedom=torch.tensor([4.0]), scatter=torch.tensor([[4.0, 1.0]])
    ... )
    >>> posterior.expected_precision
    tensor([[1., 4.]])
    """

    mean: Float[Tensor, "components dim"]
    """m."""
    mean_precision: Float[Tensor, "components"]
    """β: as how many points each mean counts."""
    degrees_of_freedom: Float[Tensor, "components"]
    """ν: as how many points each scatter counts."""
    scatter: Float[Tensor, "components dim"]
    """S: ν times the covariance."""

    @staticmethod
    def squares(distance: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """Products of a distance with itself that make up a scatter."""
        return distance.square()

    @classmethod
    def scatter_around(cls, mean: Tensor, x: Tensor, responsibilities: Tensor) -> Float[Tensor, "components dim"]:
        """Scatter of the points around the means, weighed by responsibility."""
        return torch.einsum("nk,nkd->kd", responsibilities, cls.squares(x.unsqueeze(1) - mean))

    @property
    def expected_precision(self) -> Float[Tensor, "components dim"]:
        """E[τ]."""
        return self.degrees_of_freedom.unsqueeze(1) / self.scatter

    @property
    def covariance(self) -> Float[Tensor, "components dim"]:
        """One over the expected precision."""
        return 1 / self.expected_precision

    @property
    def _log_gap(self) -> Float[Tensor, "components"]:
        """E[log τ] − log E[τ], the same in each dimension."""
        half = self.degrees_of_freedom / 2
        return torch.digamma(half) - half.log()

    def responsibilities(
        self, x: Float[Tensor, "n dim"], weights_log: Float[Tensor, "components"]
    ) -> Float[Tensor, "n components"]:
        """The best q(assignments), by :func:`mixture_cavi_step`.

        Uncertainty about mean and precision lowers a component's log density by the same amount at all points, so it
        is subtracted from the log weight.
        """
        uncertainty = 0.5 * self.mean.shape[1] * (self._log_gap - 1 / self.mean_precision)
        return mixture_cavi_step(x, weights_log + uncertainty, self.mean, self.expected_precision)

    def expected_log_likelihood(
        self, x: Float[Tensor, "n dim"], responsibilities: Float[Tensor, "n components"]
    ) -> Float[Tensor, "components"]:
        """E[log N(x | mean, precision)] summed over points with their responsibilities, nats."""
        dim, precision = self.mean.shape[1], self.expected_precision
        spread = (precision * self.scatter_around(self.mean, x, responsibilities)).sum(dim=1)
        log_precision = precision.log().sum(dim=1) + dim * self._log_gap
        constant = log_precision - dim * (math.log(2 * math.pi) + 1 / self.mean_precision)
        return 0.5 * (responsibilities.sum(dim=0) * constant - spread)

    def kl(self, prior: GaussianPrior) -> Float[Tensor, "components"]:
        """KL from the prior to this, nats."""
        posterior = Gamma(self.degrees_of_freedom.unsqueeze(1) / 2, self.scatter / 2)
        half = torch.as_tensor(prior.degrees_of_freedom / 2).to(prior.scatter)
        precisions = kl_divergence(posterior, Gamma(half, prior.scatter / 2)).sum(dim=1)
        distance = (self.expected_precision * (self.mean - prior.mean).square()).sum(dim=1)
        return precisions + _kl_of_means(self, prior, distance)


@dataclass(frozen=True)
class NormalWishart:
    """Full components: q of each mean is normal given its precision, q of each precision a Wishart distribution.

    >>> posterior = NormalWishart(
    ...     torch.zeros(1, 2), torch.ones(1), degrees_of_freedom=torch.tensor([4.0]), scatter=4 * torch.eye(2)[None]
    ... )
    >>> posterior.mahalanobis(torch.tensor([[3.0, 4.0]]))
    tensor([[25.]])
    """

    mean: Float[Tensor, "components dim"]
    """m."""
    mean_precision: Float[Tensor, "components"]
    """β: as how many points each mean counts."""
    degrees_of_freedom: Float[Tensor, "components"]
    """ν: as how many points each scatter counts."""
    scatter: Float[Tensor, "components dim dim"]
    """S: ν times the covariance."""

    @staticmethod
    def squares(distance: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim dim"]:
        """Products of a distance with itself that make up a scatter."""
        return distance.unsqueeze(-1) * distance.unsqueeze(-2)

    @classmethod
    def scatter_around(cls, mean: Tensor, x: Tensor, responsibilities: Tensor) -> Float[Tensor, "components dim dim"]:
        """Scatter of the points around the means, weighed by responsibility."""
        distance = x.unsqueeze(1) - mean
        return torch.einsum("nk,nkd,nke->kde", responsibilities, distance, distance)

    @property
    def covariance(self) -> Float[Tensor, "components dim dim"]:
        """One over the expected precision."""
        return self.scatter / self.degrees_of_freedom.view(-1, 1, 1)

    @property
    def expected_log_det(self) -> Float[Tensor, "components"]:
        """E[log det precision] (Bishop, 2006, equation 10.65)."""
        dim = self.mean.shape[1]
        return _digamma_sum(self.degrees_of_freedom, dim) + dim * math.log(2) - _log_det(self.scatter)

    def mahalanobis(self, x: Float[Tensor, "n dim"]) -> Float[Tensor, "n components"]:
        """Squared distance of each point from the mean, in units of the covariance."""
        distance = (x.unsqueeze(1) - self.mean).unsqueeze(-1)
        whitened = torch.linalg.solve_triangular(torch.linalg.cholesky(self.covariance), distance, upper=False)
        return whitened.square().sum(dim=(-2, -1))

    def responsibilities(
        self, x: Float[Tensor, "n dim"], weights_log: Float[Tensor, "components"]
    ) -> Float[Tensor, "n components"]:
        """The best q(assignments) (Bishop, 2006, equations 10.46 and 10.64)."""
        uncertainty = self.mean.shape[1] / self.mean_precision
        scores = weights_log + 0.5 * (self.expected_log_det - uncertainty - self.mahalanobis(x))
        return torch.softmax(scores, dim=1)

    def expected_log_likelihood(
        self, x: Float[Tensor, "n dim"], responsibilities: Float[Tensor, "n components"]
    ) -> Float[Tensor, "components"]:
        """E[log N(x | mean, precision)] summed over points with their responsibilities, nats."""
        constant = self.expected_log_det - self.mean.shape[1] * (math.log(2 * math.pi) + 1 / self.mean_precision)
        return 0.5 * (responsibilities * (constant - self.mahalanobis(x))).sum(dim=0)

    def kl(self, prior: GaussianPrior) -> Float[Tensor, "components"]:
        """KL from the prior to this, nats."""
        dim, nu, nu_prior = self.mean.shape[1], self.degrees_of_freedom, prior.degrees_of_freedom
        log_det_ratio = _log_det(self.scatter) - _log_det(prior.scatter)
        trace = torch.linalg.solve(self.covariance, prior.scatter).diagonal(dim1=-2, dim2=-1).sum(dim=1)
        gammas = torch.mvlgamma(torch.full_like(nu, nu_prior / 2), dim) - torch.mvlgamma(nu / 2, dim)
        precisions = 0.5 * (nu_prior * log_det_ratio + trace - nu * dim + (nu - nu_prior) * _digamma_sum(nu, dim))
        distance = self.mahalanobis(prior.mean.unsqueeze(0)).squeeze(0)
        return precisions + gammas + _kl_of_means(self, prior, distance)


def _kl_of_means(posterior: NormalGamma | NormalWishart, prior: GaussianPrior, distance: Tensor) -> Tensor:
    """The means' part of the KL, given the expected squared distance of each mean from the prior's."""
    ratio = prior.mean_precision / posterior.mean_precision
    return 0.5 * (posterior.mean.shape[1] * (ratio - 1 - ratio.log()) + prior.mean_precision * distance)


def _digamma_sum(degrees_of_freedom: Tensor, dim: int) -> Tensor:
    steps = torch.arange(dim, device=degrees_of_freedom.device)
    return torch.digamma((degrees_of_freedom.unsqueeze(1) - steps) / 2).sum(dim=1)


def _log_det(matrix: Tensor) -> Tensor:
    return 2 * torch.linalg.cholesky(matrix).diagonal(dim1=-2, dim2=-1).log().sum(dim=-1)
