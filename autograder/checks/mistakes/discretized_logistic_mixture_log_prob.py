"""Wrong ways to write ``discretized_logistic_mixture_log_prob``."""

import math

import torch
import torch.nn.functional as F

from autograder.checks.case import Mistake, mistakes_into
from autograder.checks.mistakes.precision import DOUBLE_OUT, SINGLE_INSIDE, SINGLE_OUT

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

ONE = "one component, colours on their own"
SEVERAL = "several components"
DEPENDENT = "colours that depend on those before"
NARROW = "log-scales below −7, images too improbable for a float"
TOGETHER = "all of it together"
GRADIENTS = "gradients"
FORM = "precision kept, params left alone"
WRONG_SOFTMAX = "takes the softmax of the logits over the wrong dimension: take it over the components"
KINDS_FIRST = (
    "takes params apart as all means, all log-scales, all coefficients: the three of each colour follow one another"
)
INTERLEAVED = (
    "takes the numbers of one component to be adjacent: the K means come first, then K log-scales, then K coefficients"
)
NOT_CLAMPED = "leaves log-scales below −7 as they are: clamp the log-scale, not the scale, at −7"
UNDERFLOW = "goes through probabilities, which underflow to 0: add their logarithms, and use logsumexp"
CUT_OFF = "cuts gradients off at some of params (detach, .data, no_grad)"
IN_PLACE = "changes params in place (clamp_, +=, writing into a view): work on new tensors"


def level_log_prob(x, mean, log_scale, bits):
    """Exercise 1."""
    last = 2**bits - 1
    distance = 2 * x.to(mean.dtype) / last - 1 - mean
    upper, lower = ((distance + sign / last) * torch.exp(-log_scale) for sign in (1, -1))
    inside = F.logsigmoid(upper) + F.logsigmoid(-lower) + torch.log(-torch.expm1(lower - upper))
    return torch.where(x == 0, F.logsigmoid(upper), torch.where(x == last, F.logsigmoid(-lower), inside))


def by_colour(params):
    """Logits ``(batch, K, h, w)``; means, log-scales and raw coefficients, ``(batch, 3, K, h, w)`` each."""
    mixtures = params.shape[1] // 10
    return params[:, :mixtures], *params[:, mixtures:].unflatten(1, (3, 3, mixtures)).unbind(2)


def shift(position, raw):
    red, green, _ = position.unbind(1)
    c = torch.tanh(raw)
    return torch.stack([0 * c[:, 0], c[:, 0] * red, c[:, 1] * red + c[:, 2] * green], dim=1)


def at_least(log_scales):
    return log_scales.clamp(min=-7)


def weights(logits):
    return torch.log_softmax(logits, dim=1)


def joined(log_weights, of_colours):
    return torch.logsumexp(log_weights + of_colours.sum(1), dim=1).sum((1, 2))


def log_prob(
    inputs, number=torch.Tensor.double, split=by_colour, shift=shift, bound=at_least, weights=weights, join=joined
):
    """The right function with one stage replaced, in float64 or another dtype ``number``."""
    x, params, bits = inputs
    logits, means, log_scales, raw = split(number(params))
    position = (2 * number(x) / (2**bits - 1) - 1).unsqueeze(2)
    of_colours = level_log_prob(x.unsqueeze(2), means + shift(position, raw), bound(log_scales), bits)
    return join(weights(logits), of_colours).to(params.dtype)


@mistake(KINDS_FIRST, ONE)
def kinds_before_colours(x, params, bits):
    def split(params):
        mixtures = params.shape[1] // 10
        return params[:, :mixtures], *params[:, mixtures:].unflatten(1, (3, 3, mixtures)).unbind(1)

    return log_prob((x, params, bits), split=split)


@mistake("takes the last K channels for the logits: the logits come first", ONE)
def logits_last(x, params, bits):
    def split(params):
        mixtures = params.shape[1] // 10
        return params[:, -mixtures:], *params[:, :-mixtures].unflatten(1, (3, 3, mixtures)).unbind(2)

    return log_prob((x, params, bits), split=split)


@mistake("takes log-scales before means: the K means come first", ONE)
def log_scales_before_means(x, params, bits):
    def split(params):
        logits, means, log_scales, raw = by_colour(params)
        return logits, log_scales, means, raw

    return log_prob((x, params, bits), split=split)


