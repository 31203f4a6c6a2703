"""Reads Moodle's "Download all submissions": a folder for each student, or all files in one folder.

With folders, the path of a file is ``Ada Lovelace_1234567_assignsubmission_file/03_vae.ipynb`` (before Moodle 4.1 with
another ``_`` at the end of the folder's name); without, ``Ada Lovelace_1234567_assignsubmission_file_03_vae.ipynb``.
The number identifies the student in this assignment; it appears only in the assignment's grading worksheet, as
"Participant 1234567". Text typed into Moodle is called ``…_assignsubmission_onlinetext/onlinetext.html``. Blind marking
writes "Participant" instead of the name; a team's work has the team's name and number. The times in the archive are
those of the download or, in recent versions, those when the file was uploaded, perhaps long before it was handed in.
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
    """The number of files named in Moodle's way."""
    return sum(_place(entry) is not None for entry in entries)


def read_moodle(entries: Sequence[Entry], _: Offering) -> FoundWork:
    """The submissions of all students; Moodle downloads only the latest of each."""
    files: dict[str, list[WorkFile]] = defaultdict(list)
    prefixes: dict[str, re.Match[str]] = {}
    left_out = []
    for entry in entries:
        place = _place(entry)
        if place is None:
            left_out.append(LeftOut(entry.path, "not named in Moodle's way"))
        elif place[0]["kind"] != "file":
            left_out.append(LeftOut(entry.path, "typed into Moodle: it is not a file"))
        else:
            prefixes[place[0][1]] = place[0]
            files[place[0][1]].append(WorkFile(place[1], entry))
    works = tuple(_work(prefix, files[label]) for label, prefix in prefixes.items())
    return FoundWork(works, tuple(left_out))


def _place(entry: Entry) -> tuple[re.Match[str], str] | None:
    """The part of a path that names the author, and the file's own name below it; None for other files."""
    for index, part in enumerate(entry.parts):
        if prefix := _PREFIX.fullmatch(part):
            below = [*filter(None, [prefix["rest"]]), *entry.parts[index + 1 :]]
            return (prefix, "/".join(below)) if below else None
    return None


def _work(prefix: re.Match[str], files: Sequence[WorkFile]) -> Work:
    claims = (Claim(prefix["who"], ("name",)),)
    return Work(prefix[1], (claims,), tuple(files), number=prefix["number"] or "", returned_as=prefix[1])
