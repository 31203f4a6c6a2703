"""Finds what a cell has changed that other code relies on: builtins, torch, NumPy, the harnesses, IPython.

This file is mounted into the sandbox. Its report comes from the process in which the student's code runs, so it is
only a hint for a person. Components that lost points are judged again in a sandbox where no other cell has run.
"""

from __future__ import annotations

import pkgutil
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy
import torch
from IPython.core.interactiveshell import InteractiveShell
from torch.overrides import _get_current_function_mode_stack
from watched_names import HOLDERS, SETTINGS

from avae_lib import recorded_cells
from avae_lib.checking import harnesses

__all__ = ["Traces"]

_MOST_NAMED = 20
_WATCHED = {name: pkgutil.resolve_name(path) for name, path in HOLDERS.items()}
_SET_UP = recorded_cells.stand_in  # registered by our own set-up cell; read before any cell has run
_NEEDED = ("torch", "numpy", "builtins", "sys", "IPython", "avae_lib.components", "avae_lib.checking.records")


class Traces:
    """The watched settings and functions as they were at the start; :meth:`left` names those that differ now."""

    def __init__(self, shell: InteractiveShell) -> None:
        readers: tuple[Callable[[], Any], ...] = (
            lambda: list(shell.ast_transformers),
            lambda: [
                transformer
                for transformer in (*shell.input_transformers_cleanup, *shell.input_transformers_post)
                if transformer is not _SET_UP
            ],
            lambda: sys.displayhook,
            lambda: sys.stdout,
            sys.gettrace,
            lambda: [sys.modules.get(name) for name in _NEEDED],
            sys.getrecursionlimit,
            torch.get_default_dtype,
            torch.is_grad_enabled,
            torch.are_deterministic_algorithms_enabled,
            _get_current_function_mode_stack,
            numpy.geterr,
            lambda: [action for action, *_ in warnings.filters if action == "error"],
            lambda: [signal.getsignal(number) for number in (signal.SIGALRM, signal.SIGTERM)],
            lambda: dict(harnesses.HARNESSES),
            lambda: sum(type(thread).__name__ != "TMonitor" for thread in threading.enumerate()),  # TMonitor is tqdm's
        )
        self._settings = dict(zip(SETTINGS, readers, strict=True))
        self._functions = {name: _functions(holder) for name, holder in _WATCHED.items()}
        self._before = {name: read() for name, read in self._settings.items()}

    def left(self) -> list[str]:
        """The names of the settings and functions that are no longer as they were at the start."""
        settings = [name for name, read in self._settings.items() if read() != self._before[name]]
        replaced = [
            f"{holder}.{name}"
            for holder, functions in self._functions.items()
            for name, function in functions.items()
            if not _is_still(function, vars(_WATCHED[holder]).get(name))
        ]
        return (settings + replaced)[:_MOST_NAMED]


def _is_still(function: Any, found: Any) -> bool:
    """Whether ``found`` is the original function, or a wrapper like those that torch's compiler adds."""
    return found is function or getattr(found, "__wrapped__", None) is function


def _functions(holder: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(holder).items() if callable(value)}
