import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import gammaln, logsumexp
from scipy.stats import multivariate_normal, multivariate_t, t
from sklearn.mixture import BayesianGaussianMixture

from avae_lib.meanfield.mixture import mixture_cavi_step
from avae_lib.meanfield.mixture_fit import fit_mixture, random_responsibilities
from avae_lib.meanfield.mixture_posteriors import GaussianPrior

property_of = settings(deadline=None, max_examples=20)
seeds = st.integers(0, 2**31)


def draws(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=draws(seed), dtype=torch.float64)


def clusters(seed: int, n: int = 90, dim: int = 2) -> torch.Tensor:
    centres = 4 * normal(seed, 3, dim)
    return centres[torch.arange(n) % 3] + normal(seed + 1, n, dim) * torch.linspace(0.5, 1.5, dim)


def prior_for(x: torch.Tensor, full: bool) -> GaussianPrior:
    covariance = torch.from_numpy(np.atleast_2d(np.cov(x.T.numpy())))
    return GaussianPrior(x.mean(0), 0.7, x.shape[1] + 1.5, covariance if full else covariance.diagonal())


@property_of
@given(seeds, st.integers(1, 4), st.integers(1, 4))
def test_responsibilities_equal_those_of_scipy_densities(seed, components, dim):
    x, means = normal(seed, 6, dim), normal(seed + 1, components, dim)
    weights_log, precisions = normal(seed + 2, components), normal(seed + 3, components, dim).exp()
    scores = [
        weights_log[k].item() + multivariate_normal(means[k].numpy(), np.diag(1 / precisions[k].numpy())).logpdf(x)
        for k in range(components)
    ]
    scores = np.atleast_2d(np.array(scores)).T.reshape(6, components)
    expected = np.exp(scores - logsumexp(scores, axis=1, keepdims=True))
    assert np.allclose(mixture_cavi_step(x, weights_log, means, precisions), expected, rtol=1e-8, atol=1e-12)


@property_of
@given(seeds)
def test_responsibilities_do_not_depend_on_names_shifts_or_units(seed):
    x, means, weights_log, precisions = (
        normal(seed, 5, 2),
        normal(seed, 3, 2),
        normal(seed, 3),
        normal(seed, 3, 2).exp(),
    )
    base = mixture_cavi_step(x, weights_log, means, precisions)
    assert torch.allclose(mixture_cavi_step(x, weights_log + 1000, means, precisions), base)
    assert torch.allclose(mixture_cavi_step(x + 7, weights_log, means + 7, precisions), base)
    assert torch.allclose(mixture_cavi_step(x * 3, weights_log, means * 3, precisions / 9), base)
    order = torch.tensor([2, 0, 1])
    moved = mixture_cavi_step(x, weights_log[order], means[order], precisions[order])
    assert torch.allclose(moved, base[:, order])


def test_responsibilities_of_far_points_are_finite_and_sum_to_one():
    x = torch.tensor([[1e6], [-1e6], [0.0]])
    responsibilities = mixture_cavi_step(x, torch.tensor([0.0, -math.inf, 0.0]), torch.tensor([[0.0], [0.0], [1.0]]),
                                         torch.ones(3, 1))  # fmt: skip
    assert torch.allclose(responsibilities.sum(1), torch.ones(3))
    assert (responsibilities[:, 1] == 0).all() and responsibilities[0, 2] == 1 and responsibilities[1, 0] == 1


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_coordinate_ascent_never_lowers_the_elbo(full, seed):
    x = clusters(seed)
    fit = fit_mixture(x, prior_for(x, full), 0.5, random_responsibilities(len(x), 4, draws(seed)))
    assert fit.converged and (fit.elbo.diff() >= -1e-8).all()


@pytest.mark.parametrize("full", [False, True])
def test_bound_of_one_component_is_the_exact_evidence(full):
    x = clusters(0, n=7)
    prior = prior_for(x, full)
    fit = fit_mixture(x, prior, 1.0, torch.ones(7, 1, dtype=torch.float64))
    log_evidence, seen = 0.0, x.new_zeros(0, 2)
    for point in x:
        log_evidence += log_predictive(point, seen, prior)
        seen = torch.cat([seen, point.unsqueeze(0)])
    assert fit.elbo[-1].item() == pytest.approx(log_evidence, rel=1e-10)


