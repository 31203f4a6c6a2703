"""Wrong ways to write ``variational_layer_step``. Each is the right function with one stage replaced."""

import types

import torch
from torch.distributions import Normal, kl_divergence

from autograder.checks.case import Mistake, mistakes_into
from autograder.checks.mistakes.precision import DOUBLE_OUT

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

CONDITION, CONTEXT, WITHOUT = "condition", "context", "latent without evidence"
OWN, BELOW = "latent with evidence of its own", "latent with evidence below"
KL, NO_KL = "kl", "kl without evidence"
GRADIENTS, FORM = "gradients", "gradients of kl, precision kept, inputs left alone"


def attention(query, records, scale):
    scores = torch.stack([(query * record.key).sum(dim=1, keepdim=True) for record in records])
    return ((scale * scores).softmax(dim=0) * torch.stack([record.value for record in records])).sum(dim=0)


def looking_up(new, above, remembered, parts):
    return new.value + parts.context_gate * attention(new.query, remembered, parts.context_scale)


def merging(evidence, new, condition, parts):
    return parts.merge(evidence[0].value, condition)


def looking_down(new, merged, evidence, parts):
    found = attention(new.evidence_query, [merged, *evidence[1:]], parts.evidence_scale)
    return merged.value + parts.evidence_gate * found


def what_the_posterior_sees(own, merged, new, evidence):
    return torch.cat([own, merged.key], dim=1)


def shifted(p, shifts):
    return p[0] + shifts[0], p[1] + shifts[1]


def drawn(mean, log_std, noise):
    return mean + log_std.exp() * noise


def kl_of_each(q, p):
    q, p = (Normal(mean, log_std.exp()) for mean, log_std in (q, p))
    return kl_divergence(q, p)


def kl_of_examples(q, p):
    return kl_of_each(q, p).sum(dim=(1, 2, 3))


def zeros_for_examples(condition, p):
    return condition.new_zeros(len(condition))


def prior_of_condition(new, condition, parts):
    return parts.prior(condition)


def step(
    inputs,
    condition_of=looking_up,
    prior_of=prior_of_condition,
    merge=merging,
    look_down=looking_down,
    sees=what_the_posterior_sees,
    posterior=shifted,
    draw=drawn,
    draw_prior=drawn,
    kl=kl_of_examples,
    no_kl=zeros_for_examples,
):
    context, z, evidence, remembered, parts, noise = inputs
    new = parts.transition(context.value, z)
    condition = condition_of(new, context, remembered, parts)
    p = prior_of(new, condition, parts)
    if evidence is None:
        return new, condition, draw_prior(*p, noise), no_kl(condition, p)
    merged = merge(evidence, new, condition, parts)
    own = look_down(new, merged, evidence, parts)
    q = posterior(p, parts.posterior(sees(own, merged, new, evidence)))
    return new, condition, draw(*q, noise), kl(q, p)


def looking_up_at(records, query=None, scale=None, gate=None):
    """The condition with other records, query, scale or gate; each is a function of (new, above, remembered, parts)."""

    def condition_of(*facts):
        new, _, _, parts = facts
        asked = query(*facts) if query else new.query
        found = attention(asked, records(*facts), scale(*facts) if scale else parts.context_scale)
        return new.value + (gate(*facts) if gate else parts.context_gate) * found

    return condition_of


def remembered_alone(new, above, remembered, parts):
    return remembered


def looking_down_at(records, query=None, scale=None, gate=None):
    """ê with other records, query, scale or gate; each is a function of (new, merged, evidence, parts)."""

    def look_down(*facts):
        new, merged, _, parts = facts
        asked = query(*facts) if query else new.evidence_query
        found = attention(asked, records(*facts), scale(*facts) if scale else parts.evidence_scale)
        return merged.value + (gate(*facts) if gate else parts.evidence_gate) * found

    return look_down


