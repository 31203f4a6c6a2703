"""Fitting a Bayesian mixture of Gaussians by coordinate ascent."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.distributions import Dirichlet, kl_divergence

from avae_lib.divergences.requirements import require_float, require_probabilities
from avae_lib.meanfield.lda import expected_log_dirichlet
from avae_lib.meanfield.mixture import require_points
from avae_lib.meanfield.mixture_posteriors import GaussianPrior, NormalGamma, NormalWishart

__all__ = ["MixtureFit", "fit_mixture", "mixture_elbo", "random_responsibilities"]


@dataclass(frozen=True)
class MixtureFit:
    """The result of :func:`fit_mixture`."""

    responsibilities: Float[Tensor, "n components"]
    """q(assignment) of each point."""
    weight_concentration: Float[Tensor, "components"]
    """q(weights) is the Dirichlet distribution with these."""
    components: NormalGamma | NormalWishart
    """q(means, precisions)."""
    elbo: Float[Tensor, "sweeps"]
    """The bound on log p(x) after each sweep, nats; it never falls."""
    converged: bool
    """Whether the last sweep raised the bound by less than the tolerance."""


def fit_mixture(
    x: Float[Tensor, "n dim"],
    prior: GaussianPrior,
    weight_concentration: float,
    start: Float[Tensor, "n components"],
    sweeps: int = 500,
    tolerance: float = 1e-8,
) -> MixtureFit:
    """Coordinate ascent until a sweep raises the bound by less than ``tolerance`` nats, or for ``sweeps`` sweeps.

    Args:
        x: points.
        prior: prior of each component's mean and precision; decides whether components are diagonal or full.
        weight_concentration: concentration of the Dirichlet prior on weights; with small values, components that are
            not needed end up empty.
        start: responsibilities to start from, for example :func:`random_responsibilities`. Equal responsibilities
            would stay equal.

    Raises:
        ValueError: the shapes do not fit, the start does not hold probabilities, weight_concentration is not positive,
            or sweeps is below 1.

    Two groups of points, far apart:

    >>> x = torch.tensor([[-5.1], [-5.0], [-4.9], [4.9], [5.0], [5.1]], dtype=torch.float64)
    >>> prior = GaussianPrior(x.new_zeros(1), mean_precision=0.01, degrees_of_freedom=1.0, scatter=x.new_ones(1))
    >>> start = torch.nn.functional.one_hot(torch.tensor([0, 0, 1, 1, 1, 1])).double()
    >>> fit = fit_mixture(x, prior, weight_concentration=1.0, start=start)
    >>> fit.responsibilities.argmax(dim=1), fit.converged, bool((fit.elbo.diff() > -1e-9).all())
    (tensor([0, 0, 0, 1, 1, 1]), True, True)
    """
    _require_fit(x, prior, weight_concentration, start, sweeps)
    responsibilities = start
    gain = float("inf")
    elbo = []
    while len(elbo) < sweeps and gain >= tolerance:
        concentration = weight_concentration + responsibilities.sum(dim=0)
        components = prior.posterior(x, responsibilities)
        responsibilities = components.responsibilities(x, expected_log_dirichlet(concentration))
        elbo.append(mixture_elbo(x, prior, weight_concentration, responsibilities, concentration, components))
        gain = float(elbo[-1] - elbo[-2]) if len(elbo) > 1 else gain
    return MixtureFit(responsibilities, concentration, components, torch.stack(elbo), gain < tolerance)


def mixture_elbo(
    x: Float[Tensor, "n dim"],
    prior: GaussianPrior,
    weight_concentration: float,
    responsibilities: Float[Tensor, "n components"],
    concentration: Float[Tensor, "components"],
    components: NormalGamma | NormalWishart,
) -> Float[Tensor, ""]:
    r"""The bound on log p(x) in nats, for any factors of q.

        .. math:: \mathbb{E}_q[\log p(x \mid z, \mu, \Lambda)] + \mathbb{E}_q[\log p(z \mid \pi)] + \mathrm{H}(q(z))
                  - \mathrm{KL}(q(\pi) \| p) - \sum_k \mathrm{KL}(q(\mu_k, \Lambda_k) \| p)

    Bishop (2006), equation 10.70, with all constants.

    The bound is what :func:`fit_mixture` raises, here computed from its factors:

    >>> x = torch.tensor([[-1.0], [0.0], [2.0]], dtype=torch.float64)
    >>> prior = GaussianPrior(x.new_zeros(1), mean_precision=1.0, degrees_of_freedom=1.0, scatter=x.new_ones(1))
    >>> fit = fit_mixture(x, prior, 1.0, start=x.new_ones(3, 1))
    >>> mixture_elbo(x, prior, 1.0, fit.responsibilities, fit.weight_concentration, fit.components) - fit.elbo[-1]
    tensor(0., dtype=torch.float64)
    """
    likelihood = components.expected_log_likelihood(x, responsibilities).sum()
    assignments = (responsibilities * expected_log_dirichlet(concentration)).sum()
    entropy = torch.special.entr(responsibilities).sum()
    prior_weights = Dirichlet(torch.full_like(concentration, weight_concentration))
    weights = kl_divergence(Dirichlet(concentration), prior_weights)
    return likelihood + assignments + entropy - weights - components.kl(prior).sum()


def random_responsibilities(n: int, components: int, generator: Generator) -> Float[Tensor, "n components"]:
    """Each point assigned to one random component; float64.

    >>> random_responsibilities(5, components=3, generator=Generator().manual_seed(0)).sum(dim=1)
    tensor([1., 1., 1., 1., 1.], dtype=torch.float64)
    """
    chosen = torch.randint(components, (n,), generator=generator)
    return torch.nn.functional.one_hot(chosen, components).to(torch.float64)


def _require_fit(x: Tensor, prior: GaussianPrior, weight_concentration: float, start: Tensor, sweeps: int) -> None:
    require_points(x)
    require_float(start=start)
    if x.shape[1] != len(prior.mean):
        raise ValueError(f"x has {x.shape[1]} dimensions, but the prior's mean has {len(prior.mean)}")
    if start.ndim != 2 or len(start) != len(x):
        raise ValueError(f"start must have the shape ({len(x)}, components), got {tuple(start.shape)}")
    require_probabilities(start=start)
    if not weight_concentration > 0 or sweeps < 1:
        raise ValueError(
            f"weight_concentration must be positive and sweeps at least 1, got {weight_concentration} and {sweeps}"
        )
