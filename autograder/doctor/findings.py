"""The findings that ``course doctor`` prints: a fact each, and a remedy if something is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Finding", "printed"]


@dataclass(frozen=True)
class Finding:
    """One fact about this machine or this course.

    Attributes:
        topic: the thing that was checked, in a word or two.
        said: the fact.
        remedy: what to do about it; empty if all is well.
    """

    topic: str
    said: str
    remedy: str = ""


def printed(title: str, findings: Sequence[Finding]) -> str:
    """A section of the report: a line for each finding, and its remedy on the next line."""
    width = max(len(finding.topic) for finding in findings)
    lines = [title]
    for finding in findings:
        lines.append(f"  {'!' if finding.remedy else ' '} {finding.topic.ljust(width)}  {finding.said}")
        if finding.remedy:
            lines.append(f"    {' ' * width}  → {finding.remedy}")
    return "\n".join(lines)
