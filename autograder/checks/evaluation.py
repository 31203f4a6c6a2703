"""Unit 07: the list of the unit's checks."""

from __future__ import annotations

from autograder.checks.active_units import ACTIVE_UNITS
from autograder.checks.area_under_roc import AREA_UNDER_ROC
from autograder.checks.bits_per_dim import BITS_PER_DIM
from autograder.checks.effective_sample_size import EFFECTIVE_SAMPLE_SIZE
from autograder.checks.keep_top_layers import KEEP_TOP_LAYERS
from autograder.checks.marginal_log_likelihood import MARGINAL_LOG_LIKELIHOOD
from autograder.checks.temperature_sample import TEMPERATURE_SAMPLE

__all__ = ["CHECKS"]

CHECKS = (
    BITS_PER_DIM,
    MARGINAL_LOG_LIKELIHOOD,
    EFFECTIVE_SAMPLE_SIZE,
    ACTIVE_UNITS,
    AREA_UNDER_ROC,
    TEMPERATURE_SAMPLE,
    KEEP_TOP_LAYERS,
)
