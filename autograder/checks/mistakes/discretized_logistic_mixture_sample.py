"""Wrong ways to write ``discretized_logistic_mixture_sample``."""

import torch

from autograder.checks.case import Mistake, mistakes_into

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

ONE = "one component, colours on their own"
SEVERAL = "choice of the component"
DEPENDENT = "colours that depend on those drawn before"
ENDS = "draws beyond either end, log-scales below −7, rare noise"
TOGETHER = "all of it together"
FORM = "uint8 levels, inputs left alone"
KINDS_FIRST = (
    "takes params apart as all means, all log-scales, all coefficients: the three of each colour follow one another"
)
INTERLEAVED = (
    "takes the numbers of one component to be adjacent: the K means come first, then K log-scales, then K coefficients"
)
GUMBEL_SIGN = "has a wrong sign in the Gumbel noise: it is −log(−log u)"
CLIPPED_NOISE = "clips the uniform numbers, or adds a small number to them: use them as they are"
OWN_NOISE = "draws its own noise: all randomness must come from the uniforms that are passed in"
ONE_NUMBER = "uses one of the level_uniforms for all three colours: each colour has its own"


def by_colour(params):
    """Logits ``(batch, K, h, w)``; means, log-scales and raw coefficients, ``(batch, 3, K, h, w)`` each."""
    mixtures = params.shape[1] // 10
    return params[:, :mixtures], *params[:, mixtures:].unflatten(1, (3, 3, mixtures)).unbind(2)


def largest(logits, u):
    return (logits - torch.log(-torch.log(u))).argmax(1)


def picked(part, index):
    return part.gather(2, index[:, None, None].expand(-1, 3, -1, -1, -1)).squeeze(2)


def at_least(log_scales):
    return log_scales.clamp(min=-7)


def spread(scale, u):
    return scale * torch.log(u / (1 - u))


def to_level(value, bits):
    last = 2**bits - 1
    return ((value + 1) * last / 2).round().clamp(0, last)


def to_position(level, bits):
    return 2 * level / (2**bits - 1) - 1


def green_shift(c, r):
    return c[:, 0] * r


def blue_shift(c, r, g):
    return c[:, 1] * r + c[:, 2] * g


def sample(
    inputs,
    split=by_colour,
    choose=largest,
    pick=picked,
    bound=at_least,
    scale=torch.exp,
    spread=spread,
    level=to_level,
    squash=torch.tanh,
    green=green_shift,
    blue=blue_shift,
    seen=None,
    dtype=torch.uint8,
):
    """The right function with one stage replaced.

    ``seen(value, level, bits)`` is the number that stands for a drawn colour in the mean of the next one.
    """
    params, component_uniforms, level_uniforms, bits = inputs
    logits, *rest = split(params.double())
    index = choose(logits, component_uniforms.double())
    means, log_scales, raw = (pick(part, index) for part in rest)
    values = means + spread(scale(bound(log_scales)), level_uniforms.double())
    c = squash(raw)
    see = seen or (lambda value, drawn, bits: to_position(drawn, bits))
    red = level(values[:, 0], bits)
    seen_red = see(values[:, 0], red, bits)
    green_value = values[:, 1] + green(c, seen_red)
    seen_green = see(green_value, level(green_value, bits), bits)
    blue_value = values[:, 2] + blue(c, seen_red, seen_green)
    return torch.stack([red, level(green_value, bits), level(blue_value, bits)], dim=1).to(dtype)


@mistake(KINDS_FIRST, ONE)
def kinds_before_colours(params, component_uniforms, level_uniforms, bits):
    def split(params):
        mixtures = params.shape[1] // 10
        return params[:, :mixtures], *params[:, mixtures:].unflatten(1, (3, 3, mixtures)).unbind(1)

    return sample((params, component_uniforms, level_uniforms, bits), split=split)


@mistake("uses u for 1 − u: the inverse distribution function is log u − log(1 − u)", ONE)
def logit_reversed(params, component_uniforms, level_uniforms, bits):
    return sample((params, component_uniforms, 1 - level_uniforms, bits))


@mistake("uses normal noise: logistic noise is log u − log(1 − u)", ONE)
def normal_noise(params, component_uniforms, level_uniforms, bits):
    def normal(scale, u):
        return scale * torch.special.ndtri(u)

    return sample((params, component_uniforms, level_uniforms, bits), spread=normal)


