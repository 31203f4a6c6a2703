"""Wrong ways to write ``bernoulli_log_likelihood``."""

import math

import torch
import torch.nn.functional as F

from autograder.checks.case import Mistake, mistakes_into
from autograder.checks.form_cases import PRECISION_KEPT
from autograder.checks.mistakes.precision import DOUBLE_OUT, SINGLE_INSIDE, SINGLE_OUT

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

EXTREME = "logits out to ±100, hundreds of pixels"
GRADIENTS_FAR_OUT = "gradients of logits out to ±100"
CUT_OFF = "no gradient reaches the logits: detach, no_grad, item or a new tensor cuts it off"


@mistake("has the opposite sign: cross-entropy is minus the log-likelihood", caught_by="values")
def cross_entropy(logits, x):
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(1)


@mistake("averages over the pixels of an example: sum over them", caught_by="values")
def mean_over_pixels(logits, x):
    return -F.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).mean(1)


@mistake("averages over everything: return the sum of each example", caught_by="values")
def mean_over_everything(logits, x):
    return -F.binary_cross_entropy_with_logits(logits, x)


@mistake("averages over everything: return the sum of each example", caught_by="values")
def mean_cross_entropy(logits, x):
    return F.binary_cross_entropy_with_logits(logits, x)


@mistake("sums over the batch too: return one number per example", caught_by="values")
def sum_over_everything(logits, x):
    return -F.binary_cross_entropy_with_logits(logits, x, reduction="sum")


@mistake("sums over the batch too: return one number per example", caught_by="values")
def cross_entropy_over_everything(logits, x):
    return F.binary_cross_entropy_with_logits(logits, x, reduction="sum")


@mistake("sums over the last dimension only: sum over all dimensions but the first", caught_by="values")
def last_dimension_only(logits, x):
    return -F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)


@mistake("sums over dimension 1 only: sum over all dimensions but the first", caught_by="values")
def dimension_one_only(logits, x):
    return -F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)


@mistake("sums over the batch: return one number per example", caught_by="values")
def summed_over_batch(logits, x):
    return -F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(0)


@mistake("returns one number per pixel: sum over all dimensions but the first", caught_by="values")
def not_summed(logits, x):
    return -F.binary_cross_entropy_with_logits(logits, x, reduction="none")


@mistake("exchanges x and 1 − x", caught_by="values")
def x_exchanged(logits, x):
    return ((1 - x) * F.logsigmoid(logits) + x * F.logsigmoid(-logits)).flatten(1).sum(1)


@mistake("forgets the pixels that are zero: the term with 1 − x is missing", caught_by="values")
def ones_only(logits, x):
    return (x * F.logsigmoid(logits)).flatten(1).sum(1)


@mistake("forgets the pixels that are one: the term with x is missing", caught_by="values")
def zeros_only(logits, x):
    return ((1 - x) * F.logsigmoid(-logits)).flatten(1).sum(1)


@mistake("applies the sigmoid twice", caught_by="values")
def sigmoid_twice(logits, x):
    return -F.binary_cross_entropy_with_logits(torch.sigmoid(logits), x, reduction="none").flatten(1).sum(1)


@mistake("forgets the logarithm", caught_by="values")
def logarithm_forgotten(logits, x):
    p = torch.sigmoid(logits)
    return (x * p + (1 - x) * (1 - p)).flatten(1).sum(1)


@mistake(
    "takes the logarithm of the mixture x p + (1 − x)(1 − p): weight the two logarithms instead", caught_by="values"
)
def logarithm_of_mixture(logits, x):
    p = torch.sigmoid(logits)
    return torch.log(x * p + (1 - x) * (1 - p)).flatten(1).sum(1)


@mistake("rounds x: values between 0 and 1 weight the two terms", caught_by="values")
def x_rounded(logits, x):
    return -F.binary_cross_entropy_with_logits(logits, x.round(), reduction="none").flatten(1).sum(1)


