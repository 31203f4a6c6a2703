"""Wrong ways to write ``forward_kl_projection``."""

import torch

from autograder.checks.case import Mistake, mistakes_into
from autograder.checks.form_cases import PRECISION_KEPT
from autograder.checks.mistakes.precision import DOUBLE_OUT, SINGLE_INSIDE, SINGLE_OUT

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

SCALES = "variables of all scales, and many of them"


@mistake(
    "returns the reverse projection: the forward one matches the marginal variances, not the diagonal of the precision",
    caught_by="values",
)
def reverse(mean, cov):
    return mean.clone(), -0.5 * torch.linalg.inv(cov).diagonal().log()


@mistake("returns the standard deviation: return its logarithm", caught_by="values")
def std_for_log_std(mean, cov):
    return mean.clone(), cov.diagonal().sqrt()


@mistake("returns the variance: return the logarithm of the standard deviation", caught_by="values")
def variance_for_log_std(mean, cov):
    return mean.clone(), cov.diagonal().clone()


@mistake("returns the logarithm of the variance: that of the standard deviation is half of it", caught_by="values")
def log_variance(mean, cov):
    return mean.clone(), cov.diagonal().log()


@mistake("has the opposite sign: log σ is half of log Σ_dd", caught_by="values")
def opposite_sign(mean, cov):
    return mean.clone(), -0.5 * cov.diagonal().log()


@mistake(
    "takes the diagonal of the Cholesky factor: it is smaller than the marginal standard deviations", caught_by="values"
)
def cholesky_diagonal(mean, cov):
    return mean.clone(), torch.linalg.cholesky(cov).diagonal().log()


@mistake(
    "takes eigenvalues for variances: eigenvalues are variances along other directions than the coordinates",
    caught_by="values",
)
def eigenvalues(mean, cov):
    return mean.clone(), 0.5 * torch.linalg.eigvalsh(cov).log()


@mistake("gives all variables the same standard deviation", caught_by="values")
def isotropic(mean, cov):
    return mean.clone(), (0.5 * cov.diagonal().mean().log()).expand_as(mean).clone()


@mistake("adds up the rows of the covariance: use only the diagonal", caught_by="values")
def row_sums(mean, cov):
    return mean.clone(), 0.5 * cov.abs().sum(dim=-1).log()


@mistake("adds the square of the mean to the variance: Σ is already centred at the mean", caught_by="values")
def second_moment(mean, cov):
    return mean.clone(), 0.5 * (cov.diagonal() + mean**2).log()


@mistake("leaves the mean at zero: the best q has the mean of p", caught_by="values")
def mean_at_zero(mean, cov):
    return torch.zeros_like(mean), 0.5 * cov.diagonal().log()


@mistake("returns log_std first: the mean comes first", caught_by="values")
def exchanged(mean, cov):
    return 0.5 * cov.diagonal().log(), mean.clone()


@mistake("returns log_std as a matrix: return one number per variable", caught_by="values")
def whole_matrix(mean, cov):
    return mean.clone(), torch.diag(0.5 * cov.diagonal().log())


@mistake("uses the logarithm to base 2 or 10: use the natural logarithm", caught_by="values")
def binary_logarithm(mean, cov):
    return mean.clone(), 0.5 * cov.diagonal().log2()


@mistake("returns standard normals: mean and covariance are not used", caught_by="values")
def standard_deviation_one(mean, cov):
    return mean.clone(), torch.zeros_like(mean)


@mistake("clamps log_std: very small or very large variances are changed", caught_by=SCALES)
def clamped(mean, cov):
    return mean.clone(), (0.5 * cov.diagonal().log()).clamp(-8, 5)


@mistake("adds a small constant to the variances, which changes small ones", caught_by=SCALES)
def small_constant_added(mean, cov):
    return mean.clone(), 0.5 * (cov.diagonal() + 1e-8).log()


@mistake("clamps the variances from below", caught_by=SCALES)
def variance_clamped(mean, cov):
    return mean.clone(), 0.5 * cov.diagonal().clamp(min=1e-7).log()


@mistake(SINGLE_OUT, caught_by=PRECISION_KEPT)
def single_precision(mean, cov):
    return mean.float(), 0.5 * cov.float().diagonal(dim1=-2, dim2=-1).log()


@mistake("returns NumPy arrays: return tensors", caught_by=PRECISION_KEPT)
def arrays(mean, cov):
    return mean.numpy().copy(), (0.5 * cov.diagonal(dim1=-2, dim2=-1).log()).numpy()


@mistake("changes the covariance in place: work on a new tensor", caught_by=PRECISION_KEPT)
def covariance_changed(mean, cov):
    return mean.clone(), 0.5 * cov.diagonal(dim1=-2, dim2=-1).log_()


@mistake(
    "returns the reverse projection, and the logarithm of the variance instead of the standard deviation",
    caught_by="values",
)
def reverse_log_variance(mean, cov):
    return mean.clone(), -torch.linalg.inv(cov).diagonal().log()


@mistake("returns log_std as a column: its shape should be (dim,)", caught_by="values")
def column(mean, cov):
    return mean.clone(), 0.5 * cov.diagonal().log().unsqueeze(1)


@mistake("estimates the projection from samples: use the closed form", caught_by="values")
def sampled(mean, cov):
    x = torch.distributions.MultivariateNormal(mean, cov).sample((1000,))
    return x.mean(0), x.std(0).log()


@mistake(
    "computes variances from second moments, which cancel far from zero: use the covariance that is given",
    caught_by=SCALES,
)
def from_second_moments(mean, cov):
    second = cov + torch.outer(mean, mean)
    return mean.clone(), 0.5 * (second.diagonal() - mean**2).log()


@mistake(SINGLE_INSIDE, caught_by=PRECISION_KEPT)
def single_inside(mean, cov):
    return mean.clone(), 0.5 * cov.float().diagonal(dim1=-2, dim2=-1).to(cov.dtype).log()


@mistake(DOUBLE_OUT, caught_by=PRECISION_KEPT)
def double_out(mean, cov):
    return mean.double(), 0.5 * cov.double().diagonal(dim1=-2, dim2=-1).log()