@mistake("uses log u: the inverse distribution function is log u − log(1 − u)", ONE)
def exponential_noise(params, component_uniforms, level_uniforms, bits):
    return sample((params, component_uniforms, level_uniforms, bits), spread=lambda scale, u: scale * u.log())


@mistake("uses the uniform number as it is: the inverse distribution function is log u − log(1 − u)", ONE)
def uniform_noise(params, component_uniforms, level_uniforms, bits):
    return sample((params, component_uniforms, level_uniforms, bits), spread=lambda scale, u: scale * u)


@mistake("uses 2u − 1: the inverse distribution function is log u − log(1 − u)", ONE)
def centred_uniform_noise(params, component_uniforms, level_uniforms, bits):
    return sample((params, component_uniforms, level_uniforms, bits), spread=lambda scale, u: scale * (2 * u - 1))


@mistake("uses Gumbel noise for the levels: logistic noise is log u − log(1 − u)", ONE)
def gumbel_levels(params, component_uniforms, level_uniforms, bits):
    def gumbel(scale, u):
        return -scale * torch.log(-torch.log(u))

    return sample((params, component_uniforms, level_uniforms, bits), spread=gumbel)


@mistake("returns the mean of each colour: the noise is not used", ONE)
def no_noise(params, component_uniforms, level_uniforms, bits):
    return sample((params, component_uniforms, level_uniforms, bits), spread=lambda scale, u: 0 * scale)


@mistake("forgets the scale: multiply the logistic noise by exp(log_scale)", ONE)
def scale_forgotten(params, component_uniforms, level_uniforms, bits):
    return sample((params, component_uniforms, level_uniforms, bits), scale=torch.ones_like)


@mistake("multiplies by the log-scale: multiply by its exponential", ONE)
def log_scale_for_scale(params, component_uniforms, level_uniforms, bits):
    return sample((params, component_uniforms, level_uniforms, bits), scale=lambda log_scales: log_scales)


@mistake("takes the log-scale for a log-variance: the scale is exp(log_scale)", ONE)
def log_variance(params, component_uniforms, level_uniforms, bits):
    return sample((params, component_uniforms, level_uniforms, bits), scale=lambda log_scales: (log_scales / 2).exp())


@mistake("divides the noise by the scale: multiply by it", ONE)
def divided_by_scale(params, component_uniforms, level_uniforms, bits):
    return sample((params, component_uniforms, level_uniforms, bits), scale=lambda log_scales: (-log_scales).exp())


@mistake(ONE_NUMBER, ONE)
def one_number_for_all_colours(params, component_uniforms, level_uniforms, bits):
    return sample((params, component_uniforms, level_uniforms[:, :1].expand_as(level_uniforms), bits))


@mistake("truncates the fraction (floor, int, .to(uint8)): round to the nearest level first", ONE)
def cut_off(params, component_uniforms, level_uniforms, bits):
    def level(value, bits):
        last = 2**bits - 1
        return ((value + 1) * last / 2).floor().clamp(0, last)

    return sample((params, component_uniforms, level_uniforms, bits), level=level)


@mistake("multiplies by 2**bits: multiply by 2**bits − 1, the last level, which is at 1", ONE)
def as_many_bins_as_levels(params, component_uniforms, level_uniforms, bits):
    def level(value, bits):
        return ((value + 1) * 2**bits / 2).floor().clamp(0, 2**bits - 1)

    return sample((params, component_uniforms, level_uniforms, bits), level=level)


@mistake("multiplies by 2**bits: multiply by 2**bits − 1, the last level, which is at 1", ONE)
def rounded_on_a_power(params, component_uniforms, level_uniforms, bits):
    def level(value, bits):
        return ((value + 1) * 2**bits / 2).round().clamp(0, 2**bits - 1)

    return sample((params, component_uniforms, level_uniforms, bits), level=level)


@mistake("takes the means to be on [0, 1]: they are on [−1, 1]", ONE)
def on_unit_interval(params, component_uniforms, level_uniforms, bits):
    def level(value, bits):
        return (value * (2**bits - 1)).round().clamp(0, 2**bits - 1)

    return sample((params, component_uniforms, level_uniforms, bits), level=level)