def merged_and_below(new, merged, evidence, parts):
    return [merged, *evidence[1:]]


# the condition


@mistake("forgets the gate: multiply the attention's result by context_gate", caught_by=CONDITION)
def context_gate_forgotten(context, z, evidence, remembered, parts, noise):
    changed = looking_up_at(remembered_alone, gate=lambda *facts: 1.0)
    return step((context, z, evidence, remembered, parts, noise), condition_of=changed)


@mistake("uses evidence_gate for the contexts: use context_gate", caught_by=CONDITION)
def evidence_gate_for_contexts(context, z, evidence, remembered, parts, noise):
    changed = looking_up_at(remembered_alone, gate=lambda *facts: parts.evidence_gate)
    return step((context, z, evidence, remembered, parts, noise), condition_of=changed)


@mistake("uses evidence_scale for the contexts: use context_scale", caught_by=CONDITION)
def evidence_scale_for_contexts(context, z, evidence, remembered, parts, noise):
    changed = looking_up_at(remembered_alone, scale=lambda *facts: parts.evidence_scale)
    return step((context, z, evidence, remembered, parts, noise), condition_of=changed)


@mistake("leaves the scores unscaled: multiply them by context_scale before the softmax", caught_by=CONDITION)
def context_scale_forgotten(context, z, evidence, remembered, parts, noise):
    changed = looking_up_at(remembered_alone, scale=lambda *facts: 1.0)
    return step((context, z, evidence, remembered, parts, noise), condition_of=changed)


@mistake(
    "divides the scores by the root of the key channels as well: multiply by context_scale only", caught_by=CONDITION
)
def scaled_by_channels_too(context, z, evidence, remembered, parts, noise):
    def scale(new, above, remembered, parts):
        return parts.context_scale / new.query.shape[1] ** 0.5

    changed = looking_up_at(remembered_alone, scale=scale)
    return step((context, z, evidence, remembered, parts, noise), condition_of=changed)


@mistake("uses the new context's key as the query: use s, `.query`, for the contexts", caught_by=CONDITION)
def key_for_query(context, z, evidence, remembered, parts, noise):
    changed = looking_up_at(remembered_alone, query=lambda new, *facts: new.key)
    return step((context, z, evidence, remembered, parts, noise), condition_of=changed)


@mistake("uses r, the query for evidence, on the contexts: use s, `.query`", caught_by=CONDITION)
def evidence_query_for_contexts(context, z, evidence, remembered, parts, noise):
    changed = looking_up_at(remembered_alone, query=lambda new, *facts: new.evidence_query)
    return step((context, z, evidence, remembered, parts, noise), condition_of=changed)


@mistake("uses the query of the layer above: use the one in the new context", caught_by=CONDITION)
def query_of_the_layer_above(context, z, evidence, remembered, parts, noise):
    changed = looking_up_at(remembered_alone, query=lambda new, above, *facts: above.query)
    return step((context, z, evidence, remembered, parts, noise), condition_of=changed)


@mistake("attends to the new context too: attend only to the layers above", caught_by=CONDITION)
def new_context_among_the_remembered(context, z, evidence, remembered, parts, noise):
    changed = looking_up_at(lambda new, above, remembered, parts: [*remembered, new])
    return step((context, z, evidence, remembered, parts, noise), condition_of=changed)


@mistake("attends to the layer above twice: `remembered` holds it already", caught_by=CONDITION)
def layer_above_twice(context, z, evidence, remembered, parts, noise):
    changed = looking_up_at(lambda new, above, remembered, parts: [*remembered, above])
    return step((context, z, evidence, remembered, parts, noise), condition_of=changed)


@mistake("attends only to the layer above: attend to all of `remembered`", caught_by=CONDITION)
def layer_above_alone(context, z, evidence, remembered, parts, noise):
    changed = looking_up_at(lambda new, above, remembered, parts: remembered[-1:])
    return step((context, z, evidence, remembered, parts, noise), condition_of=changed)


