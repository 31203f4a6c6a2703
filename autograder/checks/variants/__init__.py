"""Right implementations written another way, one module for each component. All of them must earn full marks."""
