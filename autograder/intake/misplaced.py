"""Finds notebooks and archives in wrong folders, which would otherwise count as missing work without a word."""

from __future__ import annotations

import itertools
import os
from collections.abc import Collection, Iterator
from pathlib import Path

__all__ = ["misplaced_work", "work_below"]

_NOTEBOOKS = (".ipynb", ".ipynb.txt", ".ipynb.json")
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")
_MOST_ENTRIES = 2_000  # in one folder and all below it; an archive can contain many more
_DEEPEST = 6  # folders
_PASSED_OVER = (".", "__MACOSX")


def misplaced_work(submitted: Path, units: Collection[str]) -> tuple[str, ...]:
    """Notebooks and archives under ``submitted`` outside every ``<student>/<unit>``, as paths below it, sorted.

    Hidden files, links and everything else that is not a regular file are left out.
    """
    found: list[str] = []
    for entry in _entries(submitted):
        if entry.is_file(follow_symlinks=False):
            found += [entry.name] * _is_work(entry.name)
        elif entry.is_dir(follow_symlinks=False):
            found += (f"{entry.name}/{path}" for path in work_below(Path(entry.path), units))
    return tuple(sorted(found))


def work_below(folder: Path, without: Collection[str] = ()) -> tuple[str, ...]:
    """Notebooks and archives in a folder and below, as paths relative to it; subfolders in ``without`` are skipped."""
    found: list[str] = []
    for seen, (path, depth, is_file) in enumerate(_walk(folder, without)):
        if seen >= _MOST_ENTRIES:
            return (*sorted(found), "… (too many files to look at)")
        if is_file and _is_work(path):
            found.append(path)
        elif depth == _DEEPEST and not is_file:
            found.append(f"{path}/…")
    return tuple(sorted(found))


def _walk(folder: Path, without: Collection[str], inside: str = "", depth: int = 1) -> Iterator[tuple[str, int, bool]]:
    for entry in _entries(folder):
        path = f"{inside}{entry.name}"
        if entry.is_dir(follow_symlinks=False) and entry.name not in without:
            yield path, depth, False
            if depth < _DEEPEST:
                yield from _walk(Path(entry.path), (), f"{path}/", depth + 1)
        elif entry.is_file(follow_symlinks=False):
            yield path, depth, True


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            some = itertools.islice(entries, _MOST_ENTRIES + 1)
            return [entry for entry in some if not entry.name.startswith(_PASSED_OVER)]
    except OSError:
        return []


def _is_work(name: str) -> bool:
    return name.lower().endswith((*_NOTEBOOKS, *_ARCHIVES))
