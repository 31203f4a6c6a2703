"""Wrong ways to write ``kl_categorical``."""

import math

import torch
import torch.nn.functional as F

from autograder.checks.case import Mistake, mistakes_into
from autograder.checks.form_cases import PRECISION_KEPT
from autograder.checks.mistakes.precision import DOUBLE_OUT, SINGLE_INSIDE, SINGLE_OUT

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

ZEROS = "outcomes that q rules out"
IMPOSSIBLE = "outcomes that p rules out"
SWAPPED = "equals KL(p‖q): average over q, with q above the fraction line"
FINITE = "is finite where q is positive and p is zero: a small constant or a clamp hides an infinite divergence"
CUT_OFF = "no gradient arrives: detach, no_grad, item or NumPy cuts it off"


@mistake(SWAPPED, caught_by="values")
def swapped(q, p):
    return (p * (p / q).log()).sum(dim=-1)


@mistake(SWAPPED, caught_by="values")
def order_of_kl_div(q, p):
    return F.kl_div(q.log(), p, reduction="none").sum(dim=-1)


@mistake("has the opposite sign: the fraction is q over p", caught_by="values")
def opposite_sign(q, p):
    return (q * (p / q).log()).sum(dim=-1)


@mistake("averages log(q/p) over p: average over q", caught_by="values")
def weighted_by_p(q, p):
    return (p * (q / p).log()).sum(dim=-1)


@mistake("does not weight the outcomes: multiply each log(q/p) by q", caught_by="values")
def unweighted(q, p):
    return (q / p).log().sum(dim=-1)


@mistake("averages over the outcomes: sum over them", caught_by="values")
def mean_over_outcomes(q, p):
    return (q * (q / p).log()).mean(dim=-1)


@mistake("sums over the whole batch: every pair of distributions has its own divergence", caught_by="values")
def sum_over_everything(q, p):
    return (q * (q / p).log()).sum()


@mistake("averages over the batch: every pair of distributions has its own divergence", caught_by="values")
def batch_mean(q, p):
    return F.kl_div(p.log(), q, reduction="sum") / len(q)


@mistake("sums over the first dimension: the outcomes are in the last", caught_by="values")
def sum_over_first(q, p):
    return (q * (q / p).log()).sum(dim=0)


@mistake("sums over dimension 1: the outcomes are in the last dimension, however many there are", caught_by="values")
def sum_over_second(q, p):
    dim = min(1, q.ndim - 1)
    return (q * (q / p).log()).sum(dim=dim)


@mistake("sums over all dimensions but the first: only the last one holds outcomes", caught_by="values")
def flattened(q, p):
    contributions = q * (q / p).log()
    return contributions.sum() if q.ndim == 1 else contributions.flatten(1).sum(dim=1)


@mistake("is in bits: use the natural logarithm, so that the result is in nats", caught_by="values")
def in_bits(q, p):
    return (q * (q / p).log2()).sum(dim=-1)


@mistake("uses log10: use the natural logarithm, so that the result is in nats", caught_by="values")
def decimal_logarithm(q, p):
    return (q * (q / p).log10()).sum(dim=-1)


@mistake("returns the cross-entropy −Σ q log p: subtract the entropy of q", caught_by="values")
def cross_entropy(q, p):
    return -(q * p.log()).sum(dim=-1)


@mistake("returns minus the entropy of q: the result must depend on p", caught_by="values")
def negative_entropy(q, p):
    return (q * q.log()).sum(dim=-1)


@mistake("takes absolute values of the contributions: some of them are negative", caught_by="values")
def absolute_contributions(q, p):
    return (q * (q / p).log()).abs().sum(dim=-1)


@mistake("drops negative contributions: only their sum can never be negative", caught_by="values")
def positive_contributions(q, p):
    return (q * (q / p).log()).clamp(min=0).sum(dim=-1)


@mistake("treats probabilities as logits: apply no softmax to them", caught_by="values")
def softmax_again(q, p):
    log_q, log_p = q.log_softmax(dim=-1), p.log_softmax(dim=-1)
    return (log_q.exp() * (log_q - log_p)).sum(dim=-1)


