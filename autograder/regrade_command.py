"""The ``course regrade`` command: students' requests to look at their points again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import tyro
from tyro.conf import OmitSubcommandPrefixes, Positional, subcommand

from autograder.course.course import Course
from autograder.plain_text import printable

if TYPE_CHECKING:
    from autograder.gradebook.regrade_requests import RegradeRequest

__all__ = ["regrade"]

_Student = Annotated[str, tyro.conf.arg(metavar="STUDENT", help="The student's id.")]
_Unit = Annotated[str, tyro.conf.arg(metavar="UNIT", help="A unit of the course, as 03 or 03_vae.")]


def _add(
    student: Positional[_Student],
    unit: Positional[_Unit],
    question: Annotated[Positional[str], tyro.conf.arg(metavar="[QUESTION]")] = "",
    *,
    reason: str,
) -> None:
    """Write down that a student wants something looked at again; the points do not change.

    Args:
        question: The answer that it is about, as it is called in the notebook; without one, the whole unit.
        reason: Why, in a sentence; kept in students/regrade_requests.csv and in the audit log.
    """
    # nbgrader costs a second, which --help should not pay.
    from autograder.gradebook.regrade_requests import add_request

    course = Course.find()
    request = add_request(course, course.unit(unit), student, question, reason)
    print(f"request {request.id}: {_about(request)}; close it with: course regrade close {request.id} --decision …")


def _list(
    unit: Annotated[Positional[str | None], tyro.conf.arg(metavar="[UNIT]")] = None,
    all: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
) -> None:
    """List the requests that are open.

    Args:
        unit: Only those of this unit.
        all: Those that are closed too, with what was decided.
    """
    from autograder.gradebook.regrade_requests import regrade_requests

    course = Course.find()
    requests = regrade_requests(course, course.unit(unit) if unit else None)
    shown = [request for request in requests if request.is_open or all]
    for request in shown:
        end = "" if request.is_open else f"\n      {request.closed}  {printable(request.decision, 300)}"
        print(f"{request.id:>4}  {_about(request)}: {printable(request.reason, 300)}{end}")
    if not shown:
        print("no request is open" if requests else "there are no requests")


def _close(
    request: Annotated[Positional[int], tyro.conf.arg(metavar="REQUEST", help="Its number, from course regrade list.")],
    decision: str,
    points: float | None = None,
) -> None:
    """Write down what was decided about a request; the student reads it on the feedback page.

    Args:
        decision: What was decided and why, in a sentence for the student.
        points: Points by hand for the answer, in place of those it has; lateness is taken off as before.
    """
    from autograder.gradebook.regrade_requests import close_request

    closed = close_request(Course.find(), request, decision, points)
    before, after = ("–" if value is None else f"{value:g}" for value in (closed.points_before, closed.points_after))
    print(f"request {closed.id}: {_about(closed)} closed; points of the unit {before} → {after}")


def _about(request: RegradeRequest) -> str:
    return " ".join(filter(None, (request.student, request.unit, request.question)))


def regrade(
    action: OmitSubcommandPrefixes[
        Annotated[None, subcommand("add", constructor=_add)]
        | Annotated[None, subcommand("list", constructor=_list)]
        | Annotated[None, subcommand("close", constructor=_close)]
    ],
) -> None:
    """Keep students' requests to look at their points again: add one, list them, close one with a decision."""