@mistake("adds to the value of the layer above: start from c, the value of the new context", caught_by=CONDITION)
def value_of_the_layer_above(context, z, evidence, remembered, parts, noise):
    def condition_of(new, above, remembered, parts):
        return above.value + parts.context_gate * attention(new.query, remembered, parts.context_scale)

    return step((context, z, evidence, remembered, parts, noise), condition_of=condition_of)


@mistake("is the attention's result alone: add c, the new context's value", caught_by=CONDITION)
def attention_alone(context, z, evidence, remembered, parts, noise):
    def condition_of(new, above, remembered, parts):
        return parts.context_gate * attention(new.query, remembered, parts.context_scale)

    return step((context, z, evidence, remembered, parts, noise), condition_of=condition_of)


@mistake("is c alone: add the attention's result over the contexts above", caught_by=CONDITION)
def no_attention(context, z, evidence, remembered, parts, noise):
    return step((context, z, evidence, remembered, parts, noise), condition_of=lambda new, *facts: new.value)


@mistake("weights c by 1 − gate: add c in full", caught_by=CONDITION)
def convex_combination(context, z, evidence, remembered, parts, noise):
    def condition_of(new, above, remembered, parts):
        found = attention(new.query, remembered, parts.context_scale)
        return (1 - parts.context_gate) * new.value + parts.context_gate * found

    return step((context, z, evidence, remembered, parts, noise), condition_of=condition_of)


@mistake("passes the noise to the transition: pass context.value and z", caught_by=CONDITION)
def transition_of_noise(context, z, evidence, remembered, parts, noise):
    return step((context, noise, evidence, remembered, parts, noise))


@mistake("adds up the attention to each context separately: use one softmax over all of them", caught_by=CONDITION)
def softmax_of_each_alone(context, z, evidence, remembered, parts, noise):
    def condition_of(new, above, remembered, parts):
        return new.value + parts.context_gate * sum(record.value for record in remembered)

    return step((context, z, evidence, remembered, parts, noise), condition_of=condition_of)


@mistake("takes the softmax over pixels: take it over layers", caught_by=CONDITION)
def softmax_over_pixels(context, z, evidence, remembered, parts, noise):
    def condition_of(new, above, remembered, parts):
        scores = torch.stack([(new.query * record.key).sum(dim=1, keepdim=True) for record in remembered])
        weights = (parts.context_scale * scores).flatten(3).softmax(dim=3).reshape(scores.shape)
        found = (weights * torch.stack([record.value for record in remembered])).sum(dim=0)
        return new.value + parts.context_gate * found

    return step((context, z, evidence, remembered, parts, noise), condition_of=condition_of)


# the context


@mistake("returns the value of the layer above: return the new context", caught_by=CONTEXT)
def context_of_the_layer_above(context, z, evidence, remembered, parts, noise):
    _, *others = step((context, z, evidence, remembered, parts, noise))
    return context, *others


@mistake("returns the condition as the context's value: return the transition's record unchanged", caught_by=CONTEXT)
def context_augmented(context, z, evidence, remembered, parts, noise):
    new, condition, *others = step((context, z, evidence, remembered, parts, noise))
    augmented = types.SimpleNamespace(**{**vars(new), "value": condition})
    return augmented, condition, *others


@mistake("exchanges key and query in the record", caught_by=CONTEXT)
def key_and_query_exchanged(context, z, evidence, remembered, parts, noise):
    new, *others = step((context, z, evidence, remembered, parts, noise))
    return types.SimpleNamespace(**{**vars(new), "key": new.query, "query": new.key}), *others


@mistake(
    "does not return a record with the transition's fields: return that record, not only its value", caught_by=CONTEXT
)
def value_of_the_context(context, z, evidence, remembered, parts, noise):
    new, *others = step((context, z, evidence, remembered, parts, noise))
    return new.value, *others


# the latent without evidence