def log_predictive(point: torch.Tensor, seen: torch.Tensor, prior: GaussianPrior) -> float:
    """log p(point | seen): a Student t, or one in each dimension (Murphy, 2007, sections 3 and 8)."""
    posterior = prior.posterior(seen, torch.ones(len(seen), 1, dtype=torch.float64))
    beta, nu = posterior.mean_precision.item(), posterior.degrees_of_freedom.item()
    mean, scatter = posterior.mean[0].numpy(), posterior.scatter[0].numpy()
    if not prior.is_full:
        return t(nu, mean, np.sqrt(scatter * (beta + 1) / (beta * nu))).logpdf(point.numpy()).sum()
    freedom = nu - len(mean) + 1
    return multivariate_t(mean, scatter * (beta + 1) / (beta * freedom), freedom).logpdf(point.numpy())


def test_elbo_never_exceeds_the_evidence_summed_over_all_assignments():
    x = clusters(1, n=6, dim=1)
    prior = prior_for(x, full=False)
    exact = []
    for assignment in itertools.product(range(2), repeat=6):
        chosen = torch.tensor(assignment)
        counts = np.bincount(assignment, minlength=2)
        total = gammaln(1.0) - gammaln(7.0) + (gammaln(0.5 + counts) - gammaln(0.5)).sum()
        for k in range(2):
            part = x[chosen == k]
            total += sum(log_predictive(part[i], part[:i], prior) for i in range(len(part)))
        exact.append(total)
    fits = [fit_mixture(x, prior, 0.5, random_responsibilities(6, 2, draws(seed))) for seed in range(5)]
    assert max(fit.elbo[-1].item() for fit in fits) <= logsumexp(exact)


def dropped_by_sklearn(theirs: BayesianGaussianMixture, prior: GaussianPrior, n: int, components: int) -> float:
    """What scikit-learn leaves out of its bound: the normalisers of the priors and of the likelihood."""
    dim, nu = len(prior.mean), prior.degrees_of_freedom
    log_det = torch.logdet(prior.scatter).item() if prior.is_full else prior.scatter.log().sum().item()
    wishart = nu / 2 * log_det - nu * dim / 2 * math.log(2) - gammaln((nu - np.arange(dim)) / 2).sum()
    each = wishart + dim / 2 * math.log(prior.mean_precision)
    alpha = theirs.weight_concentration_prior_
    weights = gammaln(components * alpha) - components * gammaln(alpha)
    return components * each + weights - n * dim / 2 * math.log(2 * math.pi)


def fitted_by_sklearn(x: torch.Tensor, prior: GaussianPrior) -> BayesianGaussianMixture:
    theirs = BayesianGaussianMixture(
        n_components=4, covariance_type="full" if prior.is_full else "diag", reg_covar=0.0,
        weight_concentration_prior_type="dirichlet_distribution", weight_concentration_prior=0.5,
        mean_precision_prior=prior.mean_precision, mean_prior=prior.mean.numpy(),
        degrees_of_freedom_prior=prior.degrees_of_freedom, covariance_prior=prior.scatter.numpy(),
        tol=1e-11, max_iter=5000, random_state=0,
    )  # fmt: skip
    return theirs.fit(x.numpy())


@pytest.mark.parametrize(("dim", "full"), [(1, False), (1, True), (2, True), (3, True)])
def test_fixed_points_and_bound_are_those_of_sklearn(dim, full):
    x = clusters(dim, dim=dim)
    prior = prior_for(x, full)
    theirs = fitted_by_sklearn(x, prior)
    fit = fit_mixture(x, prior, 0.5, torch.from_numpy(theirs.predict_proba(x.numpy())), tolerance=1e-12)
    assert np.allclose(fit.components.mean, theirs.means_, atol=1e-5)
    assert np.allclose(fit.components.covariance, theirs.covariances_, rtol=1e-5, atol=1e-6)
    assert np.allclose(fit.weight_concentration, theirs.weight_concentration_, rtol=1e-5)
    assert np.allclose(fit.responsibilities, theirs.predict_proba(x.numpy()), atol=1e-5)
    expected = theirs.lower_bound_ + dropped_by_sklearn(theirs, prior, len(x), 4)
    assert fit.elbo[-1].item() == pytest.approx(expected, rel=1e-9)


