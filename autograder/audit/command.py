"""The command ``course audit``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional

from autograder.audit.findings import AuditResult
from autograder.audit.tables import long_table, markdown, short_table, summary
from autograder.course.course import Course, CourseError
from autograder.sandbox.bubblewrap import require_sandbox

__all__ = ["audit"]

_MOST_WORKERS = 8  # by default: each needs half a gigabyte of memory


def audit(
    units: Annotated[Positional[tuple[str, ...]], tyro.conf.arg(metavar="[UNIT ...]")] = (),
    long: bool = False,
    publish: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None,
    again: bool = False,
    sandboxed: bool = False,
    workers: int = min(_MOST_WORKERS, os.cpu_count() or 1),
) -> int:
    """Prove the grader: wrong solutions must fail by the case that names them, right ones must get all points.

    Prints which case catches which mistakes; the exit status is 1 if the judge is at fault anywhere. What was proved
    before is not judged again until something changes that it depends on, be it deep in the library.

    Args:
        units: Units to audit, as 03 or 03_vae; all if none is named.
        long: Print each solution with the points it gets and what its student is told.
        publish: Write the table as Markdown to this file too, unless the judge is at fault.
        again: Judge everything, whatever was proved before.
        sandboxed: Run each solution in the sandbox, as a student's would; slower, and always judged anew.
        workers: Components judged at the same time.
    """
    from autograder.audit.auditing import audit_units  # loads torch, which --help should not pay
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
        raise CourseError(f"{path} is not written, because the judge is at fault: see the complaints above")
    path.write_text(markdown(result), encoding="utf-8")
    print(path)
