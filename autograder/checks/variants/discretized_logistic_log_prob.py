"""Right ways to write ``discretized_logistic_log_prob``."""

import torch
import torch.nn.functional as F

from autograder.checks.case import Variant, variants_into

VARIANTS: list[Variant] = []
variant = variants_into(VARIANTS)


@variant
def three_factors(x, mean, log_scale, bits):
    last = 2**bits - 1
    distance = 2 * x.double() / last - 1 - mean
    upper, lower = ((distance + sign / last) / log_scale.double().exp() for sign in (1, -1))
    inside = F.logsigmoid(upper) + F.logsigmoid(-lower) + torch.log(-torch.expm1(lower - upper))
    value = torch.where(x == 0, F.logsigmoid(upper), torch.where(x == last, F.logsigmoid(-lower), inside))
    return value.to(mean.dtype)


@variant
def in_the_precision_of_the_inputs(x, mean, log_scale, bits):
    last = 2**bits - 1
    inverse_scale = torch.exp(-log_scale)
    distance = x.to(mean.dtype) * (2 / last) - 1 - mean
    upper, lower = (distance + 1 / last) * inverse_scale, (distance - 1 / last) * inverse_scale
    inside = F.logsigmoid(upper) + F.logsigmoid(-lower) + torch.log(-torch.expm1(-2 / last * inverse_scale))
    return torch.where(x == 0, F.logsigmoid(upper), torch.where(x == last, F.logsigmoid(-lower), inside))


@variant
def on_the_nearer_side(x, mean, log_scale, bits):
    """A difference of two logarithms, taken on the side of the mean where σ is small."""
    last = 2**bits - 1
    inverse_scale = torch.exp(-log_scale.double())
    distance = 2 * x.double() / last - 1 - mean.double()
    upper, lower = (distance + 1 / last) * inverse_scale, (distance - 1 / last) * inverse_scale
    is_below = distance < 0
    near = F.logsigmoid(torch.where(is_below, upper, -lower))
    far = F.logsigmoid(torch.where(is_below, lower, -upper))
    inside = near + torch.log(-torch.expm1(far - near))
    ends = torch.where(x == 0, F.logsigmoid(upper), F.logsigmoid(-lower))
    return torch.where((x == 0) | (x == last), ends, inside).to(mean.dtype)


@variant
def by_odds(x, mean, log_scale, bits):
    """P = (1 − AB) / ((1 + A)(1 + B)) with the odds A of lying above the bin and B of lying below it."""
    last = 2**bits - 1
    s = log_scale.double().exp()
    v = 2 * x.double() / last - 1
    log_above, log_below = (mean - v - 1 / last) / s, (v - 1 / last - mean) / s
    zero = torch.zeros_like(log_above)
    not_above, not_below = -torch.logaddexp(zero, log_above), -torch.logaddexp(zero, log_below)
    both = torch.log(-torch.expm1(log_above + log_below))
    is_first, is_last = x == 0, x == last
    total = torch.where(is_last, zero, not_above) + torch.where(is_first, zero, not_below)
    return (total + torch.where(is_first | is_last, zero, both)).to(mean.dtype)


@variant
def hyperbolic(x, mean, log_scale, bits):
    """σ(c + w) − σ(c − w) = sinh w / (cosh c + cosh w)."""
    last = 2**bits - 1
    inverse_scale = torch.exp(-log_scale.double())
    c, w = (2 * x.double() / last - 1 - mean) * inverse_scale, inverse_scale / last
    log_2_sinh = w + torch.log(-torch.expm1(-2 * w))
    inside = log_2_sinh - torch.logaddexp(torch.logaddexp(c, -c), torch.logaddexp(w, -w))
    value = torch.where(x == 0, F.logsigmoid(c + w), torch.where(x == last, F.logsigmoid(w - c), inside))
    return value.to(mean.dtype)


@variant
def edges_at_infinity(x, mean, log_scale, bits):
    """Uses softplus for log σ, and edges very far away for the open ends."""
    last = 2**bits - 1
    s = torch.exp(log_scale.to(torch.float64))
    v = (x.to(torch.float64) - last / 2) / (last / 2)
    edge_above = torch.where(x == last, torch.full_like(v, 1e9), v + 1 / last)
    edge_below = torch.where(x == 0, torch.full_like(v, -1e9), v - 1 / last)
    a, b = (edge_above - mean) / s, (edge_below - mean) / s
    softplus = torch.nn.Softplus(threshold=700)
    return (-softplus(-a) - softplus(b) + torch.log(-torch.expm1(b - a))).to(mean.dtype)


@variant
def element_by_element(x, mean, log_scale, bits):
    last = 2**bits - 1
    levels, means, log_scales = torch.broadcast_tensors(x.to(mean.dtype), mean, log_scale)
    values = []
    for level, mu, log_s in zip(levels.flatten(), means.flatten(), log_scales.flatten(), strict=True):
        s = log_s.double().exp()
        below = (2 * level.double() / last - 1 + 1 / last - mu) / s
        above = (2 * level.double() / last - 1 - 1 / last - mu) / s
        if level == 0:
            values.append(F.logsigmoid(below))
        elif level == last:
            values.append(F.logsigmoid(-above))
        else:
            values.append(F.logsigmoid(below) + F.logsigmoid(-above) + torch.log(-torch.expm1(above - below)))
    return torch.stack(values).reshape(levels.shape).to(mean.dtype)