@mistake("returns the average of both directions: KL(q‖p) is not symmetric", caught_by="values")
def both_directions(q, p):
    return 0.5 * ((q - p) * (q.log() - p.log())).sum(dim=-1)


@mistake("returns the Jensen–Shannon divergence instead of KL(q‖p)", caught_by="values")
def jensen_shannon(q, p):
    middle = 0.5 * (q + p)
    return 0.5 * (torch.xlogy(q, q / middle) + torch.xlogy(p, p / middle)).sum(dim=-1)


@mistake("takes the logarithm of the sum: sum the logarithms", caught_by="values")
def logarithm_of_the_sum(q, p):
    return (q * q / p).sum(dim=-1).log()


@mistake("keeps the dimension of the outcomes with size one", caught_by="values")
def dimension_kept(q, p):
    return (q * (q / p).log()).sum(dim=-1, keepdim=True)


@mistake("0 · log 0 gives NaN: it counts as 0, so keep zeros of q out of the logarithm", caught_by=ZEROS)
def zero_times_infinity(q, p):
    return (q * (q / p).log()).sum(dim=-1)


@mistake("0 · log 0 gives NaN: it counts as 0, so keep zeros of q out of the logarithm", caught_by=ZEROS)
def difference_of_logarithms(q, p):
    return (q * (q.log() - p.log())).sum(dim=-1)


@mistake("gives NaN where q and p are both zero: such an outcome contributes 0", caught_by=ZEROS)
def both_zero(q, p):
    return F.kl_div(p.log(), q, reduction="none").sum(dim=-1)


@mistake("is infinite wherever p is zero: it is infinite only if q is positive there", caught_by=ZEROS)
def infinite_without_q(q, p):
    kl = torch.xlogy(q, q).sum(dim=-1) - torch.xlogy(q, p).sum(dim=-1)
    return torch.where((p == 0).any(dim=-1), math.inf, kl)


@mistake("is infinite wherever q is zero: it is infinite only where p is zero and q is positive", caught_by=ZEROS)
def infinite_for_zeros_of_q(q, p):
    kl = torch.where(q > 0, q * (q / p).log(), 0.0).sum(dim=-1)
    return torch.where((q == 0).any(dim=-1), math.inf, kl)


@mistake(FINITE, caught_by=IMPOSSIBLE)
def small_constant_added(q, p):
    return (q * ((q + 1e-8) / (p + 1e-8)).log()).sum(dim=-1)


@mistake(FINITE, caught_by=IMPOSSIBLE)
def probabilities_clamped(q, p):
    q_inside, p_inside = q.clamp(min=1e-12), p.clamp(min=1e-12)
    return (q * (q_inside / p_inside).log()).sum(dim=-1)


@mistake(FINITE, caught_by=IMPOSSIBLE)
def rounding_clamped(q, p):
    least = torch.finfo(q.dtype).eps
    return (q * (q.clamp(min=least).log() - p.clamp(min=least).log())).sum(dim=-1)


@mistake("replaces infinity by a large number: return infinity", caught_by=IMPOSSIBLE)
def infinity_replaced(q, p):
    return torch.nan_to_num(q * (q / p).log()).sum(dim=-1)


@mistake(
    "leaves out outcomes with p = 0 even where q is positive: they make the divergence infinite", caught_by=IMPOSSIBLE
)
def impossible_left_out(q, p):
    both = (q > 0) & (p > 0)
    return torch.where(both, q * (q / p).log(), torch.zeros_like(q)).sum(dim=-1)


@mistake(
    "leaves out outcomes with p = 0 even where q is positive: they make the divergence infinite", caught_by=IMPOSSIBLE
)
def infinity_dropped(q, p):
    return torch.nan_to_num(q * (q / p).log(), nan=0.0, posinf=0.0).sum(dim=-1)


@mistake("gives NaN where q is positive and p is zero: the divergence is infinite there", caught_by=IMPOSSIBLE)
def not_a_number(q, p):
    kl = torch.where(q > 0, q * (q / p).log(), 0.0).sum(dim=-1)
    return torch.where(kl.isinf(), math.nan, kl)


