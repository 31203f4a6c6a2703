"""Unit 06: the list of the unit's checks."""

from __future__ import annotations

from autograder.checks.attention_cost import ATTENTION_COST
from autograder.checks.attention_depth import ATTENTIVE_CONTEXT, DEPTHWISE_ATTENTION
from autograder.checks.nonlocal_attention import NONLOCAL_ATTENTION
from autograder.checks.variational_layer_step import VARIATIONAL_LAYER_STEP

__all__ = ["CHECKS"]

CHECKS = (
    DEPTHWISE_ATTENTION,
    NONLOCAL_ATTENTION,
    ATTENTIVE_CONTEXT,
    ATTENTION_COST,
    VARIATIONAL_LAYER_STEP,
)
