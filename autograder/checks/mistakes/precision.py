"""Sentences about results whose precision is not that of the inputs, the same for every component."""

DOUBLE_OUT = "returns float64 for float32 inputs: keep the precision of the inputs"
SINGLE_OUT = "returns float32 for float64 inputs: keep the precision of the inputs"
SINGLE_INSIDE = "computes in float32 on the way: the float64 result is only as accurate as float32"
