"""Reads Gradescope's "Export Submissions": ``submission_metadata.yml`` and a folder for each submission.

For each folder, ``submission_12345678``, the file states who handed it in (``:submitters:`` with ``:name:``, ``:sid:``,
``:email:``; several for a group) and when (``:created_at:``). Only the active submission is exported; earlier ones are
listed under ``:history:`` without their files.
The format is not documented; otter-grader reads it too: https://github.com/ucbds-infra/otter-grader
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any

from autograder.collecting.archives import Entry, LeftOut, common_folder
from autograder.collecting.handed_in_work import FoundWork, Offering, Work, WorkFile
from autograder.collecting.lms_times import moment
from autograder.course.course import CourseError
from autograder.course.student_lookup import Claim

__all__ = ["gradescope_files", "read_gradescope"]

_METADATA = "submission_metadata.yml"
_FOLDER = re.compile(r"(?:.*_)?submission_(\d+)")
_LARGEST = 50 * 2**20  # bytes; for a large class the file also contains all output of autograders


def gradescope_files(entries: Sequence[Entry]) -> int:
    """The number of files that belong to an export from Gradescope, which lists them in a file at its top."""
    top = len(common_folder(entries))
    listed = any(entry.name == _METADATA and len(entry.parts) == top + 1 for entry in entries)
    inside = sum(any(_FOLDER.fullmatch(folder) for folder in entry.parts[:-1][: top + 1]) for entry in entries)
    return inside + listed


def read_gradescope(entries: Sequence[Entry], offering: Offering) -> FoundWork:
    """The active submissions, with names and times.

    Raises:
        CourseError: the metadata file is missing or cannot be read.
    """
    described = min((entry for entry in entries if entry.name == _METADATA), key=lambda e: len(e.parts), default=None)
    if described is None:
        raise CourseError(f"the export has no {_METADATA}, which names the authors: export the submissions again")
    above = described.parts[:-1]
    works, used = [], {described.path}
    for folder, facts in _metadata(described).items():
        place = (*above, *folder.split("/"))
        files = [entry for entry in entries if entry.parts[: len(place)] == place]
        used.update(entry.path for entry in files)
        works.append(_work(folder, facts, [_named(entry, len(place)) for entry in files], offering.zone))
    others = tuple(LeftOut(entry.path, f"not in {_METADATA}") for entry in entries if entry.path not in used)
    return FoundWork(tuple(works), others)


def _metadata(described: Entry) -> Mapping[str, Mapping[str, Any]]:
    if described.size > _LARGEST:
        raise CourseError(f"{_METADATA} has {described.size / 2**20:.0f} MB: check that it is from Gradescope")
    import yaml  # on demand, so that course --help works without the grader's packages

    # This loader reads all values as text, so that 007 stays 007, and ignores tags of Ruby classes.
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        facts = yaml.load(described.read(), loader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        raise CourseError(f"{_METADATA} cannot be read: export the submissions again") from None
    if not isinstance(facts, dict) or not all(isinstance(value, dict) for value in facts.values()):
        raise CourseError(f"{_METADATA} does not list submissions: export the submissions again")
    return facts


def _named(entry: Entry, depth: int) -> WorkFile:
    return WorkFile("/".join(entry.parts[depth:]) or entry.name, entry)


def _work(folder: str, facts: Mapping[str, Any], files: Sequence[WorkFile], zone: tzinfo) -> Work:
    submitters = facts.get(":submitters")
    people = tuple(_claims(person) for person in submitters or () if isinstance(person, dict))
    number = _FOLDER.fullmatch(folder)
    return Work(
        folder,
        people,
        tuple(files),
        _time(facts.get(":created_at"), zone),
        order=int(number[1]) if number else 0,
        number=number[1] if number else "",
    )


def _claims(person: Mapping[str, Any]) -> Sequence[Claim]:
    return (
        Claim(_text(person, ":sid"), ("sis_id", "id", "moodle_id")),
        Claim(_text(person, ":email"), ("email",)),
        Claim(_text(person, ":name"), ("name",)),
    )


def _text(person: Mapping[str, Any], key: str) -> str:
    value = person.get(key)
    return value if isinstance(value, str) and value not in ("~", "null") else ""


def _time(value: Any, zone: tzinfo) -> datetime | None:
    """The time, which Ruby writes as text or as an object with the key ``utc``."""
    value = value.get("utc") if isinstance(value, dict) else value
    try:
        return moment(value, zone) if isinstance(value, str) else None
    except ValueError:
        return None
