"""Flags files that were handed in next to the notebook, because the grader does not read them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from autograder.plain_text import printable

__all__ = ["flags_of_files_beside"]

_MOST_NAMED = 5
# Left by collecting, Jupyter and check(); check() stores functions that are in the notebooks as well.
_NO_WORK = frozenset({"timestamp.txt", "__pycache__", "my_components.py"})


def flags_of_files_beside(folder: Path, used: Collection[str] = ()) -> tuple[str, ...]:
    """A flag that names the files and folders of a submission that are not graded.

    Args:
        folder: the folder of the submission; other notebooks in it have a flag of their own.
        used: names of the files that are graded.
    """
    names = sorted(path.name + "/" * path.is_dir() for path in folder.iterdir() if _is_work(path, used))
    if not names:
        return ()
    named = ", ".join(printable(name, 60) for name in names[:_MOST_NAMED])
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return (f"files next to the notebook are not graded ({named}{more}): please check",)


def _is_work(path: Path, used: Collection[str]) -> bool:
    is_notebook = ".ipynb" in path.name.lower()
    return not (path.name.startswith(".") or is_notebook or path.name in _NO_WORK or path.name in used)