@mistake("returns the prior's mean without evidence: the noise is missing", caught_by=WITHOUT)
def prior_mean_alone(context, z, evidence, remembered, parts, noise):
    return step((context, z, evidence, remembered, parts, noise), draw_prior=lambda mean, log_std, noise: mean)


@mistake("draws its own noise: use the noise that is passed in", caught_by=WITHOUT)
def noise_of_its_own(context, z, evidence, remembered, parts, noise):
    return step((context, z, evidence, remembered, parts, torch.randn_like(noise)))


@mistake("returns the noise as z without evidence: scale and shift it by the prior", caught_by=WITHOUT)
def standard_normal_prior(context, z, evidence, remembered, parts, noise):
    return step((context, z, evidence, remembered, parts, noise), draw_prior=lambda mean, log_std, noise: noise)


@mistake(
    "uses exp(log_std / 2) for the prior's standard deviation, as if log_std were a log-variance: use exp(log_std)",
    caught_by=WITHOUT,
)
def prior_log_variance(context, z, evidence, remembered, parts, noise):
    def draw_prior(mean, log_std, noise):
        return mean + (log_std / 2).exp() * noise

    return step((context, z, evidence, remembered, parts, noise), draw_prior=draw_prior)


@mistake("computes the prior from c: compute it from the condition, ĉ", caught_by=WITHOUT)
def prior_of_the_value(context, z, evidence, remembered, parts, noise):
    changed = lambda new, condition, parts: parts.prior(new.value)  # noqa: E731
    return step((context, z, evidence, remembered, parts, noise), prior_of=changed)


@mistake("calls merge and posterior where there is no evidence: draw z from the prior", caught_by=WITHOUT)
def zeros_as_evidence(context, z, evidence, remembered, parts, noise):
    if evidence is not None:
        return step((context, z, evidence, remembered, parts, noise))
    nothing = types.SimpleNamespace(value=torch.zeros_like(context.value), key=torch.zeros_like(context.key))
    *others, kl = step((context, z, [nothing], remembered, parts, noise))
    return *others, 0 * kl


# the latent with evidence


@mistake("draws z from the prior although there is evidence: draw it from the posterior", caught_by=OWN)
def latent_of_the_prior(context, z, evidence, remembered, parts, noise):
    new, condition, _, kl = step((context, z, evidence, remembered, parts, noise))
    return new, condition, drawn(*parts.prior(condition), noise), kl


@mistake("uses the shifts as the posterior itself: add them to the prior's mean and log_std", caught_by=OWN)
def shifts_as_posterior(context, z, evidence, remembered, parts, noise):
    return step((context, z, evidence, remembered, parts, noise), posterior=lambda p, shifts: shifts)


@mistake("shifts only the prior's mean: shift log_std too", caught_by=OWN)
def mean_shifted_alone(context, z, evidence, remembered, parts, noise):
    return step((context, z, evidence, remembered, parts, noise), posterior=lambda p, shifts: (p[0] + shifts[0], p[1]))


@mistake("uses the posterior's log_std as it is: add it, a shift, to the prior's", caught_by=OWN)
def log_std_not_shifted(context, z, evidence, remembered, parts, noise):
    def posterior(p, shifts):
        return p[0] + shifts[0], shifts[1]

    return step((context, z, evidence, remembered, parts, noise), posterior=posterior)


@mistake("multiplies the mean's shift by the prior's standard deviation: add it as it is", caught_by=OWN)
def shift_in_units_of_the_prior(context, z, evidence, remembered, parts, noise):
    def posterior(p, shifts):
        return p[0] + p[1].exp() * shifts[0], p[1] + shifts[1]

    return step((context, z, evidence, remembered, parts, noise), posterior=posterior)


@mistake("multiplies the noise by log_std: the standard deviation is exp(log_std)", caught_by=OWN)
def log_std_as_std(context, z, evidence, remembered, parts, noise):
    def draw(mean, log_std, noise):
        return mean + log_std * noise

    return step((context, z, evidence, remembered, parts, noise), draw=draw)


