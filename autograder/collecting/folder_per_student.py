"""Reads archives and folders made by hand, with a folder or a file for each student.

``ada/03_vae.ipynb``, ``ada/03_vae/03_vae.ipynb``, ``ada.ipynb``, ``ada.zip``, ``03_vae_ada.ipynb`` or ``ada -
03_vae.ipynb``. ``ada`` can be the student's id, login, address or name. Of several units' folders, only this unit's
counts. The time of handing in is unknown, because a ``timestamp.txt`` in the folder may be the student's.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from autograder.collecting.archives import Entry, common_folder
from autograder.collecting.handed_in_work import FoundWork, Offering, Work, WorkFile
from autograder.course.student_lookup import Claim, find_student

__all__ = ["read_plain"]

_IDS = ("id", "login", "email", "sis_id", "moodle_id", "canvas_id")


def read_plain(entries: Sequence[Entry], offering: Offering) -> FoundWork:
    """The submissions of all students: one for each folder or file on the students' level."""
    files: dict[tuple[str, str], list[WorkFile]] = defaultdict(list)
    shared = _shared(entries, offering)
    for entry in entries:
        label, who, name = _owner(entry, shared, offering)
        files[label, who].append(WorkFile(name, entry))
    works = (Work(label, (_claims(who),), tuple(_own(of, offering))) for (label, who), of in files.items())
    return FoundWork(tuple(work for work in works if work.files))


def _claims(who: str) -> Sequence[Claim]:
    return Claim(who, _IDS), Claim(who, ("name",))


def _shared(entries: Sequence[Entry], offering: Offering) -> int:
    """The number of folders above the students' folders; names below that level are the students' own choice."""
    shared = common_folder(entries)
    for depth, folder in enumerate(shared):
        if _is_somebody(folder, offering):
            return depth  # one student's folder
    if offering.unit in shared[1:]:
        return shared.index(offering.unit, 1) - 1
    notebooks = [entry for entry in entries if entry.name.lower().endswith(".ipynb")]
    directly = all(len(entry.parts) == len(shared) + 1 for entry in entries)
    return len(shared) - bool(shared and directly and len(notebooks) <= 1)


def _is_somebody(who: str, offering: Offering) -> bool:
    return bool(find_student(offering.roster, _claims(who)).students)


def _owner(entry: Entry, shared: int, offering: Offering) -> tuple[str, str, str]:
    """The owner of a file: the path of the submission, the name of its author, and the file's name in it."""
    if len(entry.parts) > shared + 1:
        return "/".join(entry.parts[: shared + 1]), entry.parts[shared], "/".join(entry.parts[shared + 1 :])
    names = (entry.name.partition(".")[0], entry.name.rpartition(".")[0], _stem(entry.name, offering.unit))
    who = next((name for name in names if _is_somebody(name, offering)), names[-1])
    return entry.path, who, entry.name


def _stem(name: str, unit: str) -> str:
    """A file's name without its ending and the unit's name."""
    stem = re.sub(r"\.(ipynb|zip)$", "", name, flags=re.IGNORECASE)
    without = re.sub(rf"^{re.escape(unit)}[\s_.+-]+|[\s_.+-]+{re.escape(unit)}$", "", stem, flags=re.IGNORECASE)
    return without.strip() or stem


def _own(files: Sequence[WorkFile], offering: Offering) -> Iterator[WorkFile]:
    """The files of this unit: those in its folder, if the units have folders here."""
    folders = {file.name.partition("/")[0] for file in files if "/" in file.name}
    if folders.isdisjoint(offering.units):
        yield from files
        return
    for file in files:
        folder, _, name = file.name.partition("/")
        if folder == offering.unit:
            yield WorkFile(name, file.entry)
