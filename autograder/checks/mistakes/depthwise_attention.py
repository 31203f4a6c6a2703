"""Wrong ways to write ``depthwise_attention``. Most replace the scores or the weights of the right function."""

import math

import torch
import torch.nn.functional as F

from autograder.checks.case import Mistake, mistakes_into
from autograder.checks.form_cases import PRECISION_KEPT
from autograder.checks.mistakes.precision import DOUBLE_OUT, SINGLE_INSIDE, SINGLE_OUT

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

SIZES = "one layer, one pixel, one channel, many layers"
SCALES = "negative scales, zero, tensors and floats"
LARGE = "scores as large as 1e9, values as large as 1e30"
GRADIENTS = "gradients"
OWN_ROOT = "divides the scores by √key_channels: multiply by the scale only"
OVER_BATCH = "takes the softmax over the batch: each example has its own weights, which sum to one over the layers"
ZERO_IS_NONE = "treats a scale of 0 as missing: with 0 all layers have the same weight"
SIGN_LOST = "loses the sign of the scale: a negative scale reverses the order of the scores"
SQUEEZED = "squeezes away dimensions of size one: keep the shape of a value"
OVERFLOW = (
    "takes exp of the scores as they are, which overflows or is 0 for all layers: subtract the largest score first"
)
VALUES_SCALED = "multiplies the values by exp(score) before it divides by the sum: values of 1e30 overflow on the way"
WEIGHTS_CUT_OFF = (
    "treats the weights as constants (detach, .data, or a new tensor): gradients must reach query, keys and scale"
)
CUT_AT_SCALE = "treats the scale as a constant: gradients must reach it too"
LIST_CHANGED = "changes the lists it was given (append, pop, or new entries): build new lists"


def scores_of(query, keys, scale):
    return torch.stack([(scale * query * key).sum(dim=1) for key in keys], dim=1)


def weights_of(query, keys, scale):
    return scores_of(query, keys, scale).softmax(dim=1)


def averaged(weights, values):
    return (weights.unsqueeze(2) * torch.stack(tuple(values), dim=1)).sum(dim=1)


@mistake("takes the softmax over the rows of a picture: at each pixel the weights sum to one over the layers", "values")
def softmax_over_rows(query, keys, values, scale):
    return averaged(scores_of(query, keys, scale).softmax(dim=2), values)


@mistake(
    "takes the softmax over the columns of a picture: at each pixel the weights sum to one over the layers", "values"
)
def softmax_over_columns(query, keys, values, scale):
    return averaged(scores_of(query, keys, scale).softmax(dim=-1), values)


@mistake("takes the softmax over all pixels: at each pixel the weights sum to one over the layers", "values")
def softmax_over_pixels(query, keys, values, scale):
    scores = scores_of(query, keys, scale)
    return averaged(scores.flatten(2).softmax(dim=2).reshape(scores.shape), values)


@mistake(OVER_BATCH, "values")
def softmax_over_batch(query, keys, values, scale):
    return averaged(scores_of(query, keys, scale).softmax(dim=0), values)


@mistake(OVER_BATCH, "values")
def stacked_in_front(query, keys, values, scale):
    scores = torch.stack([(query * key).sum(dim=1, keepdim=True) for key in keys])
    return ((scale * scores).softmax(dim=1) * torch.stack(values)).sum(dim=0)


@mistake("takes the softmax over the key channels, before they are summed", "values")
def softmax_over_channels(query, keys, values, scale):
    weights = torch.stack([(scale * query * key).softmax(dim=1).sum(dim=1) for key in keys], dim=1)
    return averaged(weights, values)


@mistake("does not sum over the key channels: a layer has one weight per pixel, not one per channel", "values")
def channel_by_channel(query, keys, values, scale):
    weights = torch.stack([scale * query * key for key in keys], dim=1).softmax(dim=1)
    return (weights * torch.stack(values, dim=1)).sum(dim=1)


@mistake("gives a layer one weight for all pixels: each pixel has its own", "values")
def one_weight_for_all_pixels(query, keys, values, scale):
    scores = torch.stack([(scale * query * key).sum(dim=(1, 2, 3)) for key in keys], dim=1)
    return averaged(scores.softmax(dim=1)[..., None, None], values)


