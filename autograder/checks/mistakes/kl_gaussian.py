"""Wrong ways to write ``kl_gaussian``."""

import math

import torch
from torch.distributions import MultivariateNormal, kl_divergence
from torch.linalg import cholesky, slogdet, solve

from autograder.checks.case import Mistake, mistakes_into
from autograder.checks.form_cases import PRECISION_KEPT
from autograder.checks.mistakes.precision import DOUBLE_OUT, SINGLE_INSIDE, SINGLE_OUT

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

RANGE = "many dimensions and distant means"
SINGULAR = "nearly singular covariances"
CUT_OFF = "no gradient arrives: detach, no_grad, item or NumPy cuts it off"
JITTER = "adds a small constant to the diagonal, which changes small variances"


@mistake("equals KL(p‖q): q and p are exchanged", caught_by="values")
def swapped(q_mean, q_cov, p_mean, p_cov):
    return kl_divergence(MultivariateNormal(p_mean, p_cov), MultivariateNormal(q_mean, q_cov))


@mistake("is twice the right one: the factor ½ before the bracket is missing", caught_by="values")
def half_forgotten(q_mean, q_cov, p_mean, p_cov):
    return 2 * kl_divergence(MultivariateNormal(q_mean, q_cov), MultivariateNormal(p_mean, p_cov))


@mistake("does not subtract the dimension D inside the bracket", caught_by="values")
def dimension_forgotten(q_mean, q_cov, p_mean, p_cov):
    kl = kl_divergence(MultivariateNormal(q_mean, q_cov), MultivariateNormal(p_mean, p_cov))
    return kl + 0.5 * q_mean.shape[-1]


@mistake("subtracts 1 inside the bracket: subtract the dimension D", caught_by="values")
def one_for_dimension(q_mean, q_cov, p_mean, p_cov):
    kl = kl_divergence(MultivariateNormal(q_mean, q_cov), MultivariateNormal(p_mean, p_cov))
    return kl + 0.5 * q_mean.shape[-1] - 0.5


@mistake("the trace of Σ_p⁻¹ Σ_q is missing", caught_by="values")
def trace_forgotten(q_mean, q_cov, p_mean, p_cov):
    distance = (q_mean - p_mean).unsqueeze(-1)
    square = (distance * solve(p_cov, distance)).sum((-2, -1))
    return 0.5 * (square - q_mean.shape[-1] + slogdet(p_cov)[1] - slogdet(q_cov)[1])


@mistake("the means are not used", caught_by="values")
def means_forgotten(q_mean, q_cov, p_mean, p_cov):
    zero = torch.zeros_like(q_mean)
    return kl_divergence(MultivariateNormal(zero, q_cov), MultivariateNormal(zero, p_cov))


@mistake("the determinants are not used", caught_by="values")
def determinants_forgotten(q_mean, q_cov, p_mean, p_cov):
    distance = (q_mean - p_mean).unsqueeze(-1)
    square = (distance * solve(p_cov, distance)).sum((-2, -1))
    trace = solve(p_cov, q_cov).diagonal(dim1=-2, dim2=-1).sum(-1)
    return 0.5 * (trace + square - q_mean.shape[-1])


@mistake("has log(det Σ_q / det Σ_p): it should be log(det Σ_p / det Σ_q)", caught_by="values")
def determinants_exchanged(q_mean, q_cov, p_mean, p_cov):
    kl = kl_divergence(MultivariateNormal(q_mean, q_cov), MultivariateNormal(p_mean, p_cov))
    return kl + slogdet(q_cov)[1] - slogdet(p_cov)[1]


@mistake("the factor 2 is missing: log det Σ is twice the sum of log L_dd", caught_by="values")
def determinant_of_the_factor(q_mean, q_cov, p_mean, p_cov):
    kl = kl_divergence(MultivariateNormal(q_mean, q_cov), MultivariateNormal(p_mean, p_cov))
    return kl - 0.25 * (slogdet(p_cov)[1] - slogdet(q_cov)[1])


