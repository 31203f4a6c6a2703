"""Wrong ways to write ``attention_cost``."""

import math

import numpy as np
import torch

from autograder.checks.case import Mistake, mistakes_into

MISTAKES: list[Mistake] = []
mistake = mistakes_into(MISTAKES)

DEPTH_WISE, FULL = "depth-wise count", "full count"
SIZES = "one layer, one pixel, one channel"
EXACT = "exact Python ints of any size"
FLOATS = (
    "returns floats (/ instead of //, or 0.5 *), which cannot hold every whole number beyond 2⁵³: return Python ints"
)
ROUNDED = "computes in floats, which are rounded beyond 2⁵³, and converts to int: compute with ints throughout"
TWICE = "counts everything twice: there are L(L − 1)/2 pairs of layers, and a multiply-add counts once"
ITSELF = "lets each layer attend to itself too: layer l attends to the l − 1 above it"


def counts(pairs, height, width, of_one_pair):
    return pairs * height * width * of_one_pair, pairs * (height * width) ** 2 * of_one_pair


def pairs_of(layers):
    return layers * (layers - 1) // 2


@mistake("lets every layer attend to every layer, L² pairs: layer l attends to the l − 1 above it", DEPTH_WISE)
def all_pairs(layers, height, width, channels, key_channels):
    return counts(layers**2, height, width, key_channels + channels)


