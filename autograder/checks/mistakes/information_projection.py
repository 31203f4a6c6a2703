"""Wrong ways to write ``information_projection``."""

import torch

from autograder.checks.case import Mistake, mistakes_into
from autograder.checks.form_cases import PRECISION_KEPT

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

VALUES = "values"
RULED_OUT = "outcomes that p rules out"
ENDS = "targets near the ends"
SCALES = "values of any offset and scale"
OVERFLOWS = "the exponentials of λ · values overflow: subtract the mean from the values, and work with logarithms"
NEWTON = "takes bare Newton steps, which overshoot: keep a bracket, and halve it where a step leaves it"


def log_tilted(log_p, values, multiplier):
    return torch.log_softmax(log_p + multiplier * values, dim=0)


def bisected(goes_on, low, high, steps=75):
    """The point in [low, high] where a rising function crosses zero; ``goes_on(x)`` is true below it."""
    for _ in range(steps):
        middle = (low + high) / 2
        low, high = (middle, high) if goes_on(middle) else (low, middle)
    return middle


def solved(log_p, values, mean, reach=1e5, steps=75):
    excess = values - mean
    return bisected(lambda t: log_tilted(log_p, excess, t).exp() @ excess < 0, -reach, reach, steps)


def answer(log_p, values, mean, multiplier):
    return log_tilted(log_p, values - mean, multiplier), log_p.new_tensor(multiplier)


@mistake("returns λ with the wrong sign: q is proportional to p · exp(+λ · values)", caught_by=VALUES)
def opposite_multiplier(log_p, values, mean, tolerance):
    log_q, multiplier = answer(log_p, values, mean, solved(log_p, values, mean))
    return log_q, -multiplier


@mistake("moves away from the target: increase λ where the mean is too small", caught_by=VALUES)
def tilted_the_wrong_way(log_p, values, mean, tolerance):
    multiplier = solved(log_p, values, mean)
    return log_tilted(log_p, values, -multiplier), log_p.new_tensor(multiplier)


@mistake("leaves out the normaliser: the probabilities of q must sum to one", caught_by=VALUES)
def not_normalised(log_p, values, mean, tolerance):
    multiplier = solved(log_p, values, mean)
    return log_p + multiplier * values, log_p.new_tensor(multiplier)


@mistake("leaves out p: tilts the uniform distribution", caught_by=VALUES)
def uniform_instead_of_p(log_p, values, mean, tolerance):
    return answer(torch.zeros_like(log_p), values, mean, solved(torch.zeros_like(log_p), values, mean))


@mistake("returns the probabilities of q: return their logarithms", caught_by=VALUES)
def probabilities_returned(log_p, values, mean, tolerance):
    log_q, multiplier = answer(log_p, values, mean, solved(log_p, values, mean))
    return log_q.exp(), multiplier


@mistake("treats log_p as if it were probabilities", caught_by=VALUES)
def log_p_taken_for_p(log_p, values, mean, tolerance):
    p = log_p.abs() / log_p.abs().sum()
    return answer(p.log(), values, mean, solved(p.log(), values, mean))


@mistake("weights the outcomes linearly in the values: the tilt is exponential", caught_by=VALUES)
def linear_tilt(log_p, values, mean, tolerance):
    p = log_p.exp()
    p_mean = p @ values
    slope = (mean - p_mean) / (p @ (values - p_mean).square())
    q = p * (1 + slope * (values - p_mean))
    return q.clamp(min=1e-12).log(), slope


@mistake("takes one Newton step: repeat it until the mean is right", caught_by=VALUES)
def one_newton_step(log_p, values, mean, tolerance):
    p = log_p.exp()
    p_mean = p @ values
    multiplier = ((mean - p_mean) / (p @ (values - p_mean).square())).item()
    return answer(log_p, values, mean, multiplier)


@mistake(
    "mixes p with the outcome of the largest or smallest value: this has the right mean, but is not the closest",
    caught_by=VALUES,
)
def mixture_with_an_end(log_p, values, mean, tolerance):
    p = log_p.exp()
    end = values.argmax() if mean > p @ values else values.argmin()
    share = (mean - p @ values) / (values[end] - p @ values)
    q = (1 - share) * p + share * torch.nn.functional.one_hot(end, len(p))
    return q.log(), share


