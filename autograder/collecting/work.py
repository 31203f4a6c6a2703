"""Work: what somebody has handed in at one time, as a download holds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from autograder.collecting.archives import Entry, LeftOut
from autograder.course.people import Claim
from autograder.course.roster import Roster

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
        order: tells later work of one person from earlier where no time does; 0 if nothing does.
        number: by which a table of times may speak of it; empty if there is none.
        returned_as: the name under which the system takes a page about this work back; empty if it takes none.
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
