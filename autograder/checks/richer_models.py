"""Unit 04: the list of the unit's checks."""

from __future__ import annotations

from autograder.checks.autoregressive_flow import INVERSE_AUTOREGRESSIVE_STEP
from autograder.checks.free_bits import FREE_BITS
from autograder.checks.logistic_draws import DISCRETIZED_LOGISTIC_MIXTURE_SAMPLE
from autograder.checks.logistic_levels import DISCRETIZED_LOGISTIC_LOG_PROB
from autograder.checks.logistic_mixtures import DISCRETIZED_LOGISTIC_MIXTURE_LOG_PROB
from autograder.checks.maximum_mean_discrepancy import MAXIMUM_MEAN_DISCREPANCY
from autograder.checks.vector_quantization import VECTOR_QUANTIZE

__all__ = ["CHECKS"]

CHECKS = (
    DISCRETIZED_LOGISTIC_LOG_PROB,
    DISCRETIZED_LOGISTIC_MIXTURE_LOG_PROB,
    DISCRETIZED_LOGISTIC_MIXTURE_SAMPLE,
    FREE_BITS,
    VECTOR_QUANTIZE,
    INVERSE_AUTOREGRESSIVE_STEP,
    MAXIMUM_MEAN_DISCREPANCY,
)
