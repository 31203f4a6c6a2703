"""A package outside the library, with a model written from the contract alone."""
