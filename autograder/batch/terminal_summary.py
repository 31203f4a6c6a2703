"""The output of a grading run in the terminal: a line per submission, a table of points, a summary."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import nbformat

from autograder.counts_and_lists import counted
from autograder.judging.jobs import Batch
from autograder.plain_text import printable
from autograder.results import SubmissionResult

__all__ = ["automatic_part", "line_of", "points_table", "summary"]

_NAME_WIDTH = 16
_LONGEST_REMARK = 300


def line_of(result: SubmissionResult, is_from_before: bool = False) -> str:
    """One line about a finished submission.

    Args:
        result: its result.
        is_from_before: whether the result comes from an earlier run.
    """
    name = _name(result).ljust(_NAME_WIDTH)
    if result.status == "quarantined":
        return f"{name}  quarantined  {printable(result.reason, _LONGEST_REMARK)}"
    points = f"{result.points:g}/{result.max_points:g}"
    flags = counted(len(result.flags), "flag") if result.flags else ""
    time = "earlier run" if is_from_before else f"{result.seconds:9.1f} s"
    return f"{name}  graded  {points:>9}  {time}  {flags}".rstrip()


def points_table(results: Sequence[SubmissionResult]) -> str:
    """A table with a row per student and a column per component, and the flags and reasons below it."""
    names = list(dict.fromkeys(name for result in results for name in result.components))
    header = ["student", *names, "points"]
    rows = [[_name(result), *_cells(result, names)] for result in results]
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [header, *rows]]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([line.rstrip() for line in lines] + _remarks(results))


def _cells(result: SubmissionResult, names: Sequence[str]) -> list[str]:
    if result.status == "quarantined":
        return ["-"] * len(names) + ["quarantined"]
    scores = [result.components.get(name) for name in names]
    each = [f"{score.points:g}/{score.max_points:g}" if score else "-" for score in scores]
    return [*each, f"{result.points:g}/{result.max_points:g}"]


def _remarks(results: Sequence[SubmissionResult]) -> list[str]:
    remarks = [(result, remark) for result in results for remark in (*filter(None, [result.reason]), *result.flags)]
    return (
        ["", *(f"{_name(result)}: {printable(remark, _LONGEST_REMARK)}" for result, remark in remarks)]
        if remarks
        else []
    )


def summary(results: Sequence[SubmissionResult], seconds: float, from_before: Collection[str] = ()) -> str:
    """One line about the whole run.

    Args:
        results: all results.
        seconds: duration of the run.
        from_before: students with a result from an earlier run.
    """
    graded = [result for result in results if result.status == "graded"]
    flagged = sum(bool(result.flags) for result in graded)
    counts = [f"{len(graded)} graded ({flagged} flagged)", f"{len(results) - len(graded)} quarantined"]
    if from_before:
        counts.append(f"{len(from_before)} from an earlier run")
    line = f"{counted(len(results), 'submission')} in {seconds:.1f} s: {', '.join(counts)}"
    fresh = [result for result in results if result.student not in from_before]
    if not fresh:
        return line
    slowest = max(fresh, key=lambda result: result.seconds)
    return f"{line}; slowest {_name(slowest)} ({slowest.seconds:.1f} s)"


def automatic_part(batch: Batch) -> tuple[str, ...]:
    """A line that says how many of the unit's points are automatic, if others are given by hand."""
    automatic = sum(batch.max_points.values())
    graded = (cell for cell in nbformat.reads(batch.release.decode("utf-8"), as_version=4).cells)
    labels = (cell.metadata.get("nbgrader", {}) for cell in graded)
    worth = sum(label["points"] for label in labels if label.get("grade"))
    if worth <= automatic:
        return ()
    return (
        f"these are the automatic points, {automatic:g} of the unit's {worth:g}; "
        f"{worth - automatic:g} for written answers are given by hand: course answers {batch.unit.split('_')[0]}",
    )


def _name(result: SubmissionResult) -> str:
    return printable(result.student, 40)