@mistake("minimises KL(p‖q): minimise KL(q‖p), whose solution is p tilted exponentially", caught_by=VALUES)
def forward_projection(log_p, values, mean, tolerance):
    """The q closest to p in the other direction is p / (1 − t (v − m)), for the t that normalises it."""
    p, excess = log_p.exp(), values - mean
    low, high = 1 / excess.min().item(), 1 / excess.max().item()
    t = bisected(lambda t: (p * excess / (1 - t * excess)).sum() < 0, low, high, 200)
    q = p / (1 - t * excess)
    return (q / q.sum()).log(), log_p.new_tensor(t)


@mistake("stops when λ is known to two digits: go on until the mean is within the tolerance", caught_by=VALUES)
def rough_multiplier(log_p, values, mean, tolerance):
    return answer(log_p, values, mean, solved(log_p, values, mean, 64.0, steps=13))


@mistake("returns λ only: return log q and λ", caught_by=VALUES)
def multiplier_only(log_p, values, mean, tolerance):
    return log_p.new_tensor(solved(log_p, values, mean))


@mistake("returns λ first: log q comes first, then λ", caught_by=VALUES)
def results_exchanged(log_p, values, mean, tolerance):
    log_q, multiplier = answer(log_p, values, mean, solved(log_p, values, mean))
    return multiplier, log_q


@mistake("multiplies q by log p where p is zero: 0 · (−∞) is NaN", caught_by=RULED_OUT)
def zero_times_infinity(log_p, values, mean, tolerance):
    excess = values - mean

    def goes_on(t):
        logits = log_p + t * excess
        log_normaliser = (log_p.exp() * log_p).sum() * 0 + torch.logsumexp(logits, 0)
        return (logits - log_normaliser).exp() @ excess < 0

    multiplier = bisected(goes_on, -1e5, 1e5)
    log_normaliser = (log_p.exp() * log_p).sum() * 0 + torch.logsumexp(log_p + multiplier * excess, 0)
    return log_p + multiplier * excess - log_normaliser, log_p.new_tensor(multiplier)


@mistake("gives outcomes that p rules out a small probability: keep them at −∞", caught_by=RULED_OUT)
def small_constant_inside_the_logarithm(log_p, values, mean, tolerance):
    log_p = (log_p.exp() + 1e-12).log()
    return answer(log_p, values, mean, solved(log_p, values, mean))


@mistake("gives outcomes that p rules out a small probability: keep them at −∞", caught_by=RULED_OUT)
def infinities_clamped(log_p, values, mean, tolerance):
    log_p = log_p.clamp(min=-100.0)
    return answer(log_p, values, mean, solved(log_p, values, mean))


@mistake("looks for λ only between −10 and 10: widen the bracket until it holds the solution", caught_by=ENDS)
def fixed_bracket_of_ten(log_p, values, mean, tolerance):
    return answer(log_p, values, mean, solved(log_p, values, mean, 10.0))


@mistake("looks for λ only between −100 and 100: widen the bracket until it holds the solution", caught_by=ENDS)
def fixed_bracket_of_a_hundred(log_p, values, mean, tolerance):
    return answer(log_p, values, mean, solved(log_p, values, mean, 100.0))


@mistake(NEWTON, caught_by=ENDS)
def bare_newton(log_p, values, mean, tolerance):
    multiplier = 0.0
    for _ in range(50):
        q = log_tilted(log_p, values - mean, multiplier).exp()
        error = q @ (values - mean)
        multiplier = multiplier - (error / (q @ (values - mean - error).square())).item()
    return answer(log_p, values, mean, multiplier)


@mistake("uses gradient descent with a fixed step, which converges far too slowly near an end", caught_by=ENDS)
def gradient_descent(log_p, values, mean, tolerance):
    """Right for values whose curvature is about one."""
    multiplier = 0.0
    for _ in range(300):
        error = log_tilted(log_p, values - mean, multiplier).exp() @ (values - mean)
        multiplier -= 0.3 * error.item() if abs(error) > 1e-12 else 0.0
    return answer(log_p, values, mean, multiplier)


