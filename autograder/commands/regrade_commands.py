"""The ``course regrade`` command: students' requests to have their work graded again."""

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
    question: Annotated[Positional[str], tyro.conf.arg(metavar="[QUESTION]", help_behavior_hint="")] = "",
    *,
    reason: str,
) -> None:
    """Record a student's regrade request; the points stay as they are until it is closed.

    Args:
        question: Name of the answer in the notebook, for example negative_elbo; by default the whole unit.
        reason: Reason for the request, in a sentence; kept in students/regrade_requests.csv and in the audit log.
    """
    # nbgrader takes a second to import; --help should not wait for it.
    from autograder.gradebook.regrade_requests import add_request

    course = Course.find()
    request = add_request(course, course.unit(unit), student, question, reason)
    print(f"request {request.id}: {_about(request)}; close it with: course regrade close {request.id} --decision …")


def _list(
    unit: Annotated[Positional[str | None], tyro.conf.arg(metavar="[UNIT]", help_behavior_hint="")] = None,
    all: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
) -> None:
    """List open regrade requests.

    Args:
        unit: List the requests of this unit only, as 03 or 03_vae; by default of all units.
        all: Include closed requests, with their decisions.
    """
    from autograder.gradebook.regrade_requests import regrade_requests

    course = Course.find()
    requests = regrade_requests(course, course.unit(unit) if unit else None)
    shown = [request for request in requests if request.is_open or all]
    for request in shown:
        end = "" if request.is_open else f"\n      {request.closed}  {printable(request.decision, 300)}"
        print(f"{request.id:>4}  {_about(request)}: {printable(request.reason, 300)}{end}")
    if not shown:
        print("no open requests; course regrade list --all shows closed ones" if requests else "no requests")


def _close(
    request: Annotated[
        Positional[int], tyro.conf.arg(metavar="REQUEST", help="Number of the request in course regrade list.")
    ],
    decision: str,
    points: Annotated[float | None, tyro.conf.arg(metavar="POINTS", help_behavior_hint="")] = None,
) -> None:
    """Close a regrade request with a decision, which the student reads on the feedback page.

    Args:
        decision: Decision and reason, in a sentence to the student.
        points: New points for the answer, before any late penalty; by default the points stay as they are.
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
    """Record, list and close students' regrade requests."""