@mistake("uses the determinants without their logarithms", caught_by="values")
def logarithm_forgotten(q_mean, q_cov, p_mean, p_cov):
    kl = kl_divergence(MultivariateNormal(q_mean, q_cov), MultivariateNormal(p_mean, p_cov))
    log_ratio = slogdet(p_cov)[1] - slogdet(q_cov)[1]
    return kl + 0.5 * (log_ratio.exp() - log_ratio)


@mistake("measures the distance of the means by Σ_q⁻¹: use Σ_p⁻¹", caught_by="values")
def distance_by_q(q_mean, q_cov, p_mean, p_cov):
    distance = (q_mean - p_mean).unsqueeze(-1)
    square = (distance * solve(q_cov, distance)).sum((-2, -1))
    trace = solve(p_cov, q_cov).diagonal(dim1=-2, dim2=-1).sum(-1)
    return 0.5 * (trace + square - q_mean.shape[-1] + slogdet(p_cov)[1] - slogdet(q_cov)[1])


@mistake(
    "multiplies the distance of the means by Σ_p: multiply by its inverse, that is, solve a linear system",
    caught_by="values",
)
def distance_not_whitened(q_mean, q_cov, p_mean, p_cov):
    distance = (q_mean - p_mean).unsqueeze(-1)
    square = (distance * (p_cov @ distance)).sum((-2, -1))
    trace = solve(p_cov, q_cov).diagonal(dim1=-2, dim2=-1).sum(-1)
    return 0.5 * (trace + square - q_mean.shape[-1] + slogdet(p_cov)[1] - slogdet(q_cov)[1])


@mistake("uses the plain distance of the means: measure it by Σ_p⁻¹", caught_by="values")
def plain_distance(q_mean, q_cov, p_mean, p_cov):
    trace = solve(p_cov, q_cov).diagonal(dim1=-2, dim2=-1).sum(-1)
    square = (q_mean - p_mean).square().sum(-1)
    return 0.5 * (trace + square - q_mean.shape[-1] + slogdet(p_cov)[1] - slogdet(q_cov)[1])


@mistake("sums L_p⁻¹ L_q without squaring its entries", caught_by="values")
def factor_not_squared(q_mean, q_cov, p_mean, p_cov):
    p_factor, q_factor = cholesky(p_cov), cholesky(q_cov)
    distance = torch.linalg.solve_triangular(p_factor, (q_mean - p_mean).unsqueeze(-1), upper=False)
    trace = torch.linalg.solve_triangular(p_factor, q_factor, upper=False).sum((-2, -1))
    square = distance.square().sum((-2, -1))
    return 0.5 * (trace + square - q_mean.shape[-1] + slogdet(p_cov)[1] - slogdet(q_cov)[1])


@mistake("whitens Σ_q by L_p on one side only: the trace is the sum of squares of L_p⁻¹ L_q", caught_by="values")
def whitened_on_one_side(q_mean, q_cov, p_mean, p_cov):
    p_factor = cholesky(p_cov)
    distance = torch.linalg.solve_triangular(p_factor, (q_mean - p_mean).unsqueeze(-1), upper=False)
    half = torch.linalg.solve_triangular(p_factor, q_cov, upper=False)
    trace, square = half.diagonal(dim1=-2, dim2=-1).sum(-1), distance.square().sum((-2, -1))
    return 0.5 * (trace + square - q_mean.shape[-1] + slogdet(p_cov)[1] - slogdet(q_cov)[1])


@mistake("uses a lower factor as an upper one: Σ = L Lᵀ with L lower triangular", caught_by="values")
def upper_for_lower(q_mean, q_cov, p_mean, p_cov):
    p_factor, q_factor = cholesky(p_cov), cholesky(q_cov)
    distance = torch.linalg.solve_triangular(p_factor, (q_mean - p_mean).unsqueeze(-1), upper=True)
    relative = torch.linalg.solve_triangular(p_factor, q_factor, upper=True)
    squares = relative.square().sum((-2, -1)) + distance.square().sum((-2, -1))
    return 0.5 * (squares - q_mean.shape[-1] + slogdet(p_cov)[1] - slogdet(q_cov)[1])


