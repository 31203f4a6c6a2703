"""Bringing a finished edition into the students' repository without overwriting anybody's work.

``.published.json`` in that folder records a digest of each file that was published. A file with a recorded content is
ours, and is replaced or removed; one with any other content has been changed, or was never ours: it stays as it is and
is named, unless the instructor asks for it to be overwritten. The edition is finished in ``.publishing`` inside the
folder first, and moved from there file by file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from autograder.counts_and_lists import in_short
from autograder.course.course import CourseError
from autograder.releasing.release_files import move
from avae_lib.atomic_write import write_atomically

__all__ = ["DRAFT", "MOST_NAMED", "RECORD", "is_publication", "update"]

RECORD = ".published.json"
"""The file that records what was published, by the path of each file."""

DRAFT = ".publishing"
"""The folder in which an edition is finished."""

MOST_NAMED = 20
"""So many files are named in a message; of further ones only their number is."""


def is_publication(folder: Path) -> bool:
    """Whether something was published into a folder: it holds the record, or the course.toml of earlier versions."""
    return (folder / RECORD).is_file() or (folder / "course.toml").is_file()


def update(draft: Path, folder: Path, overwrite: Collection[str] = ()) -> tuple[str, ...]:
    """Bring all files below ``draft`` to their places below ``folder``; returns the files that were kept instead.

    Args:
        overwrite: files that are to be replaced although they were changed, or folders of such files.

    Raises:
        CourseError: a place is taken by a link or a folder, a name in ``overwrite`` fits no changed file, or nothing
            records what was published and files differ. Nothing was changed then.
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
    """What is to happen to a folder.

    Attributes:
        edition: the digest of each file of the edition, by path.
        recorded: the digests of each file that was published before.
        changed: files that differ from what is to be written, or are to go, and hold what was never published.
        obsolete: files that were published, are as they were, and are in the edition no more.
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
    """Whether there is a file; a link or a folder in its place, or a link on the way to it, is refused."""
    for place in (folder / path, *(folder / parent for parent in PurePosixPath(path).parents)):
        if place == folder:
            break
        if place.is_symlink():
            raise CourseError(f"{place} is a link, through which course publish does not write: move it away")
    if (folder / path).is_dir():
        raise CourseError(f"{folder / path} is a folder, where a file is to be written: move it away")
    return (folder / path).is_file()


def _named(changed: Sequence[str], overwrite: Collection[str]) -> set[str]:
    named: set[str] = set()
    for name in overwrite:
        plain = PurePosixPath(Path(name).as_posix())
        found = {path for path in changed if plain in (PurePosixPath(path), *PurePosixPath(path).parents)}
        if not found:
            raise CourseError(f"nothing was published: no changed file is called {name}, so none can be overwritten")
        named |= found
    return named


def _no_record(folder: Path, kept: Sequence[str]) -> str:
    tops = " ".join(sorted({path.partition("/")[0] for path in kept}))
    return (
        f"nothing was published: {folder} does not record what was published there ({RECORD}), and "
        f"{in_short(kept, MOST_NAMED)} would be overwritten. Publish into an empty folder, or say --overwrite {tops}"
    )


def _carry_out(plan: _Plan, draft: Path, folder: Path, kept: Collection[str]) -> None:
    written = {path: digest for path, digest in plan.edition.items() if path not in kept}
    still_ours = {path: plan.recorded[path] for path in kept if path in plan.recorded}
    # Both contents are ours while files are moved, so that a run that was killed keeps nothing the next time.
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
            raise ValueError("a file outside of the folder")
        return recorded
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CourseError(f"{path} cannot be read: restore it from git, or publish into an empty folder") from None


def _write_record(folder: Path, files: Mapping[str, Sequence[str]]) -> None:
    content = json.dumps({"files": dict(sorted(files.items()))}, indent=1) + "\n"
    write_atomically(folder / RECORD, content)