@mistake("gives a layer one weight for the whole batch: each example has its own", "values")
def one_weight_for_all_examples(query, keys, values, scale):
    scores = scores_of(query, keys, scale).mean(dim=0, keepdim=True)
    return averaged(scores.softmax(dim=1).expand(len(query), -1, -1, -1), values)


@mistake(OWN_ROOT, "values")
def own_root(query, keys, values, scale):
    return averaged(weights_of(query, keys, scale / math.sqrt(query.shape[1])), values)


@mistake("uses 1/√key_channels instead of the scale", "values")
def root_for_scale(query, keys, values, scale):
    return averaged(weights_of(query, keys, query.shape[1] ** -0.5), values)


@mistake("averages over the key channels: sum over them", "values")
def mean_over_channels(query, keys, values, scale):
    scores = torch.stack([(scale * query * key).mean(dim=1) for key in keys], dim=1)
    return averaged(scores.softmax(dim=1), values)


@mistake("does not use the scale", "values")
def scale_forgotten(query, keys, values, scale):
    return averaged(weights_of(query, keys, 1.0), values)


@mistake("divides the scores by the scale: multiply by it", "values")
def divided_by_scale(query, keys, values, scale):
    return averaged(weights_of(query, keys, 1.0 / scale), values)


@mistake("multiplies both query and keys by the scale, so the scores get its square", "values")
def scaled_twice(query, keys, values, scale):
    return averaged(weights_of(scale * query, keys, scale), values)


@mistake("multiplies the weights by the scale: multiply the scores, inside the softmax", "values")
def scaled_after_softmax(query, keys, values, scale):
    return averaged(scale * weights_of(query, keys, 1.0), values)


@mistake("uses exp(scale): use the scale as it is", "values")
def scale_as_logarithm(query, keys, values, scale):
    return averaged(weights_of(query, keys, torch.as_tensor(scale, dtype=query.dtype).exp()), values)


@mistake("averages the keys instead of the values", "values")
def keys_averaged(query, keys, values, scale):
    return averaged(weights_of(query, keys, scale), keys)


@mistake("compares the query with the values: compare it with the keys", "values")
def values_compared(query, keys, values, scale):
    return averaged(weights_of(query, values, scale), values)


@mistake("compares keys with each other: compare the query with the keys", "values")
def first_key_as_query(query, keys, values, scale):
    return averaged(weights_of(keys[0], keys, scale), values)


@mistake("weights the values in reverse order of the keys", "values")
def other_order(query, keys, values, scale):
    return averaged(weights_of(query, keys[::-1], scale), values)


@mistake("leaves the first layer out", "values")
def first_layer_skipped(query, keys, values, scale):
    return averaged(weights_of(query, keys[1:], scale), values[1:])


@mistake("leaves the last layer out", "values")
def last_layer_skipped(query, keys, values, scale):
    return averaged(weights_of(query, keys[:-1], scale), values[:-1])


@mistake("has no softmax: uses the scores themselves as weights", "values")
def linear(query, keys, values, scale):
    return averaged(scores_of(query, keys, scale), values)


@mistake("divides the scores by their sum: take exp first, as softmax does", "values")
def divided_by_sum(query, keys, values, scale):
    scores = scores_of(query, keys, scale)
    return averaged(scores / scores.sum(dim=1, keepdim=True), values)


@mistake("weights by exp(score) without dividing by the sum over the layers", "values")
def not_normalised(query, keys, values, scale):
    return averaged(scores_of(query, keys, scale).exp(), values)


@mistake(
    "weights by the logistic function of each score: use a softmax, so that the weights of all layers sum to one",
    "values",
)
def logistic(query, keys, values, scale):
    return averaged(torch.sigmoid(scores_of(query, keys, scale)), values)


@mistake("weights by the logarithm of the softmax", "values")
def logarithm_of_softmax(query, keys, values, scale):
    return averaged(scores_of(query, keys, scale).log_softmax(dim=1), values)