def test_diagonal_components_in_several_dimensions_are_near_those_of_sklearn():
    """It takes a full Wishart's E[log det] for them, ours is that of a product of gamma distributions."""
    x = clusters(2, n=300)
    prior = prior_for(x, full=False)
    theirs = fitted_by_sklearn(x, prior)
    fit = fit_mixture(x, prior, 0.5, torch.from_numpy(theirs.predict_proba(x.numpy())), tolerance=1e-12)
    used = fit.weight_concentration > 10
    assert np.allclose(fit.components.mean[used], theirs.means_[used], atol=0.02)
    assert np.allclose(fit.components.covariance[used], theirs.covariances_[used], rtol=0.02)


def test_components_that_are_not_needed_are_emptied():
    x = clusters(5, n=300)
    start = random_responsibilities(300, 6, draws(0))
    fit = fit_mixture(x, prior_for(x, full=False), 1e-3, start, sweeps=2000)
    assert (fit.weight_concentration > 1).sum() <= 4


def test_fit_repeats_with_its_generator_and_follows_renamed_components():
    x = clusters(2)
    prior, start = prior_for(x, full=True), random_responsibilities(90, 3, draws(4))
    assert torch.equal(start, random_responsibilities(90, 3, draws(4)))
    fit, renamed = fit_mixture(x, prior, 0.5, start), fit_mixture(x, prior, 0.5, start[:, [2, 0, 1]])
    assert torch.allclose(fit.components.mean[[2, 0, 1]], renamed.components.mean)
    assert torch.allclose(fit.elbo[-1], renamed.elbo[-1])


GOOD = dict(x=torch.ones(4, 2), weights_log=torch.zeros(3), means=torch.ones(3, 2), precisions=torch.ones(3, 2))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"x": torch.ones(4)}, r"x must be a matrix \(n × dim\)"),
        ({"x": torch.ones(0, 2)}, "x is empty"),
        ({"x": torch.ones(4, 2) / 0}, "x must be finite"),
        ({"x": torch.ones(4, 3)}, r"means must have the shape \(3, 3\) \(components, dim\)"),
        ({"weights_log": torch.zeros(3, 1)}, "weights_log must have the shape"),
        ({"weights_log": torch.full((3,), -math.inf)}, "weights_log must be below infinity and not all"),
        ({"weights_log": torch.full((3,), math.nan)}, "weights_log must be below infinity and not all"),
        ({"precisions": torch.zeros(3, 2)}, "precisions must be positive, its smallest entry is 0"),
        ({"precisions": torch.ones(2, 2)}, "precisions must have the shape"),
    ],
)
def test_each_wrong_argument_has_its_own_error(changed, message):
    with pytest.raises(ValueError, match=message):
        mixture_cavi_step(**{**GOOD, **changed})


def test_each_wrong_setting_has_its_own_error():
    x, prior = clusters(0), prior_for(clusters(0), full=True)
    start = random_responsibilities(90, 3, draws(0))
    with pytest.raises(ValueError, match="start must sum to one"):
        fit_mixture(x, prior, 0.5, start / 2)
    with pytest.raises(ValueError, match=r"start must have the shape \(90, components\)"):
        fit_mixture(x, prior, 0.5, start[:4])
    with pytest.raises(ValueError, match="x has 2 dimensions, but the prior's mean has 1"):
        fit_mixture(x, prior_for(x[:, :1], full=False), 0.5, start)
    with pytest.raises(ValueError, match="weight_concentration must be positive"):
        fit_mixture(x, prior, 0.0, start)
    with pytest.raises(ValueError, match="scatter must be positive definite"):
        GaussianPrior(torch.zeros(2), 1.0, 2.0, torch.ones(2, 2))
    with pytest.raises(ValueError, match="scatter must be positive"):
        GaussianPrior(torch.zeros(2), 1.0, 2.0, torch.zeros(2))
    with pytest.raises(ValueError, match=r"degrees_of_freedom above 1, got 1\.0 and 0\.5"):
        GaussianPrior(torch.zeros(2), 1.0, 0.5, torch.eye(2))
