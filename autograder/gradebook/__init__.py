"""Reads and writes nbgrader's gradebook; extensions, late penalties, regrade requests and each student's standing."""
