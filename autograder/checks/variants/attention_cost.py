"""Right ways to write ``attention_cost``."""

import itertools
import math

from autograder.checks.case import Variant, variants_into

VARIANTS: list[Variant] = []
variant = variants_into(VARIANTS)


@variant
def in_factors(layers, height, width, channels, key_channels):
    pairs, pixels, of_one_pair = math.comb(layers, 2), height * width, channels + key_channels
    return pairs * pixels * of_one_pair, pairs * pixels * pixels * of_one_pair


@variant
def layer_by_layer(layers, height, width, channels, key_channels):
    pixels = height * width
    depth_wise = full = 0
    for layer in range(1, layers + 1):
        looked_at = layer - 1
        depth_wise += pixels * looked_at * key_channels + pixels * looked_at * channels
        full += pixels * (looked_at * pixels) * key_channels + pixels * (looked_at * pixels) * channels
    return depth_wise, full


@variant
def summed_range(layers, height, width, channels, key_channels):
    depth_wise = sum(range(layers)) * height * width * (key_channels + channels)
    return [depth_wise, depth_wise * width * height]


@variant
def divided_at_the_end(layers, height, width, channels, key_channels):
    twice = layers * (layers - 1) * height * width * (key_channels + channels)
    return twice // 2, twice * height * width // 2


@variant
def pair_by_pair(layers, height, width, channels, key_channels):
    pairs = sum(1 for _ in itertools.combinations(range(min(layers, 50)), 2))
    pairs = pairs if layers <= 50 else (layers**2 - layers) // 2
    print(pairs, "pairs of layers")
    scores, sums = pairs * height * width * key_channels, pairs * height * width * channels
    return (scores + sums, (scores + sums) * height * width)
