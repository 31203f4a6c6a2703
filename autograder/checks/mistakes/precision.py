"""What is said of results whose precision is not that of the inputs: the same words for every component."""

DOUBLE_OUT = "comes out as float64 where the inputs are float32: results have the inputs' precision"
SINGLE_OUT = "comes out as float32 where the inputs are float64: results have the inputs' precision"
SINGLE_INSIDE = "uses float32 on the way: the result is float64, as its inputs are, but has the digits of float32"
