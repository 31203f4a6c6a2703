"""Right ways to write ``top_down_step``."""

from collections import namedtuple

import torch
from torch.distributions import Independent, Normal, kl_divergence

from autograder.checks.case import Variant, variants_into

VARIANTS: list[Variant] = []
variant = variants_into(VARIANTS)


@variant
def with_distributions(stream, evidence, parts, noise):
    def gaussian(mean, log_std):
        return Independent(Normal(mean, log_std.exp()), 3)

    *own, h = parts.prior(stream)
    prior = posterior = gaussian(*own)
    if evidence is not None:
        posterior = gaussian(*parts.posterior(torch.cat((stream, evidence), 1)))
    z = posterior.mean + posterior.stddev * noise
    return parts.refine(stream + h + parts.project(z)), z, kl_divergence(posterior, prior)


@variant
def kl_written_out(stream, evidence, parts, noise):
    prior_mean, prior_log_std, h = parts.prior(stream)
    mean, log_std = prior_mean, prior_log_std
    if evidence is not None:
        mean, log_std = parts.posterior(torch.cat([stream, evidence], dim=1))
    variance_ratio = torch.exp(2 * (log_std - prior_log_std))
    distance = ((mean - prior_mean) * torch.exp(-prior_log_std)) ** 2
    kl = 0.5 * (variance_ratio + distance - 1 - 2 * (log_std - prior_log_std))
    z = torch.addcmul(mean, log_std.exp(), noise)
    stream = torch.add(stream, h)
    return parts.refine(stream + parts.project(z)), z, kl.flatten(1).sum(1)


@variant
def parts_called_again(stream, evidence, parts, noise):
    if evidence is None:
        mean, log_std, _ = parts.prior(stream)
        kl = torch.zeros(stream.shape[0], dtype=stream.dtype, device=stream.device)
    else:
        both = torch.cat([stream, evidence], dim=1)
        mean, log_std = parts.posterior(both)[0], parts.posterior(both)[1]
        p_mean, p_log_std, _ = parts.prior(stream)
        kl = p_log_std - log_std + (log_std.exp() ** 2 + (mean - p_mean) ** 2) / (2 * p_log_std.exp() ** 2) - 0.5
        kl = torch.einsum("bchw->b", kl)
    z = mean + torch.exp(log_std) * noise
    total = sum([stream, parts.prior(stream)[2], parts.project(z)])
    return [parts.refine(total), z, kl]


@variant
def loop_over_examples(stream, evidence, parts, noise):
    rows = []
    for n in range(len(stream)):
        x, e = stream[n : n + 1], None if evidence is None else evidence[n : n + 1]
        p_mean, p_log_std, h = parts.prior(x)
        mean, log_std = (p_mean, p_log_std) if e is None else parts.posterior(torch.cat([x, e], dim=1))
        z = mean + log_std.exp() * noise[n : n + 1]
        kl = kl_divergence(Normal(mean, log_std.exp()), Normal(p_mean, p_log_std.exp())).sum()
        rows.append((parts.refine(x + h + parts.project(z)), z, kl))
    streams, latents, kls = zip(*rows, strict=True)
    return torch.cat(streams), torch.cat(latents), torch.stack(kls)


@variant
def named_results(stream, evidence, parts, noise):
    step = namedtuple("Step", ["stream", "z", "kl"])
    print("one step down")
    p_mean, p_log_std, h = parts.prior(stream)
    if evidence is None:
        z = p_mean + p_log_std.exp() * noise
        return step(parts.refine(parts.project(z) + (h + stream)), z, (0 * z).flatten(1).sum(dim=1))
    q_mean, q_log_std = parts.posterior(torch.cat([stream, evidence], dim=1))
    z = q_mean + q_log_std.exp() * noise
    terms = p_log_std - q_log_std - 0.5 + 0.5 * (q_log_std - p_log_std).exp().square()
    terms = terms + 0.5 * ((q_mean - p_mean) / p_log_std.exp()).square()
    return step(parts.refine(parts.project(z) + (h + stream)), z, terms.sum(-1).sum(-1).sum(-1))


@variant
def kl_in_double_and_back(stream, evidence, parts, noise):
    p_mean, p_log_std, h = parts.prior(stream)
    if evidence is None:
        mean, log_std = p_mean, p_log_std
    else:
        mean, log_std = parts.posterior(torch.hstack([stream, evidence]))
    q = Normal(mean.double(), log_std.double().exp())
    p = Normal(p_mean.double(), p_log_std.double().exp())
    kl = kl_divergence(q, p).sum(dim=(1, 2, 3)).to(stream.dtype)
    z = mean + log_std.exp() * noise
    return parts.refine(stream + h + parts.project(z)), z, kl