@mistake("takes the colours in the order blue, green, red", ONE)
def blue_first(x, params, bits):
    return log_prob((x.flip(1), params, bits))


@mistake("gives every colour the numbers of red", ONE)
def all_as_red(x, params, bits):
    def split(params):
        logits, *rest = by_colour(params)
        return logits, *(part[:, :1].expand_as(part) for part in rest)

    return log_prob((x, params, bits), split=split)


@mistake("passes the scale on where the log-scale is required", ONE)
def scale_handed_over(x, params, bits):
    return log_prob((x, params, bits), bound=lambda log_scales: at_least(log_scales).exp())


@mistake("clamps log-scales to at most −7: clamp them to at least −7", ONE)
def clamped_the_wrong_way(x, params, bits):
    return log_prob((x, params, bits), bound=lambda log_scales: log_scales.clamp(max=-7))


@mistake("clamps log-scales at 0 or above: clamp them at −7", ONE)
def clamped_at_zero(x, params, bits):
    return log_prob((x, params, bits), bound=lambda log_scales: log_scales.clamp(min=0))


@mistake("adds e⁻⁷ to every scale: change only log-scales below −7", ONE)
def smallest_scale_added(x, params, bits):
    return log_prob((x, params, bits), bound=lambda log_scales: (log_scales.exp() + math.exp(-7)).log())


@mistake("clamps means to [−1, 1]: they may lie outside", ONE)
def means_clamped(x, params, bits):
    def split(params):
        logits, means, log_scales, raw = by_colour(params)
        position = (2 * x.to(params.dtype) / (2**bits - 1) - 1).unsqueeze(2)
        return logits, (means + shift(position, raw)).clamp(-1, 1) - shift(position, raw), log_scales, raw

    return log_prob((x, params, bits), split=split)


@mistake("assumes 256 levels whatever bits is", ONE)
def always_eight_bits(x, params, bits):
    return log_prob((x, params, 8))


@mistake("averages over the colours: sum their log-probabilities", ONE)
def mean_over_colours(x, params, bits):
    def join(log_weights, of_colours):
        return joined(log_weights, of_colours / 3)

    return log_prob((x, params, bits), join=join)


@mistake("averages over the pixels: sum their log-probabilities", ONE)
def mean_over_pixels(x, params, bits):
    pixels = x[0, 0].numel()
    return log_prob((x, params, bits), join=lambda w, of_colours: joined(w, of_colours) / pixels)


@mistake("divides by the number of levels in an image: return the sum over pixels and colours", ONE)
def mean_over_dimensions(x, params, bits):
    return log_prob((x, params, bits)) / x[0].numel()


@mistake("returns bits per dimension: return nats for the whole image", ONE)
def bits_per_dimension(x, params, bits):
    return -log_prob((x, params, bits)) / (x[0].numel() * math.log(2))


@mistake("returns a number for each pixel: sum over height and width too", ONE)
def for_each_pixel(x, params, bits):
    return log_prob((x, params, bits), join=lambda w, of_colours: torch.logsumexp(w + of_colours.sum(1), dim=1))


@mistake("returns a number for each component: average the components", ONE)
def for_each_component(x, params, bits):
    return log_prob((x, params, bits), join=lambda w, of_colours: (w + of_colours.sum(1)).sum((2, 3)))


@mistake("sums over the batch: return one number per image", ONE)
def summed_over_the_batch(x, params, bits):
    return log_prob((x, params, bits)).sum()


@mistake("averages over the batch: return one number per image", ONE)
def averaged_over_the_batch(x, params, bits):
    return log_prob((x, params, bits)).mean()


@mistake("leaves out blue: all three colours count", ONE)
def without_blue(x, params, bits):
    return log_prob((x, params, bits), join=lambda w, of_colours: joined(w, of_colours[:, :2]))


@mistake(WRONG_SOFTMAX, ONE)
def softmax_over_the_batch(x, params, bits):
    return log_prob((x, params, bits), weights=lambda logits: torch.log_softmax(logits, dim=0))


@mistake(WRONG_SOFTMAX, ONE)
def softmax_over_width(x, params, bits):
    return log_prob((x, params, bits), weights=lambda logits: torch.log_softmax(logits, dim=-1))


@mistake(WRONG_SOFTMAX, ONE)
def softmax_over_height(x, params, bits):
    return log_prob((x, params, bits), weights=lambda logits: torch.log_softmax(logits, dim=2))


