"""Finds submissions so similar that a person should look at them. Similarity is never a verdict."""
