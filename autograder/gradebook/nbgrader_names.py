"""Makes nbgrader's commands treat the name of an existing student or unit as a name, not as a pattern.

nbgrader treats the names of folders, and ``--student``, as file-name patterns. So ``kim [resit]`` matches nobody, or
``kim r``; and in a folder with such a name nbgrader's list of ignored files has no effect. nbgrader has no setting for
this, so this module replaces the two functions with which it looks up names, in all commands that read the course's
configuration. Patterns still work: ``--student "a*"`` means all ids that begin with ``a``, unless one is ``a*``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from fnmatch import fnmatchcase
from types import SimpleNamespace

from autograder.course.student_ids import normal_id

__all__ = ["names_meant", "paths_meant", "take_names_literally"]


def take_names_literally() -> None:
    """Make nbgrader look up folders with :func:`paths_meant`, and match ignored files by their own names only."""
    from nbgrader import utils
    from nbgrader.apps import api
    from nbgrader.converters import base
    from nbgrader.exchange.default import release_feedback

    for module in (base, api, release_feedback):
        module.glob = SimpleNamespace(glob=paths_meant)
    utils.is_ignored = _is_ignored


def names_meant(asked: str, names: Iterable[str]) -> list[str]:
    """The names equal to ``asked``; if there are none, or for ``*``, those that match it as a pattern.

    >>> names_meant("kim [resit]", ["kim r", "kim [resit]"]), names_meant("k*", ["kim", "ada", ".k"])
    (['kim [resit]'], ['kim'])
    """
    names = sorted(names)
    if asked != "*" and (exact := [name for name in names if normal_id(name) == normal_id(asked)]):
        return exact
    return [name for name in names if fnmatchcase(name, asked) and (asked[:1] == "." or name[:1] != ".")]


def paths_meant(pattern: str) -> list[str]:
    """Like :func:`glob.glob`, but each part of the path is looked up with :func:`names_meant`."""
    first, *parts = pattern.split(os.sep)
    found = [first + os.sep] if not first else _below("", first)
    for part in parts:
        found = [path for folder in found for path in _below(folder, part)]
    return found


def _below(folder: str, asked: str) -> list[str]:
    if asked in ("", os.curdir, os.pardir):
        return [os.path.join(folder, asked)] * os.path.isdir(folder)
    try:
        return [os.path.join(folder, name) for name in names_meant(asked, os.listdir(folder or os.curdir))]
    except OSError:
        return []


def _is_ignored(filename: str, ignore_globs: Iterable[str] | None = None) -> bool:
    name = os.path.basename(filename)
    return any(fnmatchcase(name, pattern) for pattern in ignore_globs or ())
