"""Checks of students' functions: what runs in their notebook, and what notebook and grader share."""

from avae_lib.checking.check import CheckFailed, check

__all__ = ["CheckFailed", "check"]
