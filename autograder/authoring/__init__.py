"""Builds notebooks from their sources, and the students' edition of the library."""
