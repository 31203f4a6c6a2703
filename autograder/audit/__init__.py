"""Who guards the judge: every named mistake must lose points for its own reason, every right variant none.

``course audit`` proves it and prints what it found, component by component. Beside the mistakes and variants, empty
answers are tried: zeros, NaN, copies of the inputs and the like must not earn a single point.
"""