@mistake(
    "adds a constant to the variance in Newton's step, which then stalls where the variance is small", caught_by=ENDS
)
def damped_newton(log_p, values, mean, tolerance):
    multiplier = 0.0
    for _ in range(60):
        q = log_tilted(log_p, values - mean, multiplier).exp()
        error = q @ (values - mean)
        multiplier = multiplier - (error / (q @ (values - mean - error).square() + 0.05)).item()
    return answer(log_p, values, mean, multiplier)


@mistake(OVERFLOWS, caught_by=SCALES)
def weights_of_raw_values(log_p, values, mean, tolerance):
    def weights(t):
        w = log_p.exp() * torch.exp(t * values)
        return w / w.sum()

    reach = 1.0
    while weights(reach) @ (values - mean) < 0 or weights(-reach) @ (values - mean) > 0:
        reach *= 2
    multiplier = bisected(lambda t: weights(t) @ (values - mean) < 0, -reach, reach)
    return weights(multiplier).log(), log_p.new_tensor(multiplier)


@mistake(
    "stops when λ moves by less than a fixed amount: how small that is depends on the units of the values",
    caught_by=SCALES,
)
def bracket_in_absolute_units(log_p, values, mean, tolerance):
    low, high, excess = -1e5, 1e5, values - mean
    while high - low > 1e-5:
        middle = (low + high) / 2
        low, high = (middle, high) if log_tilted(log_p, excess, middle).exp() @ excess < 0 else (low, middle)
    return answer(log_p, values, mean, middle)


@mistake("uses the tolerance in the units of the values: it is relative to their range", caught_by=SCALES)
def tolerance_in_absolute_units(log_p, values, mean, tolerance):
    low, high, excess = -1e6, 1e6, values - mean
    for _ in range(200):
        middle = (low + high) / 2
        error = log_tilted(log_p, excess, middle).exp() @ excess
        if abs(error) < max(tolerance, 2e-6):
            break
        low, high = (middle, high) if error < 0 else (low, middle)
    return answer(log_p, values, mean, middle)


@mistake("changes `values` in place: work on new tensors", caught_by=PRECISION_KEPT)
def values_centred_in_place(log_p, values, mean, tolerance):
    values -= mean
    return answer(log_p, values, 0.0, solved(log_p, values, 0.0))


@mistake("changes `log_p` in place: work on new tensors", caught_by=PRECISION_KEPT)
def log_p_overwritten(log_p, values, mean, tolerance):
    log_q, multiplier = answer(log_p, values, mean, solved(log_p, values, mean))
    return log_p.copy_(log_q), multiplier


@mistake("returns float32 for any input: return the dtype of log_p", caught_by=PRECISION_KEPT)
def single_precision(log_p, values, mean, tolerance):
    log_q, multiplier = answer(log_p, values, mean, solved(log_p, values, mean))
    return log_q.float(), multiplier.float()


@mistake("looks only for λ ≥ 0: a target below the mean of p needs a negative λ", caught_by=VALUES)
def upwards_only(log_p, values, mean, tolerance):
    excess = values - mean
    rises = bisected(lambda t: log_tilted(log_p, excess, t).exp() @ excess < 0, 0.0, 1e5)
    return answer(log_p, values, mean, rises)


@mistake("returns λ times the range of the values: divide by the range at the end", caught_by=VALUES)
def multiplier_in_units_of_the_range(log_p, values, mean, tolerance):
    log_q, multiplier = answer(log_p, values, mean, solved(log_p, values, mean))
    return log_q, multiplier * (values.max() - values.min())


def until_within(allowed_error, log_p, values, mean):
    """Bisects until the mean is off by at most ``allowed_error``."""
    excess, low, high = values - mean, -1e5, 1e5
    for _ in range(200):
        middle = (low + high) / 2
        error = log_tilted(log_p, excess, middle).exp() @ excess
        if error.abs() <= allowed_error:
            break
        low, high = (middle, high) if error < 0 else (low, middle)
    return answer(log_p, values, mean, middle)


@mistake("uses the range of all values: leave out those that p rules out", caught_by=RULED_OUT)
def range_of_all_values(log_p, values, mean, tolerance):
    return until_within(tolerance * (values.max() - values.min()), log_p, values, mean)
