"""The systems whose downloads are read, and which of them a download is from."""

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

# In this order: whatever students call their files, the names of the first two are made by the system around them.
_MARKS: Mapping[System, Callable[[Sequence[Entry]], int]] = {
    "moodle": moodle_files,
    "gradescope": gradescope_files,
    "nbgrader": nbgrader_files,
    "canvas": canvas_files,
}


def guessed_system(entries: Sequence[Entry]) -> System:
    """The system after whose manner at least half of the files are named; ``plain`` if there is none."""
    for name, marked in _MARKS.items():
        if 2 * marked(entries) >= max(1, len(entries)):
            return name
    return "plain"


def knows_students_by_id(system: System) -> bool:
    """Whether downloads call students by the course's own ids, so that they can be read without a roster."""
    return system in ("nbgrader", "plain")
