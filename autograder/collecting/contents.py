"""Arranges the files of a submission for ``submitted/``: the notebook gets the unit's name, others go beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from autograder.collecting.archives import Entry, foreign_archive, unpacked
from autograder.collecting.handed_in_work import Work, WorkFile
from autograder.course.course import CourseError
from autograder.plain_text import printable

__all__ = ["Contents", "contents"]

# The file with the time of handing in. Only nbgrader and course collect may write it.
_TIMESTAMP = "timestamp.txt"
_FOREIGN_ENDINGS = (".rar", ".7z", ".gz", ".tgz", ".xz", ".bz2", ".tar")
_NOTEBOOK = ".ipynb"
_AGAIN = re.compile(r"\s*(-\d+|\(\d+\)|_\d+)?$")


@dataclass(frozen=True)
class Contents:
    """The files for a student's folder.

    Attributes:
        files: the files, by their path in the folder.
        remarks: notes for the instructor about files that were left out.
    """

    files: Mapping[str, Entry]
    remarks: tuple[str, ...] = ()


def contents(work: Work, unit: str) -> Contents:
    """The files of a piece of work, with zip archives in it unpacked.

    Args:
        work: the piece of work.
        unit: the name that the notebook gets; of several notebooks, the one with this name counts.
    """
    remarks: list[str] = []
    files = [file for file in _unpacked(work.files, remarks) if _is_wanted(file, remarks)]
    names = _without_common_folder([file.name for file in files])
    notebook = _notebook(names, unit, remarks)
    placed: dict[str, Entry] = {}
    for name, file in zip(names, files, strict=True):
        target = f"{unit}{_NOTEBOOK}" if name == notebook else name
        if target in placed or (name != notebook and target == f"{unit}{_NOTEBOOK}"):
            remarks.append(f"{printable(name)} was left out: another file has its name")
            continue
        placed[target] = file.entry
    return Contents(placed, tuple(remarks))


def _unpacked(files: Sequence[WorkFile], remarks: list[str]) -> Iterator[WorkFile]:
    for file in files:
        if not file.name.lower().endswith(".zip"):
            yield file
            continue
        try:
            inside = unpacked(file.entry)
        except CourseError as trouble:
            remarks.append(f"{printable(file.name)} was left out: {trouble}")
            continue
        remarks.extend(f"in {printable(file.name)}, {left_out}" for left_out in inside.left_out)
        folder = file.name[: -len(".zip")] + "/" if len(files) > 1 else ""
        yield from (WorkFile(folder + entry.path, entry) for entry in inside.entries)


def _is_wanted(file: WorkFile, remarks: list[str]) -> bool:
    name = file.name.rpartition("/")[2].lower()
    if name == _TIMESTAMP:
        remarks.append(f"{printable(file.name)} was left out: the student wrote it, not the system")
    elif name.endswith(_FOREIGN_ENDINGS):
        remarks.append(
            f"{printable(file.name)} was left out: {_kind(file)} archives are not supported; ask for a zip archive"
        )
    else:
        return not name.startswith(".")
    return False


def _kind(file: WorkFile) -> str:
    with file.entry.opened() as opened:
        return foreign_archive(opened.read(8)) or file.name.rpartition(".")[2]


def _without_common_folder(names: Sequence[str]) -> list[str]:
    parts = [name.split("/") for name in names]
    while parts and all(len(part) > 1 and part[0] == parts[0][0] for part in parts):
        parts = [part[1:] for part in parts]
    return ["/".join(part) for part in parts]


def _notebook(names: Sequence[str], unit: str, remarks: list[str]) -> str:
    """The notebook that counts; empty if there is none, or if it is unclear which; the grader then reports it."""
    notebooks = [name for name in names if name.lower().endswith(_NOTEBOOK)]
    if len(notebooks) == 1:
        return notebooks[0]
    for fits in (_is_called, _is_called_again):
        named = [name for name in notebooks if fits(name, unit)]
        if len(named) == 1:
            others = ", ".join(printable(name) for name in notebooks if name != named[0])
            remarks.append(f"of {len(notebooks)} notebooks {printable(named[0])} counts; the others: {others}")
            return named[0]
    if notebooks:
        remarks.append(
            f"{len(notebooks)} notebooks, and it is unclear which counts: {', '.join(map(printable, notebooks))}"
        )
    return ""


def _is_called(name: str, unit: str) -> bool:
    return name.rpartition("/")[2].lower() == f"{unit}{_NOTEBOOK}".lower()


def _is_called_again(name: str, unit: str) -> bool:
    stem = name.rpartition("/")[2][: -len(_NOTEBOOK)]
    return _AGAIN.sub("", stem).lower() == unit.lower()