@mistake("adds the weights to log-probabilities: add their logarithms", ONE)
def weights_not_logarithms(x, params, bits):
    return log_prob((x, params, bits), weights=lambda logits: torch.softmax(logits, dim=1))


@mistake("takes the logistic function of the raw coefficients: take tanh, which is 0 at 0", ONE)
def coefficients_by_sigmoid(x, params, bits):
    def by_sigmoid(position, raw):
        return shift(position, torch.sigmoid(raw).atanh())

    return log_prob((x, params, bits), shift=by_sigmoid)


@mistake("passes pixels on [−1, 1] on as levels: pass x itself", ONE)
def positions_for_levels(x, params, bits):
    logits, means, log_scales, raw = by_colour(params.double())
    position = (2 * x.double() / (2**bits - 1) - 1).unsqueeze(2)
    of_colours = level_log_prob(position, means + shift(position, raw), at_least(log_scales), bits)
    return joined(weights(logits), of_colours).to(params.dtype)


@mistake("uses the logits themselves as log weights: use log_softmax, so that the weights sum to one", SEVERAL)
def logits_as_they_are(x, params, bits):
    return log_prob((x, params, bits), weights=lambda logits: logits)


@mistake("averages the components without their weights", SEVERAL)
def equal_weights(x, params, bits):
    return log_prob((x, params, bits), weights=lambda logits: torch.log_softmax(0 * logits, dim=1))


@mistake("lets each colour choose its own component: sum over colours before the logsumexp over components", SEVERAL)
def colours_choose_alone(x, params, bits):
    def join(log_weights, of_colours):
        return torch.logsumexp(log_weights.unsqueeze(1) + of_colours, dim=2).sum((1, 2, 3))

    return log_prob((x, params, bits), join=join)


@mistake("counts the weights once per colour: count them once per pixel", SEVERAL)
def weights_of_each_colour(x, params, bits):
    return log_prob((x, params, bits), weights=lambda logits: 3 * weights(logits))


@mistake(
    "chooses one component for the whole image: each pixel chooses its own, so take logsumexp before the sum "
    "over pixels",
    SEVERAL,
)
def one_choice_for_the_image(x, params, bits):
    def join(log_weights, of_colours):
        return torch.logsumexp((log_weights + of_colours.sum(1)).sum((2, 3)), dim=1)

    return log_prob((x, params, bits), join=join)


@mistake("averages log-probabilities by the weights: average the probabilities, with logsumexp", SEVERAL)
def average_of_logarithms(x, params, bits):
    def join(log_weights, of_colours):
        return (log_weights.exp() * of_colours.sum(1)).sum((1, 2, 3))

    return log_prob((x, params, bits), join=join)


@mistake("uses the likeliest component alone: all components count", SEVERAL)
def best_component(x, params, bits):
    def join(log_weights, of_colours):
        return (log_weights + of_colours.sum(1)).amax(1).sum((1, 2))

    return log_prob((x, params, bits), join=join)


@mistake("uses the component with the largest logit alone: all components count", SEVERAL)
def largest_logit(x, params, bits):
    def join(log_weights, of_colours):
        return of_colours.sum(1).gather(1, log_weights.argmax(1, keepdim=True)).sum((1, 2, 3))

    return log_prob((x, params, bits), join=join)


@mistake("adds up the log-probabilities of all components: average the probabilities, with logsumexp", SEVERAL)
def components_added(x, params, bits):
    return log_prob((x, params, bits), join=lambda w, of_colours: (w + of_colours.sum(1)).sum((1, 2, 3)))


@mistake("averages means and log-scales by the weights, which makes one wide component of several", SEVERAL)
def parameters_averaged(x, params, bits):
    def split(params):
        logits, *rest = by_colour(params)
        shares = torch.softmax(logits, dim=1).unsqueeze(1)
        return logits[:, :1], *((shares * part).sum(2, keepdim=True) for part in rest)

    return log_prob((x, params, bits), split=split)


@mistake(INTERLEAVED, SEVERAL)
def component_by_component(x, params, bits):
    def split(params):
        mixtures = params.shape[1] // 10
        rest = params[:, mixtures:].unflatten(1, (mixtures, 3, 3)).transpose(1, 2)
        return params[:, :mixtures], *rest.unbind(3)

    return log_prob((x, params, bits), split=split)


