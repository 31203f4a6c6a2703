"""Likelihoods of pixels given the output of a decoder, in nats."""

from avae_lib.likelihoods.bernoulli import bernoulli_log_likelihood
from avae_lib.likelihoods.discretized_logistic import (
    UPPER_EDGE,
    discretized_logistic_log_likelihood,
    discretized_logistic_log_prob,
    discretized_logistic_mixture_log_likelihood,
    discretized_logistic_sample,
    logistic_bin_log_prob,
    logistic_level_probabilities,
    scale_pixels,
)
from avae_lib.likelihoods.discretized_logistic_mixture import (
    discretized_logistic_mixture_log_prob,
    discretized_logistic_mixture_sample,
)
from avae_lib.likelihoods.logistic_mixture import (
    discretized_logistic_mixture_mean,
    draw_component,
    draw_from_mixture,
    is_the_exercise,
    logistic_mixture_log_prob,
    logistic_mixture_sample,
    mixture_level_probabilities,
    mixture_log_likelihood,
    uniform_like,
)
from avae_lib.likelihoods.requirements import numbers_per_component

__all__ = [
    "UPPER_EDGE",
    "bernoulli_log_likelihood",
    "discretized_logistic_log_likelihood",
    "discretized_logistic_log_prob",
    "discretized_logistic_mixture_log_likelihood",
    "discretized_logistic_mixture_log_prob",
    "discretized_logistic_mixture_mean",
    "discretized_logistic_mixture_sample",
    "discretized_logistic_sample",
    "draw_component",
    "draw_from_mixture",
    "is_the_exercise",
    "logistic_bin_log_prob",
    "logistic_level_probabilities",
    "logistic_mixture_log_prob",
    "logistic_mixture_sample",
    "mixture_level_probabilities",
    "mixture_log_likelihood",
    "numbers_per_component",
    "scale_pixels",
    "uniform_like",
]
