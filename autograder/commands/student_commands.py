"""``course`` commands about single students and their answers: answers, status, explain, forget, rename."""

from __future__ import annotations

import json as json_text
import sys
from dataclasses import asdict
from typing import Annotated

import tyro
from tyro.conf import Positional

from autograder.counts_and_lists import in_short
from autograder.course.course import Course, CourseError
from autograder.sandbox.sandbox_kinds import DEFAULT_KIND, SandboxKind, require_kind, warning_about

__all__ = ["answers", "explain", "forget", "rename", "status"]

_MOST_SHOWN = 12
_Student = Annotated[str, tyro.conf.arg(metavar="STUDENT", help="The student's id.")]
_Unit = Annotated[str, tyro.conf.arg(metavar="UNIT", help="A unit of the course, as 03 or 03_vae.")]


def answers(
    unit: Positional[_Unit],
    anonymous: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    port: int = 0,
    browser: bool = True,
) -> None:
    """Grade written answers in the browser, by keyboard: one question at a time, with the whole class's answers.

    The question and its rubric are shown beside the answers. Each change is saved in the gradebook at once, in the same
    fields as formgrader's, and is kept when submissions are graded again. Works offline.

    Args:
        anonymous: Hide the students' names, and shuffle the answers so that their order reveals nobody.
        port: Port on this machine; 0 for any free one.
        browser: Open the page in a browser; otherwise only its address is printed.
    """
    # nbgrader takes a second to import; --help should not wait for it.
    from autograder.nbgrader_bridge.answer_sheet.serving import serve_answers

    course = Course.find()
    serve_answers(course, course.unit(unit), port, browser, anonymous)


def status(
    unit: Annotated[Positional[str | None], tyro.conf.arg(metavar="[UNIT]", help_behavior_hint="")] = None,
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    csv: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
) -> None:
    """Show who handed in what, what is graded, and what is left to do.

    Args:
        unit: Show each student's state in this unit, as 03 or 03_vae; by default a summary of every released unit.
        json: Print the table as JSON, for programs.
        csv: Print the table as comma-separated values.
    """
    from autograder.reports.status import as_csv, as_table, student_statuses, to_do, unit_statuses

    course = Course.find()
    released = [one for one in course.units if course.released_notebook(one).exists()]
    students = student_statuses(course, course.unit(unit)) if unit else ()
    rows = students if unit else unit_statuses(course, released)
    if json:
        print(json_text.dumps([asdict(row) for row in rows], indent=1, ensure_ascii=False))
    elif csv:
        print(as_csv(rows), end="")
    elif not unit and not released:
        print("nothing is released yet: run course release")
    else:
        print(as_table(rows))
        for line in to_do(students):
            print(line)


def explain(
    student: Positional[_Student],
    unit: Positional[_Unit],
    component: Positional[Annotated[str, tyro.conf.arg(metavar="COMPONENT", help="Name of the exercise's function.")]],
    case: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = None,
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    sandbox: SandboxKind = DEFAULT_KIND,
) -> None:
    """Judge one component of a submission again, and show the inputs, expected and actual results of each case.

    The inputs are the ones used in grading. Differences from the recorded result are listed; nothing is changed. The
    output reveals secret inputs and right results, so do not pass it on to students.

    Args:
        case: Show only cases whose name contains this; by default all.
        json: Print the explanation as JSON, with every call of the student's function.
        sandbox: Where the student's code runs. bubblewrap needs Linux. container uses docker or podman; run course
            sandbox-image once before. none protects nothing: use it only for code that you trust.
    """
    require_kind(sandbox)
    from autograder.judging.explain_answer import explain as judge_once_more  # torch takes seconds to import
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

    Exports and reports that name the student are removed too: write them again. If the command is interrupted, run it
    again. autograder/PRIVACY.md lists which data are kept where.

    Args:
        yes: Do not ask for confirmation.
    """
    from autograder.student_records.forgetting import forget as remove_student

    course = Course.find()
    done = remove_student(course, student, lambda found: yes or _confirmed(found))
    if done is None:
        print("nothing was removed")
        return
    print(f"removed: {_listed(done.removed)}")
    if done.still_named_in:
        print(f"these files still contain the id, name or address; check them yourself: {_listed(done.still_named_in)}")
    if done.copies_elsewhere:
        print(f"grades or reports were also written to {_listed(done.copies_elsewhere)}: remove them there")
    print("the course cannot remove backups, mail, copies of this folder, or data in the LMS: do that yourself")


def rename(
    old: Positional[Annotated[str, tyro.conf.arg(metavar="OLD", help="The student's current id.")]],
    new: Positional[Annotated[str, tyro.conf.arg(metavar="NEW", help="The new id; nobody else may have it.")]],
) -> None:
    """Give a student another id everywhere in the course folder; if any step fails, nothing changes.

    Exports, reports and feedback pages that contain the old id are removed: write them again. Test inputs depend on the
    id, so the next course grade judges the student's work again.
    """
    from autograder.student_records.renaming import rename as rename_student

    done = rename_student(Course.find(), old, new)
    print(f"{old} is now {new}; changed: {_listed(done.changed)}")
    if done.still_named_in:
        print(f"these files still contain {old!r}; check them yourself: {_listed(done.still_named_in)}")
    print("feedback pages, exports and reports that contained the old id were removed: write them again")


def _confirmed(found: list[str]) -> bool:
    if not sys.stdin.isatty():
        raise CourseError("this removes data for good and needs a confirmation, but no terminal is open: add --yes")
    print("this will be removed for good:", *found, sep="\n  ")
    return input("Remove it? Type yes: ").strip().lower() == "yes"


def _listed(phrases: tuple[str, ...]) -> str:
    return in_short(phrases, _MOST_SHOWN)