@mistake(
    "uses exp(log_std / 2) for the standard deviation, as if log_std were a log-variance: use exp(log_std)",
    caught_by=OWN,
)
def log_std_as_log_variance(context, z, evidence, remembered, parts, noise):
    def draw(mean, log_std, noise):
        return mean + (log_std / 2).exp() * noise

    return step((context, z, evidence, remembered, parts, noise), draw=draw)


@mistake("returns the posterior's mean: the noise is missing", caught_by=OWN)
def posterior_mean_alone(context, z, evidence, remembered, parts, noise):
    return step((context, z, evidence, remembered, parts, noise), draw=lambda mean, log_std, noise: mean)


@mistake("merges the evidence with c: merge it with the condition, ĉ, which includes the attention", caught_by=OWN)
def merged_with_the_value(context, z, evidence, remembered, parts, noise):
    def merge(evidence, new, condition, parts):
        return parts.merge(evidence[0].value, new.value)

    return step((context, z, evidence, remembered, parts, noise), merge=merge)


@mistake("merges the evidence of the last layer: this layer's own comes first in the list", caught_by=OWN)
def last_evidence_merged(context, z, evidence, remembered, parts, noise):
    def merge(evidence, new, condition, parts):
        return parts.merge(evidence[-1].value, condition)

    return step((context, z, evidence, remembered, parts, noise), merge=merge)


@mistake("leaves the evidence unmerged: pass it through parts.merge, with the condition", caught_by=OWN)
def merge_forgotten(context, z, evidence, remembered, parts, noise):
    return step((context, z, evidence, remembered, parts, noise), merge=lambda evidence, *facts: evidence[0])


@mistake("exchanges the arguments of merge: call merge(evidence[0].value, condition)", caught_by=OWN)
def merge_the_other_way_round(context, z, evidence, remembered, parts, noise):
    def merge(evidence, new, condition, parts):
        return parts.merge(condition, evidence[0].value)

    return step((context, z, evidence, remembered, parts, noise), merge=merge)


@mistake("concatenates the key before the features: the posterior takes torch.cat([ê, k̃], dim=1)", caught_by=OWN)
def key_before_features(context, z, evidence, remembered, parts, noise):
    def sees(own, merged, new, evidence):
        return torch.cat([merged.key, own], dim=1)

    return step((context, z, evidence, remembered, parts, noise), sees=sees)


@mistake("gives the posterior the evidence's own key: give it the merged one, k̃", caught_by=OWN)
def key_unmerged(context, z, evidence, remembered, parts, noise):
    def sees(own, merged, new, evidence):
        return torch.cat([own, evidence[0].key], dim=1)

    return step((context, z, evidence, remembered, parts, noise), sees=sees)


@mistake("gives the posterior the context's key: give it that of the merged evidence, k̃", caught_by=OWN)
def key_of_the_context(context, z, evidence, remembered, parts, noise):
    def sees(own, merged, new, evidence):
        return torch.cat([own, new.key], dim=1)

    return step((context, z, evidence, remembered, parts, noise), sees=sees)


@mistake("gives the posterior ẽ as merged: add the attention to the evidence, to get ê", caught_by=BELOW)
def no_attention_to_evidence(context, z, evidence, remembered, parts, noise):
    return step((context, z, evidence, remembered, parts, noise), look_down=lambda new, merged, *facts: merged.value)


@mistake("gives the posterior the attention's result alone: add it to ẽ", caught_by=BELOW)
def attention_to_evidence_alone(context, z, evidence, remembered, parts, noise):
    def look_down(new, merged, evidence, parts):
        return parts.evidence_gate * attention(new.evidence_query, [merged, *evidence[1:]], parts.evidence_scale)

    return step((context, z, evidence, remembered, parts, noise), look_down=look_down)