@mistake("adds 1 to the sum of exp(score): the weights no longer sum to one", "values")
def softmax_off_by_one(query, keys, values, scale):
    scores = scores_of(query, keys, scale)
    weights = torch.cat([scores, torch.zeros_like(scores[:, :1])], dim=1).softmax(dim=1)
    return averaged(weights[:, :-1], values)


@mistake("takes only the layer with the highest score: all layers count, by their weights", "values")
def best_layer_only(query, keys, values, scale):
    scores = scores_of(query, keys, scale)
    return averaged(F.one_hot(scores.argmax(dim=1), len(keys)).movedim(-1, 1).to(query.dtype), values)


@mistake("divides the weighted sum by the number of layers: the weights already sum to one", "values")
def divided_by_layers(query, keys, values, scale):
    return averaged(weights_of(query, keys, scale), values) / len(keys)


@mistake("normalises query and keys to length one: use their inner product as they are", "values")
def cosines(query, keys, values, scale):
    return averaged(weights_of(F.normalize(query, dim=1), [F.normalize(key, dim=1) for key in keys], scale), values)


@mistake("uses squared distances: use inner products", "values")
def distances(query, keys, values, scale):
    scores = torch.stack([-scale * (query - key).square().sum(dim=1) for key in keys], dim=1)
    return averaged(scores.softmax(dim=1), values)


@mistake("adds the query to the weighted sum", "values")
def residual(query, keys, values, scale):
    found = averaged(weights_of(query, keys, scale), values)
    return query + found if query.shape == found.shape else found + query.mean(dim=1, keepdim=True)


@mistake("mixes up batch and layers with view: exchange dimensions with transpose or movedim", "values")
def regrouped(query, keys, values, scale):
    scores = torch.stack([(scale * query * key).sum(dim=1) for key in keys])
    return averaged(scores.reshape(len(query), len(keys), *scores.shape[2:]).softmax(dim=1), values)


@mistake(SQUEEZED, SIZES)
def squeezed(query, keys, values, scale):
    return averaged(weights_of(query, keys, scale), values).squeeze()


@mistake("squeezes dimensions of size one out of the scores, so that the softmax runs over the wrong one", SIZES)
def scores_squeezed(query, keys, values, scale):
    scores = torch.stack([(scale * query * key).sum(dim=1) for key in keys], dim=-1).squeeze()
    weights = scores.softmax(dim=-1).reshape(*query[:, 0].shape, len(keys))
    return averaged(weights.movedim(-1, 1), values)


@mistake("weights a single layer by the logistic function of its score: its weight is 1", SIZES)
def single_layer_by_sigmoid(query, keys, values, scale):
    scores = scores_of(query, keys, scale)
    return averaged(torch.sigmoid(scores) if len(keys) == 1 else scores.softmax(dim=1), values)


@mistake("returns zeros if there is one layer: its weight is 1, so return its value", SIZES)
def nothing_from_one_layer(query, keys, values, scale):
    found = averaged(weights_of(query, keys, scale), values)
    return torch.zeros_like(found) if len(keys) == 1 else found


@mistake("uses only the last eight layers: use all of them", SIZES)
def last_eight(query, keys, values, scale):
    return averaged(weights_of(query, keys[-8:], scale), values[-8:])


@mistake(SIGN_LOST, SCALES)
def absolute_scale(query, keys, values, scale):
    return averaged(weights_of(query, keys, abs(scale)), values)


@mistake("clamps negative scales at 0: a negative scale reverses the order of the scores", SCALES)
def clamped_scale(query, keys, values, scale):
    return averaged(weights_of(query, keys, torch.as_tensor(scale, dtype=query.dtype).clamp(min=0.0)), values)


@mistake("takes the root of the scale, which fails for negative scales", SCALES)
def root_on_both_sides(query, keys, values, scale):
    root = torch.as_tensor(scale, dtype=query.dtype).sqrt()
    return averaged(weights_of(root * query, [root * key for key in keys], 1.0), values)


@mistake(ZERO_IS_NONE, SCALES)
def root_where_zero(query, keys, values, scale):
    return averaged(weights_of(query, keys, scale or query.shape[1] ** -0.5), values)


@mistake(ZERO_IS_NONE, SCALES)
def one_where_zero(query, keys, values, scale):
    return averaged(weights_of(query, keys, scale if scale else 1.0), values)


