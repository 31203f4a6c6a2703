"""Wrong ways to write ``discretized_logistic_log_prob``."""

import math

import torch
import torch.nn.functional as F

from autograder.checks.case import Mistake, mistakes_into
from autograder.checks.mistakes.precision import DOUBLE_OUT, SINGLE_INSIDE, SINGLE_OUT

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

INSIDE = "levels between the first and the last"
ENDS = "first and last level"
FAR = "any scale, thousands of scales from the mean"
GRADIENTS = "gradients"
FORM = "levels of any type, shapes that broadcast, precision kept, inputs left alone"
DIFFERENCE = (
    "takes the logarithm of a difference of two σ, which rounds to 0 far from the mean: combine log σ of the "
    "edges instead"
)
FLOOR = "adds a small number, or a floor, before the logarithm: all improbable levels get the same result"
CENTRE = "returns the density at the level times the width of its bin: return the probability between the two edges"
ONE_SIDED = "is infinite far above the mean, where log σ of both edges rounds to 0: use σ(−a) on that side"
CLAMPED = "clamps: use means from −2 to 2, log-scales from −7 to 7 and improbable levels as they are"
WRONG_ENDS = "opens the first bin above and the last one below: the first is open below, the last above"
BITS_IGNORED = "assumes 256 levels whatever bits is"
CUT_OFF = "cuts gradients off (detach, .data, no_grad): they must reach mean and log_scale"


def scaled(x, bits):
    return 2 * x / (2**bits - 1) - 1


def half_bin(bits):
    return 1 / (2**bits - 1)


def is_first(x, bits):
    return x == 0


def is_last(x, bits):
    return x == 2**bits - 1


def product(upper, lower):
    return F.logsigmoid(upper) + F.logsigmoid(-lower) + torch.log(-torch.expm1(lower - upper))


def first_bin(upper, lower):
    return F.logsigmoid(upper)


def last_bin(upper, lower):
    return F.logsigmoid(-lower)


def log_prob(
    inputs, number=torch.Tensor.double, scaled=scaled, half=half_bin, scale=torch.exp, ends=None, inside=product
):
    """The right function with one stage replaced, in float64 or another dtype ``number``.

    ``ends`` is (condition, value) of the first and of the last bin.
    """
    x, mean, log_scale, bits = inputs
    first, first_value, last, last_value = ends or (is_first, first_bin, is_last, last_bin)
    position, width, spread = scaled(number(x), bits), half(bits), scale(number(log_scale))
    upper, lower = (position + width - number(mean)) / spread, (position - width - number(mean)) / spread
    value = torch.where(last(x, bits), last_value(upper, lower), inside(upper, lower))
    return torch.where(first(x, bits), first_value(upper, lower), value).to(mean.dtype)


@mistake("takes a whole bin to either side: a bin reaches halfway to its neighbours, 1/(2**bits − 1)", INSIDE)
def whole_bin_to_either_side(x, mean, log_scale, bits):
    return log_prob((x, mean, log_scale, bits), half=lambda bits: 2 / (2**bits - 1))


@mistake("uses bins half as wide as they are: levels are 2/(2**bits − 1) apart on [−1, 1]", INSIDE)
def quarter_bins(x, mean, log_scale, bits):
    return log_prob((x, mean, log_scale, bits), half=lambda bits: 0.5 / (2**bits - 1))


@mistake("uses 1/2**bits for half a bin: there are 2**bits − 1 steps between 2**bits levels", INSIDE)
def bins_of_a_power(x, mean, log_scale, bits):
    return log_prob((x, mean, log_scale, bits), half=lambda bits: 1 / 2**bits)


@mistake("puts levels at 2x/2**bits − 1: divide by 2**bits − 1, so that the last level is at 1", INSIDE)
def levels_over_a_power(x, mean, log_scale, bits):
    return log_prob((x, mean, log_scale, bits), scaled=lambda x, bits: 2 * x / 2**bits - 1)


