"""Builds notebooks from their sources, releases assignments, and publishes the students' repository."""