@mistake(ITSELF, DEPTH_WISE)
def itself_too(layers, height, width, channels, key_channels):
    return counts(layers * (layers + 1) // 2, height, width, key_channels + channels)


@mistake(ITSELF, DEPTH_WISE)
def summed_to_the_layer(layers, height, width, channels, key_channels):
    return counts(sum(range(1, layers + 1)), height, width, key_channels + channels)


@mistake(TWICE, DEPTH_WISE)
def both_directions(layers, height, width, channels, key_channels):
    return counts(layers * (layers - 1), height, width, key_channels + channels)


@mistake("counts the last layer only: all layers attend", DEPTH_WISE)
def last_layer_only(layers, height, width, channels, key_channels):
    return counts(layers - 1, height, width, key_channels + channels)


@mistake("counts L pairs of layers: layer l attends to l − 1, which makes L(L − 1)/2 pairs", DEPTH_WISE)
def one_look_for_each_layer(layers, height, width, channels, key_channels):
    return counts(layers, height, width, key_channels + channels)


@mistake("leaves out the last layer: range(n) stops before n", DEPTH_WISE)
def stops_before_the_last(layers, height, width, channels, key_channels):
    return counts(sum(layer - 1 for layer in range(1, layers)), height, width, key_channels + channels)


@mistake("halves L²: there are L(L − 1)/2 pairs of different layers", DEPTH_WISE)
def half_of_the_square(layers, height, width, channels, key_channels):
    return counts(layers**2 // 2, height, width, key_channels + channels)


@mistake(
    "divides one factor by 2 before the product, which rounds down where that factor is odd: divide L(L − 1) by 2",
    DEPTH_WISE,
)
def halved_too_early(layers, height, width, channels, key_channels):
    return counts(layers // 2 * (layers - 1), height, width, key_channels + channels)


@mistake(
    "divides one factor by 2 before the product, and L − 1 is odd where L is even: divide L(L − 1) by 2", DEPTH_WISE
)
def other_factor_halved_too_early(layers, height, width, channels, key_channels):
    return counts((layers - 1) // 2 * layers, height, width, key_channels + channels)


@mistake(TWICE, DEPTH_WISE)
def additions_counted(layers, height, width, channels, key_channels):
    return counts(pairs_of(layers), height, width, 2 * (key_channels + channels))


@mistake("multiplies key_channels and channels: the costs of scores and weighted sums add up", DEPTH_WISE)
def channels_multiplied(layers, height, width, channels, key_channels):
    return counts(pairs_of(layers), height, width, key_channels * channels)


@mistake("does not count the scores: each costs key_channels", DEPTH_WISE)
def scores_forgotten(layers, height, width, channels, key_channels):
    return counts(pairs_of(layers), height, width, channels)


@mistake("does not count the weighted sums: each value costs channels", DEPTH_WISE)
def sums_forgotten(layers, height, width, channels, key_channels):
    return counts(pairs_of(layers), height, width, key_channels)


@mistake("counts query and key separately: a score is one inner product of key_channels numbers", DEPTH_WISE)
def query_and_key_counted(layers, height, width, channels, key_channels):
    return counts(pairs_of(layers), height, width, 2 * key_channels + channels)


@mistake("counts `channels` for a score: a score costs key_channels", DEPTH_WISE)
def channels_for_keys(layers, height, width, channels, key_channels):
    return counts(pairs_of(layers), height, width, 2 * channels)


@mistake("counts the softmax too", DEPTH_WISE)
def softmax_counted(layers, height, width, channels, key_channels):
    return counts(pairs_of(layers), height, width, key_channels + channels + 1)


@mistake("counts the multiplication by the gate too", DEPTH_WISE)
def gate_counted(layers, height, width, channels, key_channels):
    depth_wise, full = counts(pairs_of(layers), height, width, key_channels + channels)
    gates = layers * height * width * channels
    return depth_wise + gates, full + gates


@mistake("uses height² in place of height · width", DEPTH_WISE)
def square_pictures(layers, height, width, channels, key_channels):
    return counts(pairs_of(layers), height, height, key_channels + channels)


@mistake("adds height and width: a picture has height · width pixels", DEPTH_WISE)
def sides_added(layers, height, width, channels, key_channels):
    return counts(pairs_of(layers), 1, height + width, key_channels + channels)


@mistake("is the cost of one pixel: multiply by height · width", DEPTH_WISE)
def one_pixel_only(layers, height, width, channels, key_channels):
    depth_wise, full = counts(pairs_of(layers), height, width, key_channels + channels)
    return depth_wise // (height * width), full // (height * width)


@mistake("exchanges the two counts: depth-wise comes first", DEPTH_WISE)
def exchanged(layers, height, width, channels, key_channels):
    return counts(pairs_of(layers), height, width, key_channels + channels)[::-1]


@mistake("multiplies the costs of the layers: add them", DEPTH_WISE)
def factorial(layers, height, width, channels, key_channels):
    return counts(math.factorial(layers - 1), height, width, key_channels + channels)


@mistake("lets the pixels of all layers, L · HW, attend to each other", FULL)
def all_layers_as_one_sequence(layers, height, width, channels, key_channels):
    depth_wise, _ = counts(pairs_of(layers), height, width, key_channels + channels)
    return depth_wise, (layers * height * width) ** 2 * (key_channels + channels)


@mistake("counts HW pixels to attend to, and forgets that each of HW pixels attends to them", FULL)
def one_looks(layers, height, width, channels, key_channels):
    depth_wise, _ = counts(pairs_of(layers), height, width, key_channels + channels)
    return depth_wise, depth_wise


@mistake("squares the channels too: square only the number of pixels", FULL)
def channels_squared(layers, height, width, channels, key_channels):
    depth_wise, full = counts(pairs_of(layers), height, width, key_channels + channels)
    return depth_wise, full * (key_channels + channels)


@mistake("squares the number of layers as well: each layer still attends only to those above it", FULL)
def pairs_squared(layers, height, width, channels, key_channels):
    depth_wise, full = counts(pairs_of(layers), height, width, key_channels + channels)
    return depth_wise, full * pairs_of(layers)


@mistake("uses HW for the weighted sums: with full attention each of HW pixels sums HW values", FULL)
def sums_of_one_pixel(layers, height, width, channels, key_channels):
    depth_wise, _ = counts(pairs_of(layers), height, width, key_channels + channels)
    pixels = height * width
    return depth_wise, pairs_of(layers) * (pixels**2 * key_channels + pixels * channels)


@mistake("uses HW for the scores: with full attention there are (HW)² scores", FULL)
def scores_of_one_pixel(layers, height, width, channels, key_channels):
    depth_wise, _ = counts(pairs_of(layers), height, width, key_channels + channels)
    pixels = height * width
    return depth_wise, pairs_of(layers) * (pixels * key_channels + pixels**2 * channels)


@mistake("squares one side only: HW pixels attend to HW pixels, (HW)²", FULL)
def height_squared(layers, height, width, channels, key_channels):
    depth_wise, _ = counts(pairs_of(layers), height, width, key_channels + channels)
    return depth_wise, depth_wise * height


@mistake("attends to other pixels only, HW · (HW − 1): the same pixel of a layer above counts too", FULL)
def other_pixels_only(layers, height, width, channels, key_channels):
    depth_wise, _ = counts(pairs_of(layers), height, width, key_channels + channels)
    return depth_wise, depth_wise * (height * width - 1)


@mistake("counts at least one pair of layers: a single layer attends to none and costs 0", SIZES)
def at_least_one_pair(layers, height, width, channels, key_channels):
    return counts(max(1, pairs_of(layers)), height, width, key_channels + channels)


@mistake("raises an error for a single layer: it attends to none and costs 0", SIZES)
def single_layer_refused(layers, height, width, channels, key_channels):
    if layers < 2:
        raise ValueError("attention needs two layers")
    return counts(pairs_of(layers), height, width, key_channels + channels)


@mistake("returns one 0 for a single layer: return two counts", SIZES)
def one_zero(layers, height, width, channels, key_channels):
    if layers == 1:
        return 0
    return counts(pairs_of(layers), height, width, key_channels + channels)


@mistake("drops full attention for a single pixel: it then costs as much as depth-wise attention", SIZES)
def nothing_for_one_pixel(layers, height, width, channels, key_channels):
    depth_wise, full = counts(pairs_of(layers), height, width, key_channels + channels)
    return depth_wise, full if height * width > 1 else 0


@mistake(FLOATS, EXACT)
def floats(layers, height, width, channels, key_channels):
    return counts(layers * (layers - 1) / 2, height, width, key_channels + channels)


@mistake(FLOATS, EXACT)
def half_as_factor(layers, height, width, channels, key_channels):
    return counts(0.5 * layers * (layers - 1), height, width, key_channels + channels)


@mistake(FLOATS, EXACT)
def root_of_the_square(layers, height, width, channels, key_channels):
    depth_wise = pairs_of(layers) * height * width * (key_channels + channels)
    return float(depth_wise), float(depth_wise * height * width)


@mistake(ROUNDED, EXACT)
def rounded(layers, height, width, channels, key_channels):
    depth_wise = layers * (layers - 1) * height * width * (key_channels + channels) / 2
    return int(depth_wise), int(depth_wise * height * width)


@mistake("returns tensors: return Python ints", EXACT)
def tensors(layers, height, width, channels, key_channels):
    pairs = torch.arange(layers).sum()
    return counts(pairs, height, width, key_channels + channels)


@mistake("returns NumPy numbers, which overflow: return Python ints", EXACT)
def numpy_numbers(layers, height, width, channels, key_channels):
    pairs = np.arange(layers).sum()
    return counts(pairs, height, width, key_channels + channels)


@mistake("computes in 32 bits, which cannot hold 2³¹ or more: use Python ints", EXACT)
def short_integers(layers, height, width, channels, key_channels):
    found = counts(pairs_of(layers), height, width, key_channels + channels)
    return tuple((count + 2**31) % 2**32 - 2**31 if count > 2**40 else count for count in found)
