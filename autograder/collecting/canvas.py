"""Reads Canvas' "Download Submissions": one zip archive without folders.

A file is called ``lovelaceada_LATE_12345_67890_03_vae-1.ipynb``: the student's sortable name, in lower case without
spaces and commas; ``LATE`` if Canvas counts it as late; Canvas' number of the student; the number of the file; the
file's own name, with ``-1`` and so on if the student has handed in a file of that name before. Text typed into Canvas
is called ``…_12345_text.html``. Anonymous grading writes ``anon_`` and a code instead of name and number. For a group,
the name is the group's and the number that of one member. The times in the archive are those of the download.
https://github.com/instructure/canvas-lms/blob/master/lib/content_zipper.rb
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from autograder.collecting.archives import Entry, LeftOut
from autograder.collecting.handed_in_work import FoundWork, Offering, Work, WorkFile
from autograder.course.student_lookup import Claim

__all__ = ["canvas_files", "read_canvas"]

_FILE = re.compile(r"(?P<who>.+?)(?P<late>_late)?_(?P<user>\d+)_(?P<number>\d+)_(?P<name>.+)", re.I)
_ANONYMOUS = re.compile(r"(late_)?anon_\w+?_\d+_.+", re.I)
_TYPED = re.compile(r".+_\d+_(text|link)\.html", re.I)
_AGAIN = re.compile(r"-\d+(?=(\.[^.]*)?$)")


@dataclass(frozen=True)
class _File:
    """A file as Canvas names it."""

    entry: Entry
    who: str
    user: str
    number: int
    name: str
    is_late: bool

    @property
    def base(self) -> str:
        """Its name without the number that Canvas adds if a student hands in a file of that name again."""
        return _AGAIN.sub("", self.name)


def canvas_files(entries: Sequence[Entry]) -> int:
    """The number of files named in Canvas' way."""
    return sum(bool(_FILE.fullmatch(entry.name) or _TYPED.fullmatch(entry.name)) for entry in entries)


def read_canvas(entries: Sequence[Entry], _: Offering) -> FoundWork:
    """The submissions of all students; of several files with one name, the highest number is the latest."""
    by_user: dict[str, list[_File]] = defaultdict(list)
    left_out = []
    # Canvas makes no folders. Deeper files were unpacked from a student's archive and have names that the student
    # chose.
    depth = min((len(entry.parts) for entry in entries if _FILE.fullmatch(entry.name)), default=1)
    for entry in entries:
        file = _file(entry) if len(entry.parts) == depth else "in a folder, although Canvas makes none"
        if isinstance(file, _File):
            by_user[file.user].append(file)
        else:
            left_out.append(LeftOut(entry.path, file))
    works = tuple(work for files in by_user.values() for work in _works(files))
    return FoundWork(works, tuple(left_out))


def _file(entry: Entry) -> _File | str:
    """The parsed file name, or why the file belongs to nobody."""
    if _ANONYMOUS.fullmatch(entry.name):
        return "handed in for anonymous grading: download it again with names"
    if _TYPED.fullmatch(entry.name):
        return "typed into Canvas, or a link: it is not a notebook"
    parts = _FILE.fullmatch(entry.name)
    if not parts:
        return "not named in Canvas' way"
    return _File(entry, parts["who"], parts["user"], int(parts["number"]), parts["name"], bool(parts["late"]))


def _works(files: Sequence[_File]) -> Iterator[Work]:
    """A student's latest work, and each file that a later one has replaced as work of its own."""
    same: dict[str, list[_File]] = defaultdict(list)
    for file in sorted(files, key=lambda file: file.number):
        same[file.base.lower()].append(file)
    latest: dict[str, _File] = {}
    earlier = []
    for versions in same.values():
        if _are_versions(versions):
            latest[versions[-1].base] = versions[-1]
            earlier.extend(versions[:-1])
        else:
            latest.update({file.name: file for file in versions})
    yield _work(latest)
    yield from (_work({file.base: file}) for file in earlier)


def _are_versions(files: Sequence[_File]) -> bool:
    """Whether files that differ in a number at the end are versions of one file.

    ``fig.png`` and ``fig-1.png`` are; ``fig-1.png`` and ``fig-2.png`` are two figures that the student named so.
    """
    is_notebook = files[0].base.lower().endswith(".ipynb")
    return len(files) == 1 or is_notebook or any(file.name == file.base for file in files)


def _work(files: Mapping[str, _File]) -> Work:
    """One piece of work, made of files by the names that the student gave them."""
    newest = max(files.values(), key=lambda file: file.number)
    notebooks = [file for file in files.values() if file.name.lower().endswith(".ipynb")]
    main = max(notebooks or files.values(), key=lambda file: file.number)
    return Work(
        main.entry.name,
        ((Claim(newest.user, ("canvas_id",)), Claim(newest.who, ("name",))),),
        tuple(WorkFile(name, file.entry) for name, file in files.items()),
        marked_late=newest.is_late,
        order=newest.number,
        number=newest.user,
        returned_as=main.entry.name,
    )