@mistake("assumes 256 levels whatever bits is", ONE)
def always_eight_bits(params, component_uniforms, level_uniforms, bits):
    return sample((params, component_uniforms, level_uniforms, 8))


@mistake("returns values on [−1, 1]: return levels", ONE)
def on_the_scale(params, component_uniforms, level_uniforms, bits):
    return to_position(sample((params, component_uniforms, level_uniforms, bits), dtype=torch.float32), bits)


@mistake("takes the logistic function of the raw coefficients: take tanh, which is 0 at 0", ONE)
def coefficients_by_sigmoid(params, component_uniforms, level_uniforms, bits):
    return sample((params, component_uniforms, level_uniforms, bits), squash=torch.sigmoid)


@mistake(OWN_NOISE, ONE)
def own_noise(params, component_uniforms, level_uniforms, bits):
    return sample((params, component_uniforms, torch.rand_like(level_uniforms), bits))


@mistake(OWN_NOISE, ONE)
def own_noise_of_either_kind(params, component_uniforms, level_uniforms, bits):
    return sample((params, torch.rand_like(component_uniforms), torch.rand_like(level_uniforms), bits))


@mistake(GUMBEL_SIGN, SEVERAL)
def gumbel_negative(params, component_uniforms, level_uniforms, bits):
    def choose(logits, u):
        return (logits + torch.log(-torch.log(u))).argmax(1)

    return sample((params, component_uniforms, level_uniforms, bits), choose=choose)


@mistake("uses −log u: Gumbel noise is −log(−log u)", SEVERAL)
def one_logarithm(params, component_uniforms, level_uniforms, bits):
    def choose(logits, u):
        return (logits - torch.log(u)).argmax(1)

    return sample((params, component_uniforms, level_uniforms, bits), choose=choose)


@mistake("adds the uniform numbers to the logits: Gumbel noise is −log(−log u)", SEVERAL)
def uniform_added(params, component_uniforms, level_uniforms, bits):
    return sample((params, component_uniforms, level_uniforms, bits), choose=lambda logits, u: (logits + u).argmax(1))


@mistake("adds logistic noise to the logits: Gumbel noise is −log(−log u)", SEVERAL)
def logistic_added(params, component_uniforms, level_uniforms, bits):
    def choose(logits, u):
        return (logits + torch.logit(u)).argmax(1)

    return sample((params, component_uniforms, level_uniforms, bits), choose=choose)


@mistake("takes the largest logit: without noise, the same component is always chosen", SEVERAL)
def largest_logit(params, component_uniforms, level_uniforms, bits):
    return sample((params, component_uniforms, level_uniforms, bits), choose=lambda logits, u: logits.argmax(1))


@mistake("ignores the logits: add them to the noise", SEVERAL)
def noise_alone(params, component_uniforms, level_uniforms, bits):
    return sample((params, component_uniforms, level_uniforms, bits), choose=lambda logits, u: u.argmax(1))


@mistake("adds Gumbel noise to the probabilities: add it to the logits", SEVERAL)
def gumbel_on_probabilities(params, component_uniforms, level_uniforms, bits):
    def choose(logits, u):
        return largest(logits.softmax(1), u)

    return sample((params, component_uniforms, level_uniforms, bits), choose=choose)


@mistake("takes the smallest sum of logit and noise: take the largest", SEVERAL)
def smallest(params, component_uniforms, level_uniforms, bits):
    def choose(logits, u):
        return (logits - torch.log(-torch.log(u))).argmin(1)

    return sample((params, component_uniforms, level_uniforms, bits), choose=choose)


@mistake(
    "chooses by cumulative weights and the first of the uniforms: take the largest logit plus Gumbel noise", SEVERAL
)
def by_cumulated_weights(params, component_uniforms, level_uniforms, bits):
    def choose(logits, u):
        return (logits.softmax(1).cumsum(1) < u[:, :1]).sum(1).clamp(max=logits.shape[1] - 1)

    return sample((params, component_uniforms, level_uniforms, bits), choose=choose)


