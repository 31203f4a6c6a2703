"""The names and hints of cases about form: the dtype of results, dimensions of size one, inputs left as they were."""

__all__ = [
    "GRADIENTS_AND_PRECISION_KEPT",
    "PRECISION_KEPT",
    "RESULTS_IN_EITHER_PRECISION",
    "RESULT_IN_EITHER_PRECISION",
    "RESULT_OR_GRADIENT",
]

PRECISION_KEPT = "precision kept, inputs left alone"
GRADIENTS_AND_PRECISION_KEPT = f"gradients, {PRECISION_KEPT}"

_VALID_INPUTS = "inputs may be float32 or float64, and dimensions may have size one"
RESULT_IN_EITHER_PRECISION = f"{_VALID_INPUTS}: for some of these the result is wrong"
RESULTS_IN_EITHER_PRECISION = f"{_VALID_INPUTS}: for some of these a result is wrong"
RESULT_OR_GRADIENT = "the result or a gradient is wrong, for float32 or float64 inputs or for dimensions of size one"