@mistake("cuts [−1, 1] into 2**bits equal bins: the first level is at −1 and the last at 1", INSIDE)
def equal_bins(x, mean, log_scale, bits):
    def centre(x, bits):
        return (2 * x + 1) / 2**bits - 1

    return log_prob((x, mean, log_scale, bits), scaled=centre, half=lambda bits: 1 / 2**bits)


@mistake("puts the levels on [0, 1]: mean and log_scale are given on [−1, 1]", INSIDE)
def on_unit_interval(x, mean, log_scale, bits):
    def unit(x, bits):
        return x / (2**bits - 1)

    return log_prob((x, mean, log_scale, bits), scaled=unit, half=lambda bits: 0.5 / (2**bits - 1))


@mistake("leaves x as it is: put the levels on [−1, 1] first", INSIDE)
def levels_as_they_are(x, mean, log_scale, bits):
    return log_prob((x, mean, log_scale, bits), scaled=lambda x, bits: x)


@mistake("leaves x as it is: put the levels on [−1, 1] first", INSIDE)
def in_levels_throughout(x, mean, log_scale, bits):
    return log_prob((x, mean, log_scale, bits), scaled=lambda x, bits: x, half=lambda bits: 0.5)


@mistake(BITS_IGNORED, INSIDE)
def always_eight_bits(x, mean, log_scale, bits):
    return log_prob((x, mean, log_scale, 8))


@mistake("assumes 256 levels in the width of a bin, whatever bits is", INSIDE)
def width_of_eight_bits(x, mean, log_scale, bits):
    return log_prob((x, mean, log_scale, bits), half=lambda bits: 1 / 255)


@mistake("returns the density of the logistic: return the probability of a bin", INSIDE)
def density(x, mean, log_scale, bits):
    def log_density(upper, lower):
        centre = (upper + lower) / 2
        return F.logsigmoid(centre) + F.logsigmoid(-centre) - log_scale.double()

    return log_prob((x, mean, log_scale, bits), inside=log_density)


@mistake(CENTRE, INSIDE)
def density_times_width(x, mean, log_scale, bits):
    def at_centre(upper, lower):
        centre = (upper + lower) / 2
        return F.logsigmoid(centre) + F.logsigmoid(-centre) + (upper - lower).log()

    return log_prob((x, mean, log_scale, bits), inside=at_centre)


@mistake("divides by log_scale: the scale is exp(log_scale)", INSIDE)
def log_scale_for_scale(x, mean, log_scale, bits):
    return log_prob((x, mean, log_scale, bits), scale=lambda log_scale: log_scale)


@mistake("multiplies by the scale: divide the distance to the mean by it", INSIDE)
def multiplied_by_scale(x, mean, log_scale, bits):
    return log_prob((x, mean, log_scale, bits), scale=lambda log_scale: torch.exp(-log_scale))


@mistake("takes log_scale for a log-variance: the scale is exp(log_scale), without a factor 1/2", INSIDE)
def log_variance(x, mean, log_scale, bits):
    return log_prob((x, mean, log_scale, bits), scale=lambda log_scale: torch.exp(log_scale / 2))


@mistake(
    "takes log_scale for the log of the standard deviation, π/√3 times the scale: the scale is exp(log_scale)", INSIDE
)
def standard_deviation(x, mean, log_scale, bits):
    return log_prob((x, mean, log_scale, bits), scale=lambda log_scale: log_scale.exp() * math.sqrt(3) / math.pi)


@mistake("uses the normal distribution function: use the logistic one, σ", INSIDE)
def normal_distribution(x, mean, log_scale, bits):
    def between(upper, lower):
        return torch.log(torch.special.ndtr(upper) - torch.special.ndtr(lower))

    return log_prob((x, mean, log_scale, bits), inside=between)


@mistake("forgets the mean", INSIDE)
def mean_forgotten(x, mean, log_scale, bits):
    return log_prob((x, 0 * mean, log_scale, bits))


