"""Regrade requests of students, the decisions about them, and the change in points.

They are kept in ``regrade_requests.csv`` beside the roster. Lines are only added: one when a request is opened and one
when it is closed, each with its author, the time, and the points at that time. A request changes no points; new points
are given in formgrader or with the decision, and the late penalty is computed from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from autograder.course.audit_log import log_event, person
from autograder.course.course import Course, CourseError, Unit
from autograder.course.extensions import extensions_file, require_known
from autograder.course.lock import course_lock
from autograder.course.spreadsheet import append_row, number, read_table
from autograder.course.student_ids import normal_id
from autograder.gradebook.gradebook_queries import QuestionScore
from autograder.gradebook.points_by_hand import give_points
from autograder.gradebook.points_that_count import Standing, unit_standing

__all__ = ["RegradeRequest", "add_request", "close_request", "decisions_of", "regrade_requests", "requests_file"]

_COLUMNS = ("request", "event", "student", "unit", "question", "text", "points_before", "points_after", "moment", "by")
_OPENED, _CLOSED = "opened", "closed"


@dataclass(frozen=True)
class RegradeRequest:
    """One regrade request and its outcome.

    Attributes:
        question: the name of the answer; empty for the whole unit.
        reason: the reason for the request.
        opened: the time when it was recorded: ISO 8601, in UTC.
        points_before: the unit's points when it was opened; None if there were none.
        decision: the decision; empty while the request is open.
        points_after: the unit's points when it was closed.
    """

    id: int
    student: str
    unit: str
    question: str
    reason: str
    opened: str
    opened_by: str
    points_before: float | None
    decision: str = ""
    closed: str = ""
    closed_by: str = ""
    points_after: float | None = None

    @property
    def is_open(self) -> bool:
        return not self.closed


def requests_file(course: Course) -> Path:
    """The file with a course's regrade requests."""
    return extensions_file(course).with_name("regrade_requests.csv")


def regrade_requests(course: Course, unit: Unit | None = None) -> tuple[RegradeRequest, ...]:
    """The regrade requests of a course, or of one unit, the oldest first.

    Raises:
        CourseError: a line of the file is wrong; the message names it.
    """
    path = requests_file(course)
    if not path.exists():
        return ()
    requests: dict[int, RegradeRequest] = {}
    for row in read_table(path, _COLUMNS):
        try:
            _read(requests, row)
        except (KeyError, ValueError):
            raise CourseError(
                f"{path}, line {row['line']}: each line must open a request with an unused number, or close an open "
                f"one; got {row['event']!r} with the number {row['request']!r}"
            ) from None
    return tuple(request for request in requests.values() if unit is None or request.unit == unit.name)


def _read(requests: dict[int, RegradeRequest], row: Mapping[str, str]) -> None:
    """Open or close the request that one line of the file is about."""
    request = int(row["request"])
    by = row["by"]
    moment = row["moment"]
    before, after = (float(row[name]) if row[name] else None for name in ("points_before", "points_after"))
    if row["event"] == _CLOSED and requests[request].is_open:
        closing = {"decision": row["text"], "closed": moment, "closed_by": by, "points_after": after}
        requests[request] = replace(requests[request], **closing)
    elif row["event"] == _OPENED and request not in requests:
        facts = (row["student"], row["unit"], row["question"], row["text"], moment, by, before)
        requests[request] = RegradeRequest(request, *facts)
    else:
        raise ValueError(row["event"])


def add_request(course: Course, unit: Unit, student: str, question: str, reason: str) -> RegradeRequest:
    """Record a student's regrade request and return it with its number.

    Args:
        question: the name of an answer, as in the notebook; empty for the whole unit.

    Raises:
        CourseError: there is no such student, result or question, or no reason is given.
    """
    student = normal_id(student)
    require_known(course, student)
    _require_text(reason, "--reason")
    with course_lock(course, "course regrade add"):
        standing = _graded(course, unit, student)
        name = _question(standing, question).answer if question else ""
        id = 1 + max((request.id for request in regrade_requests(course)), default=0)
        moment = datetime.now(UTC).isoformat(timespec="seconds")
        points = number(standing.points)
        request = RegradeRequest(id, student, unit.name, name, reason.strip(), moment, person(), points)
        _append(course, request, _OPENED, request.reason)
        return request


