"""How good a model is: bounds and likelihoods in nats and bits per dimension, and how much each layer is used."""

from __future__ import annotations

from avae_lib.evaluation.estimates import Estimate, bits_per_dim
from avae_lib.evaluation.evaluation_record import Evaluation, evaluate
from avae_lib.evaluation.frechet_distance import FrechetDistance, frechet_distance, require_enough_images
from avae_lib.evaluation.image_likelihoods import marginal_log_likelihood, terms_of_bound
from avae_lib.evaluation.measuring import measuring
from avae_lib.evaluation.out_of_distribution import OutOfDistribution, compare_data_sets, layers_to_keep
from avae_lib.evaluation.unit_activity import ACTIVITY_THRESHOLD, unit_activity

__all__ = [
    "ACTIVITY_THRESHOLD",
    "Estimate",
    "Evaluation",
    "FrechetDistance",
    "OutOfDistribution",
    "bits_per_dim",
    "compare_data_sets",
    "evaluate",
    "frechet_distance",
    "layers_to_keep",
    "marginal_log_likelihood",
    "measuring",
    "require_enough_images",
    "terms_of_bound",
    "unit_activity",
]
