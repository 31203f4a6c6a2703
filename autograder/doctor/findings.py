"""What ``course doctor`` finds: one fact each, and one line that mends it where something is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Finding", "printed"]


@dataclass(frozen=True)
class Finding:
    """One fact about this machine or this course.

    Attributes:
        topic: what was looked at, in a word or two.
        said: what is the case.
        remedy: what to do about it; empty where nothing is missing.
    """

    topic: str
    said: str
    remedy: str = ""


def printed(title: str, findings: Sequence[Finding]) -> str:
    """A section of the report: a line for each finding, and below it what mends it."""
    width = max(len(finding.topic) for finding in findings)
    lines = [title]
    for finding in findings:
        lines.append(f"  {'!' if finding.remedy else ' '} {finding.topic.ljust(width)}  {finding.said}")
        if finding.remedy:
            lines.append(f"    {' ' * width}  → {finding.remedy}")
    return "\n".join(lines)