@mistake("requires a tensor as scale: a float is valid too", SCALES)
def tensors_only(query, keys, values, scale):
    return averaged(weights_of(query, keys, scale.view(1, 1, 1, 1)), values)


@mistake("ignores a scale that is a float: use it like a tensor", SCALES)
def floats_ignored(query, keys, values, scale):
    return averaged(weights_of(query, keys, scale if torch.is_tensor(scale) else 1.0), values)


@mistake("limits the scale to 1: it may be larger", SCALES)
def at_most_one(query, keys, values, scale):
    return averaged(weights_of(query, keys, torch.as_tensor(scale, dtype=query.dtype).clamp(max=1.0)), values)


@mistake(OVERFLOW, LARGE)
def overflowing(query, keys, values, scale):
    powers = scores_of(query, keys, scale).exp()
    return averaged(powers / powers.sum(dim=1, keepdim=True), values)


@mistake(OVERFLOW, LARGE)
def overflowing_list(query, keys, values, scale):
    powers = [(scale * query * key).sum(dim=1, keepdim=True).exp() for key in keys]
    total = sum(powers)
    return sum(power / total * value for power, value in zip(powers, values, strict=True))


@mistake(
    "subtracts the largest of all scores: subtract the largest score of each pixel, or all its weights may be 0", LARGE
)
def largest_of_all(query, keys, values, scale):
    scores = scores_of(query, keys, scale)
    powers = (scores - scores.max()).exp()
    return averaged(powers / powers.sum(dim=1, keepdim=True), values)


@mistake("subtracts the mean score, so exp can still overflow: subtract the largest score", LARGE)
def mean_subtracted(query, keys, values, scale):
    scores = scores_of(query, keys, scale)
    powers = (scores - scores.mean(dim=1, keepdim=True)).exp()
    return averaged(powers / powers.sum(dim=1, keepdim=True), values)


@mistake("starts the running maximum at 0: if all scores are far below 0, all weights are 0", LARGE)
def running_maximum_from_zero(query, keys, values, scale):
    scores = [(scale * query * key).sum(dim=1, keepdim=True) for key in keys]
    highest = torch.zeros_like(scores[0])
    for score in scores:
        highest = torch.maximum(highest, score)
    powers = [(score - highest).exp() for score in scores]
    return sum(power / sum(powers) * value for power, value in zip(powers, values, strict=True))


@mistake("clamps the scores: layers whose scores are far apart get the same weight", LARGE)
def clamped_scores(query, keys, values, scale):
    return averaged(scores_of(query, keys, scale).clamp(-80, 80).softmax(dim=1), values)


@mistake(
    "subtracts logsumexp of the scores: near 1e9, float32 cannot hold log 2, and two equal layers get weight 1 each",
    LARGE,
)
def logsumexp_subtracted(query, keys, values, scale):
    scores = scores_of(query, keys, scale)
    return averaged((scores - scores.logsumexp(dim=1, keepdim=True)).exp(), values)


@mistake("replaces overflowed numbers: subtract the largest score, and nothing overflows", LARGE)
def mended_afterwards(query, keys, values, scale):
    powers = torch.nan_to_num(scores_of(query, keys, scale).exp())
    return averaged(powers / (powers.sum(dim=1, keepdim=True) + 1e-12), values)


@mistake("clamps the values: they may be as large as 1e30", LARGE)
def clamped_values(query, keys, values, scale):
    return averaged(weights_of(query, keys, scale), [value.clamp(-1e6, 1e6) for value in values])


@mistake("computes the scores in half precision, where numbers above 65504 are infinite", LARGE)
def half_precision_scores(query, keys, values, scale):
    scores = scores_of(query, keys, scale)
    limit = torch.finfo(torch.float16).max
    scores = torch.where(scores.abs() > limit, scores.sign() * torch.inf, scores)
    return averaged(scores.softmax(dim=1), values)


@mistake(WEIGHTS_CUT_OFF, GRADIENTS)
def weights_detached(query, keys, values, scale):
    return averaged(weights_of(query, keys, scale).detach(), values)


