"""Feedback in one zip archive, laid out as Moodle and Canvas take it back.

Moodle (assignment → "Upload multiple feedback files in a zip", with the feedback type "Feedback files") finds a
student by a folder ``Ada Lovelace_1234567_assignsubmission_file`` of its own download, and shows the page in it.
https://github.com/moodle/moodle/blob/main/mod/assign/feedback/file/importziplib.php

Canvas (assignment → "Re-Upload Submissions") finds the work by the names of its own download, and attaches each file
to a comment under the name of the file that was handed in, whatever it is called in the archive. So what goes back
for a notebook is a notebook. https://github.com/instructure/canvas-lms/blob/master/app/models/abstract_assignment.rb

Gradescope takes no files back: its autograder shows the results (:mod:`autograder.exports.gradescope`).
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import nbformat

from autograder.collecting.collection_records import Collected, collected_work
from autograder.course.audit_log import log_event
from autograder.course.course import Course, CourseError, Unit
from autograder.course.private_files import write_private
from autograder.course.spreadsheet import number
from autograder.exports.gradescope import gradescope_results
from autograder.gradebook.class_grades import ClassGrades, Standing, class_grades
from autograder.plain_text import harmless_markdown

__all__ = ["System", "write_feedback_zip"]

System = Literal["canvas", "moodle", "gradescope"]

_NO_TIME = (1980, 1, 1, 0, 0, 0)  # the same pages give the same file
_MOST_NAMES = 10


def write_feedback_zip(
    course: Course, unit: Unit, system: System, pages: Mapping[str, Path], folder: Path
) -> tuple[Path, tuple[str, ...]]:
    """Write the archive to upload.

    Args:
        pages: each student's page.

    Returns:
        The archive, and remarks on whom it leaves out.

    Raises:
        CourseError: the system takes no files back, or nobody's work was collected from it.
    """
    if system == "gradescope":
        raise CourseError(
            "Gradescope takes no feedback files: course export --format gradescope writes the autograder that shows "
            "each student their result"
        )
    collected = {
        student: work
        for student, work in collected_work(course, unit).items()
        if work.system == system and work.returned_as and student in pages
    }
    if not collected:
        raise CourseError(
            f"{system.capitalize()} finds students by the names of its own download: collect that first with "
            f"course collect {unit.name} ZIP"
        )
    files = dict(_files(course, unit, system, pages, collected))
    path = write_private(folder / f"feedback-{unit.name}-{system}.zip", _archive(files))
    log_event(course, "feedback zip", unit=unit.name, system=system, students=len(files), path=str(path.resolve()))
    placed = {student for student, work in collected.items() if any(_is_of(name, work) for name in files)}
    return path, _remarks(system, sorted(set(pages) - placed))


def _is_of(name: str, work: Collected) -> bool:
    return name.partition("/")[0] == work.returned_as


def _files(
    course: Course, unit: Unit, system: System, pages: Mapping[str, Path], collected: Mapping[str, Collected]
) -> Iterator[tuple[str, bytes]]:
    grades = class_grades(course, [unit]) if system == "canvas" else None
    for student, work in collected.items():
        if grades is None:
            yield f"{work.returned_as}/{unit.name}.html", pages[student].read_bytes()
        elif content := _for_canvas(grades, unit, student, work.returned_as, pages[student]):
            yield work.returned_as, content


def _for_canvas(grades: ClassGrades, unit: Unit, student: str, name: str, page: Path) -> bytes | None:
    """What opens under the name of the file that was handed in; None where nothing of ours does."""
    ending = name.lower().rpartition(".")[2]
    if ending == "ipynb":
        return _notebook(unit, grades.grades[student, unit.name])
    if ending == "zip":
        return _archive({f"{unit.name}.html": page.read_bytes()})
    return page.read_bytes() if ending in ("html", "htm") else None


def _notebook(unit: Unit, standing: Standing) -> bytes:
    """The feedback as a notebook with nothing but text in it."""
    cell = nbformat.v4.new_markdown_cell("\n".join(_lines(unit, standing)), id="feedback")
    notebook = nbformat.v4.new_notebook(cells=[cell])
    notebook.nbformat_minor = 5
    return nbformat.writes(notebook).encode("utf-8")


def _lines(unit: Unit, standing: Standing) -> Iterator[str]:
    results = gradescope_results(standing)
    points = "no points yet" if standing.points is None else f"{number(standing.points, 2)} points"
    yield f"# Feedback on {_one_line(unit.title)}: {points} of {number(standing.max_points, 2)}"
    yield ""
    if results["output"]:
        yield from (_one_line(results["output"]), "")
    for test in results["tests"]:
        score = f" {test['score']:g}/{test['max_score']:g}" if "score" in test and "max_score" in test else ""
        said = _one_line(test.get("output") or "")
        yield f"* **{_one_line(test['name'])}**{score}{': ' if said else ''}{said}"


def _one_line(text: str) -> str:
    return harmless_markdown(" ".join(text.split()))


def _archive(files: Mapping[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as writer:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _NO_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o100600 << 16
            writer.writestr(entry, files[name])
    return archive.getvalue()


def _remarks(system: System, without: Sequence[str]) -> tuple[str, ...]:
    if not without:
        return ()
    shown = ", ".join(without[:_MOST_NAMES]) + ", …" * (len(without) > _MOST_NAMES)
    return (f"{len(without)} not in it, with no place in {system.capitalize()}'s layout to put their page: {shown}",)