@mistake(
    "draws the component with its own noise (multinomial, Categorical): take the largest logit plus Gumbel noise",
    SEVERAL,
)
def by_multinomial(params, component_uniforms, level_uniforms, bits):
    def choose(logits, u):
        weights = logits.softmax(1).movedim(1, -1)
        return torch.multinomial(weights.reshape(-1, weights.shape[-1]), 1).reshape(weights.shape[:-1])

    return sample((params, component_uniforms, level_uniforms, bits), choose=choose)


@mistake("averages the parameters of all components by their weights: choose one component", SEVERAL)
def parameters_averaged(params, component_uniforms, level_uniforms, bits):
    def pick(part, weights):
        return (weights.unsqueeze(1) * part).sum(2)

    def choose(logits, u):
        return logits.softmax(1)

    return sample((params, component_uniforms, level_uniforms, bits), choose=choose, pick=pick)


@mistake("chooses one component for the whole image: choose one for each pixel", SEVERAL)
def one_choice_for_the_image(params, component_uniforms, level_uniforms, bits):
    def choose(logits, u):
        return largest(logits, u)[:, :1, :1].expand(-1, *logits.shape[2:])

    return sample((params, component_uniforms, level_uniforms, bits), choose=choose)


@mistake(INTERLEAVED, SEVERAL)
def component_by_component(params, component_uniforms, level_uniforms, bits):
    def split(params):
        mixtures = params.shape[1] // 10
        return params[:, :mixtures], *params[:, mixtures:].unflatten(1, (mixtures, 3, 3)).transpose(1, 2).unbind(3)

    return sample((params, component_uniforms, level_uniforms, bits), split=split)


@mistake(INTERLEAVED, SEVERAL)
def components_within_colours(params, component_uniforms, level_uniforms, bits):
    def split(params):
        mixtures = params.shape[1] // 10
        return params[:, :mixtures], *params[:, mixtures:].unflatten(1, (3, mixtures, 3)).unbind(3)

    return sample((params, component_uniforms, level_uniforms, bits), split=split)


@mistake("leaves the means as they are: those of green and blue depend on the colours drawn before", DEPENDENT)
def colours_independent(params, component_uniforms, level_uniforms, bits):
    return sample((params, component_uniforms, level_uniforms, bits), squash=torch.zeros_like)


@mistake("exchanges c₁ and c₂: c₁ goes from red to blue, c₂ from green to blue", DEPENDENT)
def coefficients_of_blue_exchanged(params, component_uniforms, level_uniforms, bits):
    def blue(c, r, g):
        return c[:, 2] * r + c[:, 1] * g

    return sample((params, component_uniforms, level_uniforms, bits), blue=blue)


@mistake("uses c₁, which is stored with green, for green: use c₀, stored with red, from red to green", DEPENDENT)
def coefficient_beside_its_colour(params, component_uniforms, level_uniforms, bits):
    return sample(
        (params, component_uniforms, level_uniforms, bits),
        green=lambda c, r: c[:, 1] * r,
        blue=lambda c, r, g: c[:, 0] * r + c[:, 2] * g,
    )


@mistake("uses raw coefficients: take their tanh", DEPENDENT)
def without_tanh(params, component_uniforms, level_uniforms, bits):
    return sample((params, component_uniforms, level_uniforms, bits), squash=lambda raw: raw)


@mistake("lets blue depend on green alone: c₁ goes from red to blue", DEPENDENT)
def blue_without_red(params, component_uniforms, level_uniforms, bits):
    return sample((params, component_uniforms, level_uniforms, bits), blue=lambda c, r, g: c[:, 2] * g)


@mistake("lets blue depend on red alone: c₂ goes from green to blue", DEPENDENT)
def blue_without_green(params, component_uniforms, level_uniforms, bits):
    return sample((params, component_uniforms, level_uniforms, bits), blue=lambda c, r, g: c[:, 1] * r)


@mistake("subtracts the shifts: add them to the means", DEPENDENT)
def subtracted(params, component_uniforms, level_uniforms, bits):
    return sample((params, component_uniforms, level_uniforms, bits), squash=lambda raw: -torch.tanh(raw))