@mistake("rounds x: values between 0 and 1 weight the two terms", caught_by="values")
def choice_by_where(logits, x):
    return torch.where(x > 0.5, F.logsigmoid(logits), F.logsigmoid(-logits)).flatten(1).sum(1)


@mistake("is in bits: use the natural logarithm, so that the result is in nats", caught_by="values")
def in_bits(logits, x):
    return -F.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(1) / math.log(2)


@mistake("returns a squared error, which is the log-likelihood of a Gaussian", caught_by="values")
def squared_error(logits, x):
    return -(torch.sigmoid(logits) - x).square().flatten(1).sum(1)


@mistake("exchanges the arguments: the logits come first, x second", caught_by="values")
def arguments_exchanged(logits, x):
    return -F.binary_cross_entropy_with_logits(x, logits, reduction="none").flatten(1).sum(1)


@mistake("takes a softmax over the pixels: each pixel has its own probability", caught_by="values")
def softmax(logits, x):
    return (x * torch.log_softmax(logits.flatten(1), dim=1).reshape(x.shape)).flatten(1).sum(1)


@mistake("adds log(1 + e^ℓ): subtract it", caught_by="values")
def softplus_added(logits, x):
    return (x * logits + F.softplus(logits)).flatten(1).sum(1)


@mistake(
    "takes the logarithm of σ(logit), which rounds to 0 or 1: the result is infinite or NaN, so use logsigmoid "
    "or softplus",
    caught_by=EXTREME,
)
def logarithm_of_sigmoid(logits, x):
    p = torch.sigmoid(logits)
    return (x * torch.log(p) + (1 - x) * torch.log(1 - p)).flatten(1).sum(1)


@mistake("adds a small constant inside the logarithm, which caps the loss of a wrong pixel", caught_by=EXTREME)
def small_constant_added(logits, x):
    p = torch.sigmoid(logits)
    return (x * torch.log(p + 1e-8) + (1 - x) * torch.log(1 - p + 1e-8)).flatten(1).sum(1)


@mistake("clamps the probabilities, which caps the loss of a wrong pixel", caught_by=EXTREME)
def clamped_probabilities(logits, x):
    p = torch.sigmoid(logits).clamp(1e-6, 1 - 1e-6)
    return (x * torch.log(p) + (1 - x) * torch.log(1 - p)).flatten(1).sum(1)


@mistake("clamps the logits, which caps the loss of a wrong pixel", caught_by=EXTREME)
def clamped_logits(logits, x):
    return -F.binary_cross_entropy_with_logits(logits.clamp(-30, 30), x, reduction="none").flatten(1).sum(1)


@mistake("uses binary_cross_entropy on probabilities, which stops each term at −100", caught_by=EXTREME)
def cross_entropy_of_probabilities(logits, x):
    return -F.binary_cross_entropy(torch.sigmoid(logits), x, reduction="none").flatten(1).sum(1)


@mistake("exp(logit) overflows: use logsigmoid or softplus", caught_by=EXTREME)
def exp_overflows(logits, x):
    return (x * logits - torch.log(1 + torch.exp(logits))).flatten(1).sum(1)


@mistake(CUT_OFF, caught_by="gradients")
def result_detached(logits, x):
    return -F.binary_cross_entropy_with_logits(logits.detach(), x, reduction="none").flatten(1).sum(1)


@mistake(CUT_OFF, caught_by="gradients")
def through_item(logits, x):
    terms = -F.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(1)
    return torch.tensor([term.item() for term in terms], dtype=logits.dtype)


@mistake("cuts the gradient off beyond a limit on the logits", caught_by=GRADIENTS_FAR_OUT)
def gradient_clamped(logits, x):
    inside = logits.clamp(-50, 50)
    value = -F.binary_cross_entropy_with_logits(logits, x, reduction="none")
    surrogate = -F.binary_cross_entropy_with_logits(inside, x, reduction="none")
    return (surrogate + (value - surrogate).detach()).flatten(1).sum(1)


