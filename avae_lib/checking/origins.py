"""Whose code ``check`` would judge: only a function of this notebook gets points there."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FunctionType
from typing import Any

from avae_lib.components import Component

__all__ = ["CheckFailed", "origin", "require_own"]


class CheckFailed(AssertionError):
    """Not all cases passed, or none was tried. Jupyter shows this one line, not the way through the library."""

    def _render_traceback_(self) -> list[str]:
        return [f"CheckFailed: {self}"]


def require_own(entry: Component, namespace: Mapping[str, Any]) -> None:
    """Refuse to judge what is not the notebook's own.

    Args:
        namespace: the notebook's names.

    Raises:
        CheckFailed: what is in use is the library's or was kept earlier, or a function of the component's name is
            defined in the notebook but not in use.
    """
    name = entry.name
    if _is_forgotten(entry, namespace):
        raise CheckFailed(
            f'your function {name} is not in use: put @implements("{name}") on the line above its def, '
            "run that cell, check again"
        )
    if entry.kept_in is not None:
        raise CheckFailed(
            f"this notebook has not defined {name} yet, and the one in use is kept in {entry.kept_in.name}: "
            "run the cell of your function, check again"
        )
    if entry.current is entry.reference:
        raise CheckFailed(f"{name} is not written yet, or its cell has not run: run your function's cell, check again")


def _is_forgotten(entry: Component, namespace: Mapping[str, Any]) -> bool:
    """Whether the notebook defines a function of the component's name, and another one is in use under that name."""
    own, in_use = namespace.get(entry.name), entry.current
    if not isinstance(own, FunctionType) or own.__module__ != namespace.get("__name__"):
        return False
    is_in_use = inspect.unwrap(own) is inspect.unwrap(in_use)
    chose_another = entry.kept_in is None and entry.is_replaced and getattr(in_use, "__name__", "") != entry.name
    return not is_in_use and not chose_another


def origin(function: Callable) -> str:
    """Where a function was defined: in a cell of this notebook, with its number if that is known, or in a file."""
    file = getattr(getattr(inspect.unwrap(function), "__code__", None), "co_filename", "")
    if Path(file).is_file():
        return f"your function in {Path(file).name}"
    return f"your function in {_cell(file) or 'this notebook'}"


def _cell(file: str) -> str:
    """The cell that was compiled under a name, with Jupyter's number: "cell In[4]"; nothing where it doesn't tell."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    named = getattr(getattr(shell, "compile", None), "format_code_name", lambda _: None)(file)
    return f"cell {named[1]}" if named else ""
