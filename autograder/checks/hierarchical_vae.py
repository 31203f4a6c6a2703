"""Unit 05: the list of the unit's checks."""

from __future__ import annotations

from autograder.checks.hierarchy_blocks import BOTTLENECK_BLOCK, UNPOOL_NEAREST
from autograder.checks.hierarchy_gaussians import GAUSSIAN_KL_PER_LAYER, PRECISION_WEIGHTED, RESIDUAL_GAUSSIAN
from autograder.checks.should_skip_update import SHOULD_SKIP_UPDATE
from autograder.checks.top_down_step import TOP_DOWN_STEP

__all__ = ["CHECKS"]

CHECKS = (
    RESIDUAL_GAUSSIAN,
    PRECISION_WEIGHTED,
    GAUSSIAN_KL_PER_LAYER,
    UNPOOL_NEAREST,
    BOTTLENECK_BLOCK,
    TOP_DOWN_STEP,
    SHOULD_SKIP_UPDATE,
)
