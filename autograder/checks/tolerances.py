"""How far a right answer may be off when it is reached by another formula."""

__all__ = ["FLOAT32_NEAR_4000", "FLOAT32_NEAR_10000", "FLOAT64"]

# Results of these cases are near 1,000, where float32 numbers are 0.00006 apart: an answer that was computed in
# float32 shows. One that only took a logarithm of a size in float32 is off by less.
FLOAT64 = {"rtol": 0.0, "atol": 1e-6}

# Neighbouring float32 numbers are 0.0002 apart near 4,000 and 0.001 near 10,000; a right answer takes a few roundings.
FLOAT32_NEAR_4000 = {"rtol": 0.0, "atol": 2e-3}
FLOAT32_NEAR_10000 = {"rtol": 0.0, "atol": 5e-3}