@mistake("treats the values as constants: gradients must reach each of them", GRADIENTS)
def values_detached(query, keys, values, scale):
    return averaged(weights_of(query, keys, scale), [value.detach() for value in values])


@mistake("treats the keys as constants: gradients must reach each of them", GRADIENTS)
def keys_detached(query, keys, values, scale):
    return averaged(weights_of(query, [key.data for key in keys], scale), values)


@mistake("treats the query as a constant: gradients must reach it too", GRADIENTS)
def query_detached(query, keys, values, scale):
    return averaged(weights_of(query.detach(), keys, scale), values)


@mistake(CUT_AT_SCALE, GRADIENTS)
def scale_as_float(query, keys, values, scale):
    return averaged(weights_of(query, keys, float(scale)), values)


@mistake(CUT_AT_SCALE, GRADIENTS)
def scale_detached(query, keys, values, scale):
    return averaged(weights_of(query, keys, torch.as_tensor(scale, dtype=query.dtype).detach()), values)


@mistake("detaches all layers but the last: gradients must reach every layer", GRADIENTS)
def earlier_layers_detached(query, keys, values, scale):
    keys = [key.detach() for key in keys[:-1]] + [keys[-1]]
    values = [value.detach() for value in values[:-1]] + [values[-1]]
    return averaged(weights_of(query, keys, scale), values)


@mistake(WEIGHTS_CUT_OFF, GRADIENTS)
def new_tensor(query, keys, values, scale):
    scores = torch.tensor(scores_of(query, keys, scale).tolist(), dtype=query.dtype)
    return averaged(scores.softmax(dim=1), values)


@mistake("empties the lists (pop): leave them as they are", PRECISION_KEPT)
def lists_emptied(query, keys, values, scale):
    scores, kept = [], []
    while keys:
        scores.append((scale * query * keys.pop(0)).sum(dim=1))
        kept.append(values.pop(0))
    return averaged(torch.stack(scores, dim=1).softmax(dim=1), kept)


@mistake("writes the products into the list of values: build a new list", PRECISION_KEPT)
def values_replaced(query, keys, values, scale):
    for layer, weight in enumerate(weights_of(query, keys, scale).unbind(dim=1)):
        values[layer] = weight.unsqueeze(1) * values[layer]
    return sum(values)


@mistake("writes the scores into the list of keys: build a new list", PRECISION_KEPT)
def keys_replaced(query, keys, values, scale):
    for layer, key in enumerate(keys):
        keys[layer] = (scale * query * key).sum(dim=1)
    return averaged(torch.stack(keys, dim=1).softmax(dim=1), values)


@mistake("sums into the first value in place (+=, mul_): leave the values as they are", PRECISION_KEPT)
def values_changed(query, keys, values, scale):
    weights = weights_of(query, keys, scale)
    found = values[0].mul_(weights[:, :1])
    for layer in range(1, len(values)):
        found += weights[:, layer : layer + 1] * values[layer]
    return found


@mistake("scales the query in place (*=, mul_): leave it as it is", PRECISION_KEPT)
def query_changed(query, keys, values, scale):
    query *= scale
    return averaged(weights_of(query, keys, 1.0), values)


@mistake(SINGLE_OUT, PRECISION_KEPT)
def single_out(query, keys, values, scale):
    weights = torch.zeros(len(query), len(keys), *query.shape[2:])
    for layer, weight in enumerate(weights_of(query, keys, scale).unbind(dim=1)):
        weights[:, layer] = weight
    return averaged(weights, [value.float() for value in values])


@mistake(SINGLE_INSIDE, PRECISION_KEPT)
def single_inside(query, keys, values, scale):
    return averaged(scores_of(query, keys, scale).float().softmax(dim=1), values)


@mistake(SINGLE_INSIDE, PRECISION_KEPT)
def single_scale(query, keys, values, scale):
    rounded = torch.as_tensor(scale).float().to(query.dtype)
    return averaged(weights_of(query, keys, rounded), values)


@mistake(DOUBLE_OUT, PRECISION_KEPT)
def double_out(query, keys, values, scale):
    return averaged(scores_of(query, keys, scale).double().softmax(dim=1), values)
