"""Right ways to write ``discretized_logistic_mixture_sample``."""

import torch

from autograder.checks.case import Variant, variants_into

VARIANTS: list[Variant] = []
variant = variants_into(VARIANTS)


@variant
def gathered(params, component_uniforms, level_uniforms, bits):
    K = params.shape[1] // 10
    last = 2**bits - 1
    chosen = (params[:, :K] - torch.log(-torch.log(component_uniforms))).argmax(dim=1)
    rest = params[:, K:].unflatten(1, (3, 3, K))
    mean, log_scale, raw = rest.take_along_dim(chosen[:, None, None, None], dim=3).squeeze(3).unbind(2)
    c = torch.tanh(raw)
    noise = torch.exp(log_scale.clamp(min=-7)) * torch.logit(level_uniforms)

    def on_levels(value):
        return 2 * ((value + 1) * last / 2).round().clamp(0, last) / last - 1

    red = on_levels(mean[:, 0] + noise[:, 0])
    green = on_levels(mean[:, 1] + c[:, 0] * red + noise[:, 1])
    blue = on_levels(mean[:, 2] + c[:, 1] * red + c[:, 2] * green + noise[:, 2])
    return ((torch.stack([red, green, blue], dim=1) + 1) * last / 2).round().to(torch.uint8)


@variant
def one_hot(params, component_uniforms, level_uniforms, bits):
    """The chosen component as a mask, and log u − log(1 − u)."""
    K, last = params.shape[1] // 10, 2**bits - 1
    wide = params.double()
    log_weights = wide[:, :K].log_softmax(1)
    scores = log_weights - (-component_uniforms.double().log()).log()
    mask = torch.nn.functional.one_hot(scores.argmax(1), K).movedim(-1, 1)
    numbers = wide[:, K:].reshape(len(params), 3, 3, K, *params.shape[2:])
    m, s, raw = (numbers * mask[:, None, None]).sum(3).unbind(2)
    u = level_uniforms.double()
    values = m + s.clip(-7).exp() * (u.log() - torch.log1p(-u))
    levels = []
    coefficients = raw.tanh()
    for colour in range(3):
        value = values[:, colour]
        if colour == 1:
            value = value + coefficients[:, 0] * (2 * levels[0] / last - 1)
        if colour == 2:
            value = value + coefficients[:, 1] * (2 * levels[0] / last - 1)
            value = value + coefficients[:, 2] * (2 * levels[1] / last - 1)
        levels.append(torch.clamp(torch.round((value.clamp(-1, 1) + 1) / 2 * last), 0, last))
    return torch.stack(levels, 1).byte()


@variant
def smallest_waiting_time(params, component_uniforms, level_uniforms, bits):
    """Exponential races: −log u divided by the weight is smallest where logit plus Gumbel noise is largest."""
    K, last = params.shape[1] // 10, 2**bits - 1
    waiting = -component_uniforms.log() / params[:, :K].exp()
    chosen = waiting.argmin(1, keepdim=True)
    groups = [part.gather(1, chosen).squeeze(1) for part in params[:, K:].split(K, dim=1)]
    (mr, sr, c0), (mg, sg, c1), (mb, sb, c2) = groups[:3], groups[3:6], groups[6:]
    u = torch.logit(level_uniforms)

    def draw(mean, log_scale, noise):
        value = mean + log_scale.clamp(min=-7).exp() * noise
        return ((value + 1) * (last / 2)).round().clamp(0, last)

    red = draw(mr, sr, u[:, 0])
    r = red / (last / 2) - 1
    green = draw(mg + c0.tanh() * r, sg, u[:, 1])
    g = green / (last / 2) - 1
    blue = draw(mb + c1.tanh() * r + c2.tanh() * g, sb, u[:, 2])
    return torch.stack((red, green, blue), dim=1).to(torch.uint8)


@variant
def settled_in_three_rounds(params, component_uniforms, level_uniforms, bits):
    """Computes all colours three times: red is right after the first round, green after the second."""
    K, last = params.shape[1] // 10, 2**bits - 1
    gumbel = -torch.log(-torch.log(component_uniforms))
    index = (params[:, :K] + gumbel).argmax(1)[:, None, None, None]
    mean, log_scale, raw = torch.take_along_dim(params[:, K:].unflatten(1, (3, 3, K)), index, 3)[:, :, :, 0].unbind(2)
    noise = torch.maximum(log_scale, torch.tensor(-7.0, dtype=params.dtype)).exp() * torch.special.logit(level_uniforms)
    c = torch.tanh(raw)
    levels = torch.zeros_like(mean)
    for _ in range(3):
        r, g, _ = (2 * levels / last - 1).unbind(1)
        shift = torch.stack([torch.zeros_like(r), c[:, 0] * r, c[:, 1] * r + c[:, 2] * g], dim=1)
        levels = ((mean + shift + noise + 1) * last / 2).round().clamp(0, last)
    return levels.to(torch.uint8)


@variant
def pixel_by_pixel(params, component_uniforms, level_uniforms, bits):
    batch, channels, height, width = params.shape
    K, last = channels // 10, 2**bits - 1
    result = torch.empty(batch, 3, height, width, dtype=torch.uint8)
    for n in range(batch):
        for i in range(height):
            for j in range(width):
                p, u = params[n, :, i, j].double(), level_uniforms[n, :, i, j].double()
                k = int((p[:K] - torch.log(-torch.log(component_uniforms[n, :, i, j].double()))).argmax())
                seen = []
                for colour in range(3):
                    start = K + 3 * K * colour
                    mean, log_scale = p[start + k], max(float(p[start + K + k]), -7.0)
                    if colour == 1:
                        mean = mean + torch.tanh(p[3 * K + k]) * seen[0]
                    if colour == 2:
                        mean = mean + torch.tanh(p[6 * K + k]) * seen[0] + torch.tanh(p[9 * K + k]) * seen[1]
                    value = mean + torch.tensor(log_scale).double().exp() * torch.log(u[colour] / (1 - u[colour]))
                    level = min(max(round(float((value + 1) * last / 2)), 0), last)
                    seen.append(2 * level / last - 1)
                    result[n, colour, i, j] = level
    return result
