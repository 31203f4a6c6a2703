"""The ``course`` commands about single students and their answers: answers, status, explain, forget, rename."""

from __future__ import annotations

import json as json_text
import sys
from dataclasses import asdict
from typing import Annotated

import tyro
from tyro.conf import Positional

from autograder.course.course import Course, CourseError
from autograder.sandbox.kinds import DEFAULT_KIND, SandboxKind, require_kind, warning_about

__all__ = ["answers", "explain", "forget", "rename", "status"]

_MOST_SHOWN = 10
_Student = Annotated[str, tyro.conf.arg(metavar="STUDENT", help="The student's id.")]
_Unit = Annotated[str, tyro.conf.arg(metavar="UNIT", help="A unit of the course, as 03 or 03_vae.")]


def answers(
    unit: Positional[_Unit],
    anonymous: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    port: int = 0,
    browser: bool = True,
) -> None:
    """Grade written answers in the browser: one question at a time, all answers below each other, by keyboard.

    Beside them stand question and rubric. Each change is saved into the gradebook at once, as formgrader saves it, and
    is kept when submissions are graded again. Needs no connection to the web.

    Args:
        anonymous: Leave the names out, and show the answers in an order that says nothing of them.
        port: Where it is served on this machine; by default one that is free.
        browser: Open a browser; without, only the address is printed.
    """
    from autograder.nbgrader_bridge.answer_sheet.serving import (
        serve_answers,  # nbgrader costs a second, which --help should not pay
    )

    course = Course.find()
    serve_answers(course, course.unit(unit), port, browser, anonymous)


def status(
    unit: Annotated[Positional[str | None], tyro.conf.arg(metavar="[UNIT]")] = None,
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    csv: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
) -> None:
    """Show who handed in what, what is graded, and what waits for whom.

    Args:
        unit: One unit, student by student, as 03 or 03_vae; by default all units that are released, in numbers.
        json: Print it as JSON, for a program.
        csv: Print it as comma-separated values.
    """
    from autograder.reports.status import as_csv, as_table, student_statuses, to_do, unit_statuses

    course = Course.find()
    released = [one for one in course.units if course.released_notebook(one).exists()]
    rows = student_statuses(course, course.unit(unit)) if unit else unit_statuses(course, released)
    if json:
        print(json_text.dumps([asdict(row) for row in rows], indent=1, ensure_ascii=False))
    elif csv:
        print(as_csv(rows), end="")
    elif not unit and not released:
        print("nothing is released yet: run course release")
    else:
        print(as_table(rows))
        for line in to_do(rows) if unit else ():
            print(line)


def explain(
    student: Positional[_Student],
    unit: Positional[_Unit],
    component: Positional[Annotated[str, tyro.conf.arg(metavar="COMPONENT", help="An exercise's function.")]],
    case: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None,
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    sandbox: SandboxKind = DEFAULT_KIND,
) -> None:
    """Judge one component of a submission once more, and show for each case what was asked, expected and got.

    The inputs are those of grading. It says where the outcome differs from what is recorded, and changes nothing. What
    it prints gives secret inputs and right results away: it is for instructors.

    Args:
        case: One case only, by its name or a part of it.
        json: Print it as JSON, with all requests.
        sandbox: Where the student's code runs, as for course grade.
    """
    require_kind(sandbox)
    from autograder.judging.explaining import explain as judge_once_more  # torch costs seconds
    from autograder.reports.explanation import chosen_case, explanation_json, explanation_text, unlike_the_record

    course = Course.find()
    if warning := warning_about(sandbox):
        print(f"course: warning: {warning}", file=sys.stderr)
    explanation = judge_once_more(course, course.unit(unit), student, component, sandbox)
    unlike = unlike_the_record(course, explanation)
    explanation = chosen_case(explanation, case) if case else explanation
    if json:
        print(json_text.dumps(explanation_json(explanation, unlike), indent=1, ensure_ascii=False))
    else:
        print(explanation_text(explanation, unlike))


def forget(student: Positional[_Student], yes: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False) -> None:
    """Remove all of a student's data from the course folder: work, grades, feedback, records, the line in the roster.

    What is made from these and names the student (exports, reports) is removed as well: write it anew. If it is broken
    off, run it again. autograder/PRIVACY.md says what is kept where.

    Args:
        yes: Don't ask for confirmation.
    """
    from autograder.student_records.forgetting import forget as remove_student

    course = Course.find()
    done = remove_student(course, student, lambda found: yes or _confirmed(found))
    if done is None:
        print("nothing was removed")
        return
    print(f"removed: {_listed(done.removed)}")
    if done.still_named_in:
        print(f"these files still hold the id, name or address; look at them yourself: {_listed(done.still_named_in)}")
    if done.copies_elsewhere:
        print(f"grades or reports were also written to {_listed(done.copies_elsewhere)}: remove them there")
    print("not known here, and yours to remove: backups, mail, copies of this folder, and what the LMS keeps")


def rename(
    old: Positional[Annotated[str, tyro.conf.arg(metavar="OLD", help="The student's id so far.")]],
    new: Positional[Annotated[str, tyro.conf.arg(metavar="NEW", help="The id from now on, which nobody has.")]],
) -> None:
    """Give a student another id in all that the course folder keeps, everywhere or nowhere.

    Exports, reports and feedback pages that hold the old id are removed: write them anew. As inputs are drawn for each
    id, the next course grade judges the student's work once more.
    """
    from autograder.student_records.renaming import rename as rename_student

    done = rename_student(Course.find(), old, new)
    print(f"{old} is {new} from now on: {_listed(done.changed)}")
    if done.still_named_in:
        print(f"these files still hold {old!r}; look at them yourself: {_listed(done.still_named_in)}")
    print("feedback pages, exports and reports that held the old id were removed: write them anew")


def _confirmed(found: list[str]) -> bool:
    if not sys.stdin.isatty():
        raise CourseError("this removes data for good: add --yes to confirm it, where nobody can be asked")
    print("this will be removed for good:", *found, sep="\n  ")
    return input("Remove it? Type yes: ").strip().lower() == "yes"


def _listed(phrases: tuple[str, ...]) -> str:
    more = f", and {len(phrases) - _MOST_SHOWN} more" if len(phrases) > _MOST_SHOWN else ""
    return ", ".join(phrases[:_MOST_SHOWN]) + more
