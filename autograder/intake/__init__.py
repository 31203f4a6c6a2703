"""Reads the files that students handed in, and finds the answers in them."""
