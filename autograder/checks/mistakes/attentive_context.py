"""Wrong ways to write ``attentive_context``."""

import math

import torch

from autograder.checks.case import Mistake, mistakes_into
from autograder.checks.mistakes.precision import DOUBLE_OUT, SINGLE_INSIDE, SINGLE_OUT

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

CLOSED = "exactly own with a gate of 0"
GRADIENTS = "gradients"
FORM = "precision kept, inputs left alone"
ZERO_IS_NONE = "takes a gate of 0 for none"
BRANCHES = "returns own where the gate is 0, so no gradient reaches a gate of 0, which then stays 0 for ever"
CUT_AT_GATE = "treats the gate as a constant: gradients reach it too"
CONVEX = "weighs own by 1 − gate: own is kept whole"
REARRANGED = "is rearranged so that what is found is added and taken away again: own is rounded, or lost beside 1e30"


def attention(query, keys, values, scale):
    scores = torch.stack([(scale * query * key).sum(dim=1, keepdim=True) for key in keys])
    return (scores.softmax(dim=0) * torch.stack(tuple(values))).sum(dim=0)


@mistake("the gate is missing", "values")
def gate_forgotten(own, query, keys, values, scale, gate):
    return own + attention(query, keys, values, scale)


@mistake("own is missing", "values")
def own_forgotten(own, query, keys, values, scale, gate):
    return gate * attention(query, keys, values, scale)


@mistake("the gate multiplies own: it multiplies what is found", "values")
def own_gated(own, query, keys, values, scale, gate):
    return gate * own + attention(query, keys, values, scale)


@mistake("the gate multiplies the whole sum: it multiplies what is found", "values")
def sum_gated(own, query, keys, values, scale, gate):
    return gate * (own + attention(query, keys, values, scale))


@mistake(CONVEX, "values")
def convex(own, query, keys, values, scale, gate):
    return (1 - gate) * own + gate * attention(query, keys, values, scale)


@mistake(CONVEX, "values")
def interpolated(own, query, keys, values, scale, gate):
    return torch.lerp(own, attention(query, keys, values, scale), gate)


@mistake("takes tanh of the gate: it is used as it is", "values")
def tanh_of_gate(own, query, keys, values, scale, gate):
    return own + torch.as_tensor(gate, dtype=own.dtype).tanh() * attention(query, keys, values, scale)


@mistake("takes the logistic function of the gate: it is used as it is", "values")
def logistic_gate(own, query, keys, values, scale, gate):
    return own + torch.as_tensor(gate, dtype=own.dtype).sigmoid() * attention(query, keys, values, scale)


@mistake("loses the sign of the gate", "values")
def absolute_gate(own, query, keys, values, scale, gate):
    return own + abs(gate) * attention(query, keys, values, scale)


@mistake("limits the gate to 1: any number is a gate", "values")
def gate_at_most_one(own, query, keys, values, scale, gate):
    return own + torch.as_tensor(gate, dtype=own.dtype).clamp(max=1.0) * attention(query, keys, values, scale)


@mistake("limits the gate to 0 and above: any number is a gate", "values")
def gate_at_least_zero(own, query, keys, values, scale, gate):
    return own + torch.as_tensor(gate, dtype=own.dtype).clamp(min=0.0) * attention(query, keys, values, scale)


@mistake("uses the square of the gate", "values")
def gate_squared(own, query, keys, values, scale, gate):
    return own + gate**2 * attention(query, keys, values, scale)


@mistake("multiplies the scores by the gate: it multiplies what is found", "values")
def gate_in_softmax(own, query, keys, values, scale, gate):
    return own + attention(query, keys, values, scale * gate)


@mistake("exchanges scale and gate", "values")
def scale_and_gate_exchanged(own, query, keys, values, scale, gate):
    return own + scale * attention(query, keys, values, gate)


@mistake("subtracts what is found", "values")
def found_subtracted(own, query, keys, values, scale, gate):
    return own - gate * attention(query, keys, values, scale)


