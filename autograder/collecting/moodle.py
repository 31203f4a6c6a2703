"""What Moodle calls "Download all submissions": a folder for each student, or all files side by side.

With folders a file lies at ``Ada Lovelace_1234567_assignsubmission_file/03_vae.ipynb`` (before Moodle 4.1 with
another ``_`` at the end of the folder), without at ``Ada Lovelace_1234567_assignsubmission_file_03_vae.ipynb``. The
number is that of the student in this assignment; it stands in the assignment's grading worksheet as "Participant
1234567", and nowhere else. Text that is typed in is called ``…_assignsubmission_onlinetext/onlinetext.html``. Blind
marking writes "Participant" in place of the name, a team's work carries the team's name and number. There is no time
of handing in: the archive's are those of the download, or in recent versions those of the file, which a student can
have uploaded long before handing in.
https://github.com/moodle/moodle/blob/main/mod/assign/classes/downloader.php
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from autograder.collecting.archives import Entry, LeftOut
from autograder.collecting.handed_in_work import FoundWork, Offering, Work, WorkFile
from autograder.course.student_lookup import Claim

__all__ = ["moodle_files", "read_moodle"]

_PREFIX = re.compile(r"((?P<who>.+?)(_(?P<number>\d+))?_assignsubmission_(?P<kind>[a-z]+))(_(?P<rest>.*))?")


def moodle_files(entries: Sequence[Entry]) -> int:
    """How many files are named as Moodle does."""
    return sum(_place(entry) is not None for entry in entries)


def read_moodle(entries: Sequence[Entry], _: Offering) -> FoundWork:
    """Everybody's work; Moodle hands out only the latest of each."""
    files: dict[str, list[WorkFile]] = defaultdict(list)
    prefixes: dict[str, re.Match[str]] = {}
    left_out = []
    for entry in entries:
        place = _place(entry)
        if place is None:
            left_out.append(LeftOut(entry.path, "not named as Moodle names submissions"))
        elif place[0]["kind"] != "file":
            left_out.append(LeftOut(entry.path, "typed into Moodle: no file was handed in there"))
        else:
            prefixes[place[0][1]] = place[0]
            files[place[0][1]].append(WorkFile(place[1], entry))
    works = tuple(_work(prefix, files[label]) for label, prefix in prefixes.items())
    return FoundWork(works, tuple(left_out))


def _place(entry: Entry) -> tuple[re.Match[str], str] | None:
    """The part of a path that says whose it is, and the file's own name below it."""
    for index, part in enumerate(entry.parts):
        if prefix := _PREFIX.fullmatch(part):
            below = [*filter(None, [prefix["rest"]]), *entry.parts[index + 1 :]]
            return (prefix, "/".join(below)) if below else None
    return None


def _work(prefix: re.Match[str], files: Sequence[WorkFile]) -> Work:
    claims = (Claim(prefix["who"], ("name",)),)
    return Work(prefix[1], (claims,), tuple(files), number=prefix["number"] or "", returned_as=prefix[1])