@mistake("adds the mean: subtract it, to get the distance of the level from the mean", INSIDE)
def mean_added(x, mean, log_scale, bits):
    return log_prob((x, -mean, log_scale, bits))


@mistake("returns the probability: return its logarithm", INSIDE)
def probability(x, mean, log_scale, bits):
    return log_prob((x, mean, log_scale, bits)).exp()


@mistake("returns log σ of the upper edge alone, the log-probability of this level and all below it", INSIDE)
def cumulative(x, mean, log_scale, bits):
    return log_prob((x, mean, log_scale, bits), inside=first_bin)


@mistake("takes the bin from a level up to the next one: it reaches halfway to both neighbours", INSIDE)
def bin_above_the_level(x, mean, log_scale, bits):
    def position_of_the_middle(number, bits):
        return scaled(number, bits) + half_bin(bits)

    return log_prob((x, mean, log_scale, bits), scaled=position_of_the_middle)


@mistake("uses σ(b) instead of σ(−b): σ(a) − σ(b) = σ(a) σ(−b) (1 − e^(b − a))", INSIDE)
def minus_forgotten(x, mean, log_scale, bits):
    def inside(a, b):
        return F.logsigmoid(a) + F.logsigmoid(b) + torch.log(-torch.expm1(b - a))

    return log_prob((x, mean, log_scale, bits), inside=inside)


@mistake("uses half of a − b in the third factor 1 − e^(b − a): a and b are a whole bin apart", INSIDE)
def half_of_the_width(x, mean, log_scale, bits):
    def inside(a, b):
        return F.logsigmoid(a) + F.logsigmoid(-b) + torch.log(-torch.expm1((b - a) / 2))

    return log_prob((x, mean, log_scale, bits), inside=inside)


@mistake("leaves out the third factor of σ(a) − σ(b) = σ(a) σ(−b) (1 − e^(b − a))", INSIDE)
def two_factors(x, mean, log_scale, bits):
    return log_prob((x, mean, log_scale, bits), inside=lambda a, b: F.logsigmoid(a) + F.logsigmoid(-b))


@mistake("subtracts the logarithms of σ at the two edges: take the logarithm of the difference of σ", INSIDE)
def difference_of_logarithms(x, mean, log_scale, bits):
    return log_prob((x, mean, log_scale, bits), inside=lambda a, b: F.logsigmoid(a) - F.logsigmoid(b))


@mistake("closes the bins of the first and the last level: they extend to −∞ and to +∞", ENDS)
def closed_ends(x, mean, log_scale, bits):
    return log_prob((x, mean, log_scale, bits), ends=(is_first, product, is_last, product))


@mistake("closes the first bin: it is open below, so it extends to −∞", ENDS)
def closed_first(x, mean, log_scale, bits):
    return log_prob((x, mean, log_scale, bits), ends=(is_first, product, is_last, last_bin))


@mistake("closes the last bin: it is open above, so it extends to +∞", ENDS)
def closed_last(x, mean, log_scale, bits):
    return log_prob((x, mean, log_scale, bits), ends=(is_first, first_bin, is_last, product))


@mistake(WRONG_ENDS, ENDS)
def ends_exchanged(x, mean, log_scale, bits):
    return log_prob((x, mean, log_scale, bits), ends=(is_first, last_bin, is_last, first_bin))


@mistake("uses the outer edge of the first and of the last bin: use the inner edge", ENDS)
def outer_edges(x, mean, log_scale, bits):
    def below(upper, lower):
        return F.logsigmoid(lower)

    def above(upper, lower):
        return F.logsigmoid(-upper)

    return log_prob((x, mean, log_scale, bits), ends=(is_first, below, is_last, above))


@mistake(
    "opens the bins of levels beyond ±0.99, which are two at either end for 8 bits: open only the first and the last",
    ENDS,
)
def beyond_099(x, mean, log_scale, bits):
    def first(x, bits):
        return scaled(x.double(), bits) < -0.99

    def last(x, bits):
        return scaled(x.double(), bits) > 0.99

    return log_prob((x, mean, log_scale, bits), ends=(first, first_bin, last, last_bin))


