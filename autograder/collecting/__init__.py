"""Copies submissions from an LMS's download into ``submitted/``, with the times when they were handed in."""
