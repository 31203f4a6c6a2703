"""Wrong ways to write ``reverse_kl_projection``."""

import torch

from autograder.checks.case import Mistake, mistakes_into
from autograder.checks.form_cases import PRECISION_KEPT
from autograder.checks.mistakes.precision import DOUBLE_OUT, SINGLE_INSIDE, SINGLE_OUT

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

SINGULAR = "nearly singular covariances"
SCALES = "variables of all scales, and many of them"
JITTER = "adds a small constant to the diagonal, which changes small variances"


@mistake(
    "returns the forward projection: the reverse one matches the diagonal of the precision, not the marginal variances",
    caught_by="values",
)
def forward(mean, cov):
    return mean.clone(), 0.5 * cov.diagonal().log()


@mistake("returns the standard deviation: return its logarithm", caught_by="values")
def std_for_log_std(mean, cov):
    return mean.clone(), torch.linalg.inv(cov).diagonal().rsqrt()


@mistake("returns the variance: return the logarithm of the standard deviation", caught_by="values")
def variance_for_log_std(mean, cov):
    return mean.clone(), 1 / torch.linalg.inv(cov).diagonal()


@mistake("returns the logarithm of the variance: that of the standard deviation is half of it", caught_by="values")
def log_variance(mean, cov):
    return mean.clone(), -torch.linalg.inv(cov).diagonal().log()


@mistake(
    "takes a precision for a variance: σ² = 1 / (Σ⁻¹)_dd, so the sign of the logarithm changes", caught_by="values"
)
def precision_as_variance(mean, cov):
    return mean.clone(), 0.5 * torch.linalg.inv(cov).diagonal().log()


@mistake("inverts the diagonal of Σ: use the diagonal of the inverse", caught_by="values")
def inverse_of_the_diagonal(mean, cov):
    return mean.clone(), -0.5 * cov.diagonal().log()


@mistake("takes the diagonal of the Cholesky factor: it conditions on the earlier variables only", caught_by="values")
def cholesky_diagonal(mean, cov):
    return mean.clone(), torch.linalg.cholesky(cov).diagonal().log()


@mistake(
    "takes the diagonal of the inverse Cholesky factor: use the squared lengths of its columns", caught_by="values"
)
def inverse_factor_diagonal(mean, cov):
    factor = torch.linalg.cholesky(cov)
    return mean.clone(), -torch.linalg.inv(factor).diagonal().square().log()


@mistake("sums over the rows of L⁻¹: sum over its columns, since Σ⁻¹ = L⁻ᵀ L⁻¹", caught_by="values")
def rows_for_columns(mean, cov):
    whitening = torch.linalg.inv(torch.linalg.cholesky(cov))
    return mean.clone(), -0.5 * whitening.square().sum(dim=-1).log()


@mistake(
    "takes eigenvalues for variances: eigenvalues are variances along other directions than the coordinates",
    caught_by="values",
)
def eigenvalues(mean, cov):
    return mean.clone(), 0.5 * torch.linalg.eigvalsh(cov).log()


@mistake("gives all variables the same standard deviation", caught_by="values")
def isotropic(mean, cov):
    precision = torch.linalg.inv(cov).diagonal().mean()
    return mean.clone(), (-0.5 * precision.log()).expand_as(mean).clone()


@mistake("leaves the mean at zero: the best q has the mean of p", caught_by="values")
def mean_at_zero(mean, cov):
    return torch.zeros_like(mean), -0.5 * torch.linalg.inv(cov).diagonal().log()


@mistake("multiplies the mean by the precision: the best q has the mean of p itself", caught_by="values")
def natural_mean(mean, cov):
    precision = torch.linalg.inv(cov)
    return precision @ mean, -0.5 * precision.diagonal().log()


@mistake("returns log_std first: the mean comes first", caught_by="values")
def exchanged(mean, cov):
    return -0.5 * torch.linalg.inv(cov).diagonal().log(), mean.clone()


@mistake("returns log_std as a matrix: return one number per variable", caught_by="values")
def whole_matrix(mean, cov):
    return mean.clone(), torch.diag(-0.5 * torch.linalg.inv(cov).diagonal().log())