@mistake("opens the bin of level 254 of 255 too, as a threshold of 0.99 does: open only the first and the last", ENDS)
def published_edge(x, mean, log_scale, bits):
    def last(x, bits):
        return scaled(x.double(), bits) > 0.99

    return log_prob((x, mean, log_scale, bits), ends=(is_first, first_bin, last, last_bin))


@mistake("opens the last bin at level 255 whatever bits is", ENDS)
def last_of_eight_bits(x, mean, log_scale, bits):
    def last(x, bits):
        return x == 255

    return log_prob((x, mean, log_scale, bits), ends=(is_first, first_bin, last, last_bin))


@mistake("opens the bins of level 1 and of the last but one: open only the first and the last", ENDS)
def neighbours_open(x, mean, log_scale, bits):
    def first(x, bits):
        return x <= 1

    def last(x, bits):
        return x >= 2**bits - 2

    return log_prob((x, mean, log_scale, bits), ends=(first, first_bin, last, last_bin))


@mistake(
    "gives the first and the last level the probability of their half bin inside [−1, 1]: the bins are open-ended", ENDS
)
def half_bins_at_the_ends(x, mean, log_scale, bits):
    def upper_half(upper, lower):
        return product(upper, (upper + lower) / 2)

    def lower_half(upper, lower):
        return product((upper + lower) / 2, lower)

    return log_prob((x, mean, log_scale, bits), ends=(is_first, upper_half, is_last, lower_half))


def difference(upper, lower):
    return torch.sigmoid(upper) - torch.sigmoid(lower)


@mistake(DIFFERENCE, FAR)
def logarithm_of_the_difference(x, mean, log_scale, bits):
    return log_prob((x, mean, log_scale, bits), torch.Tensor.float, inside=lambda a, b: difference(a, b).log())


@mistake(DIFFERENCE, FAR)
def logarithm_of_the_difference_in_double(x, mean, log_scale, bits):
    return log_prob((x, mean, log_scale, bits), inside=lambda a, b: difference(a, b).log())


@mistake(DIFFERENCE, FAR)
def logarithms_throughout(x, mean, log_scale, bits):
    def first(upper, lower):
        return torch.sigmoid(upper).log()

    def last(upper, lower):
        return (1 - torch.sigmoid(lower)).log()

    ends = (is_first, first, is_last, last)
    return log_prob(
        (x, mean, log_scale, bits), torch.Tensor.float, ends=ends, inside=lambda a, b: difference(a, b).log()
    )


@mistake(FLOOR, FAR)
def difference_clamped(x, mean, log_scale, bits):
    return log_prob((x, mean, log_scale, bits), inside=lambda a, b: difference(a, b).clamp(min=1e-12).log())


@mistake(FLOOR, FAR)
def difference_clamped_in_single(x, mean, log_scale, bits):
    return log_prob(
        (x, mean, log_scale, bits), torch.Tensor.float, inside=lambda a, b: difference(a, b).clamp(min=1e-12).log()
    )


@mistake(FLOOR, FAR)
def constant_added(x, mean, log_scale, bits):
    return log_prob((x, mean, log_scale, bits), inside=lambda a, b: (difference(a, b) + 1e-12).log())


@mistake(FLOOR, FAR)
def constant_added_in_single(x, mean, log_scale, bits):
    return log_prob(
        (x, mean, log_scale, bits), torch.Tensor.float, inside=lambda a, b: (difference(a, b) + 1e-12).log()
    )


def density_where_improbable(a, b):
    """PixelCNN++ as published."""
    centre, likely = (a + b) / 2, difference(a, b) > 1e-5
    log_density = F.logsigmoid(centre) + F.logsigmoid(-centre)
    return torch.where(likely, difference(a, b).clamp(min=1e-12).log(), log_density + (a - b).log())