def close_request(course: Course, id: int, decision: str, points: float | None = None) -> RegradeRequest:
    """Close a request with a decision and return the closed request.

    Args:
        points: new points for the answer, given by hand as in formgrader; None leaves the points as they are.

    Raises:
        CourseError: no such request is open, no decision is given, or the points cannot be given.
    """
    _require_text(decision, "--decision")
    with course_lock(course, "course regrade close"):
        request = _open_request(course, id)
        unit = course.unit(request.unit)
        if points is not None:
            _give(course, unit, request, points)
        standing = _graded(course, unit, request.student)
        moment = datetime.now(UTC).isoformat(timespec="seconds")
        closing = {"decision": decision.strip(), "closed": moment, "closed_by": person()}
        request = replace(request, **closing, points_after=number(standing.points))
        _append(course, request, _CLOSED, request.decision)
        return request


def decisions_of(course: Course, unit: Unit) -> Mapping[str, tuple[str, ...]]:
    """Sentences for the students of a unit about their regrade requests, by student."""
    said: dict[str, tuple[str, ...]] = {}
    for request in regrade_requests(course, unit):
        said[request.student] = (*said.get(request.student, ()), _sentence(course, request))
    return said


def _sentence(course: Course, request: RegradeRequest) -> str:
    about = f"{request.question}, requested" if request.question else "Requested"
    asked = f"{about} on {_day(course, request.opened)}"
    if request.is_open:
        return f"{asked}: not decided yet."
    decision = f"{asked}, decided on {_day(course, request.closed)}: {request.decision.rstrip('.')}."
    if None in (request.points_before, request.points_after):
        return decision
    before, after = number(request.points_before, 2), number(request.points_after, 2)
    change = "have not changed" if before == after else f"have changed from {before} to {after}"
    return f"{decision} Your points for the unit {change}."


def _day(course: Course, moment: str) -> str:
    try:
        return f"{datetime.fromisoformat(moment).astimezone(course.zone):%Y-%m-%d}"
    except ValueError:  # a spreadsheet has changed the format
        return moment


def _append(course: Course, request: RegradeRequest, event: str, text: str) -> None:
    moment, by = (request.closed, request.closed_by) if event == _CLOSED else (request.opened, request.opened_by)
    points = ("" if value is None else f"{value:g}" for value in (request.points_before, request.points_after))
    place = (str(request.id), event, request.student, request.unit, request.question)
    cells = (*place, text, *points, moment, by)
    append_row(requests_file(course), dict(zip(_COLUMNS, cells, strict=True)))
    facts = {"student": request.student, "unit": request.unit, "question": request.question, "text": text}
    facts |= {"points_before": request.points_before, "points_after": request.points_after}
    log_event(course, f"regrade request {event}", request=request.id, **facts)


def _open_request(course: Course, id: int) -> RegradeRequest:
    requests = {request.id: request for request in regrade_requests(course)}
    if id not in requests:
        raise CourseError(f"there is no regrade request {id}: see course regrade list --all")
    if not requests[id].is_open:
        raise CourseError(f"regrade request {id} was closed on {requests[id].closed}: add another with regrade add")
    return requests[id]


def _give(course: Course, unit: Unit, request: RegradeRequest, points: float) -> None:
    if not request.question:
        raise CourseError(
            f"request {request.id} is about the whole unit, so leave out --points: give them in course formgrader, "
            "answer by answer, then close the request"
        )
    question = _question(_graded(course, unit, request.student), request.question)
    give_points(course, unit, request.student, question, points)


def _graded(course: Course, unit: Unit, student: str) -> Standing:
    standing = unit_standing(course, unit).of(student)
    if not standing.questions or not standing.has_work:
        raise CourseError(f"{student} has no points in {unit.name} ({standing.status}): there is nothing to regrade")
    return standing


def _question(standing: Standing, name: str) -> QuestionScore:
    for question in standing.questions:
        if name in (question.answer, question.name):
            return question
    known = ", ".join(question.answer for question in standing.questions)
    raise CourseError(f"there is no question {name!r}: use one of {known}")


def _require_text(text: str, option: str) -> None:
    if not text.strip():
        raise CourseError(f"{option} must not be empty: it is kept with the request")
