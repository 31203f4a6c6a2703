"""Shows the outcome of an audit: a short table, a long table, and the published one."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

from autograder.audit.findings import EMPTY_ANSWER, FORMULA, MISTAKE, VARIANT, AuditResult, ComponentAudit, Finding
from autograder.counts_and_lists import counted

__all__ = ["long_table", "markdown", "markdown_section", "short_table", "summary"]

_WIDTH = 110
_PREFACE = """# The audit of the checks

This file shows, component by component, how the checks are tested. Wrong solutions that students really write must each
fail the case that names the mistake, and get the feedback in the sentence beside it. Right solutions written
differently must get all points. Trivial answers (zeros, NaN, an input returned) must get none. No case may be passed by
a simple formula of the inputs (a constant, an argument, its sign, sum, mean or softmax, one argument plus, minus, times
or over another) that fails other cases.

No feedback may name a mistake that the solution does not make. So every mistake is judged on three draws of all its
cases, alone and combined with a slip: an extra dimension, the opposite sign, half the result, another precision, no
gradient, a changed input or a NumPy result. A sentence counts as wrong if it names another mistake, or a relation
between the numbers, and not all draws confirm it. This file is written only if no sentence is wrong. If two mistakes
give the same results in a case, one sentence is true of both. Pairs of two mistakes from the lists below are not
tested, because their code cannot be combined.

Written by `course audit --publish autograder/AUDIT.md`. `make test` repeats the audit and compares it with this file.
"""


def short_table(result: AuditResult) -> str:
    """Which case catches which mistakes, and which variants are accepted; one block per component."""
    return "\n\n".join("\n".join(_short_block(audit)) for audit in result.audits)


def long_table(result: AuditResult) -> str:
    """Each mistake with its points and the student's feedback, each variant with its points."""
    return "\n\n".join("\n".join(_long_block(audit)) for audit in result.audits)


def summary(result: AuditResult) -> str:
    """The whole outcome in a sentence, and the number of kept audits."""
    known = f"\nkept from an earlier audit: {result.kept} of {len(result.audits)} components"
    return _verdict(result) + (known if result.kept else "")


def _verdict(result: AuditResult) -> str:
    counts = ", ".join(f"{result.count(role)} {role}s" for role in (MISTAKE, VARIANT, EMPTY_ANSWER))
    if complaints := len(result.complaints):
        return f"{counts}: {counted(complaints, 'complaint')} about the checks"
    sentences, pairs = (sum(getattr(audit, name) for audit in result.audits) for name in ("sentences", "pairs"))
    return (
        f"{counts}: every mistake fails the case that names it, every variant gets all points, no empty answer any, "
        "no simple formula passes a case; "
        f"none of {sentences} sentences about mistakes and {pairs} pairs names a wrong cause"
    )


def markdown(result: AuditResult) -> str:
    """The published table: an overview, and a section for each component."""
    head = ["component", "unit", "cases", "mistakes killed", "variants accepted", "empty answers without points"]
    head += ["pairs of mistakes", "sentences naming a cause", "of these true of two mistakes", "wrong"]
    overview = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *map(_overview_row, result.audits)]
    return "\n".join([_PREFACE, *overview, "", *map(markdown_section, result.audits)])


def markdown_section(audit: ComponentAudit) -> str:
    """One component's part of the published table."""
    rows = [
        f"| {_escaped(case)} ({points}) | `{mistake.name}` | {_escaped(mistake.sentence)} |"
        for case, points in audit.cases.items()
        for mistake in audit.killed_by(case)
    ]
    accepted = ", ".join(f"`{variant.name}`" for variant in audit.of_role(VARIANT))
    table = ["| killed by the case (points) | mistake | what the student is told |", "|---|---|---|", *rows]
    return "\n".join([f"## {audit.component}", "", *table, "", f"Accepted as right: {accepted}.", ""])


def _overview_row(audit: ComponentAudit) -> str:
    counts = (len(audit.of_role(role)) for role in (MISTAKE, VARIANT, EMPTY_ANSWER))
    told = (audit.pairs, audit.sentences, audit.shared, 0)  # a wrong one is a complaint, and then nothing is published
    cells = (f"[{audit.component}](#{audit.component})", audit.unit, len(audit.cases), *counts, *told)
    return f"| {' | '.join(map(str, cells))} |"


def _escaped(text: str) -> str:
    return re.sub(r"([\\*|<\[])", r"\\\1", text)


def _short_block(audit: ComponentAudit) -> Iterator[str]:
    groups = {f"{case} ({points})": audit.killed_by(case) for case, points in audit.cases.items()}
    groups["accepted as right"] = audit.of_role(VARIANT)
    width = max(map(len, groups))
    yield _headline(audit)
    for title, findings in groups.items():
        names = [finding.name for finding in findings if not finding.complaint]
        yield _hanging(f"  {title:<{width}}  ", f"{len(names)}: {', '.join(names)}")
    yield from (_line(finding, audit) for finding in audit.complaints)


def _hanging(label: str, text: str) -> str:
    return textwrap.fill(text, _WIDTH, initial_indent=label, subsequent_indent=" " * len(label))


def _long_block(audit: ComponentAudit) -> Iterator[str]:
    yield _headline(audit)
    for role in (MISTAKE, VARIANT):
        yield from (_line(finding, audit) for finding in audit.of_role(role))
    for role in (EMPTY_ANSWER, FORMULA):
        yield from (_line(finding, audit) for finding in audit.of_role(role) if finding.complaint)


def _headline(audit: ComponentAudit) -> str:
    counts = ", ".join(f"{len(audit.of_role(role))} {role}s" for role in (MISTAKE, VARIANT, EMPTY_ANSWER))
    return f"{audit.component} ({audit.unit}): {counts}"


def _line(finding: Finding, audit: ComponentAudit) -> str:
    expected = f"{finding.case}: {finding.sentence}" if finding.role == MISTAKE else "right, written another way"
    said = f"JUDGE AT FAULT, it {finding.complaint}" if finding.complaint else expected
    return f"  {finding.name:<32} {finding.points:>2g}/{audit.max_points:g}  {said}"