@mistake("shifts by the means of red and green: shift by the levels that were drawn", DEPENDENT)
def means_for_draws(params, component_uniforms, level_uniforms, bits):
    logits, means, log_scales, raw = by_colour(params.double())
    index = largest(logits, component_uniforms.double())
    means, log_scales, c = picked(means, index), picked(log_scales, index), torch.tanh(picked(raw, index))
    green = means[:, 1] + c[:, 0] * means[:, 0]
    blue = means[:, 2] + c[:, 1] * means[:, 0] + c[:, 2] * green
    noise = spread(at_least(log_scales).exp(), level_uniforms.double())
    return to_level(torch.stack([means[:, 0], green, blue], dim=1) + noise, bits).to(torch.uint8)


@mistake("shifts by draws that are not rounded: round and clip to a level first", DEPENDENT)
def not_rounded(params, component_uniforms, level_uniforms, bits):
    return sample((params, component_uniforms, level_uniforms, bits), seen=lambda value, *_: value.clamp(-1, 1))


@mistake("shifts by draws that are not rounded: round and clip to a level first", DEPENDENT)
def neither_rounded_nor_clipped(params, component_uniforms, level_uniforms, bits):
    return sample((params, component_uniforms, level_uniforms, bits), seen=lambda value, *_: value)


@mistake("uses levels from 0 to 2**bits − 1 in the shifts: use colours on [−1, 1]", DEPENDENT)
def levels_in_shifts(params, component_uniforms, level_uniforms, bits):
    return sample((params, component_uniforms, level_uniforms, bits), seen=lambda value, level, bits: level)


@mistake("uses colours on [0, 1] in the shifts: use colours on [−1, 1]", DEPENDENT)
def unit_interval_in_shifts(params, component_uniforms, level_uniforms, bits):
    def seen(value, level, bits):
        return level / (2**bits - 1)

    return sample((params, component_uniforms, level_uniforms, bits), seen=seen)


@mistake("divides levels by 127.5 in the shifts whatever bits is: the last level is at 1", DEPENDENT)
def eight_bits_in_shifts(params, component_uniforms, level_uniforms, bits):
    return sample((params, component_uniforms, level_uniforms, bits), seen=lambda value, level, bits: level / 127.5 - 1)


@mistake("doubles uint8 levels for the shifts, which wrap around at 256: convert them to floats first", DEPENDENT)
def wrapping_in_shifts(params, component_uniforms, level_uniforms, bits):
    def seen(value, level, bits):
        return (2 * level).remainder(256) / (2**bits - 1) - 1

    return sample((params, component_uniforms, level_uniforms, bits), seen=seen)


@mistake("draws blue first: the order is red, green, blue", DEPENDENT)
def from_blue_to_red(params, component_uniforms, level_uniforms, bits):
    def split(params):
        logits, *rest = by_colour(params)
        return logits, *(part.flip(1) for part in rest)

    return sample((params, component_uniforms, level_uniforms.flip(1), bits), split=split).flip(1)


def wrapped(value, bits):
    return ((value + 1) * (2**bits - 1) / 2).round() % 256


@mistake("lets draws beyond the ends wrap around in uint8: clip them to the first or the last level", ENDS)
def wrapping_round(params, component_uniforms, level_uniforms, bits):
    return sample((params, component_uniforms, level_uniforms, bits), level=wrapped)


def unlimited(value, bits):
    return ((value + 1) * (2**bits - 1) / 2).round()


@mistake("clips after all three draws: clip each level before it shifts the next colour", ENDS)
def clipped_at_the_end(params, component_uniforms, level_uniforms, bits):
    last = 2**bits - 1
    drawn = sample((params, component_uniforms, level_uniforms, bits), level=unlimited, dtype=torch.float64)
    return drawn.clamp(0, last).to(torch.uint8)


@mistake("clips at 255 whatever bits is: the last level is 2**bits − 1", ENDS)
def clipped_at_255(params, component_uniforms, level_uniforms, bits):
    return sample(
        (params, component_uniforms, level_uniforms, bits), level=lambda v, bits: unlimited(v, bits).clamp(0, 255)
    )


@mistake("takes draws beyond the ends modulo the number of levels: clip them to the first or the last level", ENDS)
def modulo(params, component_uniforms, level_uniforms, bits):
    return sample(
        (params, component_uniforms, level_uniforms, bits), level=lambda v, bits: unlimited(v, bits) % 2**bits
    )


