"""Moves a finished edition into the students' repository without overwriting anybody's work.

``.published.json`` in the repository records a digest of each published file. A file with a recorded digest is replaced
or removed. A file with any other content was changed or is not from us; it stays and is listed, unless the instructor
asks to overwrite it. The edition is first finished in ``.publishing`` inside the folder, and moved from there file by
file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from autograder.counts_and_lists import in_short
from autograder.course.course import CourseError
from autograder.releasing.moving_files import move
from avae_lib.atomic_write import write_atomically

__all__ = ["DRAFT", "MOST_NAMED", "RECORD", "is_publication", "update"]

RECORD = ".published.json"
"""Name of the file that records the digests of the published files."""

DRAFT = ".publishing"
"""Name of the folder in which an edition is finished."""

MOST_NAMED = 20
"""Maximum number of files that a message names; further files are counted."""


def is_publication(folder: Path) -> bool:
    """Whether a folder is a publication, which contains the record or at least a ``course.toml``."""
    return (folder / RECORD).is_file() or (folder / "course.toml").is_file()


def update(draft: Path, folder: Path, overwrite: Collection[str] = ()) -> tuple[str, ...]:
    """Move all files of ``draft`` to their places in ``folder``; return the changed files that were kept instead.

    Args:
        draft: the folder with the finished edition.
        folder: the students' repository.
        overwrite: changed files, or folders of changed files, that are replaced nevertheless.

    Raises:
        CourseError: a link or a folder is in the place of a file, a name in ``overwrite`` matches no changed file, or
            files differ and no record says what was published. Then nothing is changed.
    """
    plan = _Plan.of(draft, folder, _recorded(folder))
    named = _named(plan.changed, overwrite)
    kept = tuple(path for path in plan.changed if path not in named)
    if kept and not (folder / RECORD).is_file():
        raise CourseError(_no_record(folder, kept))
    _carry_out(plan, draft, folder, kept)
    return kept


@dataclass(frozen=True)
class _Plan:
    """The changes that an update makes to a folder.

    Attributes:
        edition: the digest of each file of the edition, by path.
        recorded: the digests of each file that was published before, by path.
        changed: existing files of either, with a content that was never published and is not in the edition.
        obsolete: published files, unchanged, that are not in the edition.
    """

    edition: Mapping[str, str]
    recorded: Mapping[str, Sequence[str]]
    changed: tuple[str, ...]
    obsolete: tuple[str, ...]

    @classmethod
    def of(cls, draft: Path, folder: Path, recorded: Mapping[str, Sequence[str]]) -> _Plan:
        edition = {path.relative_to(draft).as_posix(): _digest(path) for path in draft.rglob("*") if path.is_file()}
        present = {path: _digest(folder / path) for path in {*edition, *recorded} if _is_there(folder, path)}
        changed = [
            path
            for path, digest in sorted(present.items())
            if digest not in (edition.get(path), *recorded.get(path, ()))
        ]
        obsolete = [path for path in sorted(present) if path not in edition and path not in changed]
        return cls(edition, recorded, tuple(changed), tuple(obsolete))


def _is_there(folder: Path, path: str) -> bool:
    """Whether the file exists; raises an error if a folder or a link is in its place, or a link on the way to it."""
    for place in (folder / path, *(folder / parent for parent in PurePosixPath(path).parents)):
        if place == folder:
            break
        if place.is_symlink():
            raise CourseError(f"{place} is a link, and course publish does not write through links: move it away")
    if (folder / path).is_dir():
        raise CourseError(f"{folder / path} is a folder, but a file must be written there: move it away")
    return (folder / path).is_file()


def _named(changed: Sequence[str], overwrite: Collection[str]) -> set[str]:
    named: set[str] = set()
    for name in overwrite:
        plain = PurePosixPath(Path(name).as_posix())
        found = {path for path in changed if plain in (PurePosixPath(path), *PurePosixPath(path).parents)}
        if not found:
            raise CourseError(
                f"nothing was published: --overwrite names {name}, but no changed file has that name: leave it out"
            )
        named |= found
    return named


def _no_record(folder: Path, kept: Sequence[str]) -> str:
    tops = " ".join(sorted({path.partition("/")[0] for path in kept}))
    return (
        f"nothing was published: {folder} does not record what was published there ({RECORD}), and "
        f"{in_short(kept, MOST_NAMED)} would be overwritten. Publish into an empty folder, or add --overwrite {tops}"
    )


def _carry_out(plan: _Plan, draft: Path, folder: Path, kept: Collection[str]) -> None:
    written = {path: digest for path, digest in plan.edition.items() if path not in kept}
    still_ours = {path: plan.recorded[path] for path in kept if path in plan.recorded}
    # While files are moved, both contents count as published: after a killed run, the next takes no file for changed.
    both = {path: [*plan.recorded.get(path, ()), digest] for path, digest in written.items()}
    _write_record(folder, {**plan.recorded, **both})
    for path in sorted(written):
        move(draft / path, folder / path)
    for path in plan.obsolete:
        (folder / path).unlink()
        _remove_empty_folders((folder / path).parent, folder)
    _write_record(folder, {**still_ours, **{path: [digest] for path, digest in written.items()}})


def _remove_empty_folders(place: Path, top: Path) -> None:
    while place != top and not any(place.iterdir()):
        place.rmdir()
        place = place.parent


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _recorded(folder: Path) -> Mapping[str, Sequence[str]]:
    path = folder / RECORD
    if not path.is_file():
        return {}
    try:
        files = json.loads(path.read_text(encoding="utf-8"))["files"]
        recorded = {str(name): [str(digest) for digest in digests] for name, digests in files.items()}
        if any(".." in PurePosixPath(name).parts or PurePosixPath(name).is_absolute() for name in recorded):
            raise ValueError("a file outside the folder")
        return recorded
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CourseError(f"{path} cannot be read: restore it from git, or publish into an empty folder") from None


def _write_record(folder: Path, files: Mapping[str, Sequence[str]]) -> None:
    content = json.dumps({"files": dict(sorted(files.items()))}, indent=1) + "\n"
    write_atomically(folder / RECORD, content)
