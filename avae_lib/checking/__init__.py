"""Checks of students' functions: what runs in their notebook, and what notebook and grader share."""

from avae_lib.checking.check import check
from avae_lib.checking.origins import CheckFailed

__all__ = ["CheckFailed", "check"]
