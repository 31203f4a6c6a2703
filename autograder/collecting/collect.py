"""Copies submissions from an LMS's download to ``submitted/<student>/<unit>/``, with the times of handing in.

Nothing is guessed: work that matches no student in the roster, or several, is listed and left out. Later work replaces
earlier work, which is kept elsewhere; if the order is unknown, ``submitted/`` stays as it is. Collecting the same
download again changes nothing.
"""

from __future__ import annotations

import errno
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from autograder.collecting.archives import Download, LeftOut, opened_download
from autograder.collecting.collection_records import Collected, collected_work, earlier_work, remember
from autograder.collecting.contents import contents
from autograder.collecting.folders import digest_of, put, set_aside, stage, write_moment, written_moment
from autograder.collecting.handed_in_work import FoundWork, Offering, Work
from autograder.collecting.lms_times import moment
from autograder.collecting.owners import Owners
from autograder.collecting.systems import READERS, System, guessed_system, knows_students_by_id
from autograder.collecting.time_tables import Times, read_times
from autograder.course.audit_log import log_event
from autograder.course.course import Course, CourseError, Unit
from autograder.course.lock import course_lock
from autograder.course.private_files import private_folder
from autograder.course.roster import Roster
from autograder.course.student_ids import normal_id
from autograder.course.student_lookup import same_name
from autograder.plain_text import printable

__all__ = ["Collection", "Kind", "Outcome", "collect"]

_DAMAGES = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError)
_OURS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG)


class Kind(StrEnum):
    """The kinds of outcome for a student's work."""

    NEW = "new"  # there was no earlier work
    LATER = "later"  # it has replaced earlier work
    SAME = "same"  # identical work was there already
    EARLIER = "earlier"  # later work was there, and stays
    UNCLEAR = "unclear"  # other work was there, and which of them is later is unknown


