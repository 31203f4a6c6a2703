"""Reads and writes nbgrader's gradebook; handles extensions, late penalties, regrade requests and standings."""
