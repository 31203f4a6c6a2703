"""Reads nbgrader's folders: of its exchange, of ``zip_collect``, and ``submitted/``.

In the exchange's ``inbound`` each submission is a folder ``ada+03_vae+2026-03-01 12:30:00 UTC+random``, with the time
also in ``timestamp.txt``. ``zip_collect`` unpacks files named by a pattern; in nbgrader's documentation it is
Blackboard's, ``ps1_ada_attempt_2016-01-30-15-00-00_problem1.ipynb``. ``submitted/ada/03_vae/`` contains
``timestamp.txt`` if nbgrader has collected it.
https://nbgrader.readthedocs.io/en/stable/user_guide/managing_assignment_files.html
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, tzinfo

from autograder.collecting.archives import Entry, LeftOut
from autograder.collecting.handed_in_work import FoundWork, Offering, Work, WorkFile
from autograder.collecting.lms_times import moment
from autograder.course.student_lookup import Claim

__all__ = ["TIMESTAMP", "nbgrader_files", "read_nbgrader"]

TIMESTAMP = "timestamp.txt"
_OF_NBGRADER = {TIMESTAMP, "submission_secret.txt"}
_LARGEST_TIMESTAMP = 200  # bytes
# Windows allows no colon in a name, so programs there write another character.
_EXCHANGE = re.compile(
    r"(?P<student>[^+]+)\+(?P<unit>[^+]+)\+(?P<time>\d{4}-\d\d-\d\d \d\d[:_-]\d\d[:_-]\d\d[^+]*)(\+(?P<random>.*))?"
)
_ATTEMPT = re.compile(
    r"(?P<unit>.+)_(?P<student>[^_]+)_attempt_(?P<time>\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d)(?:_(?P<name>.+))?(?P<end>\.\w+)?"
)


def nbgrader_files(entries: Sequence[Entry]) -> int:
    """The number of files named in the way of nbgrader's exchange or ``zip_collect``."""
    return sum(any(_EXCHANGE.fullmatch(p) or _ATTEMPT.fullmatch(p) for p in entry.parts) for entry in entries)


def read_nbgrader(entries: Sequence[Entry], offering: Offering) -> FoundWork:
    """The submissions of all students, with the times that nbgrader recorded."""
    folders: dict[str, list[WorkFile]] = defaultdict(list)
    facts: dict[str, tuple[str, str]] = {}
    left_out = []
    places = [_place(entry, offering.unit) for entry in entries]
    # Deeper files come from a student and have names that the student chose.
    depth = min((place[0].count("/") for place in places if place), default=0)
    for entry, place in zip(entries, places, strict=True):
        if place is None or place[0].count("/") != depth:
            left_out.append(LeftOut(entry.path, f"not in a folder that nbgrader would make for {offering.unit}"))
            continue
        label, student, time, name = place
        facts[label] = (student, time)
        folders[label].append(WorkFile(name, entry))
    works = (_work(label, *facts[label], files, offering.zone) for label, files in folders.items())
    return FoundWork(tuple(works), tuple(left_out))


def _place(entry: Entry, unit: str) -> tuple[str, str, str, str] | None:
    """The label of a file's submission, the student, the time in the name, and the file's own name."""
    for index, part in enumerate(entry.parts):
        below = "/".join(entry.parts[index + 1 :])
        exchange, attempt = _EXCHANGE.fullmatch(part), _ATTEMPT.fullmatch(part)
        if exchange and below:
            day, time = exchange["time"].split(" ", 1)
            same = exchange["unit"] == unit
            label = "/".join(entry.parts[: index + 1])
            return (label, exchange["student"], f"{day} {re.sub('[_-]', ':', time, count=2)}", below) if same else None
        if attempt:
            day, time = attempt["time"][:10], attempt["time"][11:].replace("-", ":")
            label = "/".join([*entry.parts[:index], f"{attempt['student']}_attempt_{attempt['time']}"])
            return label, attempt["student"], f"{day} {time}", below or attempt["name"] or part
        if part == unit and index and below:
            return "/".join(entry.parts[: index + 1]), entry.parts[index - 1], "", below
    return None


def _work(label: str, student: str, time: str, files: Sequence[WorkFile], zone: tzinfo) -> Work:
    claims = (Claim(student, ("id", "login", "email", "sis_id")), Claim(student, ("name",)))
    written = next((file.entry for file in files if file.name == TIMESTAMP), None)
    own = tuple(file for file in files if file.name not in _OF_NBGRADER)
    return Work(label, (claims,), own, _written(written, zone) or _time(time, zone))


def _written(entry: Entry | None, zone: tzinfo) -> datetime | None:
    if entry is None or entry.size > _LARGEST_TIMESTAMP:
        return None
    return _time(entry.read().decode("utf-8", errors="replace"), zone)


def _time(text: str, zone: tzinfo) -> datetime | None:
    try:
        return moment(text, zone)
    except ValueError:
        return None