@mistake(INTERLEAVED, SEVERAL)
def components_within_colours(x, params, bits):
    def split(params):
        mixtures = params.shape[1] // 10
        return params[:, :mixtures], *params[:, mixtures:].unflatten(1, (3, mixtures, 3)).unbind(3)

    return log_prob((x, params, bits), split=split)


@mistake("takes all ten numbers of one component to be adjacent: the K logits of all components come first", SEVERAL)
def ten_by_ten(x, params, bits):
    def split(params):
        numbers = params.unflatten(1, (-1, 10))
        return numbers[:, :, 0], *numbers[:, :, 1:].unflatten(2, (3, 3)).transpose(1, 2).unbind(3)

    return log_prob((x, params, bits), split=split)


def shifted_by(green, blue):
    """Shifts of green and blue, computed from the positions of red and green and the three coefficients."""

    def shift(position, raw):
        red, second, _ = position.unbind(1)
        c = torch.tanh(raw)
        return torch.stack([0 * c[:, 0], green(red, second, *c.unbind(1)), blue(red, second, *c.unbind(1))], dim=1)

    return shift


def to_green(r, g, c0, c1, c2):
    return c0 * r


def to_blue(r, g, c0, c1, c2):
    return c1 * r + c2 * g


@mistake("leaves the means as they are: those of green and blue depend on the colours before them", DEPENDENT)
def colours_independent(x, params, bits):
    return log_prob((x, params, bits), shift=lambda position, raw: 0 * raw)


@mistake("exchanges c₁ and c₂: c₁ goes from red to blue, c₂ from green to blue", DEPENDENT)
def coefficients_of_blue_exchanged(x, params, bits):
    exchanged = shifted_by(to_green, lambda r, g, c0, c1, c2: c2 * r + c1 * g)
    return log_prob((x, params, bits), shift=exchanged)


@mistake("uses c₁, which is stored with green, for green: use c₀, stored with red, from red to green", DEPENDENT)
def coefficient_beside_its_colour(x, params, bits):
    beside = shifted_by(lambda r, g, c0, c1, c2: c1 * r, lambda r, g, c0, c1, c2: c0 * r + c2 * g)
    return log_prob((x, params, bits), shift=beside)


@mistake("uses c₁, which is stored with green, for green: use c₀, stored with red, from red to green", DEPENDENT)
def coefficients_one_on(x, params, bits):
    one_on = shifted_by(lambda r, g, c0, c1, c2: c1 * r, lambda r, g, c0, c1, c2: c2 * r + c0 * g)
    return log_prob((x, params, bits), shift=one_on)


@mistake("uses c₀ from red to blue as well: use c₁", DEPENDENT)
def first_coefficient_twice(x, params, bits):
    return log_prob((x, params, bits), shift=shifted_by(to_green, lambda r, g, c0, c1, c2: c0 * r + c2 * g))


@mistake("uses raw coefficients: take their tanh", DEPENDENT)
def without_tanh(x, params, bits):
    def raw_shift(position, raw):
        red, green, _ = position.unbind(1)
        return torch.stack([0 * raw[:, 0], raw[:, 0] * red, raw[:, 1] * red + raw[:, 2] * green], dim=1)

    return log_prob((x, params, bits), shift=raw_shift)


@mistake("clamps raw coefficients to [−1, 1]: take their tanh", DEPENDENT)
def clamped_coefficients(x, params, bits):
    return log_prob((x, params, bits), shift=lambda t, raw: shift(t, raw.clamp(-0.999, 0.999).atanh()))


@mistake("lets blue depend on green alone: c₁ goes from red to blue", DEPENDENT)
def blue_without_red(x, params, bits):
    return log_prob((x, params, bits), shift=shifted_by(to_green, lambda r, g, c0, c1, c2: c2 * g))


@mistake("lets blue depend on red alone: c₂ goes from green to blue", DEPENDENT)
def blue_without_green(x, params, bits):
    return log_prob((x, params, bits), shift=shifted_by(to_green, lambda r, g, c0, c1, c2: c1 * r))


@mistake("uses red in place of green in blue's mean: c₂ goes from green to blue", DEPENDENT)
def red_twice(x, params, bits):
    return log_prob((x, params, bits), shift=shifted_by(to_green, lambda r, g, c0, c1, c2: c1 * r + c2 * r))


