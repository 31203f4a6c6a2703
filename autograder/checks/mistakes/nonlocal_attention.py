"""Wrong ways to write ``nonlocal_attention``."""

import math

import torch
import torch.nn.functional as F

from autograder.checks.case import Mistake, mistakes_into
from autograder.checks.form_cases import PRECISION_KEPT
from autograder.checks.mistakes.precision import DOUBLE_OUT, SINGLE_INSIDE, SINGLE_OUT

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

SIZES = "any scale, one pixel, one channel"
LARGE = "scores as large as 1e9, values as large as 1e30"
GRADIENTS = "gradients"
WRONG_AXIS = "takes the softmax over the queries: take it over the keys, so that each row sums to one"
OWN_ROOT = "divides the scores by √key_channels: multiply by the scale only"
ROOT_FOR_SCALE = "uses 1/√key_channels, the default of scaled_dot_product_attention, instead of the scale"
ZERO_IS_NONE = "treats a scale of 0 as missing: with 0 all pixels have the same weight"
OVERFLOW = (
    "takes exp of the scores as they are, which overflows or is 0 for all pixels: subtract the largest score first"
)
CUT_AT_SCALE = "treats the scale as a constant: gradients must reach it too"
MASKED = "attends to some pixels only: each pixel attends to all, including itself"
WEIGHTS_CUT_OFF = "treats the weights as constants (detach, .data, no_grad): gradients must reach query, key and scale"


def scores_of(query, key, scale):
    return (scale * query) @ key.transpose(1, 2)


def weights_of(query, key, scale):
    return scores_of(query, key, scale).softmax(dim=-1)


@mistake(WRONG_AXIS, "values")
def softmax_over_looking(query, key, value, scale):
    return scores_of(query, key, scale).softmax(dim=1) @ value


@mistake("takes the softmax over the batch: take it over the pixels attended to", "values")
def softmax_over_batch(query, key, value, scale):
    return scores_of(query, key, scale).softmax(dim=0) @ value


@mistake("takes the softmax over all pairs of pixels: for each query pixel the weights sum to one", "values")
def softmax_over_pairs(query, key, value, scale):
    scores = scores_of(query, key, scale)
    return scores.flatten(1).softmax(dim=1).reshape(scores.shape) @ value


@mistake("exchanges query and key", "values")
def exchanged(query, key, value, scale):
    return weights_of(key, query, scale) @ value


@mistake("applies the transposed weights: row n holds the weights with which pixel n attends", "values")
def weights_transposed(query, key, value, scale):
    return weights_of(query, key, scale).transpose(1, 2) @ value


@mistake("compares channels with channels: compare pixels with pixels", "values")
def between_channels(query, key, value, scale):
    weights = (scale * query.transpose(1, 2) @ key).softmax(dim=-1)
    return value @ weights.transpose(1, 2)


@mistake(OWN_ROOT, "values")
def own_root(query, key, value, scale):
    return weights_of(query, key, scale / math.sqrt(query.shape[-1])) @ value


@mistake(OWN_ROOT, "values")
def own_root_by_pytorch(query, key, value, scale):
    return F.scaled_dot_product_attention(scale * query, key, value)


@mistake(ROOT_FOR_SCALE, "values")
def root_for_scale(query, key, value, scale):
    return weights_of(query, key, query.shape[-1] ** -0.5) @ value


@mistake(ROOT_FOR_SCALE, "values")
def root_for_scale_by_pytorch(query, key, value, scale):
    return F.scaled_dot_product_attention(query, key, value)


@mistake("does not use the scale", "values")
def scale_forgotten(query, key, value, scale):
    return weights_of(query, key, 1.0) @ value


@mistake("divides the scores by the scale: multiply by it", "values")
def divided_by_scale(query, key, value, scale):
    return weights_of(query, key, 1.0 / scale) @ value


@mistake("multiplies both query and key by the scale, so the scores get its square", "values")
def scaled_twice(query, key, value, scale):
    return weights_of(scale * query, key, scale) @ value


@mistake("multiplies the weights by the scale: multiply the scores, inside the softmax", "values")
def scaled_after_softmax(query, key, value, scale):
    return scale * (weights_of(query, key, 1.0) @ value)


@mistake("averages over the key channels: sum over them", "values")
def mean_over_channels(query, key, value, scale):
    return weights_of(query, key, scale / query.shape[-1]) @ value


@mistake("has no softmax: uses the scores themselves as weights", "values")
def linear(query, key, value, scale):
    return scores_of(query, key, scale) @ value