@mistake("uses the logarithm to base 2 or 10: use the natural logarithm", caught_by="values")
def binary_logarithm(mean, cov):
    return mean.clone(), -0.5 * torch.linalg.inv(cov).diagonal().log2()


@mistake(JITTER, caught_by=SINGULAR)
def jitter(mean, cov):
    small = 1e-6 * torch.eye(len(mean), dtype=cov.dtype)
    return mean.clone(), -0.5 * torch.linalg.inv(cov + small).diagonal().log()


@mistake("drops small eigenvalues: a pseudo-inverse with a coarse tolerance is not the inverse", caught_by=SINGULAR)
def coarse_pseudo_inverse(mean, cov):
    return mean.clone(), -0.5 * torch.linalg.pinv(cov, rtol=1e-6).diagonal().log()


@mistake(
    "computes in float32, where a nearly singular covariance becomes singular: compute in float64", caught_by=SINGULAR
)
def inverse_in_single_precision(mean, cov):
    precision = torch.linalg.inv(cov.float()).diagonal().to(cov.dtype)
    return mean.clone(), -0.5 * precision.abs().log()


@mistake("clamps log_std: very small or very large variances are changed", caught_by=SCALES)
def clamped(mean, cov):
    return mean.clone(), (-0.5 * torch.linalg.inv(cov).diagonal().log()).clamp(-8, 5)


@mistake("adds a small constant to the variances, which changes small ones", caught_by=SCALES)
def small_constant_added(mean, cov):
    return mean.clone(), 0.5 * (1 / torch.linalg.inv(cov).diagonal() + 1e-9).log()


@mistake(SINGLE_OUT, caught_by=PRECISION_KEPT)
def single_precision(mean, cov):
    return mean.float(), -0.5 * torch.linalg.inv(cov).diagonal(dim1=-2, dim2=-1).log().float()


@mistake("returns NumPy arrays: return tensors", caught_by=PRECISION_KEPT)
def arrays(mean, cov):
    return mean.numpy().copy(), (-0.5 * torch.linalg.inv(cov).diagonal(dim1=-2, dim2=-1).log()).numpy()


@mistake("changes the covariance in place: work on a new tensor", caught_by=PRECISION_KEPT)
def covariance_changed(mean, cov):
    precision = torch.linalg.inv(cov)
    cov.copy_(precision)
    return mean.clone(), -0.5 * cov.diagonal(dim1=-2, dim2=-1).log()


@mistake(
    "returns the forward projection, and the logarithm of the variance instead of the standard deviation",
    caught_by="values",
)
def forward_log_variance(mean, cov):
    return mean.clone(), cov.diagonal().log()


@mistake("returns log_std as a column: its shape should be (dim,)", caught_by="values")
def column(mean, cov):
    return mean.clone(), -0.5 * torch.linalg.inv(cov).diagonal().log().unsqueeze(1)


@mistake("divides determinants, which underflow to zero in many dimensions", caught_by=SCALES)
def ratio_of_determinants(mean, cov):
    def without(d):
        kept = [i for i in range(len(mean)) if i != d]
        return torch.linalg.det(cov[kept][:, kept])

    minors = torch.stack([without(d) for d in range(len(mean))])
    return mean.clone(), 0.5 * (torch.linalg.det(cov) / minors).log()


@mistake(SINGLE_INSIDE, caught_by=PRECISION_KEPT)
def single_inside(mean, cov):
    variance = (1 / torch.linalg.inv(cov).diagonal(dim1=-2, dim2=-1)).float().to(cov.dtype)
    return mean.clone(), 0.5 * variance.log()


@mistake(DOUBLE_OUT, caught_by=PRECISION_KEPT)
def double_out(mean, cov):
    return mean.double(), -0.5 * torch.linalg.inv(cov.double()).diagonal(dim1=-2, dim2=-1).log()


@mistake(
    "takes the diagonal of the precision's Cholesky factor: use the diagonal of the precision itself",
    caught_by="values",
)
def factor_of_the_precision(mean, cov):
    return mean.clone(), -torch.linalg.cholesky(torch.linalg.inv(cov)).diagonal().log()