@mistake("leaves green's mean as it is: c₀ goes from red to green", DEPENDENT)
def green_independent(x, params, bits):
    return log_prob((x, params, bits), shift=shifted_by(lambda r, g, *c: 0 * r * c[0], to_blue))


@mistake("subtracts the shifts: add them to the means", DEPENDENT)
def subtracted(x, params, bits):
    return log_prob((x, params, bits), shift=lambda position, raw: -shift(position, raw))


@mistake("multiplies the mean by the coefficient: multiply the colour before it", DEPENDENT)
def own_mean_multiplied(x, params, bits):
    def split(params):
        logits, means, log_scales, raw = by_colour(params)
        return logits, means + shift(means, raw), log_scales, 0 * raw

    return log_prob((x, params, bits), split=split)


@mistake(
    "uses the means of red and green in place of the colours: use the levels of the image",
    DEPENDENT,
)
def means_for_colours(x, params, bits):
    def split(params):
        logits, means, log_scales, raw = by_colour(params)
        c = torch.tanh(raw)
        green = means[:, 1] + c[:, 0] * means[:, 0]
        blue = means[:, 2] + c[:, 1] * means[:, 0] + c[:, 2] * green
        return logits, torch.stack([means[:, 0], green, blue], dim=1), log_scales, 0 * raw

    return log_prob((x, params, bits), split=split)


@mistake("uses distances to the mean in place of the colours: use red and green on [−1, 1] as they are", DEPENDENT)
def residuals_for_colours(x, params, bits):
    def split(params):
        logits, means, log_scales, raw = by_colour(params)
        position = (2 * x.to(params.dtype) / (2**bits - 1) - 1).unsqueeze(2)
        return logits, means + shift(position - means, raw), log_scales, 0 * raw

    return log_prob((x, params, bits), split=split)


@mistake("uses levels from 0 to 2**bits − 1 in the shifts: use colours on [−1, 1]", DEPENDENT)
def levels_in_shifts(x, params, bits):
    return log_prob((x, params, bits), shift=lambda _, raw: shift(x.unsqueeze(2).double(), raw))


@mistake("uses colours on [0, 1] in the shifts: use colours on [−1, 1]", DEPENDENT)
def unit_interval_in_shifts(x, params, bits):
    return log_prob((x, params, bits), shift=lambda position, raw: shift((position + 1) / 2, raw))


@mistake("divides colours by 127.5 in the shifts whatever bits is: the last level is at 1", DEPENDENT)
def eight_bits_in_shifts(x, params, bits):
    return log_prob((x, params, bits), shift=lambda _, raw: shift(x.unsqueeze(2).double() / 127.5 - 1, raw))


@mistake("doubles uint8 colours for the shifts, which wrap around at 256: convert them to floats first", DEPENDENT)
def wrapping_in_shifts(x, params, bits):
    position = (2 * x).double().unsqueeze(2) / (2**bits - 1) - 1
    return log_prob((x, params, bits), shift=lambda _, raw: shift(position, raw))


@mistake("starts with blue: the order is red, green, blue", DEPENDENT)
def from_blue_to_red(x, params, bits):
    return log_prob((x, params, bits), shift=lambda position, raw: shift(position.flip(1), raw.flip(1)).flip(1))


@mistake("lets a colour depend on the one after it", DEPENDENT)
def on_the_next_colour(x, params, bits):
    return log_prob((x, params, bits), shift=lambda position, raw: shift(position.roll(-1, 1), raw))


@mistake(NOT_CLAMPED, NARROW)
def not_clamped(x, params, bits):
    return log_prob((x, params, bits), bound=lambda log_scales: log_scales)


@mistake(NOT_CLAMPED, NARROW)
def scale_clamped(x, params, bits):
    return log_prob((x, params, bits), bound=lambda log_scales: log_scales.exp().clamp(min=-7).log())


@mistake("clamps log-scales at a number other than −7", NARROW)
def clamped_at_six(x, params, bits):
    return log_prob((x, params, bits), bound=lambda log_scales: log_scales.clamp(min=-6))


@mistake("clamps log-scales at a number other than −7", NARROW)
def clamped_at_five(x, params, bits):
    return log_prob((x, params, bits), bound=lambda log_scales: log_scales.clamp(min=-5))


@mistake("clamps log-scales at a number other than −7", NARROW)
def clamped_at_ten(x, params, bits):
    return log_prob((x, params, bits), bound=lambda log_scales: log_scales.clamp(min=-10))


