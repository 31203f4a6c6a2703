"""The similarity report of a unit: a page to look at answers side by side, and a table of all pairs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autograder.course.course import Course, Unit
from autograder.course.events import log_event
from autograder.course.private_files import write_private
from autograder.course.spreadsheet import Cell, number, write_table
from autograder.plain_text import moderate
from autograder.reports.pages import render
from autograder.similarity.class_answers import answers_of_class, known_sources
from autograder.similarity.pairs import Likeness, Pair, alike
from autograder.similarity.structure import signs

__all__ = ["write_similarity"]

_MOST_SHOWN = 60
_HEADER = ("first", "second", "component", "similarity_percent", "shared_fingerprints", "bits")


@dataclass(frozen=True)
class _SideBySide:
    """Two answers to one exercise, to be looked at."""

    likeness: Likeness
    sources: tuple[str, str]


def write_similarity(course: Course, unit: Unit, folder: Path) -> tuple[tuple[Path, Path], int]:
    """Write ``similarity-<unit>.html`` and ``.csv`` into a folder; returns both, and the number of pairs.

    Raises:
        CourseError: nobody has been graded.
    """
    answers = answers_of_class(course, unit)
    pairs = alike(answers, known_sources(course, unit))
    page, table = folder / f"similarity-{unit.name}.html", folder / f"similarity-{unit.name}.csv"
    write_private(page, _page(course, unit, answers, pairs))
    write_table(table, _rows(pairs), byte_order_mark=True)
    log_event(course, "similarity report", unit=unit.name, pairs=len(pairs), folder=str(folder.resolve()))
    return (page, table), len(pairs)


def _page(course: Course, unit: Unit, answers: Mapping[str, Mapping[str, str]], pairs: Sequence[Pair]) -> str:
    return render(
        "similarity.html",
        course=course,
        unit=unit,
        class_size=len({student for by_student in answers.values() for student in by_student}),
        pairs=[(pair, _side_by_side(pair, answers)) for pair in pairs[:_MOST_SHOWN]],
        more=max(0, len(pairs) - _MOST_SHOWN),
        unread=_unread(answers),
    )


def _side_by_side(pair: Pair, answers: Mapping[str, Mapping[str, str]]) -> list[_SideBySide]:
    students = (pair.first, pair.second)
    return [
        _SideBySide(likeness, tuple(moderate(answers[likeness.component][student]) for student in students))
        for likeness in pair.likenesses
    ]


def _unread(answers: Mapping[str, Mapping[str, str]]) -> list[tuple[str, str]]:
    """Answers that are no Python, and so could not be compared."""
    return [
        (student, component)
        for component, by_student in answers.items()
        for student, source in by_student.items()
        if signs(source) is None
    ]


def _rows(pairs: Sequence[Pair]) -> Iterator[tuple[Cell, ...]]:
    yield _HEADER
    for pair in pairs:
        for like in pair.likenesses:
            percent = number(100 * like.similarity, 1)
            yield (pair.first, pair.second, like.component, percent, like.shared, number(like.bits, 1))
