"""Lists the systems whose downloads can be read, and guesses the system of a download."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from autograder.collecting.archives import Entry
from autograder.collecting.canvas import canvas_files, read_canvas
from autograder.collecting.folder_per_student import read_plain
from autograder.collecting.gradescope import gradescope_files, read_gradescope
from autograder.collecting.handed_in_work import FoundWork, Offering
from autograder.collecting.moodle import moodle_files, read_moodle
from autograder.collecting.nbgrader import nbgrader_files, read_nbgrader

__all__ = ["READERS", "System", "guessed_system", "knows_students_by_id"]

System = Literal["canvas", "moodle", "gradescope", "nbgrader", "plain"]

READERS: Mapping[System, Callable[[Sequence[Entry], Offering], FoundWork]] = {
    "canvas": read_canvas,
    "moodle": read_moodle,
    "gradescope": read_gradescope,
    "nbgrader": read_nbgrader,
    "plain": read_plain,
}

# Tried in this order: Moodle and Gradescope add names of their own around those that students choose.
_MARKS: Mapping[System, Callable[[Sequence[Entry]], int]] = {
    "moodle": moodle_files,
    "gradescope": gradescope_files,
    "nbgrader": nbgrader_files,
    "canvas": canvas_files,
}


def guessed_system(entries: Sequence[Entry]) -> System:
    """The first system in whose way at least half of the files are named; ``plain`` if there is none."""
    for name, marked in _MARKS.items():
        if 2 * marked(entries) >= max(1, len(entries)):
            return name
    return "plain"


def knows_students_by_id(system: System) -> bool:
    """Whether downloads use the course's own ids, so that no roster is needed."""
    return system in ("nbgrader", "plain")