@mistake("multiplies own by what is found: it is added", "values")
def multiplied(own, query, keys, values, scale, gate):
    return own * (1 + gate * attention(query, keys, values, scale))


@mistake("adds own twice", "values")
def own_twice(own, query, keys, values, scale, gate):
    return own + gate * (own + attention(query, keys, values, scale))


@mistake("looks at own too, with a score of 0: only the layers in the lists are looked at", "values")
def own_looked_at(own, query, keys, values, scale, gate):
    found = attention(query, [*keys, torch.zeros_like(query)], [*values, own], scale)
    return own + gate * found


@mistake("divides the scores by √key_channels: the scale is used as it is, with nothing beside it", "values")
def own_root(own, query, keys, values, scale, gate):
    return own + gate * attention(query, keys, values, scale / math.sqrt(query.shape[1]))


@mistake("does not use the scale", "values")
def scale_forgotten(own, query, keys, values, scale, gate):
    return own + gate * attention(query, keys, values, 1.0)


@mistake("averages the values without weights: attention weighs them", "values")
def unweighted(own, query, keys, values, scale, gate):
    return own + gate * torch.stack(values).mean(dim=0)


@mistake("looks at the last layer only", "values")
def last_layer_only(own, query, keys, values, scale, gate):
    return own + gate * values[-1]


@mistake("averages the keys instead of the values", "values")
def keys_averaged(own, query, keys, values, scale, gate):
    return own + gate * attention(query, keys, keys, scale)


@mistake("normalises what is found over the channels: the gate multiplies it as it is", "values")
def normalised(own, query, keys, values, scale, gate):
    found = attention(query, keys, values, scale)
    spread = found.std(dim=1, keepdim=True, correction=0) + 1e-5
    return own + gate * (found - found.mean(dim=1, keepdim=True)) / spread


@mistake("attends to one layer at a time, where its weight is 1: the weights of all together sum to one", "values")
def one_layer_at_a_time(own, query, keys, values, scale, gate):
    found = [attention(query, [key], [value], scale) for key, value in zip(keys, values, strict=True)]
    return own + gate * sum(found)


@mistake("activates the sum: nothing follows it", "values")
def activated(own, query, keys, values, scale, gate):
    return torch.relu(own + gate * attention(query, keys, values, scale))


@mistake(REARRANGED, CLOSED)
def added_and_taken_away(own, query, keys, values, scale, gate):
    found = attention(query, keys, values, scale)
    return (own + found) - (1 - gate) * found


@mistake("divides own by the gate on the way, 0/0 where the gate is 0", CLOSED)
def divided_by_gate(own, query, keys, values, scale, gate):
    return gate * (own / torch.as_tensor(gate, dtype=own.dtype) + attention(query, keys, values, scale))


@mistake("adds a small constant to the gate, which is not small beside values of 1e30", CLOSED)
def gate_never_zero(own, query, keys, values, scale, gate):
    return own + (gate + 1e-8) * attention(query, keys, values, scale)


@mistake(ZERO_IS_NONE, CLOSED)
def gate_or_one(own, query, keys, values, scale, gate):
    return own + (gate or 1.0) * attention(query, keys, values, scale)


@mistake(ZERO_IS_NONE, CLOSED)
def gate_if_given(own, query, keys, values, scale, gate):
    found = attention(query, keys, values, scale)
    return own + gate * found if gate else own + found


@mistake("squares the values on the way: squares of 1e30 are infinite, and 0 · ∞ is NaN", CLOSED)
def squared_on_the_way(own, query, keys, values, scale, gate):
    found = attention(query, keys, values, scale)
    length = found.square().sum(dim=1, keepdim=True).sqrt()
    return own + gate * (found / length * length)


@mistake("gives zeros for a gate of 0: own stays", CLOSED)
def zeros_where_closed(own, query, keys, values, scale, gate):
    if gate == 0:
        return gate * attention(query, keys, values, scale)
    return own + gate * attention(query, keys, values, scale)


