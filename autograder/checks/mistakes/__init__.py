"""Wrong implementations, one module per component. None of them may get all points."""