@mistake("uses the variances alone: the correlations matter too", caught_by="values")
def variances_alone(q_mean, q_cov, p_mean, p_cov):
    q_var, p_var = q_cov.diagonal(dim1=-2, dim2=-1), p_cov.diagonal(dim1=-2, dim2=-1)
    fraction = (q_var + (q_mean - p_mean) ** 2) / p_var
    return 0.5 * (fraction - 1 + p_var.log() - q_var.log()).sum(-1)


@mistake("multiplies the diagonals for the trace: take the trace of the product Σ_p⁻¹ Σ_q", caught_by="values")
def product_of_diagonals(q_mean, q_cov, p_mean, p_cov):
    precision, distance = torch.linalg.inv(p_cov), (q_mean - p_mean).unsqueeze(-1)
    trace = (precision.diagonal(dim1=-2, dim2=-1) * q_cov.diagonal(dim1=-2, dim2=-1)).sum(-1)
    square = (distance * (precision @ distance)).sum((-2, -1))
    return 0.5 * (trace + square - q_mean.shape[-1] + slogdet(p_cov)[1] - slogdet(q_cov)[1])


@mistake("adds up all entries of Σ_p⁻¹ Σ_q: the trace is the sum of the diagonal", caught_by="values")
def all_entries(q_mean, q_cov, p_mean, p_cov):
    distance = (q_mean - p_mean).unsqueeze(-1)
    square = (distance * solve(p_cov, distance)).sum((-2, -1))
    trace = solve(p_cov, q_cov).sum((-2, -1))
    return 0.5 * (trace + square - q_mean.shape[-1] + slogdet(p_cov)[1] - slogdet(q_cov)[1])


@mistake("takes the covariances for precisions", caught_by="values")
def as_precisions(q_mean, q_cov, p_mean, p_cov):
    q = MultivariateNormal(q_mean, precision_matrix=q_cov)
    return kl_divergence(q, MultivariateNormal(p_mean, precision_matrix=p_cov))


@mistake("takes the covariances for Cholesky factors: compute their factors", caught_by="values")
def as_factors(q_mean, q_cov, p_mean, p_cov):
    q = MultivariateNormal(q_mean, scale_tril=q_cov.tril())
    return kl_divergence(q, MultivariateNormal(p_mean, scale_tril=p_cov.tril()))


@mistake("treats p as a standard normal: p has its own mean and covariance", caught_by="values")
def standard_normal_p(q_mean, q_cov, p_mean, p_cov):
    identity = torch.eye(q_mean.shape[-1], dtype=q_mean.dtype)
    return kl_divergence(MultivariateNormal(q_mean, q_cov), MultivariateNormal(torch.zeros_like(q_mean), identity))


@mistake("sums over the whole batch: every pair of Gaussians has its own divergence", caught_by="values")
def sum_over_everything(q_mean, q_cov, p_mean, p_cov):
    return kl_divergence(MultivariateNormal(q_mean, q_cov), MultivariateNormal(p_mean, p_cov)).sum()


@mistake("averages over the batch: every pair of Gaussians has its own divergence", caught_by="values")
def batch_mean(q_mean, q_cov, p_mean, p_cov):
    return kl_divergence(MultivariateNormal(q_mean, q_cov), MultivariateNormal(p_mean, p_cov)).mean()


@mistake("divides by the dimension: the divergence is not an average over dimensions", caught_by="values")
def per_dimension(q_mean, q_cov, p_mean, p_cov):
    kl = kl_divergence(MultivariateNormal(q_mean, q_cov), MultivariateNormal(p_mean, p_cov))
    return kl / q_mean.shape[-1]


@mistake("uses the trace of the first pair for the whole batch: each pair has its own", caught_by="values")
def first_of_the_batch(q_mean, q_cov, p_mean, p_cov):
    first = MultivariateNormal(q_mean, q_cov[:1].expand_as(q_cov) if q_mean.ndim > 1 else q_cov)
    return kl_divergence(first, MultivariateNormal(p_mean, p_cov))


@mistake("is in bits: use the natural logarithm, so that the result is in nats", caught_by="values")
def in_bits(q_mean, q_cov, p_mean, p_cov):
    return kl_divergence(MultivariateNormal(q_mean, q_cov), MultivariateNormal(p_mean, p_cov)) / math.log(2)


