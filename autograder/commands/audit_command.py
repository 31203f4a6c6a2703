"""The command ``course audit``: tests the grader on known mistakes and right solutions."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import FlagCreatePairsOff, Positional

from autograder.audit.findings import AuditResult
from autograder.audit.tables import long_table, markdown, short_table, summary
from autograder.course.course import Course, CourseError
from autograder.sandbox.bubblewrap import require_sandbox

__all__ = ["audit"]

_MOST_WORKERS = 8  # by default: each needs half a gigabyte of memory


def audit(
    units: Annotated[Positional[tuple[str, ...]], tyro.conf.arg(metavar="[UNIT ...]", help_behavior_hint="")] = (),
    long: Annotated[bool, FlagCreatePairsOff] = False,
    publish: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None,
    again: Annotated[bool, FlagCreatePairsOff] = False,
    sandboxed: Annotated[bool, FlagCreatePairsOff] = False,
    workers: Annotated[int, tyro.conf.arg(metavar="N")] = min(_MOST_WORKERS, os.cpu_count() or 1),
) -> int:
    """Test the grader: each known mistake must fail the case that names it, each right solution must get all points.

    Prints which case catches which mistakes; the exit status is 1 if any check is wrong. A result is kept until
    something that it depends on changes, in the check or in the library.

    Args:
        units: Units to audit, as 03 or 03_vae; by default all.
        long: Print for each solution its points and the feedback that a student would get.
        publish: Also write the table to this file, as Markdown, unless a check is wrong.
        again: Judge all solutions again; use no kept result.
        sandboxed: Run each solution in the sandbox, like a student's. Slower; no kept results are used.
        workers: Number of components judged at the same time.
    """
    from autograder.audit.auditing import audit_units  # imports torch, which takes seconds; --help should not wait
    from autograder.audit.kept_audits import KeptAudits

    if workers < 1:
        raise CourseError(f"--workers must be at least 1, got {workers}")
    if sandboxed:
        require_sandbox()
    course = Course.find()
    names = [course.unit(unit).name for unit in units]
    result = audit_units(names, KeptAudits.of(course), again, workers, sandboxed)
    print(long_table(result) if long else short_table(result), end="\n\n")
    print(summary(result))
    if publish:
        _publish(result, publish)
    return 1 if result.complaints else 0


def _publish(result: AuditResult, path: Path) -> None:
    if result.complaints:
        raise CourseError(f"{path} is not written, because a check is wrong: see the complaints above")
    path.write_text(markdown(result), encoding="utf-8")
    print(path)
