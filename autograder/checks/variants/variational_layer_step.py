"""Right ways to write ``variational_layer_step``."""

import torch
from torch.distributions import Independent, Normal, kl_divergence

from autograder.checks.case import Variant, variants_into

VARIANTS: list[Variant] = []
variant = variants_into(VARIANTS)


@variant
def attention_by_einsum(context, z, evidence, remembered, parts, noise):
    def attention(query, records, scale):
        keys = torch.stack([record.key for record in records], dim=1)
        values = torch.stack([record.value for record in records], dim=1)
        weights = torch.softmax(scale * torch.einsum("bchw,blchw->blhw", query, keys), dim=1)
        return torch.einsum("blhw,blchw->bchw", weights, values)

    new = parts.transition(context.value, z)
    condition = new.value + parts.context_gate * attention(new.query, remembered, parts.context_scale)
    prior_mean, prior_log_std = parts.prior(condition)
    if evidence is None:
        return new, condition, prior_mean + prior_log_std.exp() * noise, condition.new_zeros(len(condition))
    merged = parts.merge(evidence[0].value, condition)
    found = attention(new.evidence_query, [merged, *evidence[1:]], parts.evidence_scale)
    own = merged.value + parts.evidence_gate * found
    mean_shift, log_std_shift = parts.posterior(torch.cat([own, merged.key], dim=1))
    distance = (mean_shift * torch.exp(-prior_log_std)).square()
    kl = 0.5 * (torch.exp(2 * log_std_shift) + distance - 1 - 2 * log_std_shift)
    latent = prior_mean + mean_shift + (prior_log_std + log_std_shift).exp() * noise
    return new, condition, latent, kl.flatten(1).sum(1)


@variant
def loop_over_layers(context, z, evidence, remembered, parts, noise):
    def look(own, query, records, scale, gate):
        scores = [scale * (query * record.key).sum(dim=1, keepdim=True) for record in records]
        highest = torch.stack(scores).amax(dim=0)
        powers = [torch.exp(score - highest) for score in scores]
        total = sum(powers)
        for power, record in zip(powers, records, strict=True):
            own = own + gate * power / total * record.value
        return own

    new = parts.transition(context.value, z)
    condition = look(new.value, new.query, remembered, parts.context_scale, parts.context_gate)
    p_mean, p_log_std = q_mean, q_log_std = parts.prior(condition)
    if evidence is not None:
        merged = parts.merge(evidence[0].value, condition)
        others = list(evidence)
        others[0] = merged
        own = look(merged.value, new.evidence_query, others, parts.evidence_scale, parts.evidence_gate)
        shifts = parts.posterior(torch.cat((own, merged.key), 1))
        q_mean, q_log_std = p_mean + shifts[0], p_log_std + shifts[1]
    kl = kl_divergence(Normal(q_mean, q_log_std.exp()), Normal(p_mean, p_log_std.exp())).sum(dim=(1, 2, 3))
    return [new, condition, torch.addcmul(q_mean, q_log_std.exp(), noise), kl]


@variant
def record_of_its_own(context, z, evidence, remembered, parts, noise):
    class Context:
        def __init__(self, value, key, query, evidence_query):
            self.value, self.key, self.query, self.evidence_query = value, key, query, evidence_query

    def look(query, keys, values, scale):
        scores = (query.unsqueeze(0) * torch.stack(keys)).sum(dim=2, keepdim=True) * scale
        return (scores.log_softmax(dim=0).exp() * torch.stack(values)).sum(dim=0)

    made = parts.transition(context.value, z)
    found = look(made.query, [r.key for r in remembered], [r.value for r in remembered], parts.context_scale)
    condition = torch.add(made.value, found * parts.context_gate)
    prior = Independent(Normal(parts.prior(condition)[0], parts.prior(condition)[1].exp()), 3)
    posterior = prior
    if evidence is not None:
        merged = parts.merge(evidence[0].value, condition)
        keys = [merged.key] + [record.key for record in evidence[1:]]
        values = [merged.value] + [record.value for record in evidence[1:]]
        own = merged.value + look(made.evidence_query, keys, values, parts.evidence_scale) * parts.evidence_gate
        mean_shift, log_std_shift = parts.posterior(torch.cat([own, merged.key], dim=1))
        posterior = Independent(Normal(prior.mean + mean_shift, prior.stddev * log_std_shift.exp()), 3)
    latent = posterior.mean + posterior.stddev * noise
    kl = kl_divergence(posterior, prior)
    return Context(made.value, made.key, made.query, made.evidence_query), condition, latent, kl