@mistake("clips at the last level only: clip at the first one too", ENDS)
def clipped_above(params, component_uniforms, level_uniforms, bits):
    def level(value, bits):
        return unlimited(value, bits).clamp(max=2**bits - 1) % 256

    return sample((params, component_uniforms, level_uniforms, bits), level=level)


@mistake("leaves log-scales below −7 as they are: clamp the log-scale, not the scale, at −7", ENDS)
def not_clamped(params, component_uniforms, level_uniforms, bits):
    return sample((params, component_uniforms, level_uniforms, bits), bound=lambda log_scales: log_scales)


@mistake("clamps log-scales at −5: clamp them at −7", ENDS)
def clamped_at_five(params, component_uniforms, level_uniforms, bits):
    return sample((params, component_uniforms, level_uniforms, bits), bound=lambda log_scales: log_scales.clamp(min=-5))


@mistake(CLIPPED_NOISE, ENDS)
def noise_clipped(params, component_uniforms, level_uniforms, bits):
    return sample((params, component_uniforms, level_uniforms.clamp(1e-5, 1 - 1e-5), bits))


@mistake(CLIPPED_NOISE, ENDS)
def noise_moved_from_the_ends(params, component_uniforms, level_uniforms, bits):
    def moved(scale, u):
        return scale * (torch.log(u + 1e-5) - torch.log(1 - u + 1e-5))

    return sample((params, component_uniforms, level_uniforms, bits), spread=moved)


@mistake("gives every component the coefficients of the first: each component has its own", TOGETHER)
def coefficients_of_the_first(params, component_uniforms, level_uniforms, bits):
    def split(params):
        logits, means, log_scales, raw = by_colour(params)
        return logits, means, log_scales, raw[:, :, :1].expand_as(raw)

    return sample((params, component_uniforms, level_uniforms, bits), split=split)


@mistake("averages the coefficients over the components: each component has its own", TOGETHER)
def coefficients_averaged(params, component_uniforms, level_uniforms, bits):
    def split(params):
        logits, means, log_scales, raw = by_colour(params)
        return logits, means, log_scales, raw.mean(2, keepdim=True).expand_as(raw)

    return sample((params, component_uniforms, level_uniforms, bits), split=split)


@mistake("takes the coefficients of one component to be adjacent: the K of one kind are adjacent", TOGETHER)
def coefficients_interleaved(params, component_uniforms, level_uniforms, bits):
    def split(params):
        logits, means, log_scales, raw = by_colour(params)
        mixtures = logits.shape[1]
        neighbours = raw.flatten(1, 2).unflatten(1, (mixtures, 3)).transpose(1, 2)
        return logits, means, log_scales, neighbours

    return sample((params, component_uniforms, level_uniforms, bits), split=split)


@mistake("returns int64: return uint8", FORM)
def int64_levels(params, component_uniforms, level_uniforms, bits):
    return sample((params, component_uniforms, level_uniforms, bits), dtype=torch.int64)


@mistake("returns float32: return uint8", FORM)
def float_levels(params, component_uniforms, level_uniforms, bits):
    return sample((params, component_uniforms, level_uniforms, bits), dtype=torch.float32)


@mistake("returns the dtype of params: return uint8", FORM)
def levels_in_the_dtype_of_params(params, component_uniforms, level_uniforms, bits):
    return sample((params, component_uniforms, level_uniforms, bits), dtype=params.dtype)


@mistake("changes the uniforms in place (log_, neg_): work on new tensors", FORM)
def uniforms_changed(params, component_uniforms, level_uniforms, bits):
    result = sample((params, component_uniforms.clone(), level_uniforms, bits))
    component_uniforms.log_().neg_().log_().neg_()
    return result


@mistake("clamps log-scales in place (clamp_): leave params as it is", FORM)
def log_scales_clamped_in_place(params, component_uniforms, level_uniforms, bits):
    result = sample((params.clone(), component_uniforms, level_uniforms, bits))
    by_colour(params)[2].clamp_(min=-7)
    return result


@mistake(
    "squeezes away dimensions of size one: the shape should be (batch, 3, height, width), also for one pixel", FORM
)
def squeezed(params, component_uniforms, level_uniforms, bits):
    return sample((params, component_uniforms, level_uniforms, bits)).squeeze()
