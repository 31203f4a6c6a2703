"""Evaluation of models: bounds and likelihoods in nats and bits per dimension, and how much each layer is used."""

from __future__ import annotations

from avae_lib.evaluation.code_usage import CodeUsage, code_usage
from avae_lib.evaluation.evaluation_mode import measuring
from avae_lib.evaluation.evaluation_record import Evaluation, evaluate
from avae_lib.evaluation.frechet_distance import FrechetDistance, frechet_distance, require_enough_images
from avae_lib.evaluation.importance_weights import effective_sample_size, marginal_log_likelihood
from avae_lib.evaluation.marginal_likelihood import (
    image_log_likelihoods,
    importance_sampled,
    require_density,
    terms_of_bound,
)
from avae_lib.evaluation.out_of_distribution import (
    OutOfDistribution,
    area_under_roc,
    compare_data_sets,
    layers_to_keep,
)
from avae_lib.evaluation.standard_errors import Estimate, bits_per_dim, in_bits_per_dim
from avae_lib.evaluation.unit_activity import ACTIVITY_THRESHOLD, active_units, unit_activity

__all__ = [
    "ACTIVITY_THRESHOLD",
    "CodeUsage",
    "Estimate",
    "Evaluation",
    "FrechetDistance",
    "OutOfDistribution",
    "active_units",
    "area_under_roc",
    "bits_per_dim",
    "code_usage",
    "compare_data_sets",
    "effective_sample_size",
    "evaluate",
    "frechet_distance",
    "image_log_likelihoods",
    "importance_sampled",
    "in_bits_per_dim",
    "layers_to_keep",
    "marginal_log_likelihood",
    "measuring",
    "require_density",
    "require_enough_images",
    "terms_of_bound",
    "unit_activity",
]
