"""Connects nbgrader's own commands and pages with the grader."""
