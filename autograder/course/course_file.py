"""Reads ``course.toml`` and checks every key; all mistakes are reported at once, with their lines.

:data:`KEYS` lists all keys. Weights that do not add up to 100 are no mistake but a warning, which ``course doctor``,
``course release`` and ``course publish`` print.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args
from zoneinfo import available_timezones

from autograder.course.late_policy import Missing, time_zone

__all__ = ["KINDS", "CourseFile", "Problem", "did_you_mean", "folder_problems", "read_course_file"]

KINDS = ("components", "capstone")
"""The possible sources of a unit's automatic points; the first is the default."""

_NAME = re.compile(r"\w[\w.-]*")
_REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w.-]+")
_BRANCH = re.compile(r"(?!.*\.\.)\w[\w./-]*")
_DUE_EXAMPLE = "2027-03-12T23:59:00"

Place = tuple[str, int]
"""A table of the file: its name (empty for the keys above all tables), and its number among tables of that name."""


@dataclass(frozen=True)
class Problem:
    """One mistake in ``course.toml``, as a sentence, with its line; None if it is not in a single line."""

    text: str
    line: int | None = None

    def __str__(self) -> str:
        return f"line {self.line}: {self.text}" if self.line else self.text


@dataclass(frozen=True)
class CourseFile:
    """The content of a ``course.toml``, with its mistakes.

    Attributes:
        facts: the keys and values.
        errors: mistakes that make the file unusable.
        warnings: things to look at, with which the file can still be used.
    """

    facts: Mapping[str, Any]
    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class _Key:
    """One key of a table; ``wanted`` describes in words the values that ``accepts`` returns True for."""

    wanted: str
    accepts: Callable[[Any], bool]
    is_required: bool = False


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _matches(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_one_of(*choices: str) -> _Key:
    return _Key(" or ".join(f'"{choice}"' for choice in choices), lambda value: value in choices)


def _is_zone(value: Any) -> bool:
    try:
        time_zone(value)
    except ValueError:
        return False
    return isinstance(value, str)


KEYS: Mapping[str, Mapping[str, _Key]] = {
    "": {
        "title": _Key("text in quotes", _is_text, is_required=True),
        "repository": _Key('"OWNER/NAME" on GitHub', _matches(_REPOSITORY)),
        "branch": _Key("the name of a branch in quotes", _matches(_BRANCH), is_required=True),
        "time_zone": _Key('the name of a time zone, "Europe/Berlin" for example', _is_zone),
        "roster": _Key("the path of a file in quotes", _is_text),
        "units": _Key("a list of tables, each headed [[units]]", lambda value: _is_tables(value), is_required=True),
        "capstone": _Key("a table, headed [capstone]", lambda value: isinstance(value, dict)),
        "late_policy": _Key("a table, headed [late_policy]", lambda value: isinstance(value, dict)),
    },
    "units": {
        "name": _Key("a folder name of letters, digits, _, - and .", _matches(_NAME), is_required=True),
        "title": _Key("text in quotes", _is_text, is_required=True),
        "weight": _Key("a percentage, 0 to 100", lambda value: _is_number(value) and 0 <= value <= 100, True),
        "due": _Key(
            f"a date with a time, without quotes, like {_DUE_EXAMPLE}", lambda value: isinstance(value, datetime)
        ),
        "canvas_id": _Key("a whole number above 0, without quotes", lambda value: type(value) is int and value > 0),
        "kind": _is_one_of(*KINDS),
    },
    "capstone": {
        "private_images": _Key("the path of a file in quotes", _is_text),
        "baseline_bpd": _Key("bits per dimension, a number above 0", lambda value: _is_number(value) and value > 0),
    },
    "late_policy": {
        "points_lost_per_day_percent": _Key(
            "a number, 0 to 100", lambda value: _is_number(value) and 0 <= value <= 100
        ),
        "days_accepted": _Key("a number of days, 0 or more", lambda value: _is_number(value) and value >= 0),
        "missing": _is_one_of(*get_args(Missing)),
    },
}


def _is_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def read_course_file(path: Path) -> CourseFile:
    """Read a ``course.toml`` and check every key.

    Returns:
        The content of the file; do not use it if there are errors.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        return CourseFile({}, (Problem("the file is not UTF-8: save it again with that encoding"),))
    try:
        facts = tomllib.loads(text)
    except tomllib.TOMLDecodeError as trouble:
        return CourseFile({}, (_syntax_problem(text, str(trouble)),))
    check = _Check(facts, _lines_of_keys(text))
    check.whole()
    errors = sorted(check.errors, key=lambda problem: problem.line or 0)
    return CourseFile(facts, tuple(errors), tuple(check.warnings))


def _syntax_problem(text: str, trouble: str) -> Problem:
    """The mistake that tomllib reports, with the line number as a field of its own."""
    if single := re.search(r"^[ \t]*\[[ \t]*units[ \t]*\]", text, re.MULTILINE):
        line = text.count("\n", 0, single.start()) + 1
        return Problem("[units] must be [[units]], with double brackets, at the head of each unit", line)
    found = re.fullmatch(r"(.*) \(at line (\d+), column (\d+)\)", trouble, re.DOTALL)
    if not found:
        return Problem(f"this is not valid TOML: {trouble}")
    reason = found[1][0].lower() + found[1][1:]
    return Problem(f"this is not valid TOML: {reason}, at column {found[3]}", int(found[2]))


def folder_problems(root: Path, facts: Mapping[str, Any]) -> Iterator[Problem]:
    """Differences between a course's folder and its ``course.toml``: units without files, files without a unit.

    Args:
        root: the course's folder.
        facts: the keys and values of its ``course.toml``, which must have no errors.
    """
    names = {unit["name"] for unit in facts["units"]}
    solutions = root / "solutions"
    folders = {path.name for path in solutions.iterdir() if path.is_dir()} if solutions.is_dir() else set()
    folders = {name for name in folders if (solutions / name / f"{name}.py").is_file()}
    for name in sorted(names - folders) if solutions.is_dir() else ():
        lectures = (root / "lectures" / f"{name}{suffix}" for suffix in (".py", ".ipynb"))
        if not (root / "assignments" / name).is_dir() and not any(path.is_file() for path in lectures):
            near = did_you_mean(name, folders - names)
            yield Problem(f"the unit {name} has no lecture, no assignment and no solution in this folder{near}")
    for name in sorted(folders - names):
        yield Problem(f"solutions/{name} belongs to no unit: list it under [[units]], or move it away")
    private = facts.get("capstone", {}).get("private_images")
    if private and not (root / private).is_file():
        yield Problem(f"private_images names {root / private}, which does not exist: capstones cannot be graded")


def _lines_of_keys(text: str) -> Mapping[tuple[Place, str | None], int]:
    """The line of each key, and of each table's header (key None).

    A line inside a multi-line value may look like a key. It does no harm, because the first line of a key counts and
    only known keys are looked up.
    """
    lines: dict[tuple[Place, str | None], int] = {}
    counts: Counter[str] = Counter()
    place: Place = ("", 0)
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*(\[\[?)\s*([\w.\"'-]+)\s*\]", line):
            name = header[2].strip("\"'")
            place = (name, counts[name])
            counts[name] += 1
            lines.setdefault((place, None), number)
        elif key := re.match(r"\s*[\"']?([\w-]+)[\"']?\s*[.=]", line):
            lines.setdefault((place, key[1]), number)
    return lines


@dataclass
class _Check:
    """Checks the content of one file and collects its mistakes."""

    facts: Mapping[str, Any]
    lines: Mapping[tuple[Place, str | None], int]
    errors: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def whole(self) -> None:
        self._table(("", 0), self.facts)
        for name in ("capstone", "late_policy"):
            if isinstance(self.facts.get(name), dict):
                self._table((name, 0), self.facts[name])
        units = self.facts.get("units")
        if isinstance(units, list):
            tables = [(number, unit) for number, unit in enumerate(units) if isinstance(unit, dict)]
            for number, unit in tables:
                self._table(("units", number), unit)
            self._require_once(tables, "name")
            self._require_once(tables, "canvas_id")
            self._add_up([unit.get("weight") for _, unit in tables])

    def _table(self, place: Place, table: Mapping[str, Any]) -> None:
        known = KEYS[place[0]]
        for name, value in table.items():
            if name not in known:
                self._error(place, name, f"{name} is not known {_whereabouts(place, table)}{_hint(name, place[0])}")
            elif not known[name].accepts(value):
                self._error(place, name, _refusal(name, value, known[name], _whereabouts(place, table)))
        for name, key in known.items():
            if key.is_required and name not in table:
                self._error(place, None, f"{name} is missing {_whereabouts(place, table)}; it must be {key.wanted}")

    def _require_once(self, units: Sequence[tuple[int, Mapping[str, Any]]], key: str) -> None:
        seen: dict[Any, int] = {}
        for number, unit in units:
            value = unit.get(key)
            if not isinstance(value, str | int):
                continue
            if value in seen:
                before = self.lines.get((("units", seen[value]), key))
                also = f", as in line {before}" if before else ""
                self._error(("units", number), key, f"{key} {value!r} is used by two units{also}; give each its own")
            seen.setdefault(value, number)

    def _add_up(self, weights: list[Any]) -> None:
        if all(map(_is_number, weights)) and not math.isclose(sum(weights), 100, abs_tol=1e-6):
            total = f"{sum(weights):g}"
            text = f"the weights of the units add up to {total}, not 100: full marks give {total} in the exports"
            self.warnings.append(Problem(text))

    def _error(self, place: Place, key: str | None, text: str) -> None:
        header = self.lines.get((place, None)) if place[0] else None
        self.errors.append(Problem(text, self.lines.get((place, key), header)))


def _whereabouts(place: Place, table: Mapping[str, Any]) -> str:
    """The place of a key, in words: "in the unit 03_vae", "in [late_policy]", "at the top"."""
    if place[0] == "units":
        name = table.get("name")
        return f"in the unit {name}" if isinstance(name, str) else f"in unit {place[1] + 1} of the list"
    return f"in [{place[0]}]" if place[0] else "at the top"


def _hint(name: str, table: str) -> str:
    """A guess at what an unknown key was meant to be: a similar key, or a key of another table."""
    if close := get_close_matches(name, KEYS[table], 1):
        return f": did you mean {close[0]}?"
    for other, keys in KEYS.items():
        if name in keys:
            return f": it belongs {f'below [{other}]' if other else 'at the top, above the first [table]'}"
    return f"; the keys here are {', '.join(KEYS[table])}"


def _refusal(name: str, value: object, key: _Key, whereabouts: str) -> str:
    near = _near_zones(value) if name == "time_zone" and isinstance(value, str) else ""
    return f"{name} {whereabouts} must be {key.wanted}, got {_shown(value)}{near}"


def _near_zones(name: str) -> str:
    if zones := available_timezones():
        return did_you_mean(name, zones)
    return ": this machine has no list of time zones; install one with pip install tzdata"


def _shown(value: object) -> str:
    """The value roughly as TOML writes it, cut to 60 characters."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, date):
        return value.isoformat()
    shown = f'"{value}"' if isinstance(value, str) else str(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}…"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a sentence that suggests known words similar to a mistyped one; empty if no word is similar.

    >>> did_you_mean("titel", ["title", "weight"])
    ': did you mean title?'
    """
    names = {name.lower(): name for name in known}
    close = get_close_matches(word.strip().lower(), names, 3)
    return f": did you mean {' or '.join(names[name] for name in close)}?" if close else ""
