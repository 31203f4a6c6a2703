"""The types that describe submissions found in a download."""

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
    """The facts about the course that are needed to read a download.

    Attributes:
        unit: the name of the unit that was downloaded.
        units: the names of all units.
        zone: the time zone for times without one.
        roster: the class list.
    """

    unit: str
    units: tuple[str, ...]
    zone: tzinfo
    roster: Roster


@dataclass(frozen=True)
class WorkFile:
    """A file of a submission, under the name that the student gave it, if the system has kept the name."""

    name: str
    entry: Entry


@dataclass(frozen=True)
class Work:
    """One submission: the files that a student or a group handed in at one time.

    Attributes:
        label: its name in the download.
        people: claims about the identity of each author, usually one.
        files: its files.
        moment: when it was handed in; None if unknown.
        marked_late: whether the system marks it as late.
        order: larger for later work of one person, used if times are unknown; 0 if unknown.
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
    """The submissions in a download, and the files that belong to none."""

    works: tuple[Work, ...]
    left_out: tuple[LeftOut, ...] = ()
