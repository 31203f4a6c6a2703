"""The summary that ``course collect`` prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from autograder.collecting.collect import Collection, Kind, Outcome
from autograder.counts_and_lists import counted, in_short
from autograder.course.course import Course, Unit
from autograder.plain_text import printable

__all__ = ["summary"]

_WORDS = {
    Kind.NEW: "collected",
    Kind.LATER: "replaced by later work",
    Kind.SAME: "already there",
    Kind.EARLIER: "older than the work in submitted/",
    Kind.UNCLEAR: "left as it is",
}
_MOST_NAMES = 20
_WHERE_TIMES_ARE = {
    "canvas": "Canvas' downloads contain no times: add --times with the list of submissions from its API",
    "moodle": "Moodle's downloads contain no times: add --times with the assignment's grading worksheet",
}
_OTHER_TIMES = "Add --times with a table of times"


def summary(course: Course, unit: Unit, collection: Collection) -> Iterator[str]:
    """Lines for the terminal: what was done, what to check, and what is unknown."""
    counts = [(kind, [o for o in collection.outcomes if o.kind is kind]) for kind in Kind]
    numbers = ", ".join(f"{len(outcomes)} {_WORDS[kind]}" for kind, outcomes in counts if outcomes)
    yield f"{unit.name}, read as a download from {collection.system}: {numbers or 'nothing collected'}"
    yield from _unclear([outcome for outcome in collection.outcomes if outcome.kind is Kind.UNCLEAR])
    yield from _list("graded before and now replaced: run course grade again", _graded(collection))
    yield from _times(collection)
    yield from _remarks(collection.outcomes)
    if aside := [path for outcome in collection.outcomes for path in outcome.aside]:
        folder = course.records / "collected" / unit.name / "earlier"
        yield f"  {counted(len(aside), 'earlier piece')} of work kept in {folder}"
    if collection.left_out:
        yield f"  {len(collection.left_out)} left out:"
        yield from (f"    {printable(str(left_out), 300)}" for left_out in collection.left_out)
    yield from _list("in the roster without any submission", collection.missing)
    yield from _list("rows of the table of times match no student, or several", collection.without_row)


def _graded(collection: Collection) -> Sequence[str]:
    return [outcome.student for outcome in collection.outcomes if outcome.was_graded]


def _unclear(outcomes: Sequence[Outcome]) -> Iterator[str]:
    yield from _list(
        "left as they are, because it is unknown whether the download is later; add --times, or --replace to use it",
        [outcome.student for outcome in outcomes],
    )


def _times(collection: Collection) -> Iterator[str]:
    in_place = [outcome for outcome in collection.outcomes if outcome.is_in_place]
    unknown = [outcome for outcome in in_place if outcome.moment is None]
    if unknown:
        where = _WHERE_TIMES_ARE.get(collection.system, _OTHER_TIMES)
        yield f"  {len(unknown)} of {len(in_place)} handed in at an unknown time, which counts as on time. {where}"
    if changed := sum(outcome.is_time_changed for outcome in in_place):
        yield f"  {changed} unchanged, with a new or corrected time of handing in"
    late = [outcome.student for outcome in unknown if outcome.marked_late]
    yield from _list("of these are marked LATE in the LMS", late)


def _remarks(outcomes: Sequence[Outcome]) -> Iterator[str]:
    for outcome in outcomes:
        for remark in outcome.remarks:
            yield f"  {printable(outcome.student, 60)}: {printable(remark, 300)}"


def _list(what: str, names: Sequence[str]) -> Iterator[str]:
    if names:
        yield f"  {len(names)} {what}: {in_short(names, _MOST_NAMES, longest=60)}"
