"""Work: what somebody has handed in at one time, as a download holds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from autograder.collecting.archives import Entry, LeftOut
from autograder.course.roster import Roster
from autograder.course.student_lookup import Claim

__all__ = ["FoundWork", "Offering", "Work", "WorkFile"]


@dataclass(frozen=True)
class Offering:
    """What the course says that helps to read a download of one unit.

    Attributes:
        units: the names of all units.
        zone: of times that state none.
    """

    unit: str
    units: tuple[str, ...]
    zone: tzinfo
    roster: Roster


@dataclass(frozen=True)
class WorkFile:
    """A file of somebody's work, under the name that the student gave it, as far as the system has kept that."""

    name: str
    entry: Entry


@dataclass(frozen=True)
class Work:
    """What somebody handed in at one time.

    Attributes:
        label: what the download calls it, for a person to find it there.
        people: what is said about each of those who handed it in, usually one.
        moment: when it was handed in; None if the download does not say.
        marked_late: whether the system says that it was late.
        order: larger for later work of one person, where no time says it; 0 if unknown.
        number: the system's number of this work, which a table of times may use; empty if there is none.
        returned_as: the file name under which the system accepts feedback on this work; empty if it accepts none.
    """

    label: str
    people: tuple[Sequence[Claim], ...]
    files: tuple[WorkFile, ...]
    moment: datetime | None = None
    marked_late: bool = False
    order: int = 0
    number: str = ""
    returned_as: str = ""


@dataclass(frozen=True)
class FoundWork:
    """What a download holds, as one system writes downloads."""

    works: tuple[Work, ...]
    left_out: tuple[LeftOut, ...] = ()