@mistake(SINGLE_OUT, caught_by=PRECISION_KEPT)
def single_precision(logits, x):
    return -F.binary_cross_entropy_with_logits(logits.float(), x.float(), reduction="none").flatten(1).sum(1)


@mistake("changes the logits in place: work on a new tensor", caught_by=PRECISION_KEPT)
def logits_changed(logits, x):
    first = x * F.logsigmoid(logits)
    return (first + (1 - x) * F.logsigmoid(logits.neg_())).flatten(1).sum(1)


@mistake("changes x in place: work on a new tensor", caught_by=PRECISION_KEPT)
def x_changed(logits, x):
    first = x * F.logsigmoid(logits)
    x.neg_().add_(1)
    return (first + x * F.logsigmoid(-logits)).flatten(1).sum(1)


@mistake("squeezes away a batch of one: the shape should be (batch,), also for one example", caught_by=PRECISION_KEPT)
def squeezed(logits, x):
    return -F.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(1).squeeze()


@mistake("keeps a dimension of size one: the shape should be (batch,), one number per example", caught_by="values")
def dimension_kept(logits, x):
    return -F.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(1, keepdim=True)


@mistake("rounds x down to 0 or 1: values between 0 and 1 weight the two terms", caught_by="values")
def grey_to_black(logits, x):
    return -F.binary_cross_entropy_with_logits(logits, x.floor(), reduction="none").flatten(1).sum(1)


@mistake("Bernoulli(…).log_prob rejects values between 0 and 1: they weight the two terms", caught_by="values")
def distribution_of_black_and_white(logits, x):
    return torch.distributions.Bernoulli(logits=logits).log_prob(x).flatten(1).sum(1)


@mistake("averages over the pixels, with the opposite sign", caught_by="values")
def mean_cross_entropy_per_example(logits, x):
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).mean(1)


@mistake("exchanges x and 1 − x, with the opposite sign", caught_by="values")
def cross_entropy_of_the_negative(logits, x):
    return F.binary_cross_entropy_with_logits(logits, 1 - x, reduction="none").flatten(1).sum(1)


@mistake("multiplies probabilities: the product of hundreds of them is 0, so add logarithms", caught_by=EXTREME)
def product_of_probabilities(logits, x):
    p = torch.sigmoid(logits)
    return (p**x * (1 - p) ** (1 - x)).flatten(1).prod(1).log()


@mistake("the branch that torch.where does not take overflows, so its gradient is NaN", caught_by=GRADIENTS_FAR_OUT)
def overflow_in_the_other_branch(logits, x):
    positive, negative = logits + torch.log1p(torch.exp(-logits)), torch.log1p(torch.exp(logits))
    return (x * logits - torch.where(logits > 0, positive, negative)).flatten(1).sum(1)


@mistake(SINGLE_INSIDE, caught_by=PRECISION_KEPT)
def single_inside(logits, x):
    return (x * logits - F.softplus(logits.float())).flatten(1).sum(1)


@mistake(DOUBLE_OUT, caught_by=PRECISION_KEPT)
def double_out(logits, x):
    terms = F.binary_cross_entropy_with_logits(logits.double(), x.double(), reduction="none")
    return -terms.flatten(1).sum(1)


@mistake("uses the continuous Bernoulli, which has a normalising constant: use the Bernoulli", caught_by="values")
def continuous_bernoulli(logits, x):
    return torch.distributions.ContinuousBernoulli(logits=logits).log_prob(x).flatten(1).sum(1)


@mistake("uses 1 − log σ(ℓ) for log(1 − σ(ℓ)), which is log σ(−ℓ)", caught_by="values")
def one_minus_the_logarithm(logits, x):
    return (x * F.logsigmoid(logits) + (1 - x) * (1 - F.logsigmoid(logits))).flatten(1).sum(1)
