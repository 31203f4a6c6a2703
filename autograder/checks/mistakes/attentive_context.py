"""Wrong ways to write ``attentive_context``."""

import math

import torch

from autograder.checks.case import Mistake, mistakes_into
from autograder.checks.form_cases import PRECISION_KEPT
from autograder.checks.mistakes.precision import DOUBLE_OUT, SINGLE_INSIDE, SINGLE_OUT

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

CLOSED = "exactly own with a gate of 0"
GRADIENTS = "gradients"
ZERO_IS_NONE = "treats a gate of 0 as missing"
BRANCHES = "returns own where the gate is 0, so no gradient reaches the gate, which then stays at 0 forever"
CUT_AT_GATE = "treats the gate as a constant: gradients must reach it too"
CONVEX = "weights own by 1 − gate: add own in full"
REARRANGED = "adds the attention's result and subtracts it again: own is rounded, or lost beside 1e30"


def attention(query, keys, values, scale):
    scores = torch.stack([(scale * query * key).sum(dim=1, keepdim=True) for key in keys])
    return (scores.softmax(dim=0) * torch.stack(tuple(values))).sum(dim=0)


@mistake("the gate is missing", "values")
def gate_forgotten(own, query, keys, values, scale, gate):
    return own + attention(query, keys, values, scale)


@mistake("own is missing", "values")
def own_forgotten(own, query, keys, values, scale, gate):
    return gate * attention(query, keys, values, scale)


@mistake("multiplies own by the gate: multiply the attention's result by it", "values")
def own_gated(own, query, keys, values, scale, gate):
    return gate * own + attention(query, keys, values, scale)


@mistake("multiplies the whole sum by the gate: multiply only the attention's result by it", "values")
def sum_gated(own, query, keys, values, scale, gate):
    return gate * (own + attention(query, keys, values, scale))


@mistake(CONVEX, "values")
def convex(own, query, keys, values, scale, gate):
    return (1 - gate) * own + gate * attention(query, keys, values, scale)


@mistake(CONVEX, "values")
def interpolated(own, query, keys, values, scale, gate):
    return torch.lerp(own, attention(query, keys, values, scale), gate)


@mistake("takes tanh of the gate: use it as it is", "values")
def tanh_of_gate(own, query, keys, values, scale, gate):
    return own + torch.as_tensor(gate, dtype=own.dtype).tanh() * attention(query, keys, values, scale)


@mistake("takes the logistic function of the gate: use it as it is", "values")
def logistic_gate(own, query, keys, values, scale, gate):
    return own + torch.as_tensor(gate, dtype=own.dtype).sigmoid() * attention(query, keys, values, scale)


@mistake("loses the sign of the gate", "values")
def absolute_gate(own, query, keys, values, scale, gate):
    return own + abs(gate) * attention(query, keys, values, scale)


@mistake("limits the gate to 1: it may be any number", "values")
def gate_at_most_one(own, query, keys, values, scale, gate):
    return own + torch.as_tensor(gate, dtype=own.dtype).clamp(max=1.0) * attention(query, keys, values, scale)


@mistake("limits the gate to 0 and above: it may be any number", "values")
def gate_at_least_zero(own, query, keys, values, scale, gate):
    return own + torch.as_tensor(gate, dtype=own.dtype).clamp(min=0.0) * attention(query, keys, values, scale)


@mistake("uses the square of the gate", "values")
def gate_squared(own, query, keys, values, scale, gate):
    return own + gate**2 * attention(query, keys, values, scale)


@mistake("multiplies the scores by the gate: multiply the attention's result by it", "values")
def gate_in_softmax(own, query, keys, values, scale, gate):
    return own + attention(query, keys, values, scale * gate)


@mistake("exchanges scale and gate", "values")
def scale_and_gate_exchanged(own, query, keys, values, scale, gate):
    return own + scale * attention(query, keys, values, gate)


@mistake("subtracts the attention's result: add it", "values")
def found_subtracted(own, query, keys, values, scale, gate):
    return own - gate * attention(query, keys, values, scale)


@mistake("multiplies own by the attention's result: add them", "values")
def multiplied(own, query, keys, values, scale, gate):
    return own * (1 + gate * attention(query, keys, values, scale))


@mistake("adds own twice", "values")
def own_twice(own, query, keys, values, scale, gate):
    return own + gate * (own + attention(query, keys, values, scale))


@mistake("attends to own too, with a score of 0: attend only to the layers in the lists", "values")
def own_looked_at(own, query, keys, values, scale, gate):
    found = attention(query, [*keys, torch.zeros_like(query)], [*values, own], scale)
    return own + gate * found


@mistake("divides the scores by √key_channels: multiply by the scale only", "values")
def own_root(own, query, keys, values, scale, gate):
    return own + gate * attention(query, keys, values, scale / math.sqrt(query.shape[1]))


@mistake("does not use the scale", "values")
def scale_forgotten(own, query, keys, values, scale, gate):
    return own + gate * attention(query, keys, values, 1.0)


@mistake("averages the values without weights: use the attention weights", "values")
def unweighted(own, query, keys, values, scale, gate):
    return own + gate * torch.stack(values).mean(dim=0)


@mistake("attends to the last layer only", "values")
def last_layer_only(own, query, keys, values, scale, gate):
    return own + gate * values[-1]


