"""A course of three students of whom something is kept in every place there is."""

import json
import shutil

import pytest

from autograder.course.audit_log import append, log_event
from autograder.course.course import Course
from autograder.course.extensions import grant
from autograder.exports.export import write_export
from autograder.feedback.class_feedback import write_feedback
from autograder.gradebook.regrade_requests import add_request
from autograder.reports.class_report import write_report

UNIT = "03_vae"
STUDENTS = ("ada", "adam", "ben")
ROSTER = (
    '\ufeffid;"name";email;section\r\n'
    '"ada";"Lovelace, Ada";ada@example.org;"a;b"\r\n'
    "adam;Adam Smith;adam@example.org;ada\r\n"
    "'-eve;Eve;eve@example.org;\r\n"
    'ben;"Ben\nBitdiddle";ben@example.org;2'
)


@pytest.fixture
def full(full_once, tmp_path):
    """A copy of the course, which a test may change."""
    root = tmp_path / "course"
    shutil.copytree(full_once.root, root, symlinks=True)
    log = root / ".course" / "audit.jsonl"
    log.write_text(log.read_text().replace(str(full_once.root), str(root)))
    return Course.load(root)


@pytest.fixture(scope="session")
def full_once(tmp_path_factory, new_course, recorder):
    """The course, graded, reported and exported, with something by hand, an extension, a log, collected work."""
    course = new_course(tmp_path_factory.mktemp("full") / "course")
    solved = course.released_notebook(course.unit(UNIT))
    (course.root / "course.toml").write_text(
        'roster = "students/roster.csv"\n' + (course.root / "course.toml").read_text().replace("\nroster =", "\n# ")
    )
    course = Course.load(course.root)
    (course.root / "students").mkdir()
    (course.root / "students" / "roster.csv").write_bytes(ROSTER.encode())
    record = recorder(course)
    for student in STUDENTS:
        folder = course.submitted / student / UNIT
        folder.mkdir(parents=True)
        shutil.copy(solved, folder / f"{UNIT}.ipynb")
        record(student)
        append(
            course.records / "audit.jsonl", {"unit": UNIT, "student": student, "components": {"ada": {}}, "seeds": {}}
        )
        keep(course, f"cache/{UNIT}/{student}.json", {"result": {"student": student}})
        earlier = course.records / "collected" / UNIT / "earlier" / student
        earlier.mkdir(parents=True)
        (earlier / "work.ipynb").write_text("{}")
        grant(course, course.unit(UNIT), student, 2, "ill")
        add_request(course, course.unit(UNIT), student, "halve", "It is right.")
    keep(course, f"collected/{UNIT}.json", {student: {"system": "moodle"} for student in STUDENTS})
    log_event(course, "attendance", unit=UNIT, absent=list(STUDENTS), misplaced=[f"submitted/{s}/x" for s in STUDENTS])
    (course.root / "submitted" / "ada" / "locked").mkdir(mode=0o500)
    write_feedback(course, course.unit(UNIT))
    write_report(course, course.unit(UNIT), course.root / "reports")
    for form in ("csv", "per-question", "gradescope"):
        write_export(course, form, [course.unit(UNIT)], course.root / "exports")
    shutil.copy(course.root / "exports" / "grades.csv", course.records / "formgrader.log")
    return course


def keep(course, name, content):
    path = course.records / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


@pytest.fixture
def files_with():
    """The files of a course, and the paths in it, that hold a word anywhere, but for its own ``course.toml``."""

    def search(course, *words):
        paths = [path for path in course.root.rglob("*") if path.name != "course.toml"]
        named = {path for path in paths if any(word in path.relative_to(course.root).parts for word in words)}
        held = {path for path in paths if path.is_file() and any(word.encode() in path.read_bytes() for word in words)}
        return sorted(str(path.relative_to(course.root)) for path in named | held)

    return search
