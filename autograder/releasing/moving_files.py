"""Moves finished files to their places, one at a time; each place holds a complete file at every moment."""

from __future__ import annotations

import errno
from collections.abc import Collection
from pathlib import Path

from avae_lib.atomic_write import move_into_place, write_atomically

__all__ = ["move", "move_folder", "remove_others"]


def move(draft: Path, place: Path) -> bool:
    """Move a file to its place, unless the place has the same content; return whether it has changed."""
    if place.is_file() and place.read_bytes() == draft.read_bytes():
        return False
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        move_into_place(draft, place)
    except OSError as trouble:
        if trouble.errno != errno.EXDEV:
            raise
        write_atomically(place, draft.read_bytes())  # the place lies on another disk
    return True


def move_folder(draft: Path, place: Path) -> None:
    """Move all files of a folder into another folder; other files there stay."""
    for file in sorted(draft.rglob("*")) if draft.is_dir() else ():
        if file.is_file():
            move(file, place / file.relative_to(draft))


def remove_others(folder: Path, kept: Collection[Path]) -> None:
    """Remove all files of a folder except ``kept`` (paths relative to it), and folders left empty."""
    for path in sorted(folder.rglob("*"), reverse=True) if folder.is_dir() else ():
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.relative_to(folder) not in kept:
            path.unlink()
    if folder.is_dir() and not kept:
        folder.rmdir()