@variant
def kl_in_double_and_back(context, z, evidence, remembered, parts, noise):
    def attention(query, records, scale):
        products = torch.stack([(query * record.key).sum(dim=1) for record in records], dim=-1)
        weights = torch.softmax(products * scale, dim=-1)
        return sum(weights[..., n].unsqueeze(1) * record.value for n, record in enumerate(records))

    below = parts.transition(context.value, z)
    condition = below.value + attention(below.query, tuple(remembered), parts.context_scale) * parts.context_gate
    p_mean, p_log_std = parts.prior(condition)
    mean, log_std = p_mean, p_log_std
    if evidence is not None:
        first, *rest = evidence
        merged = parts.merge(first.value, condition)
        corrected = merged.value
        corrected = corrected + parts.evidence_gate * attention(
            below.evidence_query, [merged, *rest], parts.evidence_scale
        )
        mean_shift, log_std_shift = parts.posterior(torch.hstack([corrected, merged.key]))
        mean, log_std = mean + mean_shift, log_std + log_std_shift
    a, b, c, d = (number.double() for number in (mean, log_std, p_mean, p_log_std))
    kl = d - b + ((2 * b).exp() + (a - c) ** 2) / (2 * (2 * d).exp()) - 0.5
    print("one layer down")
    return below, condition, mean + torch.exp(log_std) * noise, torch.einsum("bchw->b", kl).to(condition.dtype)


@variant
def loop_over_examples(context, z, evidence, remembered, parts, noise):
    def look(own, query, records, scale, gate, n):
        keys = torch.cat([record.key[n : n + 1] for record in records])
        values = torch.cat([record.value[n : n + 1] for record in records])
        weights = ((query * keys).sum(1) * scale).softmax(0).unsqueeze(1)
        return own + gate * (weights * values).sum(0, keepdim=True)

    new = parts.transition(context.value, z)
    rows = []
    for n in range(len(z)):
        own, query, asked = (part[n : n + 1] for part in (new.value, new.query, new.evidence_query))
        condition = look(own, query, remembered, parts.context_scale, parts.context_gate, n)
        p_mean, p_log_std = mean, log_std = parts.prior(condition)
        if evidence is not None:
            merged = parts.merge(evidence[0].value[n : n + 1], condition)
            scores = [(asked * merged.key).sum(1)]
            scores += [(asked * record.key[n : n + 1]).sum(1) for record in evidence[1:]]
            weights = (torch.stack(scores) * parts.evidence_scale).softmax(0).unsqueeze(2)
            values = torch.stack([merged.value] + [record.value[n : n + 1] for record in evidence[1:]])
            seen = merged.value + parts.evidence_gate * (weights * values).sum(0)
            shifts = parts.posterior(torch.cat([seen, merged.key], dim=1))
            mean, log_std = mean + shifts[0], log_std + shifts[1]
        kl = kl_divergence(Normal(mean, log_std.exp()), Normal(p_mean, p_log_std.exp())).sum()
        rows.append((condition, mean + log_std.exp() * noise[n : n + 1], kl))
    conditions, latents, kls = zip(*rows, strict=True)
    return new, torch.cat(conditions), torch.cat(latents), torch.stack(kls)
