"""Wrong implementations, one module for each component. None of them may earn full marks."""