@mistake(
    "replaces small probabilities by density times width, which is inaccurate where a bin is wider than the scale", FAR
)
def density_below_a_threshold(x, mean, log_scale, bits):
    return log_prob((x, mean, log_scale, bits), inside=density_where_improbable)


@mistake(
    "replaces small probabilities by density times width, which is inaccurate where a bin is wider than the scale", FAR
)
def density_below_a_threshold_in_single(x, mean, log_scale, bits):
    return log_prob((x, mean, log_scale, bits), torch.Tensor.float, inside=density_where_improbable)


def one_sided(a, b):
    larger, smaller = F.logsigmoid(a), F.logsigmoid(b)
    return larger + torch.log(-torch.expm1(smaller - larger))


@mistake(ONE_SIDED, FAR)
def one_sided_difference(x, mean, log_scale, bits):
    return log_prob((x, mean, log_scale, bits), inside=one_sided)


@mistake(ONE_SIDED, FAR)
def one_sided_difference_in_single(x, mean, log_scale, bits):
    return log_prob((x, mean, log_scale, bits), torch.Tensor.float, inside=one_sided)


@mistake("loses digits of 1 − e^(b − a) in float32 where the scale is wide: use expm1", FAR)
def without_expm1(x, mean, log_scale, bits):
    def inside(a, b):
        return F.logsigmoid(a) + F.logsigmoid(-b) + torch.log1p(-torch.exp(b - a))

    return log_prob((x, mean, log_scale, bits), torch.Tensor.float, inside=inside)


@mistake(CLAMPED, FAR)
def log_scale_clamped_below(x, mean, log_scale, bits):
    return log_prob((x, mean, log_scale.clamp(min=-5.5), bits))


@mistake(CLAMPED, FAR)
def log_scale_clamped_above(x, mean, log_scale, bits):
    return log_prob((x, mean, log_scale.clamp(max=2.0), bits))


@mistake(CLAMPED, FAR)
def log_scale_clamped(x, mean, log_scale, bits):
    return log_prob((x, mean, log_scale.clamp(-5.5, 5.0), bits))


@mistake(CLAMPED, FAR)
def result_clamped(x, mean, log_scale, bits):
    return log_prob((x, mean, log_scale, bits)).clamp(min=-100.0)


@mistake("computes log σ of the open ends from σ, which rounds to 0 far from the mean: use logsigmoid", FAR)
def ends_by_way_of_sigmoid(x, mean, log_scale, bits):
    def first(upper, lower):
        return torch.sigmoid(upper).log()

    def last(upper, lower):
        return (1 - torch.sigmoid(lower)).log()

    return log_prob((x, mean, log_scale, bits), ends=(is_first, first, is_last, last))


@mistake("computes log σ of the open ends from σ, which rounds to 0 far from the mean: use logsigmoid", FAR)
def last_by_way_of_sigmoid(x, mean, log_scale, bits):
    def last(upper, lower):
        return torch.log1p(-torch.sigmoid(lower))

    return log_prob((x, mean, log_scale, bits), ends=(is_first, first_bin, is_last, last))


@mistake(CUT_OFF, GRADIENTS)
def log_scale_detached(x, mean, log_scale, bits):
    return log_prob((x, mean, log_scale.detach(), bits))


@mistake(CUT_OFF, GRADIENTS)
def mean_detached(x, mean, log_scale, bits):
    return log_prob((x, mean.data, log_scale, bits))


@mistake(CUT_OFF, GRADIENTS)
def nothing_arrives(x, mean, log_scale, bits):
    with torch.no_grad():
        return log_prob((x, mean, log_scale, bits))


@mistake("treats the third factor 1 − e^(b − a) as a constant: it depends on log_scale", GRADIENTS)
def third_factor_detached(x, mean, log_scale, bits):
    def inside(a, b):
        return F.logsigmoid(a) + F.logsigmoid(-b) + torch.log(-torch.expm1(b - a)).detach()

    return log_prob((x, mean, log_scale, bits), inside=inside)


