"""Right ways to write ``keep_top_layers``."""

import itertools
import sys

from autograder.checks.case import Variant, variants_into

VARIANTS: list[Variant] = []
variant = variants_into(VARIANTS)


@variant
def sum_of_slices(posterior_draws, prior_draws, keep):
    return posterior_draws[:keep] + prior_draws[keep:]


@variant
def layer_by_layer(posterior_draws, prior_draws, keep):
    pairs = zip(posterior_draws, prior_draws, strict=True)
    return [of_posterior if layer < keep else of_prior for layer, (of_posterior, of_prior) in enumerate(pairs)]


@variant
def appended_in_a_loop(posterior_draws, prior_draws, keep):
    chosen = []
    for layer in range(len(posterior_draws)):
        source = posterior_draws if layer < keep else prior_draws
        chosen.append(source[layer])
    print("layers in all:", len(chosen), file=sys.stderr)
    return chosen


@variant
def edited_copy(posterior_draws, prior_draws, keep):
    chosen = list(prior_draws)
    chosen[:keep] = posterior_draws[:keep]
    return chosen


@variant
def extended_slice(posterior_draws, prior_draws, keep):
    chosen = posterior_draws[:keep]
    chosen += prior_draws[keep:]
    return chosen


@variant
def by_itertools(posterior_draws, prior_draws, keep):
    top, below = itertools.islice(posterior_draws, keep), itertools.islice(prior_draws, keep, None)
    return list(itertools.chain(top, below))


@variant
def from_the_bottom(posterior_draws, prior_draws, keep):
    chosen = []
    for layer in reversed(range(len(posterior_draws))):
        chosen.insert(0, (posterior_draws if layer < keep else prior_draws)[layer])
    return chosen
