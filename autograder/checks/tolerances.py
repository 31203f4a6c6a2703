"""Tolerances: how much a right answer by another formula may differ."""

from typing import TypedDict

__all__ = ["FLOAT32_NEAR_4000", "FLOAT32_NEAR_10000", "FLOAT64", "FLOAT64_WITH_SIZES", "Tolerance"]


class Tolerance(TypedDict):
    """How far a right answer may be off: ``atol`` plus ``rtol`` times its size."""

    rtol: float
    atol: float


# A few rounding errors of float64. An answer computed in float32 is off by a thousand times as much.
FLOAT64: Tolerance = {"rtol": 1e-10, "atol": 1e-10}

# Where a size enters (log n), computing only that in float32 is accepted, and costs 1e-7. Results of these cases are 70
# or more, where float32 numbers are 8e-6 apart, so an answer computed in float32 is still noticed.
FLOAT64_WITH_SIZES: Tolerance = {"rtol": 0.0, "atol": 1e-6}

# Neighbouring float32 numbers are 0.0002 apart near 4,000 and 0.001 near 10,000; a right answer is a few of these off.
FLOAT32_NEAR_4000: Tolerance = {"rtol": 0.0, "atol": 2e-3}
FLOAT32_NEAR_10000: Tolerance = {"rtol": 0.0, "atol": 5e-3}
