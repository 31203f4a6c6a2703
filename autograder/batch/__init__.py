"""Grades a whole class in parallel, on this machine or a cluster, and keeps results for the next run."""