@mistake("adds to the unmerged evidence: start from ẽ, the merged one", caught_by=OWN)
def attention_added_to_unmerged(context, z, evidence, remembered, parts, noise):
    def look_down(new, merged, evidence, parts):
        found = looking_down(new, merged, evidence, parts) - merged.value
        return evidence[0].value + found

    return step((context, z, evidence, remembered, parts, noise), look_down=look_down)


@mistake("forgets the gate of the evidence: multiply the attention's result by evidence_gate", caught_by=BELOW)
def evidence_gate_forgotten(context, z, evidence, remembered, parts, noise):
    changed = looking_down_at(merged_and_below, gate=lambda *facts: 1.0)
    return step((context, z, evidence, remembered, parts, noise), look_down=changed)


@mistake("attends to the evidence as it came in: replace the layer's own entry by the merged one", caught_by=BELOW)
def own_entry_not_replaced(context, z, evidence, remembered, parts, noise):
    changed = looking_down_at(lambda new, merged, evidence, parts: evidence)
    return step((context, z, evidence, remembered, parts, noise), look_down=changed)


@mistake("attends to the merged evidence and to its own as it came in: replace the one by the other", caught_by=BELOW)
def own_entry_twice(context, z, evidence, remembered, parts, noise):
    changed = looking_down_at(lambda new, merged, evidence, parts: [merged, *evidence])
    return step((context, z, evidence, remembered, parts, noise), look_down=changed)


@mistake("uses its own unmerged key: both value and key of its own entry must be the merged ones", caught_by=BELOW)
def own_key_not_replaced(context, z, evidence, remembered, parts, noise):
    def records(new, merged, evidence, parts):
        return [types.SimpleNamespace(value=merged.value, key=evidence[0].key), *evidence[1:]]

    return step((context, z, evidence, remembered, parts, noise), look_down=looking_down_at(records))


@mistake("attends only to the merged evidence: attend to the layers below too", caught_by=BELOW)
def layers_below_left_out(context, z, evidence, remembered, parts, noise):
    changed = looking_down_at(lambda new, merged, evidence, parts: [merged])
    return step((context, z, evidence, remembered, parts, noise), look_down=changed)


@mistake("leaves out the merged evidence: attend to it and to the layers below", caught_by=BELOW)
def own_entry_left_out(context, z, evidence, remembered, parts, noise):
    changed = looking_down_at(lambda new, merged, evidence, parts: evidence[1:] or [merged])
    return step((context, z, evidence, remembered, parts, noise), look_down=changed)


@mistake("replaces the lowest layer's evidence: evidence[0] is this layer's own", caught_by=BELOW)
def lowest_entry_replaced(context, z, evidence, remembered, parts, noise):
    changed = looking_down_at(lambda new, merged, evidence, parts: [*evidence[:-1], merged])
    return step((context, z, evidence, remembered, parts, noise), look_down=changed)


@mistake("uses s, the query for contexts, on the evidence: use r, `.evidence_query`", caught_by=BELOW)
def query_for_evidence(context, z, evidence, remembered, parts, noise):
    changed = looking_down_at(merged_and_below, query=lambda new, *facts: new.query)
    return step((context, z, evidence, remembered, parts, noise), look_down=changed)


@mistake("uses the evidence query of the layer above: use the one in the new context", caught_by=BELOW)
def evidence_query_of_the_layer_above(context, z, evidence, remembered, parts, noise):
    changed = looking_down_at(merged_and_below, query=lambda *facts: context.evidence_query)
    return step((context, z, evidence, remembered, parts, noise), look_down=changed)


@mistake("uses context_gate for the evidence: use evidence_gate", caught_by=BELOW)
def context_gate_for_evidence(context, z, evidence, remembered, parts, noise):
    changed = looking_down_at(merged_and_below, gate=lambda *facts: parts.context_gate)
    return step((context, z, evidence, remembered, parts, noise), look_down=changed)