@mistake(
    "the branch that torch.where leaves out makes the gradient NaN (0 · ∞): keep both branches finite",
    GRADIENTS,
)
def infinite_branch(x, mean, log_scale, bits):
    def inside(a, b):
        return torch.where(difference(a, b) > 0.01, difference(a, b).log(), product(a, b))

    return log_prob((x, mean, log_scale, bits), inside=inside)


@mistake("treats the open-ended bins as constants: gradients must reach mean and log_scale there too", GRADIENTS)
def ends_detached(x, mean, log_scale, bits):
    ends = (is_first, lambda a, b: F.logsigmoid(a).detach(), is_last, lambda a, b: F.logsigmoid(-b).detach())
    return log_prob((x, mean, log_scale, bits), ends=ends)


@mistake(
    "has NaN gradients at the ends: an edge at infinity is divided by the scale, whose gradient is then 0 · ∞",
    GRADIENTS,
)
def edges_at_infinity(x, mean, log_scale, bits):
    distance, spread = scaled(x.double(), bits) - mean.double(), log_scale.double().exp()
    upper = torch.where(is_last(x, bits), math.inf, distance + half_bin(bits)) / spread
    lower = torch.where(is_first(x, bits), -math.inf, distance - half_bin(bits)) / spread
    return product(upper, lower).to(mean.dtype)


@mistake("returns the dtype of x: the dtype should be that of mean and log_scale", FORM)
def in_the_dtype_of_levels(x, mean, log_scale, bits):
    result = log_prob((x, mean, log_scale, bits))
    return result.to(torch.promote_types(x.dtype, mean.dtype)) if x.is_floating_point() else result


@mistake("multiplies or doubles uint8 levels, which wrap around at 256: convert them to floats first", FORM)
def wrapping_levels(x, mean, log_scale, bits):
    position = (2 * x).to(torch.float64) / (2**bits - 1) - 1
    return log_prob((x, mean, log_scale, bits), scaled=lambda *_: position)


@mistake("writes the ends into a result of another shape: x, mean and log_scale broadcast, as in torch.where", FORM)
def masks_assigned(x, mean, log_scale, bits):
    position, spread = scaled(x.double(), bits), log_scale.double().exp()
    upper, lower = ((position + sign * half_bin(bits) - mean) / spread for sign in (1, -1))
    result = product(upper, lower)
    result[x == 0] = F.logsigmoid(upper)[x == 0]
    result[x == 2**bits - 1] = F.logsigmoid(-lower)[x == 2**bits - 1]
    return result.to(mean.dtype)


@mistake("has the shape of x: mean and log_scale may have more entries, so broadcast all three", FORM)
def shaped_like_x(x, mean, log_scale, bits):
    return torch.empty(x.shape, dtype=mean.dtype).copy_(log_prob((x, mean, log_scale, bits)))


@mistake("changes x in place (sub_, mul_, +=): x.float() is x itself where x is already float32", FORM)
def levels_changed(x, mean, log_scale, bits):
    levels = x.clone()
    x.float().mul_(2 / (2**bits - 1)).sub_(1)
    return log_prob((levels, mean, log_scale, bits))


@mistake("changes log_scale in place (exp_, neg_, clamp_): work on a new tensor", FORM)
def log_scale_changed(x, mean, log_scale, bits):
    result = log_prob((x, mean, log_scale.clone(), bits))
    log_scale.exp_()
    return result


@mistake(SINGLE_INSIDE, FORM)
def single_inside(x, mean, log_scale, bits):
    return log_prob((x, mean.float(), log_scale.float(), bits), torch.Tensor.float).to(mean.dtype)


@mistake(SINGLE_OUT, FORM)
def single_out(x, mean, log_scale, bits):
    return log_prob((x, mean, log_scale, bits)).float()


@mistake(DOUBLE_OUT, FORM)
def double_out(x, mean, log_scale, bits):
    return log_prob((x, mean.double(), log_scale, bits))