@mistake("one impossible outcome makes the whole batch infinite: only its own row should be", caught_by=IMPOSSIBLE)
def whole_batch_infinite(q, p):
    kl = torch.where(q > 0, q * (q / p).log(), 0.0).sum(dim=-1)
    return torch.full_like(kl, math.inf) if kl.isinf().any() else kl


@mistake(CUT_OFF, caught_by="gradients")
def detached(q, p):
    q, p = q.detach(), p.detach()
    return torch.where(q > 0, q * (q / p).log(), 0.0).sum(dim=-1)


@mistake("treats the weights q as constants: the gradient of q has a part from the weights too", caught_by="gradients")
def weights_detached(q, p):
    return torch.where(q > 0, q.detach() * (q / p).log(), 0.0).sum(dim=-1)


@mistake("treats p as a constant: gradients must reach it too", caught_by="gradients")
def p_detached(q, p):
    return torch.where(q > 0, q * (q / p.detach()).log(), 0.0).sum(dim=-1)


@mistake(SINGLE_OUT, caught_by=PRECISION_KEPT)
def single_precision(q, p):
    q, p = q.float(), p.float()
    return torch.where(q > 0, q * (q / p).log(), 0.0).sum(dim=-1)


@mistake("squeezes away a batch of one: the result keeps the shape of the batch", caught_by=PRECISION_KEPT)
def squeezed(q, p):
    return torch.where(q > 0, q * (q / p).log(), 0.0).sum(dim=-1).squeeze()


@mistake("changes q in place: work on a new tensor", caught_by=PRECISION_KEPT)
def q_changed(q, p):
    weights = q.clone()
    q /= p
    return torch.where(weights > 0, weights * q.log(), 0.0).sum(dim=-1)


@mistake("writes into q where it is zero: work on a new tensor", caught_by=PRECISION_KEPT)
def zeros_overwritten(q, p):
    zero = q == 0
    q[zero] = 1.0
    return (torch.where(zero, 0.0, q) * (q.log() - torch.where(zero, 1.0, p).log())).sum(dim=-1)


@mistake("calls kl_div(q, p) with probabilities: its first argument is log p, its second q", caught_by="values")
def kl_div_of_probabilities(q, p):
    return F.kl_div(q, p, reduction="none").sum(dim=-1)


@mistake("averages over the outcomes, and exchanges q and p", caught_by="values")
def swapped_mean(q, p):
    return (p * (p / q).log()).mean(dim=-1)


@mistake("replaces NaN after the sum, so the other outcomes of that row are lost", caught_by=ZEROS)
def sum_replaced(q, p):
    kl = (q * (q / p).log()).sum(dim=-1)
    return torch.where(kl.isnan(), 0.0, kl)


@mistake(FINITE, caught_by=IMPOSSIBLE)
def small_constant_in_p(q, p):
    return torch.where(q > 0, q * (q / (p + 1e-10)).log(), 0.0).sum(dim=-1)


@mistake(SINGLE_INSIDE, caught_by=PRECISION_KEPT)
def single_inside(q, p):
    ratio = (q / p).float()
    return torch.where(q > 0, q * ratio.log(), 0.0).sum(dim=-1)


@mistake(DOUBLE_OUT, caught_by=PRECISION_KEPT)
def double_out(q, p):
    q, p = q.double(), p.double()
    return torch.where(q > 0, q * (q / p).log(), 0.0).sum(dim=-1)


@mistake("divides by the sum of the whole batch: each distribution sums to one on its own", caught_by="values")
def batch_normalised(q, p):
    q, p = q / q.sum(), p / p.sum()
    return torch.where(q > 0, q * (q / p).log(), 0.0).sum(dim=-1)


@mistake(
    "leaves out outcomes to which q gives little: where p is zero, even they make the divergence infinite",
    caught_by=IMPOSSIBLE,
)
def small_probabilities_left_out(q, p):
    return torch.where(q > 1e-8, q * (q / p).log(), 0.0).sum(dim=-1)