@mistake(BRANCHES, GRADIENTS)
def branch(own, query, keys, values, scale, gate):
    return own if gate == 0 else own + gate * attention(query, keys, values, scale)


@mistake(BRANCHES, GRADIENTS)
def branch_by_where(own, query, keys, values, scale, gate):
    closed = torch.as_tensor(gate, dtype=own.dtype) == 0
    return torch.where(closed, own, own + gate * attention(query, keys, values, scale))


@mistake(BRANCHES, GRADIENTS)
def cloned_where_closed(own, query, keys, values, scale, gate):
    if not gate:
        return own.clone()
    return own + gate * attention(query, keys, values, scale)


@mistake(CUT_AT_GATE, GRADIENTS)
def gate_as_float(own, query, keys, values, scale, gate):
    return own + float(gate) * attention(query, keys, values, scale)


@mistake(CUT_AT_GATE, GRADIENTS)
def gate_by_add(own, query, keys, values, scale, gate):
    number = gate.item() if torch.is_tensor(gate) else gate
    return torch.add(own, attention(query, keys, values, scale), alpha=number)


@mistake("treats own as a constant: gradients reach it too", GRADIENTS)
def own_detached(own, query, keys, values, scale, gate):
    return own.detach() + gate * attention(query, keys, values, scale)


@mistake("treats what is found as a constant: gradients reach query, keys, values and scale", GRADIENTS)
def found_detached(own, query, keys, values, scale, gate):
    return own + gate * attention(query, keys, values, scale).detach()


@mistake("treats the values as constants: gradients reach each of them", GRADIENTS)
def values_detached(own, query, keys, values, scale, gate):
    return own + gate * attention(query, keys, [value.detach() for value in values], scale)


@mistake("treats the keys as constants: gradients reach each of them", GRADIENTS)
def keys_detached(own, query, keys, values, scale, gate):
    return own + gate * attention(query, [key.data for key in keys], values, scale)


@mistake("treats the query as a constant: gradients reach it too", GRADIENTS)
def query_detached(own, query, keys, values, scale, gate):
    return own + gate * attention(query.detach(), keys, values, scale)


@mistake("treats the scale as a constant: gradients reach it too", GRADIENTS)
def scale_as_float(own, query, keys, values, scale, gate):
    return own + gate * attention(query, keys, values, float(scale))


@mistake("adds to own in place (+=, add_): own stays as it is", FORM)
def own_changed(own, query, keys, values, scale, gate):
    own += gate * attention(query, keys, values, scale)
    return own


@mistake("appends own to the lists it was given, or takes from them: lists stay as they are", FORM)
def lists_emptied(own, query, keys, values, scale, gate):
    found = attention(query, keys, values, scale)
    keys.clear()
    values.clear()
    return own + gate * found


@mistake("multiplies the values in place (*=, mul_): they stay as they are", FORM)
def values_changed(own, query, keys, values, scale, gate):
    return own + attention(query, keys, [value.mul_(gate) for value in values], scale)


@mistake("scales the query in place (*=, mul_): it stays as it is", FORM)
def query_changed(own, query, keys, values, scale, gate):
    query *= scale
    return own + gate * attention(query, keys, values, 1.0)


@mistake(SINGLE_OUT, FORM)
def single_out(own, query, keys, values, scale, gate):
    return (own + gate * attention(query, keys, values, scale)).float()


@mistake(SINGLE_INSIDE, FORM)
def single_inside(own, query, keys, values, scale, gate):
    return own + gate * attention(query, keys, values, scale).float()


@mistake(SINGLE_INSIDE, FORM)
def single_gate(own, query, keys, values, scale, gate):
    rounded = torch.as_tensor(gate).float().to(own.dtype)
    return own + rounded * attention(query, keys, values, scale)


@mistake(DOUBLE_OUT, FORM)
def double_out(own, query, keys, values, scale, gate):
    return own.double() + gate * attention(query, keys, values, scale)
