"""The files of one piece of work as ``submitted/`` holds them: the notebook under the unit's name, others beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from autograder.collecting.archives import Entry, foreign_archive, unpacked
from autograder.collecting.handed_in_work import Work, WorkFile
from autograder.course.course import CourseError
from autograder.plain_text import printable

__all__ = ["Contents", "contents"]

# A file of this name says when work was handed in. Only what collects may write it.
_TIMESTAMP = "timestamp.txt"
_FOREIGN_ENDINGS = (".rar", ".7z", ".gz", ".tgz", ".xz", ".bz2", ".tar")
_NOTEBOOK = ".ipynb"
_AGAIN = re.compile(r"\s*(-\d+|\(\d+\)|_\d+)?$")


@dataclass(frozen=True)
class Contents:
    """What is written into a student's folder.

    Attributes:
        files: by the path below the folder.
        remarks: what a person should know of what was passed over.
    """

    files: Mapping[str, Entry]
    remarks: tuple[str, ...] = ()


def contents(work: Work, unit: str) -> Contents:
    """The files of a piece of work, those of zip archives in it unpacked.

    Args:
        unit: the notebook is called so; of several notebooks, the one that carries this name already.
    """
    remarks: list[str] = []
    files = [file for file in _unpacked(work.files, remarks) if _is_wanted(file, remarks)]
    names = _without_common_folder([file.name for file in files])
    notebook = _notebook(names, unit, remarks)
    placed: dict[str, Entry] = {}
    for name, file in zip(names, files, strict=True):
        target = f"{unit}{_NOTEBOOK}" if name == notebook else name
        if target in placed or (name != notebook and target == f"{unit}{_NOTEBOOK}"):
            remarks.append(f"{printable(name)} was passed over: another file has its name")
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
            remarks.append(f"{printable(file.name)} was passed over: {trouble}")
            continue
        remarks.extend(f"in {printable(file.name)}, {left_out}" for left_out in inside.left_out)
        folder = file.name[: -len(".zip")] + "/" if len(files) > 1 else ""
        yield from (WorkFile(folder + entry.path, entry) for entry in inside.entries)


def _is_wanted(file: WorkFile, remarks: list[str]) -> bool:
    name = file.name.rpartition("/")[2].lower()
    if name == _TIMESTAMP:
        remarks.append(f"{printable(file.name)} was passed over: it is the student's own, not the system's")
    elif name.endswith(_FOREIGN_ENDINGS):
        remarks.append(
            f"{printable(file.name)} was passed over: {_kind(file)} archives are not read here; ask for a zip"
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
    """The notebook that counts; empty if there is none, or no telling which, for the grader to say so."""
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
            f"{len(notebooks)} notebooks, and no telling which counts: {', '.join(map(printable, notebooks))}"
        )
    return ""


def _is_called(name: str, unit: str) -> bool:
    return name.rpartition("/")[2].lower() == f"{unit}{_NOTEBOOK}".lower()


def _is_called_again(name: str, unit: str) -> bool:
    stem = name.rpartition("/")[2][: -len(_NOTEBOOK)]
    return _AGAIN.sub("", stem).lower() == unit.lower()