@mistake("divides the scores by the number of pixels: take a softmax over the pixels", "values")
def divided_by_pixels(query, key, value, scale):
    return scores_of(query, key, scale) @ value / query.shape[1]


@mistake("weights by exp(score) without dividing by the sum over the pixels", "values")
def not_normalised(query, key, value, scale):
    return scores_of(query, key, scale).exp() @ value


@mistake(
    "weights by the logistic function of each score: use a softmax, so that the weights of all pixels sum to one",
    "values",
)
def logistic(query, key, value, scale):
    return scores_of(query, key, scale).sigmoid() @ value


@mistake("takes the softmax of query and key separately: take it of their products", "values")
def softmax_of_each(query, key, value, scale):
    return (scale * query).softmax(dim=-1) @ (key.softmax(dim=1).transpose(1, 2) @ value)


@mistake("adds 1 to the sum of exp(score): the weights no longer sum to one", "values")
def softmax_off_by_one(query, key, value, scale):
    return F.pad(scores_of(query, key, scale), (0, 1)).softmax(dim=-1)[..., :-1] @ value


@mistake("takes only the pixel with the highest score: all pixels count, by their weights", "values")
def best_pixel_only(query, key, value, scale):
    scores = scores_of(query, key, scale)
    return F.one_hot(scores.argmax(dim=-1), scores.shape[-1]).to(value.dtype) @ value


@mistake(MASKED, "values")
def causal(query, key, value, scale):
    return F.scaled_dot_product_attention(scale * query, key, value, is_causal=True, scale=1.0)


@mistake(MASKED, "values")
def all_but_itself(query, key, value, scale):
    itself = torch.eye(query.shape[1], dtype=torch.bool)
    return scores_of(query, key, scale).masked_fill(itself, -1e9).softmax(dim=-1) @ value


@mistake("lets pixels attend to those of other examples too", "values")
def across_the_batch(query, key, value, scale):
    found = weights_of(query.flatten(0, 1)[None], key.flatten(0, 1)[None], scale) @ value.flatten(0, 1)[None]
    return found.reshape(value.shape)


@mistake("gives all examples the same weights", "values")
def mean_of_the_batch(query, key, value, scale):
    return scores_of(query, key, scale).mean(dim=0).softmax(dim=-1) @ value


@mistake("adds the value to the result: return the attention alone", "values")
def residual(query, key, value, scale):
    return value + weights_of(query, key, scale) @ value


@mistake("averages the keys instead of the values", "values")
def keys_averaged(query, key, value, scale):
    return weights_of(query, key, scale) @ key


@mistake("compares the query with the values: compare it with the keys", "values")
def values_compared(query, key, value, scale):
    return weights_of(query, value, scale) @ value


@mistake("compares keys with keys: compare the query with the keys", "values")
def keys_with_keys(query, key, value, scale):
    return weights_of(key, key, scale) @ value


@mistake("uses squared distances: use inner products", "values")
def distances(query, key, value, scale):
    return (-scale * torch.cdist(query, key).square()).softmax(dim=-1) @ value


@mistake("normalises query and key to length one: use their inner product as they are", "values")
def cosines(query, key, value, scale):
    return weights_of(F.normalize(query, dim=-1), F.normalize(key, dim=-1), scale) @ value


@mistake("mixes up pixels and channels with view: exchange them with transpose(1, 2)", "values")
def regrouped(query, key, value, scale):
    batch, pixels, channels = key.shape
    return (scale * query @ key.reshape(batch, channels, pixels)).softmax(dim=-1) @ value


@mistake("returns channels before pixels: the shape should be (batch, pixels, channels)", "values")
def channels_first(query, key, value, scale):
    return (weights_of(query, key, scale) @ value).transpose(1, 2)


@mistake("loses the sign of the scale: a negative scale reverses the order of the scores", SIZES)
def absolute_scale(query, key, value, scale):
    return weights_of(query, key, abs(scale)) @ value


@mistake("takes the root of the scale, which fails for negative scales", SIZES)
def root_on_both_sides(query, key, value, scale):
    root = torch.as_tensor(scale, dtype=query.dtype).sqrt()
    return weights_of(root * query, root * key, 1.0) @ value


@mistake(ZERO_IS_NONE, SIZES)
def root_where_zero(query, key, value, scale):
    return weights_of(query, key, scale or query.shape[-1] ** -0.5) @ value


@mistake("requires a tensor as scale: a float is valid too", SIZES)
def tensors_only(query, key, value, scale):
    return weights_of(query, key, scale.unsqueeze(0)) @ value


@mistake("clamps negative scales at 0: a negative scale reverses the order of the scores", SIZES)
def clamped_scale(query, key, value, scale):
    return weights_of(query, key, torch.as_tensor(scale, dtype=query.dtype).clamp(min=0.0)) @ value


