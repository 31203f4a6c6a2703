"""Writes feedback pages to a zip archive that Moodle or Canvas accepts.

Moodle (assignment → "Upload multiple feedback files in a zip", with the feedback type "Feedback files") finds a student
by the folder name in its own download, ``Ada Lovelace_1234567_assignsubmission_file``, and shows the page in the
folder. https://github.com/moodle/moodle/blob/main/mod/assign/feedback/file/importziplib.php

Canvas (assignment → "Re-Upload Submissions") finds the work by the file names in its own download, and attaches each
file to a comment under the name of the submitted file. So the feedback on a notebook must be a notebook.
https://github.com/instructure/canvas-lms/blob/master/app/models/abstract_assignment.rb

Gradescope accepts no feedback files; its autograder shows the results (:mod:`autograder.exports.gradescope`).
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
        course: the course.
        unit: the unit.
        system: the system that the archive is for.
        pages: the pages, by student.
        folder: where to write.

    Returns:
        The archive, and remarks about students who are left out.

    Raises:
        CourseError: the system accepts no feedback files, or no work was collected from it.
    """
    if system == "gradescope":
        raise CourseError(
            "Gradescope accepts no feedback files: run course export --format gradescope, and upload the autograder "
            "that it writes; it shows each student their result"
        )
    collected = {
        student: work
        for student, work in collected_work(course, unit).items()
        if work.system == system and work.returned_as and student in pages
    }
    if not collected:
        raise CourseError(
            f"no submission was collected from {system.capitalize()}, which finds students by the names in its own "
            f"download: run course collect {unit.name} ZIP first"
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
    """The feedback in the type of the submitted file; None for types that cannot show it."""
    ending = name.lower().rpartition(".")[2]
    if ending == "ipynb":
        return _notebook(unit, grades.grades[student, unit.name])
    if ending == "zip":
        return _archive({f"{unit.name}.html": page.read_bytes()})
    return page.read_bytes() if ending in ("html", "htm") else None


def _notebook(unit: Unit, standing: Standing) -> bytes:
    """The feedback as a notebook with one text cell."""
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
    return (f"{len(without)} left out, because their work was not collected from {system.capitalize()}: {shown}",)