@mistake(UNDERFLOW, NARROW)
def by_probabilities(x, params, bits):
    def join(log_weights, of_colours):
        return (log_weights.exp() * of_colours.sum(1).exp()).sum(1).log().sum((1, 2))

    return log_prob((x, params, bits), join=join)


@mistake(UNDERFLOW, NARROW)
def by_probabilities_in_single(x, params, bits):
    def join(log_weights, of_colours):
        return (log_weights.exp() * of_colours.exp().prod(1)).sum(1).log().sum((1, 2))

    return log_prob((x, params, bits), torch.Tensor.float, join=join)


@mistake("adds a small number, or a floor, before the logarithm: all improbable pixels get the same result", NARROW)
def constant_added(x, params, bits):
    def join(log_weights, of_colours):
        return ((log_weights + of_colours.sum(1)).exp().sum(1) + 1e-12).log().sum((1, 2))

    return log_prob((x, params, bits), torch.Tensor.float, join=join)


@mistake("adds a small number, or a floor, before the logarithm: all improbable pixels get the same result", NARROW)
def floor(x, params, bits):
    def join(log_weights, of_colours):
        return (log_weights + of_colours.sum(1)).exp().sum(1).clamp(min=1e-12).log().sum((1, 2))

    return log_prob((x, params, bits), join=join)


@mistake("takes the coefficients of one component to be adjacent: the K of one kind are adjacent", TOGETHER)
def coefficients_interleaved(x, params, bits):
    def of_neighbours(position, raw):
        return shift(position, raw.transpose(1, 2).reshape(raw.shape))

    return log_prob((x, params, bits), shift=of_neighbours)


@mistake("gives every component the coefficients of the first: each component has its own", TOGETHER)
def coefficients_of_the_first(x, params, bits):
    return log_prob((x, params, bits), shift=lambda t, raw: shift(t, raw[:, :, :1].expand_as(raw)))


@mistake("clamps log-scales of the first component only: clamp all below −7", TOGETHER)
def first_component_clamped(x, params, bits):
    def bound(log_scales):
        return torch.cat([at_least(log_scales[:, :, :1]), log_scales[:, :, 1:]], dim=2)

    return log_prob((x, params, bits), bound=bound)


@mistake("averages the coefficients over the components: each component has its own", TOGETHER)
def coefficients_averaged(x, params, bits):
    return log_prob((x, params, bits), shift=lambda t, raw: shift(t, raw.mean(2, keepdim=True).expand_as(raw)))


@mistake(CUT_OFF, GRADIENTS)
def logits_detached(x, params, bits):
    return log_prob((x, params, bits), weights=lambda logits: weights(logits).detach())


@mistake(CUT_OFF, GRADIENTS)
def coefficients_detached(x, params, bits):
    return log_prob((x, params, bits), shift=lambda position, raw: shift(position, raw.detach()))


@mistake(CUT_OFF, GRADIENTS)
def log_scales_detached(x, params, bits):
    return log_prob((x, params, bits), bound=lambda log_scales: at_least(log_scales.detach()))


@mistake(CUT_OFF, GRADIENTS)
def nothing_arrives(x, params, bits):
    return log_prob((x, params.detach(), bits))


@mistake(IN_PLACE, FORM)
def means_shifted_in_place(x, params, bits):
    result = log_prob((x, params.clone(), bits))
    _, means, _, raw = by_colour(params)
    means += shift((2 * x.to(params.dtype) / (2**bits - 1) - 1).unsqueeze(2), raw)
    return result


@mistake(IN_PLACE, FORM)
def log_scales_clamped_in_place(x, params, bits):
    result = log_prob((x, params.clone(), bits))
    by_colour(params)[2].clamp_(min=-7)
    return result


@mistake(SINGLE_INSIDE, FORM)
def single_inside(x, params, bits):
    return log_prob((x, params.float(), bits), torch.Tensor.float).to(params.dtype)


@mistake(SINGLE_OUT, FORM)
def single_out(x, params, bits):
    return log_prob((x, params, bits)).float()


@mistake(DOUBLE_OUT, FORM)
def double_out(x, params, bits):
    return log_prob((x, params.double(), bits))


@mistake("squeezes away dimensions of size one: the shape should be (batch,), also for a batch of one", FORM)
def squeezed(x, params, bits):
    return log_prob((x, params, bits)).squeeze()