@mistake("averages the keys instead of the values", "values")
def keys_averaged(own, query, keys, values, scale, gate):
    return own + gate * attention(query, keys, keys, scale)


@mistake("normalises the attention's result over the channels: multiply it by the gate as it is", "values")
def normalised(own, query, keys, values, scale, gate):
    found = attention(query, keys, values, scale)
    spread = found.std(dim=1, keepdim=True, correction=0) + 1e-5
    return own + gate * (found - found.mean(dim=1, keepdim=True)) / spread


@mistake("attends to one layer at a time, so that each weight is 1: use one softmax over all layers", "values")
def one_layer_at_a_time(own, query, keys, values, scale, gate):
    found = [attention(query, [key], [value], scale) for key, value in zip(keys, values, strict=True)]
    return own + gate * sum(found)


@mistake("applies an activation to the sum: nothing follows it", "values")
def activated(own, query, keys, values, scale, gate):
    return torch.relu(own + gate * attention(query, keys, values, scale))


@mistake(REARRANGED, CLOSED)
def added_and_taken_away(own, query, keys, values, scale, gate):
    found = attention(query, keys, values, scale)
    return (own + found) - (1 - gate) * found


@mistake("divides own by the gate, which is 0/0 where the gate is 0", CLOSED)
def divided_by_gate(own, query, keys, values, scale, gate):
    return gate * (own / torch.as_tensor(gate, dtype=own.dtype) + attention(query, keys, values, scale))


@mistake("adds a small constant to the gate, which matters for values of 1e30", CLOSED)
def gate_never_zero(own, query, keys, values, scale, gate):
    return own + (gate + 1e-8) * attention(query, keys, values, scale)


@mistake(ZERO_IS_NONE, CLOSED)
def gate_or_one(own, query, keys, values, scale, gate):
    return own + (gate or 1.0) * attention(query, keys, values, scale)


@mistake(ZERO_IS_NONE, CLOSED)
def gate_if_given(own, query, keys, values, scale, gate):
    found = attention(query, keys, values, scale)
    return own + gate * found if gate else own + found


@mistake("squares the values, which gives ∞ for 1e30, and 0 · ∞ is NaN", CLOSED)
def squared_on_the_way(own, query, keys, values, scale, gate):
    found = attention(query, keys, values, scale)
    length = found.square().sum(dim=1, keepdim=True).sqrt()
    return own + gate * (found / length * length)


@mistake("returns zeros for a gate of 0: return own", CLOSED)
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


@mistake("treats own as a constant: gradients must reach it too", GRADIENTS)
def own_detached(own, query, keys, values, scale, gate):
    return own.detach() + gate * attention(query, keys, values, scale)


@mistake("treats the attention's result as a constant: gradients must reach query, keys, values and scale", GRADIENTS)
def found_detached(own, query, keys, values, scale, gate):
    return own + gate * attention(query, keys, values, scale).detach()


@mistake("treats the values as constants: gradients must reach each of them", GRADIENTS)
def values_detached(own, query, keys, values, scale, gate):
    return own + gate * attention(query, keys, [value.detach() for value in values], scale)


@mistake("treats the keys as constants: gradients must reach each of them", GRADIENTS)
def keys_detached(own, query, keys, values, scale, gate):
    return own + gate * attention(query, [key.data for key in keys], values, scale)


@mistake("treats the query as a constant: gradients must reach it too", GRADIENTS)
def query_detached(own, query, keys, values, scale, gate):
    return own + gate * attention(query.detach(), keys, values, scale)


@mistake("treats the scale as a constant: gradients must reach it too", GRADIENTS)
def scale_as_float(own, query, keys, values, scale, gate):
    return own + gate * attention(query, keys, values, float(scale))


@mistake("adds to own in place (+=, add_): leave own as it is", PRECISION_KEPT)
def own_changed(own, query, keys, values, scale, gate):
    own += gate * attention(query, keys, values, scale)
    return own


@mistake("appends own to the lists it was given, or takes items out: leave the lists as they are", PRECISION_KEPT)
def lists_emptied(own, query, keys, values, scale, gate):
    found = attention(query, keys, values, scale)
    keys.clear()
    values.clear()
    return own + gate * found


@mistake("multiplies the values in place (*=, mul_): leave them as they are", PRECISION_KEPT)
def values_changed(own, query, keys, values, scale, gate):
    return own + attention(query, keys, [value.mul_(gate) for value in values], scale)


@mistake("scales the query in place (*=, mul_): leave it as it is", PRECISION_KEPT)
def query_changed(own, query, keys, values, scale, gate):
    query *= scale
    return own + gate * attention(query, keys, values, 1.0)


@mistake(SINGLE_OUT, PRECISION_KEPT)
def single_out(own, query, keys, values, scale, gate):
    return (own + gate * attention(query, keys, values, scale)).float()


@mistake(SINGLE_INSIDE, PRECISION_KEPT)
def single_inside(own, query, keys, values, scale, gate):
    return own + gate * attention(query, keys, values, scale).float()


@mistake(SINGLE_INSIDE, PRECISION_KEPT)
def single_gate(own, query, keys, values, scale, gate):
    rounded = torch.as_tensor(gate).float().to(own.dtype)
    return own + rounded * attention(query, keys, values, scale)


@mistake(DOUBLE_OUT, PRECISION_KEPT)
def double_out(own, query, keys, values, scale, gate):
    return own.double() + gate * attention(query, keys, values, scale)