@mistake("takes exponentials of large scores, which overflow: use softmax", caught_by=BELOW)
def exponentials_of_scores(context, z, evidence, remembered, parts, noise):
    def look_down(new, merged, evidence, parts):
        records = [merged, *evidence[1:]]
        scores = torch.stack([(new.evidence_query * record.key).sum(dim=1, keepdim=True) for record in records])
        powers = (parts.evidence_scale * scores).exp()
        values = torch.stack([record.value for record in records])
        return merged.value + parts.evidence_gate * (powers / powers.sum(dim=0) * values).sum(dim=0)

    return step((context, z, evidence, remembered, parts, noise), look_down=look_down)


@mistake("uses context_scale for the evidence: use evidence_scale", caught_by=BELOW)
def context_scale_for_evidence(context, z, evidence, remembered, parts, noise):
    changed = looking_down_at(merged_and_below, scale=lambda *facts: parts.context_scale)
    return step((context, z, evidence, remembered, parts, noise), look_down=changed)


# kl


@mistake("is KL(prior‖posterior): return KL(posterior‖prior)", caught_by=KL)
def kl_reversed(context, z, evidence, remembered, parts, noise):
    return step((context, z, evidence, remembered, parts, noise), kl=lambda q, p: kl_of_examples(p, q))


@mistake("averages kl over channels and pixels: sum over them", caught_by=KL)
def kl_averaged_over_elements(context, z, evidence, remembered, parts, noise):
    return step((context, z, evidence, remembered, parts, noise), kl=lambda q, p: kl_of_each(q, p).mean(dim=(1, 2, 3)))


@mistake("sums kl over channels only: return one number per example", caught_by=KL)
def kl_of_each_pixel(context, z, evidence, remembered, parts, noise):
    return step((context, z, evidence, remembered, parts, noise), kl=lambda q, p: kl_of_each(q, p).sum(dim=1))


@mistake("sums kl over the batch too: return one number per example", caught_by=KL)
def kl_of_the_batch(context, z, evidence, remembered, parts, noise):
    return step((context, z, evidence, remembered, parts, noise), kl=lambda q, p: kl_of_each(q, p).sum())


@mistake("is log q(z) − log p(z) at the z that was drawn: return the KL itself, in closed form", caught_by=KL)
def kl_of_one_sample(context, z, evidence, remembered, parts, noise):
    def kl(q, p):
        log_q, log_p = (Normal(mean, log_std.exp()).log_prob(drawn(*q, noise)) for mean, log_std in (q, p))
        return (log_q - log_p).sum(dim=(1, 2, 3))

    return step((context, z, evidence, remembered, parts, noise), kl=kl)


@mistake("is the KL of the shifts to the prior: the posterior is the prior plus the shifts", caught_by=KL)
def kl_of_the_shifts(context, z, evidence, remembered, parts, noise):
    def kl(q, p):
        return kl_of_examples((q[0] - p[0], q[1] - p[1]), p)

    return step((context, z, evidence, remembered, parts, noise), kl=kl)


@mistake("is the KL to N(0, 1): use the prior of the condition", caught_by=KL)
def kl_to_the_standard_normal(context, z, evidence, remembered, parts, noise):
    def kl(q, p):
        return kl_of_examples(q, (0 * p[0], 0 * p[1]))

    return step((context, z, evidence, remembered, parts, noise), kl=kl)


@mistake("takes log_std for log-variances in the KL", caught_by=KL)
def kl_with_log_variances(context, z, evidence, remembered, parts, noise):
    def kl(q, p):
        return kl_of_examples((q[0], q[1] / 2), (p[0], p[1] / 2))

    return step((context, z, evidence, remembered, parts, noise), kl=kl)


# kl without evidence


