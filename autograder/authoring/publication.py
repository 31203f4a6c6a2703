"""Publishing a course: a repository for students, with lectures, assignments and their edition of the library."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from autograder.authoring.leaks import leaks
from autograder.authoring.student_edition import write_student_edition
from autograder.course.course import Course, CourseError, Unit

__all__ = ["publish"]

_INSTALLED_FROM = re.compile(r"https://github\.com/([\w.-]+/[\w.-]+/archive/[\w./-]+)\.zip")
_SET_UP = "find_spec"
_FOLDERS = ("avae_lib", "lectures", "assignments")
_COPIED = ("course.toml", "LICENSE")
_GITIGNORE = "__pycache__/\n.ipynb_checkpoints/\n.venv/\n*.egg-info/\n/runs/\nmy_components.py\n"


def publish(course: Course, destination: Path, through: Unit) -> Path:
    """Write a repository for students who have reached the unit ``through``; returns its folder.

    Units before ``through`` count as handed back: the library holds their functions. Those of ``through`` and later
    units are stubs. Publishing again into the same folder replaces what was published before and leaves everything
    else (``.git``, say) as it is.

    Raises:
        CourseError: the folder holds something else, an assignment has not been released, or an answer would be
            published.
    """
    _require_own_folder(course, destination)
    units = (*course.before(through), through)
    released = [unit.name for unit in course.before(through)]
    destination.mkdir(parents=True, exist_ok=True)
    for folder in _FOLDERS:
        shutil.rmtree(destination / folder, ignore_errors=True)
    write_student_edition(destination, released)
    rows = [_publish_unit(course, unit, destination) for unit in units]
    _write_facts(course, destination, [row for row in rows if row])
    _require_no_answers(course, destination, released)
    return destination


def _require_own_folder(course: Course, destination: Path) -> None:
    """A folder is ours if it is absent, empty, or holds an earlier publication and no solutions."""
    if destination.exists() and any(destination.iterdir()):
        ours = (destination / "course.toml").exists() and not (destination / course.solutions.name).exists()
        if not ours:
            raise CourseError(f"{destination} holds something else: name an empty folder or an earlier publication")


def _publish_unit(course: Course, unit: Unit, destination: Path) -> Mapping[str, str] | None:
    """Copy the lecture and the assignment of a unit; returns its row in the table of contents, if it has either."""
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
    """Copy a notebook with the data beside it, if it exists; returns Markdown links to open it."""
    source, target = course.root / notebook, destination / notebook
    if not source.exists():
        return ""
    _require_own_address(course, source)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)
    if (source.parent / "data").is_dir():
        shutil.copytree(source.parent / "data", target.parent / "data", dirs_exist_ok=True)
    link = course.colab_link(source)
    return f"[notebook]({notebook.as_posix()})" + (f" · [Colab]({link})" if link else "")


def _require_own_address(course: Course, notebook: Path) -> None:
    """A set-up cell installs the library from the repository that course.toml names, or from none if it names none."""
    text = notebook.read_text(encoding="utf-8")
    named = set(_INSTALLED_FROM.findall(text))
    own = {f"{course.repository}/archive/{course.branch}"} if course.repository else set()
    if _SET_UP in text and named != own:
        raise CourseError(
            f"{notebook.relative_to(course.root)} installs the library from {', '.join(named) or 'nowhere'}, but "
            f"course.toml names {', '.join(own) or 'no repository'}. "
            "Run: python -m autograder.authoring.notebooks && course release"
        )


def _write_facts(course: Course, destination: Path, rows: list[Mapping[str, str]]) -> None:
    for name in _COPIED:
        shutil.copy(course.root / name, destination / name)
    (destination / ".gitignore").write_text(_GITIGNORE, encoding="utf-8")
    project = tomllib.loads((course.root / "pyproject.toml").read_text(encoding="utf-8"))
    python = project["project"]["requires-python"]
    _render(
        "README.md",
        destination,
        title=course.title,
        colab=course.repository is not None,
        rows=rows,
        python=python.replace(">=", "≥ "),
    )
    data = project["tool"]["setuptools"]["package-data"]["avae_lib"]
    _render("pyproject.toml", destination, project=project["project"], build=project["build-system"], data=data)


def _render(name: str, destination: Path, **facts: Any) -> None:
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True)
    environment.filters["toml"] = lambda value: json.dumps(value, ensure_ascii=False)  # a JSON string is a TOML string
    template = files("autograder").joinpath(f"templates/student_repository/{name}.j2").read_text(encoding="utf-8")
    (destination / name).write_text(environment.from_string(template).render(facts), encoding="utf-8")


def _require_no_answers(course: Course, destination: Path, released: list[str]) -> None:
    if found := leaks(course, destination, released):
        for folder in _FOLDERS:
            shutil.rmtree(destination / folder, ignore_errors=True)
        raise CourseError("answers would be published, so nothing was:\n  " + "\n  ".join(found))
