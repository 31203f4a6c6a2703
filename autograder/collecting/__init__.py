"""Copies work from an LMS's download into ``submitted/``, with its times of handing in."""