@mistake("has the opposite sign", caught_by="values")
def opposite_sign(q_mean, q_cov, p_mean, p_cov):
    return -kl_divergence(MultivariateNormal(q_mean, q_cov), MultivariateNormal(p_mean, p_cov))


@mistake("works for a single pair only: any number of batch dimensions may come first", caught_by="values")
def one_pair_only(q_mean, q_cov, p_mean, p_cov):
    distance = q_mean - p_mean
    precision = torch.inverse(p_cov)
    square = distance @ precision @ distance
    return 0.5 * (torch.trace(precision @ q_cov) + square - len(q_mean) + torch.logdet(p_cov) - torch.logdet(q_cov))


@mistake(
    "a determinant overflows or is zero: sum the logarithms of the Cholesky factor's diagonal instead", caught_by=RANGE
)
def determinants(q_mean, q_cov, p_mean, p_cov):
    distance = (q_mean - p_mean).unsqueeze(-1)
    square = (distance * solve(p_cov, distance)).sum((-2, -1))
    trace = solve(p_cov, q_cov).diagonal(dim1=-2, dim2=-1).sum(-1)
    log_ratio = torch.linalg.det(p_cov).log() - torch.linalg.det(q_cov).log()
    return 0.5 * (trace + square - q_mean.shape[-1] + log_ratio)


@mistake(
    "a determinant overflows or is zero: sum the logarithms of the Cholesky factor's diagonal instead", caught_by=RANGE
)
def ratio_of_determinants(q_mean, q_cov, p_mean, p_cov):
    distance = (q_mean - p_mean).unsqueeze(-1)
    square = (distance * solve(p_cov, distance)).sum((-2, -1))
    trace = solve(p_cov, q_cov).diagonal(dim1=-2, dim2=-1).sum(-1)
    log_ratio = (torch.linalg.det(p_cov) / torch.linalg.det(q_cov)).log()
    return 0.5 * (trace + square - q_mean.shape[-1] + log_ratio)


@mistake("adds a small constant inside the logarithm of a determinant, which is smaller still", caught_by=RANGE)
def small_constant_in_logarithm(q_mean, q_cov, p_mean, p_cov):
    distance = (q_mean - p_mean).unsqueeze(-1)
    square = (distance * solve(p_cov, distance)).sum((-2, -1))
    trace = solve(p_cov, q_cov).diagonal(dim1=-2, dim2=-1).sum(-1)
    log_ratio = (torch.linalg.det(p_cov) + 1e-8).log() - (torch.linalg.det(q_cov) + 1e-8).log()
    return 0.5 * (trace + square - q_mean.shape[-1] + log_ratio)


@mistake(JITTER, caught_by=SINGULAR)
def jitter(q_mean, q_cov, p_mean, p_cov):
    small = 1e-6 * torch.eye(q_mean.shape[-1], dtype=q_cov.dtype)
    return kl_divergence(MultivariateNormal(q_mean, q_cov + small), MultivariateNormal(p_mean, p_cov + small))


@mistake(JITTER, caught_by=SINGULAR)
def jitter_on_p(q_mean, q_cov, p_mean, p_cov):
    small = 1e-8 * torch.eye(q_mean.shape[-1], dtype=q_cov.dtype)
    return kl_divergence(MultivariateNormal(q_mean, q_cov), MultivariateNormal(p_mean, p_cov + small))


@mistake("drops small eigenvalues: a pseudo-inverse with a coarse tolerance is not the inverse", caught_by=SINGULAR)
def coarse_pseudo_inverse(q_mean, q_cov, p_mean, p_cov):
    precision, distance = torch.linalg.pinv(p_cov, rtol=1e-6), (q_mean - p_mean).unsqueeze(-1)
    square = (distance * (precision @ distance)).sum((-2, -1))
    trace = (precision @ q_cov).diagonal(dim1=-2, dim2=-1).sum(-1)
    return 0.5 * (trace + square - q_mean.shape[-1] + slogdet(p_cov)[1] - slogdet(q_cov)[1])


