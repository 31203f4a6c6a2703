"""Unit 04: the list of the unit's checks."""

from __future__ import annotations

from autograder.checks.discretized_logistic_log_prob import DISCRETIZED_LOGISTIC_LOG_PROB
from autograder.checks.discretized_logistic_mixture_log_prob import DISCRETIZED_LOGISTIC_MIXTURE_LOG_PROB
from autograder.checks.discretized_logistic_mixture_sample import DISCRETIZED_LOGISTIC_MIXTURE_SAMPLE
from autograder.checks.free_bits import FREE_BITS
from autograder.checks.inverse_autoregressive_step import INVERSE_AUTOREGRESSIVE_STEP
from autograder.checks.maximum_mean_discrepancy import MAXIMUM_MEAN_DISCREPANCY
from autograder.checks.vector_quantize import VECTOR_QUANTIZE

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
