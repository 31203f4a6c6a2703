"""Finds all data about one student in a course folder, removes them, or moves them to another id."""
