"""Finds and changes a student's data in the grader's own records in ``.course/``: results, logged points, audit log.

A JSON record names a student in the name of its file, in a key, in the value of an entry like ``student``, or in a list
of ids or paths. Everything else in a record stays as it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from autograder.counts_and_lists import counted
from autograder.course.course import Course
from autograder.course.private_files import write_private
from autograder.course.student_ids import normal_id

__all__ = ["AuditLog", "RecordFiles"]

_GONE = object()
_PERSONS = ("student", "found", "expected")  # the entries whose value is a student's id
_OF_COMPONENTS = ("components", "seeds", "versions")  # entries with other names as keys, which may equal a student's id
_DERIVED = "cache"  # results that depend on the id; under another id they are computed again


class RecordFiles:
    """The JSON files in ``.course/``, one per student or one per unit."""

    def found(self, course: Course, student: str) -> list[str]:
        return [str(path.relative_to(course.root)) for path in _files(course) if _is_about(path, student)]

    def forget(self, course: Course, student: str) -> None:
        for path in _files(course):
            if _is_named(path, student):
                path.unlink()
            elif _is_about(path, student):
                content = _without(_content(path), student)
                write_private(path, _text({} if content is _GONE else content))

    def rename(self, course: Course, old: str, new: str) -> None:
        for path in _files(course):
            if _is_named(path, old) and _DERIVED in path.parts:
                path.unlink()
            elif _is_about(path, old):
                place = path.with_name(path.name.replace(path.stem, new)) if _is_named(path, old) else path
                write_private(place, _text(_renamed(_content(path), old, new)))
                if place != path:
                    path.unlink()


class AuditLog:
    """``.course/audit.jsonl`` and other logs in JSON lines; only here are lines removed from the log.

    ``course forget`` removes the lines about a student and adds a line without a name that records the removal.
    ``course rename`` keeps the lines, with the new id.
    """

    def found(self, course: Course, student: str) -> list[str]:
        counts = [(path, len(_lines_about(path, student))) for path in _logs(course)]
        return [f"{counted(n, 'line')} of {path.relative_to(course.root)}" for path, n in counts if n]

    def forget(self, course: Course, student: str) -> None:
        self._rewrite(course, student, lambda entry: _without(entry, student))

    def rename(self, course: Course, old: str, new: str) -> None:
        self._rewrite(course, old, lambda entry: _renamed(entry, old, new))

    def _rewrite(self, course: Course, student: str, change: Callable[[Any], Any]) -> None:
        for path in _logs(course):
            about = _lines_about(path, student)
            if about:
                write_private(path, "".join(_changed(path, about, change)))


def _changed(path: Path, about: dict[int, Any], change: Callable[[Any], Any]) -> Iterator[str]:
    for number, line in enumerate(_lines(path)):
        if number not in about:
            yield line
        elif (entry := change(about[number])) is not _GONE:
            yield json.dumps(entry, ensure_ascii=False) + "\n"


def _logs(course: Course) -> list[Path]:
    return sorted(course.records.glob("**/*.jsonl")) if course.records.is_dir() else []


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", newline="\n", errors="surrogateescape") as file:
        yield from file


def _lines_about(path: Path, student: str) -> dict[int, Any]:
    """The entries that name a student, by the number of their line."""
    signs = {json.dumps(name, ensure_ascii=way)[1:-1] for name in (student,) for way in (True, False)}
    found = {}
    for number, line in enumerate(_lines(path)):
        if any(sign in line for sign in signs) and (entry := _parsed(line)) is not None and _names(entry, student):
            found[number] = entry
    return found


def _files(course: Course) -> list[Path]:
    return sorted(course.records.glob("**/*.json")) if course.records.is_dir() else []


def _is_named(path: Path, student: str) -> bool:
    return normal_id(path.stem) == student


def _is_about(path: Path, student: str) -> bool:
    return _is_named(path, student) or (_DERIVED not in path.parts and _names(_content(path), student))


def _content(path: Path) -> Any:
    return _parsed(path.read_text(encoding="utf-8", errors="surrogateescape"))


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _text(content: Any) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _names(content: Any, student: str) -> bool:
    if isinstance(content, dict):
        if student in content or any(content.get(name) == student for name in _PERSONS):
            return True
        return any(_names(value, student) for name, value in content.items() if name not in _OF_COMPONENTS)
    return isinstance(content, list) and any(_stands_for(value, student) or _names(value, student) for value in content)


def _without(content: Any, student: str) -> Any:
    """The content without everything about a student; ``_GONE`` if all of it is about the student."""
    if isinstance(content, dict):
        if any(content.get(name) == student for name in _PERSONS):
            return _GONE
        kept = {name: value if name in _OF_COMPONENTS else _without(value, student) for name, value in content.items()}
        return {name: value for name, value in kept.items() if name != student and value is not _GONE}
    if isinstance(content, list):
        others = [value for value in content if not _stands_for(value, student)]
        return [left for value in others if (left := _without(value, student)) is not _GONE]
    return content


def _renamed(content: Any, old: str, new: str) -> Any:
    if isinstance(content, dict):
        return {
            (new if name == old else name): _renamed_value(name, value, old, new) for name, value in content.items()
        }
    if isinstance(content, list):
        return [
            _renamed_text(value, old, new) if _stands_for(value, old) else _renamed(value, old, new)
            for value in content
        ]
    return content


def _renamed_value(name: str, value: Any, old: str, new: str) -> Any:
    if name in _OF_COMPONENTS:
        return value
    return new if name in _PERSONS and value == old else _renamed(value, old, new)


def _stands_for(value: Any, student: str) -> bool:
    """Whether an entry of a list is a student's id, or a path in the student's folder."""
    return isinstance(value, str) and student in value.split("/")


def _renamed_text(path: str, old: str, new: str) -> str:
    return "/".join(new if part == old else part for part in path.split("/"))