@dataclass(frozen=True)
class Outcome:
    """The outcome of collecting one student's work.

    Attributes:
        student: the student's id.
        label: the name of the work in the download.
        kind: whether the work is new, later, the same, …
        moment: when it was handed in; None if unknown.
        marked_late: whether the LMS marks it as late.
        is_time_changed: whether the same work got a new or corrected time of handing in.
        was_graded: whether earlier work of this student has been graded.
        aside: where earlier work is kept.
        remarks: notes for the instructor.
    """

    student: str
    label: str
    kind: Kind
    moment: datetime | None = None
    marked_late: bool = False
    is_time_changed: bool = False
    was_graded: bool = False
    aside: tuple[Path, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def is_in_place(self) -> bool:
        return self.kind in (Kind.NEW, Kind.LATER, Kind.SAME)


@dataclass(frozen=True)
class Collection:
    """The result of collecting one download.

    Attributes:
        system: the system that made the download.
        outcomes: one for each student with work in the download.
        left_out: files and work that were not used, and why.
        missing: students in the roster without any work for the unit.
        without_row: rows of the table of times that match no student, or several.
    """

    system: System
    outcomes: tuple[Outcome, ...]
    left_out: tuple[LeftOut, ...]
    missing: tuple[str, ...] = ()
    without_row: tuple[str, ...] = ()


def collect(
    course: Course,
    unit: Unit,
    source: Path,
    system: System | None = None,
    times: Path | None = None,
    groups: bool = False,
    replace_unclear: bool = False,
) -> Collection:
    """Copy a download's submissions into ``submitted/``.

    Args:
        source: a zip archive or a folder.
        system: the system it was downloaded from; by default guessed from the file names.
        times: a table of times of handing in.
        groups: give group work to each of its authors; otherwise it is left out.
        replace_unclear: replace work in ``submitted/`` even if it is not known which is later.

    Raises:
        CourseError: the download, the roster or the table of times cannot be used.
    """
    with course_lock(course, f"course collect {unit.name}"), opened_download(source) as download:
        roster = Roster.of(course)
        system = system or guessed_system(download.entries)
        if not roster and not knows_students_by_id(system):
            raise CourseError(
                f"{system.capitalize()} names students by its own numbers and names, so a roster is needed: export the "
                "class list there, and run course roster FILE"
            )
        table = read_times(times, roster, course.zone) if times else Times()
        found = _found(course, unit, roster, download, system, source)
        run = _Run(course, unit, system, roster, table, replace_unclear)
        run.all_of(Owners(roster, table, groups).of(found.works))
        left_out = (*download.left_out, *found.left_out, *run.left_out)
        collection = Collection(system, tuple(run.outcomes), left_out, run.missing(), table.strangers)
        _log(course, unit, source, collection)
        return collection


def _found(course: Course, unit: Unit, roster: Roster, download: Download, system: System, source: Path) -> FoundWork:
    offering = Offering(unit.name, tuple(each.name for each in course.units), course.zone, roster)
    found = READERS[system](download.entries, offering)
    if not found.works:
        raise CourseError(
            f"{source} contains no submission named in the way of {system}: check the file, or state its system with "
            "--from"
        )
    return found


def _log(course: Course, unit: Unit, source: Path, collection: Collection) -> None:
    counts = {kind.value: sum(outcome.kind == kind for outcome in collection.outcomes) for kind in Kind}
    facts = {"source": str(source.resolve()), "system": collection.system, "left_out": len(collection.left_out)}
    log_event(course, "collect", unit=unit.name, **facts, **counts)


@dataclass
class _Run:
    """The state of one run of :func:`collect`."""

    course: Course
    unit: Unit
    system: System
    roster: Roster
    times: Times
    replace_unclear: bool
    outcomes: list[Outcome] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    records: dict[str, Collected] = field(default_factory=dict)

    def all_of(self, owned: tuple[Mapping[str, Sequence[Work]], Sequence[LeftOut]]) -> None:
        works, left_out = owned
        self.left_out.extend(left_out)
        self.records.update(collected_work(self.course, self.unit))
        staging = self.course.submitted / ".collecting"  # a hidden folder is no student
        shutil.rmtree(staging, ignore_errors=True)
        try:
            for number, (student, theirs) in enumerate(works.items()):
                self._student(student, theirs, staging / str(number))
        finally:
            shutil.rmtree(staging, ignore_errors=True)
            if self.records:
                remember(self.course, self.unit, self.records)

    def missing(self) -> tuple[str, ...]:
        return tuple(student for student in self.roster.students if not self._place(student).exists())

    def _student(self, student: str, works: Sequence[Work], staging: Path) -> None:
        ordered = _in_order(works)
        if ordered is None:
            labels = ", ".join(work.label for work in works)
            self.left_out.append(
                LeftOut(
                    labels,
                    f"{len(works)} submissions by {student}, and it is unknown which is the latest: collect one only",
                )
            )
            return
        *earlier, latest = ordered
        aside = [self._keep(student, work, staging / f"earlier-{number}") for number, work in enumerate(earlier)]
        if outcome := self._latest(student, latest, staging / "latest"):
            aside = [*filter(None, aside), *outcome.aside]
            self.outcomes.append(replace(outcome, aside=tuple(aside)))

    def _latest(self, student: str, work: Work, staged: Path) -> Outcome | None:
        when = self.times.of_students.get(student) or work.moment
        unpacked = self._stage(work, staged)
        if unpacked is None:
            return None
        digest, remarks = unpacked
        place = self._place(student)
        remarks = (*remarks, *self._other_names(student, work))
        outcome = Outcome(student, work.label, Kind.NEW, when, work.marked_late, remarks=remarks)
        if wrong := _no_folder(place):
            in_the_way = f"{wrong} is a link or a file, but must be a folder: remove it, and collect again"
            return replace(outcome, kind=Kind.UNCLEAR, remarks=(*remarks, in_the_way))
        if place.exists():
            outcome = self._beside_other_work(outcome, work, staged, place, digest)
        else:
            write_moment(staged, when)
            put(staged, place)
        if outcome.is_in_place:
            self._remember(student, Collected(self.system, work.label, digest, work.order, work.returned_as))
        return replace(outcome, was_graded=outcome.kind in (Kind.NEW, Kind.LATER) and self._was_graded(student))

    def _remember(self, student: str, work: Collected) -> None:
        """Record where work came from, without losing the name under which an LMS accepts a page about the same
        work."""
        before = self.records.get(student)
        if before is None or before.sha256 != work.sha256 or work.returned_as or not before.returned_as:
            self.records[student] = work

    def _other_names(self, student: str, work: Work) -> Iterator[str]:
        """A remark if the download gives another name than the roster: group work carries the number of one member."""
        name = self.roster[student].name
        claimed = [claim.value for claims in work.people for claim in claims if claim.fields == ("name",)]
        if name and len(claimed) == 1 and claimed[0] and not same_name(name, claimed[0]) and claimed[0] != student:
            yield f"in the download the author is {printable(claimed[0])}: check whether it is group work"

    def _beside_other_work(self, outcome: Outcome, work: Work, staged: Path, place: Path, digest: str) -> Outcome:
        there, when_there = digest_of(place), self._moment_in(place)
        if there == digest:
            return self._same(outcome, place, when_there)
        is_later = self._is_later(outcome.moment, work, when_there, self.records.get(outcome.student), there)
        if is_later is None and self.replace_unclear:
            is_later = True
        if is_later:
            write_moment(staged, outcome.moment)
            aside = set_aside(place, self._aside(outcome.student, when_there, there))
            put(staged, place, otherwise=aside)
            return replace(outcome, kind=Kind.LATER, aside=(aside,))
        if is_later is False:
            return replace(outcome, kind=Kind.EARLIER, aside=self._moved_aside(outcome.student, outcome.moment, staged))
        return replace(outcome, kind=Kind.UNCLEAR)

    def _same(self, outcome: Outcome, place: Path, when_there: datetime | None) -> Outcome:
        """Identical work keeps its earliest time of handing in, unless a table of times gives another."""
        when = self.times.of_students.get(outcome.student)
        when = when or min(filter(None, (outcome.moment, when_there)), default=None)
        if when != when_there:
            write_moment(place, when)
        return replace(outcome, kind=Kind.SAME, moment=when, is_time_changed=when != when_there)

    def _is_later(
        self, when: datetime | None, work: Work, when_there: datetime | None, record: Collected | None, there: str
    ) -> bool | None:
        """Whether work is later than the work in ``submitted/``; None if unknown."""
        if when and when_there and when != when_there:
            return when > when_there
        if record and record.sha256 == there and record.system == self.system and record.order and work.order:
            return work.order > record.order
        return None

    def _keep(self, student: str, work: Work, staged: Path) -> Path | None:
        """Keep work that later work in the same download replaces."""
        if self._stage(work, staged) is None:
            return None
        return next(iter(self._moved_aside(student, work.moment, staged)), None)

    def _moved_aside(self, student: str, when: datetime | None, staged: Path) -> tuple[Path, ...]:
        folder = self._aside(student, when, digest_of(staged))
        if folder.exists():
            return ()  # it was kept before
        write_moment(staged, when)
        return (set_aside(staged, folder),)

    def _stage(self, work: Work, staged: Path) -> tuple[str, tuple[str, ...]] | None:
        """Unpack work; return its digest and remarks, or None (and note why) if it cannot be used."""
        try:
            files = contents(work, self.unit.name)
            if files.files:
                return stage(staged, files), files.remarks
            reason = "; ".join(files.remarks) or "it contains no file"
        except _DAMAGES as trouble:
            if isinstance(trouble, OSError) and trouble.errno in _OURS:
                raise
            reason = f"damaged ({trouble}): download it again, or ask the student for it"
        self.left_out.append(LeftOut(work.label, reason))
        return None

    def _place(self, student: str) -> Path:
        """The student's folder for the unit, whichever way accents are encoded in its name."""
        submitted = private_folder(self.course.submitted)
        if (submitted / student).exists():
            return submitted / student / self.unit.name
        alike = (entry for entry in submitted.iterdir() if normal_id(entry.name) == normal_id(student))
        return next(alike, submitted / student) / self.unit.name

    def _moment_in(self, place: Path) -> datetime | None:
        try:
            return moment(written_moment(place), self.course.zone)
        except ValueError:
            return None

    def _aside(self, student: str, when: datetime | None, digest: str) -> Path:
        name = f"{when:%Y-%m-%d_%H%M%S}" if when else "time-unknown"
        return earlier_work(self.course, self.unit) / student / f"{name}-{digest[:8]}"

    def _was_graded(self, student: str) -> bool:
        return (self.course.results_of(self.unit) / f"{student}.json").exists()


def _no_folder(place: Path) -> Path | None:
    """The link or file that stands in place of the student's or the unit's folder; None if there is none."""
    levels = (place.parent, place)
    return next((path for path in levels if path.is_symlink() or (path.exists() and not path.is_dir())), None)


def _in_order(works: Sequence[Work]) -> Sequence[Work] | None:
    """One student's work from the earliest to the latest; None if the order is unknown."""
    if len(works) == 1:
        return works
    if all(work.moment for work in works):
        return sorted(works, key=lambda work: (work.moment, work.order))
    if all(work.order for work in works):
        return sorted(works, key=lambda work: work.order)
    return None