@mistake("kl is None without evidence: return zeros, one per example", caught_by=NO_KL)
def no_kl_at_all(context, z, evidence, remembered, parts, noise):
    return step((context, z, evidence, remembered, parts, noise), no_kl=lambda condition, p: None)


@mistake("kl is a Python number without evidence: return zeros, one per example", caught_by=NO_KL)
def kl_python_zero(context, z, evidence, remembered, parts, noise):
    return step((context, z, evidence, remembered, parts, noise), no_kl=lambda condition, p: 0.0)


@mistake("kl is a single zero without evidence: return one per example", caught_by=NO_KL)
def kl_single_zero(context, z, evidence, remembered, parts, noise):
    return step((context, z, evidence, remembered, parts, noise), no_kl=lambda condition, p: condition.new_zeros(()))


@mistake("kl is float32 without evidence, whatever the inputs are: return zeros of their dtype", caught_by=NO_KL)
def kl_float32_zeros(context, z, evidence, remembered, parts, noise):
    def no_kl(condition, p):
        return torch.zeros(len(condition))

    return step((context, z, evidence, remembered, parts, noise), no_kl=no_kl)


# gradients, form


@mistake("cuts the gradient at the contexts above: detach or no_grad does that", caught_by=GRADIENTS)
def remembered_detached(context, z, evidence, remembered, parts, noise):
    def records(new, above, remembered, parts):
        return [types.SimpleNamespace(value=r.value.detach(), key=r.key.detach()) for r in remembered]

    return step((context, z, evidence, remembered, parts, noise), condition_of=looking_up_at(records))


@mistake("cuts the gradient at the gate and the scale: they are learnt, like the weights", caught_by=GRADIENTS)
def gate_as_a_number(context, z, evidence, remembered, parts, noise):
    def condition_of(new, above, remembered, parts):
        gate, scale = (torch.as_tensor(number).detach() for number in (parts.context_gate, parts.context_scale))
        return new.value + gate * attention(new.query, remembered, scale)

    return step((context, z, evidence, remembered, parts, noise), condition_of=condition_of)


@mistake(
    "cuts the gradient between posterior and prior: add the shifts to the prior without detaching it",
    caught_by=GRADIENTS,
)
def prior_detached(context, z, evidence, remembered, parts, noise):
    def posterior(p, shifts):
        return p[0].detach() + shifts[0], p[1].detach() + shifts[1]

    return step((context, z, evidence, remembered, parts, noise), posterior=posterior)


@mistake("cuts the gradient between the condition and the merged evidence", caught_by=GRADIENTS)
def condition_detached_in_merge(context, z, evidence, remembered, parts, noise):
    def merge(evidence, new, condition, parts):
        return parts.merge(evidence[0].value, condition.detach())

    return step((context, z, evidence, remembered, parts, noise), merge=merge)


@mistake("cuts the gradient of kl: detach, item or no_grad does that", caught_by=FORM)
def kl_detached(context, z, evidence, remembered, parts, noise):
    return step((context, z, evidence, remembered, parts, noise), kl=lambda q, p: kl_of_examples(q, p).detach())


@mistake(
    "appends the new context to `remembered`: leave that to the caller, and leave the lists as they are", caught_by=FORM
)
def remembered_longer(context, z, evidence, remembered, parts, noise):
    results = step((context, z, evidence, remembered, parts, noise))
    remembered.append(results[0])
    return results


@mistake("writes the merged evidence into the list `evidence`: build a new list", caught_by=FORM)
def evidence_replaced_in_the_list(context, z, evidence, remembered, parts, noise):
    results = step((context, z, evidence, remembered, parts, noise))
    if evidence is not None:
        evidence[0] = parts.merge(evidence[0].value, results[1])
    return results


@mistake(DOUBLE_OUT, caught_by=FORM)
def kl_in_double(context, z, evidence, remembered, parts, noise):
    return step((context, z, evidence, remembered, parts, noise), kl=lambda q, p: kl_of_examples(q, p).double())
