"""Publishes a course: writes a repository for students, with lectures, assignments and their edition of the library.

The edition is first built and searched for answers in a folder of its own. Then its files replace the earlier ones,
except those that somebody has changed (:mod:`autograder.releasing.published_files`).
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import shutil
from collections.abc import Collection, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from autograder.authoring.student_edition import write_student_edition
from autograder.course.course import Course, CourseError, Unit
from autograder.releasing.leaks import leaks, leaks_in_history
from autograder.releasing.published_files import DRAFT, is_publication, update
from autograder.releasing.units_to_publish import Edition

__all__ = ["answers_in_history", "publish"]

_INSTALLED_FROM = re.compile(r"https://github\.com/([\w.-]+/[\w.-]+/archive/[\w./-]+)\.zip")
_SET_UP = "find_spec"
_NO_WORK_OF_STUDENTS = ("__pycache__/", ".ipynb_checkpoints/", ".venv/", "*.egg-info/", "/runs/", "my_components.py")
_GITIGNORE = "".join(f"{line}\n" for line in (*_NO_WORK_OF_STUDENTS, f"/{DRAFT}/", "*.partial"))
_NEVER_COPIED = shutil.ignore_patterns(".*", "__pycache__", "*.pyc", "*.partial")


def publish(course: Course, destination: Path, edition: Edition, overwrite: Collection[str] = ()) -> tuple[str, ...]:
    """Write the repository of an edition, or update an existing one.

    Files that were changed since they were published, and other files such as ``.git``, stay as they are.

    Args:
        course: the course.
        destination: the folder of the repository.
        edition: the units and answers that students get; :func:`~autograder.releasing.units_to_publish.edition_for`
            chooses them.
        overwrite: files and folders, relative to ``destination``, that are replaced even if they were changed.

    Returns:
        The files that were kept because somebody has changed them.

    Raises:
        CourseError: the folder contains something else, an assignment has not been released, or an answer would be
            published. Then nothing is changed.
    """
    destination = destination.absolute()
    _require_own_folder(course, destination)
    is_new = not destination.exists()
    draft = destination / DRAFT
    shutil.rmtree(draft, ignore_errors=True)
    try:
        draft.mkdir(parents=True)
        _write_edition(course, draft, edition)
        return update(draft, destination, overwrite)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        if is_new and destination.is_dir() and not any(destination.iterdir()):
            destination.rmdir()


def answers_in_history(course: Course, destination: Path, edition: Edition) -> tuple[str, ...]:
    """Answers that this edition leaves out but the repository's git history contains, one sentence each."""
    return leaks_in_history(course, destination, [unit.name for unit in edition.answers_of])


def _write_edition(course: Course, draft: Path, edition: Edition) -> None:
    answered = [unit.name for unit in edition.answers_of]
    write_student_edition(draft, answered)
    units = (*course.before(edition.through), edition.through)
    rows = [_publish_unit(course, unit, draft) for unit in units]
    _write_facts(course, draft, [row for row in rows if row])
    if found := leaks(course, draft, answered):
        raise CourseError("nothing was published, because answers would be:\n  " + "\n  ".join(found))


def _require_own_folder(course: Course, destination: Path) -> None:
    """Check that the folder is missing, empty or an earlier publication, and apart from the course's own folders."""
    place = destination.resolve()
    private = [course.lectures, course.solutions, course.assignments, course.submitted, course.records]
    private += [course.root / "avae_lib", *([course.roster.parent] if course.roster else [])]
    for folder in (folder.resolve() for folder in private):
        if folder != course.root.resolve() and (place.is_relative_to(folder) or folder.is_relative_to(place)):
            raise CourseError(f"{destination} overlaps with {folder}, which is not for students: choose another folder")
    if destination.exists() and not destination.is_dir():
        raise CourseError(f"{destination} is a file: choose a folder")
    is_empty = not destination.exists() or all(path.name == DRAFT for path in destination.iterdir())
    has_solutions = (destination / course.solutions.name).exists()
    if not is_empty and (has_solutions or not is_publication(destination)):
        raise CourseError(f"{destination} contains other files: choose an empty folder or an earlier publication")


def _publish_unit(course: Course, unit: Unit, destination: Path) -> Mapping[str, str] | None:
    """Copy a unit's lecture and assignment; return its row of the table of contents, or None if it has neither."""
    lecture = Path("lectures", f"{unit.name}.ipynb")
    assignment = Path("assignments", unit.name, f"{unit.name}.ipynb")
    if (course.solutions / unit.name).exists() and not (course.root / assignment).exists():
        raise CourseError(
            f"the assignment of {unit.name} has not been released: run `course release {unit.name}` first"
        )
    links = {
        name: _copied(course, path, destination) for name, path in (("lecture", lecture), ("assignment", assignment))
    }
    return {"title": unit.title, **links} if any(links.values()) else None


def _copied(course: Course, notebook: Path, destination: Path) -> str:
    """Copy a notebook and the data beside it, if it exists; return Markdown links to open it."""
    source, target = course.root / notebook, destination / notebook
    if not source.exists():
        return ""
    _require_own_address(course, source)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)
    if (source.parent / "data").is_dir():
        shutil.copytree(source.parent / "data", target.parent / "data", dirs_exist_ok=True, ignore=_NEVER_COPIED)
    link = course.colab_link(source)
    return f"[notebook]({notebook.as_posix()})" + (f" · [Colab]({link})" if link else "")


def _require_own_address(course: Course, notebook: Path) -> None:
    """Check that the set-up cell installs the library from the repository in course.toml, if that names one."""
    text = notebook.read_text(encoding="utf-8")
    named = set(_INSTALLED_FROM.findall(text))
    own = {f"{course.repository}/archive/{course.branch}"} if course.repository else set()
    if _SET_UP in text and named != own:
        raise CourseError(
            f"{notebook.relative_to(course.root)} installs the library from {', '.join(named) or 'no repository'}, but "
            f"course.toml names {', '.join(own) or 'none'}: "
            "run python -m autograder.authoring.notebooks && course release"
        )


def _write_facts(course: Course, destination: Path, rows: list[Mapping[str, str]]) -> None:
    package = importlib.metadata.distribution("avae")
    (destination / "LICENSE").write_text(package.read_text("licenses/LICENSE") or "", encoding="utf-8")
    _render("course.toml", destination, course=course)
    (destination / ".gitignore").write_text(_GITIGNORE, encoding="utf-8")
    python = package.metadata["Requires-Python"]
    _render(
        "README.md",
        destination,
        title=course.title,
        colab=course.repository is not None,
        rows=rows,
        python=python.replace(">=", "≥ "),
    )
    needed = [line for line in package.requires or () if "extra ==" not in line]
    data = _kinds_of_data(destination / "avae_lib")
    _render("pyproject.toml", destination, facts=package.metadata, needed=needed, data=data)


def _kinds_of_data(package: Path) -> list[str]:
    """Patterns for all files of the package that are no modules, as setuptools reads them."""
    others = [path for path in package.rglob("*") if path.is_file() and path.suffix != ".py"]
    return sorted({f"**/*{path.suffix}" if path.suffix else f"**/{path.name}" for path in others})


def _render(name: str, destination: Path, **facts: Any) -> None:
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True)
    environment.filters["toml"] = lambda value: json.dumps(value, ensure_ascii=False)  # a JSON string is a TOML string
    template = files("autograder").joinpath(f"templates/student_repository/{name}.j2").read_text(encoding="utf-8")
    (destination / name).write_text(environment.from_string(template).render(facts), encoding="utf-8")