@mistake("clamps small eigenvalues", caught_by=SINGULAR)
def eigenvalues_clamped(q_mean, q_cov, p_mean, p_cov):
    values, vectors = torch.linalg.eigh(p_cov)
    values = values.clamp(min=1e-6)
    distance = (vectors.mT @ (q_mean - p_mean).unsqueeze(-1)).squeeze(-1)
    turned = (vectors.mT @ q_cov @ vectors).diagonal(dim1=-2, dim2=-1)
    log_ratio = values.log().sum(-1) - torch.linalg.eigvalsh(q_cov).log().sum(-1)
    return 0.5 * (((turned + distance**2) / values).sum(-1) - q_mean.shape[-1] + log_ratio)


@mistake(CUT_OFF, caught_by="gradients")
def detached(q_mean, q_cov, p_mean, p_cov):
    q = MultivariateNormal(q_mean.detach(), q_cov.detach())
    return kl_divergence(q, MultivariateNormal(p_mean.detach(), p_cov.detach()))


@mistake("treats p as a constant: gradients must reach its mean and covariance too", caught_by="gradients")
def p_detached(q_mean, q_cov, p_mean, p_cov):
    p = MultivariateNormal(p_mean.detach(), p_cov.detach())
    return kl_divergence(MultivariateNormal(q_mean, q_cov), p)


@mistake("treats the covariances as constants: gradients must reach them too", caught_by="gradients")
def covariances_detached(q_mean, q_cov, p_mean, p_cov):
    q = MultivariateNormal(q_mean, q_cov.detach())
    return kl_divergence(q, MultivariateNormal(p_mean, p_cov.detach()))


@mistake(SINGLE_OUT, caught_by=PRECISION_KEPT)
def single_precision(q_mean, q_cov, p_mean, p_cov):
    q = MultivariateNormal(q_mean.float(), q_cov.float())
    return kl_divergence(q, MultivariateNormal(p_mean.float(), p_cov.float()))


@mistake("squeezes away a batch of one: the result keeps the shape of the batch", caught_by=PRECISION_KEPT)
def squeezed(q_mean, q_cov, p_mean, p_cov):
    return kl_divergence(MultivariateNormal(q_mean, q_cov), MultivariateNormal(p_mean, p_cov)).squeeze()


@mistake("changes q_mean in place: work on a new tensor", caught_by=PRECISION_KEPT)
def mean_changed(q_mean, q_cov, p_mean, p_cov):
    q_mean -= p_mean
    return kl_divergence(MultivariateNormal(q_mean, q_cov), MultivariateNormal(torch.zeros_like(p_mean), p_cov))


@mistake("changes a covariance in place: work on a new tensor", caught_by=PRECISION_KEPT)
def covariance_changed(q_mean, q_cov, p_mean, p_cov):
    q, p = MultivariateNormal(q_mean, q_cov), MultivariateNormal(p_mean, p_cov)
    p_cov.diagonal(dim1=-2, dim2=-1).add_(1e-12)
    return kl_divergence(q, p)


@mistake("keeps a last dimension of size one", caught_by="values")
def dimension_kept(q_mean, q_cov, p_mean, p_cov):
    return kl_divergence(MultivariateNormal(q_mean, q_cov), MultivariateNormal(p_mean, p_cov)).unsqueeze(-1)


@mistake(
    "keeps the quadratic form as a 1 × 1 matrix for each pair: squeeze both dimensions before adding",
    caught_by="values",
)
def matrix_of_one_entry(q_mean, q_cov, p_mean, p_cov):
    distance = (q_mean - p_mean).unsqueeze(-1)
    trace = solve(p_cov, q_cov).diagonal(dim1=-2, dim2=-1).sum(-1)
    rest = trace - q_mean.shape[-1] + slogdet(p_cov)[1] - slogdet(q_cov)[1]
    return 0.5 * (rest + distance.mT @ solve(p_cov, distance))


@mistake("the factor ½ before the bracket and the −D inside it are both missing", caught_by="values")
def neither_half_nor_dimension(q_mean, q_cov, p_mean, p_cov):
    kl = kl_divergence(MultivariateNormal(q_mean, q_cov), MultivariateNormal(p_mean, p_cov))
    return 2 * kl + q_mean.shape[-1]