@mistake("squeezes away dimensions of size one: keep the shape of value", SIZES)
def squeezed(query, key, value, scale):
    return (weights_of(query, key, scale) @ value).squeeze()


@mistake("returns zeros if there is one pixel: its weight is 1, so return its value", SIZES)
def nothing_from_one_pixel(query, key, value, scale):
    found = weights_of(query, key, scale) @ value
    return found * (query.shape[1] > 1)


@mistake(OVERFLOW, LARGE)
def overflowing(query, key, value, scale):
    powers = scores_of(query, key, scale).exp()
    return (powers @ value) / powers.sum(dim=-1, keepdim=True)


@mistake(OVERFLOW, LARGE)
def overflowing_weights(query, key, value, scale):
    powers = scores_of(query, key, scale).exp()
    return (powers / powers.sum(dim=-1, keepdim=True)) @ value


@mistake("subtracts the largest of all scores: subtract the largest score of each query pixel", LARGE)
def largest_of_all(query, key, value, scale):
    scores = scores_of(query, key, scale)
    powers = (scores - scores.max()).exp()
    return powers / powers.sum(dim=-1, keepdim=True) @ value


@mistake("subtracts the largest score of each column: subtract the largest score of each row", "values")
def largest_of_column(query, key, value, scale):
    scores = scores_of(query, key, scale)
    powers = (scores - scores.amax(dim=1, keepdim=True)).exp()
    return powers / powers.sum(dim=-1, keepdim=True) @ value


@mistake("clamps the scores: pixels whose scores are far apart get the same weight", LARGE)
def clamped_scores(query, key, value, scale):
    return scores_of(query, key, scale).clamp(-80, 80).softmax(dim=-1) @ value


@mistake(
    "subtracts logsumexp of the scores: near 1e9, float32 cannot hold log 2, and two equal pixels get weight 1 each",
    LARGE,
)
def logsumexp_subtracted(query, key, value, scale):
    scores = scores_of(query, key, scale)
    return (scores - scores.logsumexp(dim=-1, keepdim=True)).exp() @ value


@mistake("clamps the values: they may be as large as 1e30", LARGE)
def clamped_values(query, key, value, scale):
    return weights_of(query, key, scale) @ value.clamp(-1e6, 1e6)


@mistake(CUT_AT_SCALE, GRADIENTS)
def scale_as_float(query, key, value, scale):
    return F.scaled_dot_product_attention(query, key, value, scale=float(scale))


@mistake(CUT_AT_SCALE, GRADIENTS)
def scale_detached(query, key, value, scale):
    return weights_of(query, key, torch.as_tensor(scale, dtype=query.dtype).detach()) @ value


@mistake(WEIGHTS_CUT_OFF, GRADIENTS)
def weights_detached(query, key, value, scale):
    return weights_of(query, key, scale).detach() @ value


@mistake("treats the values as constants: gradients must reach them too", GRADIENTS)
def values_detached(query, key, value, scale):
    return weights_of(query, key, scale) @ value.data


@mistake("treats the key as a constant: gradients must reach it too", GRADIENTS)
def key_detached(query, key, value, scale):
    return weights_of(query, key.detach(), scale) @ value


@mistake("treats the query as a constant: gradients must reach it too", GRADIENTS)
def query_detached(query, key, value, scale):
    return weights_of(query.detach(), key, scale) @ value


@mistake("scales the query in place (*=, mul_): leave it as it is", PRECISION_KEPT)
def query_changed(query, key, value, scale):
    query *= scale
    return weights_of(query, key, 1.0) @ value


@mistake("writes the result into value: leave it as it is", PRECISION_KEPT)
def value_overwritten(query, key, value, scale):
    found = weights_of(query, key, scale) @ value.clone()
    return value.copy_(found)


@mistake(SINGLE_OUT, PRECISION_KEPT)
def single_out(query, key, value, scale):
    return weights_of(query.float(), key.float(), scale) @ value.float()


@mistake(SINGLE_INSIDE, PRECISION_KEPT)
def single_inside(query, key, value, scale):
    return scores_of(query, key, scale).float().softmax(dim=-1).to(value.dtype) @ value


@mistake(SINGLE_INSIDE, PRECISION_KEPT)
def single_scale(query, key, value, scale):
    return weights_of(query, key, torch.as_tensor(scale).float().to(query.dtype)) @ value


@mistake(DOUBLE_OUT, PRECISION_KEPT)
def double_out(query, key, value, scale):
    return weights_of(query.double(), key.double(), scale) @ value.double()
