"""Right ways to write ``discretized_logistic_mixture_log_prob``."""

import torch
import torch.nn.functional as F

from autograder.checks.case import Variant, variants_into

VARIANTS: list[Variant] = []
variant = variants_into(VARIANTS)


def level_log_prob(x, mean, log_scale, bits):
    """Exercise 1."""
    last = 2**bits - 1
    distance = 2 * x.to(mean.dtype) / last - 1 - mean
    upper, lower = ((distance + sign / last) * torch.exp(-log_scale) for sign in (1, -1))
    inside = F.logsigmoid(upper) + F.logsigmoid(-lower) + torch.log(-torch.expm1(lower - upper))
    return torch.where(x == 0, F.logsigmoid(upper), torch.where(x == last, F.logsigmoid(-lower), inside))


@variant
def five_dimensions(x, params, bits):
    K = params.shape[1] // 10
    logits, rest = params.double().split([K, 9 * K], dim=1)
    mean, log_scale, raw = rest.unflatten(1, (3, 3, K)).unbind(2)
    c = torch.tanh(raw)
    red, green, _ = (2 * x.double() / (2**bits - 1) - 1).unsqueeze(2).unbind(1)
    shift = torch.stack([0 * c[:, 0], c[:, 0] * red, c[:, 1] * red + c[:, 2] * green], dim=1)
    of_colours = level_log_prob(x.unsqueeze(2), mean + shift, log_scale.clamp(min=-7), bits)
    per_pixel = torch.logsumexp(torch.log_softmax(logits, dim=1) + of_colours.sum(1), dim=1)
    return per_pixel.sum((1, 2)).to(params.dtype)


@variant
def colour_by_colour(x, params, bits):
    """Computes in the precision of params."""
    K = params.shape[1] // 10
    groups = params.split([K] * 10, dim=1)
    logits, (mean_r, scale_r, c0), (mean_g, scale_g, c1), (mean_b, scale_b, c2) = (
        groups[0],
        groups[1:4],
        groups[4:7],
        groups[7:],
    )
    r, g, _ = (x.to(params.dtype) / (2**bits - 1) * 2 - 1).split(1, dim=1)
    total = F.log_softmax(logits, dim=1)
    total = total + level_log_prob(x[:, 0:1], mean_r, scale_r.clamp(min=-7), bits)
    total = total + level_log_prob(x[:, 1:2], mean_g + torch.tanh(c0) * r, scale_g.clamp(min=-7), bits)
    mean_b = mean_b + torch.tanh(c1) * r + torch.tanh(c2) * g
    total = total + level_log_prob(x[:, 2:3], mean_b, scale_b.clamp(min=-7), bits)
    return total.logsumexp(1).flatten(1).sum(1)


@variant
def component_by_component(x, params, bits):
    K = params.shape[1] // 10
    wide = params.double()
    position = 2 * x.double() / (2**bits - 1) - 1
    each = []
    for k in range(K):
        mean = [wide[:, K + 3 * K * colour + k] for colour in range(3)]
        log_scale = [wide[:, 2 * K + 3 * K * colour + k].clamp(min=-7) for colour in range(3)]
        c = [wide[:, 3 * K + 3 * K * colour + k].tanh() for colour in range(3)]
        mean[1] = mean[1] + c[0] * position[:, 0]
        mean[2] = mean[2] + c[1] * position[:, 0] + c[2] * position[:, 1]
        colours = [level_log_prob(x[:, i], mean[i], log_scale[i], bits) for i in range(3)]
        each.append(sum(colours) + wide[:, k])
    total = torch.stack(each).logsumexp(0) - wide[:, :K].logsumexp(1)
    return total.sum((-1, -2)).to(params.dtype)


@variant
def channels_last(x, params, bits):
    K = params.shape[1] // 10
    levels, numbers = x.permute(0, 2, 3, 1), params.permute(0, 2, 3, 1).double()
    logits, rest = numbers[..., :K], numbers[..., K:].reshape(*levels.shape, 3 * K)
    means, log_scales, c = rest[..., :K], rest[..., K : 2 * K].clamp(min=-7.0), rest[..., 2 * K :].tanh()
    v = (2 * levels.double() / (2**bits - 1) - 1).unsqueeze(-1)
    means = torch.stack(
        [
            means[..., 0, :],
            means[..., 1, :] + c[..., 0, :] * v[..., 0, :],
            means[..., 2, :] + c[..., 1, :] * v[..., 0, :] + c[..., 2, :] * v[..., 1, :],
        ],
        dim=-2,
    )
    of_colours = level_log_prob(levels.unsqueeze(-1), means, log_scales, bits)
    return torch.logsumexp(of_colours.sum(-2) + logits.log_softmax(-1), -1).sum((1, 2)).to(params.dtype)


@variant
def pixels_in_rows(x, params, bits):
    """All pixels of all images in one dimension, a matrix of coefficients for each component."""
    batch, K = len(x), params.shape[1] // 10
    rows = params.double().movedim(1, -1).reshape(-1, 10 * K)
    levels = x.movedim(1, -1).reshape(-1, 3)
    position = levels.double().mul(2 / (2**bits - 1)).sub(1)
    mean, log_scale, raw = rows[:, K:].reshape(-1, 3, 3, K).unbind(2)
    c = torch.zeros(len(rows), 3, 3, K, dtype=rows.dtype)
    c[:, 1, 0], c[:, 2, 0], c[:, 2, 1] = torch.tanh(raw).unbind(1)
    mean = mean + torch.einsum("nijk,nj->nik", c, position)
    floor = torch.full_like(log_scale, -7.0)
    of_colours = level_log_prob(levels.unsqueeze(2), mean, torch.maximum(log_scale, floor), bits)
    per_pixel = (of_colours.sum(1) + rows[:, :K]).logsumexp(1) - rows[:, :K].logsumexp(1)
    return per_pixel.reshape(batch, -1).sum(1).to(params.dtype)


@variant
def by_a_distribution(x, params, bits):
    """Uses Uses torch.distributions for the choice of the component."""
    K = params.shape[1] // 10
    mean, log_scale, raw = params[:, K:].double().unflatten(1, (3, 3, K)).unbind(2)
    position = (2 * x.double() / (2**bits - 1) - 1).unsqueeze(2)
    c = raw.tanh()
    mean = torch.cat(
        [
            mean[:, :1],
            mean[:, 1:2] + c[:, :1] * position[:, :1],
            mean[:, 2:] + c[:, 1:2] * position[:, :1] + c[:, 2:] * position[:, 1:2],
        ],
        dim=1,
    )
    of_components = level_log_prob(x.unsqueeze(2), mean, log_scale.clip(-7, None), bits).sum(1)
    choice = torch.distributions.Categorical(logits=params[:, :K].double().movedim(1, -1))
    per_pixel = torch.logsumexp(choice.logits + of_components.movedim(1, -1), dim=-1)
    return per_pixel.sum(dim=(1, 2)).to(params.dtype)
