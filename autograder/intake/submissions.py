"""Finds submissions on disk, and the notebook to grade in each; no name and no file is trusted."""

from __future__ import annotations

import errno
import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autograder.course.student_ids import normal_id
from autograder.intake.hard_links import flags_of_links
from autograder.intake.misplaced import work_below
from autograder.intake.submitted_bytes import MAX_BYTES, Quarantined, read_once
from autograder.plain_text import faults_of_name, printable, unmistakable

__all__ = ["MAX_BYTES", "Quarantined", "Submission", "find_submissions", "notebook_file", "read_once"]

_MOST_FILES = 1_000
_LONGEST_ID = 200  # bytes
_SECOND_ENDINGS = (".ipynb.txt", ".ipynb.json")


@dataclass(frozen=True)
class Submission:
    """One student's folder for one unit.

    Attributes:
        student: the student's id: the name of the student's folder with composed letters, and with dangerous
            characters escaped by :func:`~autograder.plain_text.unmistakable`.
        folder: ``submitted/<student>/<unit>``.
    """

    student: str
    folder: Path


def find_submissions(submitted: Path, unit: str) -> tuple[Submission, ...]:
    """The folders ``<student>/<unit>`` under ``submitted``, by student; hidden folders are left out."""
    students = sorted(entry for entry in submitted.iterdir() if not entry.name.startswith("."))
    here = [student for student in students if _may_exist(student / unit) or _leads_nowhere(student)]
    count = Counter(normal_id(student.name) for student in here)
    return tuple(Submission(_id_of(student.name, count), student / unit) for student in here)


def _id_of(name: str, count: Counter[str]) -> str:
    student = normal_id(name)
    if student == name or count[student] == 1:
        return unmistakable(student)
    apart = "".join(unmistakable(sign) if sign.isascii() else f"%u{ord(sign):04X}" for sign in name)
    return apart if len(apart) <= _LONGEST_ID else unmistakable(apart)


def _may_exist(folder: Path) -> bool:
    """Whether the folder exists, or permissions forbid to find out."""
    try:
        folder.lstat()
    except OSError as error:
        return error.errno not in (errno.ENOENT, errno.ENOTDIR)
    return True


def _leads_nowhere(student: Path) -> bool:
    """Whether the student's folder is a link to a missing folder, so that nothing is known about the work."""
    return student.is_symlink() and not student.exists()


def notebook_file(submission: Submission, unit: str) -> tuple[Path, tuple[str, ...]]:
    """The notebook to grade in a submission's folder, and flags about files that are not graded.

    Raises:
        Quarantined: the folder cannot be read, contains no notebook, or contains several and none has the unit's name;
            or the name of the student's folder cannot be an id.
    """
    _require_name(submission)
    try:
        _require_real_folder(submission.folder)
        entries = sorted(itertools.islice(submission.folder.iterdir(), _MOST_FILES + 1))
    except OSError as error:
        raise Quarantined(f"the folder cannot be read: {error.strerror}; check its permissions") from None
    if len(entries) > _MOST_FILES:
        raise Quarantined(
            f"the folder contains more than {_MOST_FILES} files: keep only the notebook in it, and grade again"
        )
    visible = [path for path in entries if not path.name.startswith(".")]
    notebook, flags = _chosen(unit, submission.folder, visible)
    return notebook, (*flags, *flags_of_links(notebook, visible, submission.folder))


def _chosen(unit: str, folder: Path, visible: Sequence[Path]) -> tuple[Path, tuple[str, ...]]:
    named = [path for path in visible if path.suffix.lower() == ".ipynb"]
    notebooks = [path for path in named if not path.is_dir()] or named
    if not notebooks:
        return _with_a_second_ending(unit, folder, visible)
    others = [path for path in named if path not in notebooks]
    if len(notebooks) == 1:
        return notebooks[0], _not_graded(others)
    right = [path for path in notebooks if path.stem == unit]
    if not right:
        names = ", ".join(printable(path.name) for path in notebooks[:4])
        raise Quarantined(
            f"there are {len(notebooks)} notebooks and none is called {unit}.ipynb ({names}): "
            f"rename the one that counts to {unit}.ipynb and grade again"
        )
    return right[0], _not_graded([path for path in named if path != right[0]])


def _not_graded(others: Sequence[Path]) -> tuple[str, ...]:
    names = ", ".join(printable(path.name) + " (a folder)" * path.is_dir() for path in others[:4])
    return (f"other notebooks in the folder were not graded: {names}",) if names else ()


def _with_a_second_ending(unit: str, folder: Path, files: Sequence[Path]) -> tuple[Path, tuple[str, ...]]:
    """The single notebook whose name a browser or an editor has changed to ``.ipynb.txt`` or ``.ipynb.json``."""
    renamed = [path for path in files if path.name.lower().endswith(_SECOND_ENDINGS)]
    if len(renamed) == 1:
        return renamed[0], (f"the notebook's file was called {printable(renamed[0].name)}",)
    if deeper := [path for path in work_below(folder) if "/" in path]:
        there = "; subfolders contain " + ", ".join(printable(path) for path in deeper[:4])
    else:
        there = f"; it contains only {', '.join(printable(path.name) for path in files[:4])}" if files else ""
    raise Quarantined(
        f"there is no notebook: the folder should contain {unit}.ipynb{there}; put it there, or ask for it to be "
        "handed in again"
    )


def _require_name(submission: Submission) -> None:
    name = submission.folder.parent.name
    if faults := faults_of_name(normal_id(name)):
        raise Quarantined(
            f"the name of the student's folder has {', '.join(faults[:4])}, which a student's id cannot have: "
            "rename it, and grade again"
        )
    if submission.student != normal_id(name):
        raise Quarantined(
            f"another folder is called {normal_id(name)} too, with its accents encoded differently (macOS does this): "
            "move the work that counts into one of them, delete the other one, and grade again"
        )


def _require_real_folder(folder: Path) -> None:
    if folder.parent.is_symlink() or folder.is_symlink():
        link = folder if folder.is_symlink() else folder.parent
        nowhere = "" if link.exists() else " to a place that does not exist"
        raise Quarantined(
            f"the folder is a symbolic link{nowhere}: replace it with a folder that contains the notebook"
        )
    if not folder.is_dir():
        raise Quarantined("there is a file where the unit's folder should be: put the notebook into a folder")