@mistake("expands the quadratic form: its terms cancel far from zero, so subtract the means first", caught_by=RANGE)
def square_multiplied_out(q_mean, q_cov, p_mean, p_cov):
    def product(left, right):
        return (left * solve(p_cov, right.unsqueeze(-1)).squeeze(-1)).sum(-1)

    trace = solve(p_cov, q_cov).diagonal(dim1=-2, dim2=-1).sum(-1)
    square = product(q_mean, q_mean) - 2 * product(q_mean, p_mean) + product(p_mean, p_mean)
    return 0.5 * (trace + square - q_mean.shape[-1] + slogdet(p_cov)[1] - slogdet(q_cov)[1])


@mistake("whitens each mean before subtracting: this loses digits far from zero, so subtract first", caught_by=RANGE)
def whitened_before_subtracting(q_mean, q_cov, p_mean, p_cov):
    p_factor = cholesky(p_cov)
    whitened = torch.linalg.solve_triangular(p_factor, torch.stack([q_mean, p_mean], dim=-1), upper=False)
    relative = torch.linalg.solve_triangular(p_factor, cholesky(q_cov), upper=False)
    squares = relative.square().sum((-2, -1)) + (whitened[..., 0] - whitened[..., 1]).square().sum(-1)
    return 0.5 * (squares - q_mean.shape[-1]) - relative.diagonal(dim1=-2, dim2=-1).log().sum(-1)


@mistake(
    "a determinant overflows or is zero: sum the logarithms of the Cholesky factor's diagonal instead", caught_by=RANGE
)
def product_of_eigenvalues(q_mean, q_cov, p_mean, p_cov):
    distance = (q_mean - p_mean).unsqueeze(-1)
    square = (distance * solve(p_cov, distance)).sum((-2, -1))
    trace = solve(p_cov, q_cov).diagonal(dim1=-2, dim2=-1).sum(-1)
    p_det, q_det = (torch.linalg.eigvalsh(cov).prod(-1) for cov in (p_cov, q_cov))
    return 0.5 * (trace + square - q_mean.shape[-1] + p_det.log() - q_det.log())


@mistake(SINGLE_INSIDE, caught_by=PRECISION_KEPT)
def single_inside(q_mean, q_cov, p_mean, p_cov):
    kl = kl_divergence(MultivariateNormal(q_mean, q_cov), MultivariateNormal(p_mean, p_cov))
    return (kl - 0.1).float().to(kl.dtype) + 0.1


@mistake(DOUBLE_OUT, caught_by=PRECISION_KEPT)
def double_out(q_mean, q_cov, p_mean, p_cov):
    q = MultivariateNormal(q_mean.double(), q_cov.double())
    return kl_divergence(q, MultivariateNormal(p_mean.double(), p_cov.double()))


@mistake("subtracts the first size of q_mean: the dimension D is its last size", caught_by="values")
def first_size_for_dimension(q_mean, q_cov, p_mean, p_cov):
    kl = kl_divergence(MultivariateNormal(q_mean, q_cov), MultivariateNormal(p_mean, p_cov))
    return kl + 0.5 * (q_mean.shape[-1] - q_mean.shape[0])


@mistake("takes the trace of L_p⁻¹ L_q itself: sum the squares of all its entries", caught_by="values")
def trace_of_the_factors(q_mean, q_cov, p_mean, p_cov):
    relative = solve(torch.linalg.cholesky(p_cov), torch.linalg.cholesky(q_cov))
    trace = solve(p_cov, q_cov).diagonal(dim1=-2, dim2=-1).sum(-1)
    kl = kl_divergence(MultivariateNormal(q_mean, q_cov), MultivariateNormal(p_mean, p_cov))
    return kl + 0.5 * (relative.diagonal(dim1=-2, dim2=-1).sum(-1) - trace)


@mistake("takes the length of L_p⁻¹ (μ_q − μ_p): use its square", caught_by="values")
def distance_not_squared(q_mean, q_cov, p_mean, p_cov):
    distance = (q_mean - p_mean).unsqueeze(-1)
    square = (distance * solve(p_cov, distance)).sum((-2, -1))
    kl = kl_divergence(MultivariateNormal(q_mean, q_cov), MultivariateNormal(p_mean, p_cov))
    return kl + 0.5 * (square.sqrt() - square)
