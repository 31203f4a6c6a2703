"""Checks the course folder: what is released, handed in and graded, and whether secret and gradebook can be used."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

from autograder.course.course import Course, CourseError, Unit
from autograder.course.course_file import folder_problems, read_course_file
from autograder.course.roster import Roster
from autograder.course.secret import CourseSecret
from autograder.doctor.findings import Finding
from autograder.intake.submissions import find_submissions

__all__ = ["course_findings", "file_problems"]


def file_problems(root: Path) -> list[Finding]:
    """The mistakes in ``course.toml``; empty if there are none."""
    errors = read_course_file(root / "course.toml").errors
    return [Finding("course.toml", str(error), f"correct {root / 'course.toml'}") for error in errors]


def course_findings(course: Course) -> list[Finding]:
    """The findings about a course that matter before grading."""
    return [
        Finding("course", f"{course.title}, in {course.root}"),
        *_oddities(course),
        _repository(course),
        _released(course),
        _handed_in(course),
        _secret(course),
        _gradebook(course.gradebook),
        _roster(course),
    ]


def _oddities(course: Course) -> list[Finding]:
    file = read_course_file(course.root / "course.toml")
    warnings = (*file.warnings, *folder_problems(course.root, file.facts))
    return [Finding("course.toml", str(warning), "correct it if it is not intended") for warning in warnings]


def _repository(course: Course) -> Finding:
    if course.repository is None:
        lacking = "none named in course.toml: no Colab badges, and set-up cells cannot install the library"
        return Finding(
            "repository", lacking, 'write repository = "OWNER/NAME" into course.toml, as the comment there says'
        )
    return Finding("repository", f"{course.repository}, branch {course.branch}")


def _released(course: Course) -> Finding:
    released = [unit.name for unit in course.units if course.released_notebook(unit).is_file()]
    if not released:
        return Finding("released", "nothing", "course release")
    return Finding("released", ", ".join(released))


def _handed_in(course: Course) -> Finding:
    if not course.submitted.is_dir():
        return Finding("handed in", f"nothing; submissions belong into {course.submitted}/<student>/<unit>/")
    counts = {unit: _counts(course, unit) for unit in course.units}
    said = [f"{unit.name}: {handed} handed in, {graded} graded" for unit, (handed, graded) in counts.items() if handed]
    waiting = [unit.name for unit, (handed, graded) in counts.items() if handed > graded]
    remedy = "; ".join(_way_on(course, unit) for unit in course.units if unit.name in waiting)
    return Finding("handed in", "; ".join(said) or f"nothing in {course.submitted}", remedy)


def _counts(course: Course, unit: Unit) -> tuple[int, int]:
    """The number of submissions of a unit, and the number of those with a result."""
    results = {file.stem for file in course.results_of(unit).glob("*.json")}
    students = {submission.student for submission in find_submissions(course.submitted, unit.name)}
    return len(students), len(students & results)


def _way_on(course: Course, unit: Unit) -> str:
    number = unit.name.split("_")[0]
    release = "" if course.released_notebook(unit).is_file() else f"course release {number} && "
    return f"{release}course grade {number}"


def _secret(course: Course) -> Finding:
    path = course.records / "secret"
    if not path.exists():
        return Finding("secret", "none yet; the first grading creates it. Include .course/ in your backups")
    try:
        fingerprint = CourseSecret.of(course).fingerprint
    except CourseError as trouble:
        return Finding("secret", str(trouble), f"restore {path} from a backup")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        return Finding("secret", f"{fingerprint}, but others may read it (mode {mode:o})", f"chmod 600 {path}")
    return Finding("secret", f"{fingerprint}, readable by its owner only")


def _gradebook(path: Path) -> Finding:
    if not path.exists():
        return Finding("gradebook", "none yet; the first grading creates it")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as book:
            (students,) = book.execute("SELECT COUNT(*) FROM student").fetchone()
            (damage,) = book.execute("PRAGMA quick_check").fetchone()
    except sqlite3.Error as trouble:
        return Finding("gradebook", f"{path} cannot be read: {trouble}", "restore it from a backup, or move it away")
    if damage != "ok":
        return Finding("gradebook", f"{path} is damaged: {damage}", "restore it from a backup")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o007:
        return Finding(
            "gradebook", f"{students} students, and everybody may read it (mode {mode:o})", f"chmod o= {path}"
        )
    return Finding("gradebook", f"{students} students")


def _roster(course: Course) -> Finding:
    if course.roster is None:
        return Finding("roster", "none named in course.toml; exports have no names and addresses")
    if not course.roster.exists():
        return Finding("roster", f"{course.roster} does not exist; exports have no names and addresses")
    try:
        return Finding("roster", f"{course.roster}, {len(Roster.of(course).students)} students")
    except CourseError as trouble:
        return Finding("roster", str(trouble), f"correct {course.roster}")
