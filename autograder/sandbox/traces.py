"""What a cell changed that other code relies on: builtins, torch, NumPy, the grader's way of observing, IPython.

This file is mounted into the sandbox. What it reports comes from where the student's code runs and is a hint: a
person may want to look, and components that lost points are judged again where no other cell has run.
"""

from __future__ import annotations

import builtins
import json
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy
import torch
from IPython.core.interactiveshell import InteractiveShell

from avae_lib import components
from avae_lib.checking import observing, records

__all__ = ["Traces"]

_WATCHED = {
    "builtins": builtins,
    "torch": torch,
    "torch.Tensor": torch.Tensor,
    "torch.nn.functional": torch.nn.functional,
    "torch.nn.Module": torch.nn.Module,
    "torch.autograd": torch.autograd,
    "torch.distributions.Normal": torch.distributions.Normal,
    "numpy": numpy,
    "json": json,
    "components": components,
    "observing": observing,
    "records": records,
}
_MOST_NAMED = 20


class Traces:
    """Remembers how things stood at the start; :meth:`left` names those that are different now."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._settings: dict[str, Callable[[], Any]] = {
            "AST transformers": lambda: list(shell.ast_transformers),
            "input transformers": lambda: [*shell.input_transformers_cleanup, *shell.input_transformers_post],
            "sys.displayhook": lambda: sys.displayhook,
            "sys.stdout": lambda: sys.stdout,
            "sys.settrace": sys.gettrace,
            "recursion limit": sys.getrecursionlimit,
            "torch's default dtype": torch.get_default_dtype,
            "torch's gradient mode": torch.is_grad_enabled,
            "torch's deterministic mode": torch.are_deterministic_algorithms_enabled,
            "NumPy's handling of errors": numpy.geterr,
            "warning filters": lambda: [action for action, *_ in warnings.filters if action == "error"],
            "signal handlers": lambda: [signal.getsignal(number) for number in (signal.SIGALRM, signal.SIGTERM)],
            "threads left running": lambda: sum(not thread.daemon for thread in threading.enumerate()),
        }
        self._functions = {name: _functions(holder) for name, holder in _WATCHED.items()}
        self._before = {name: read() for name, read in self._settings.items()}

    def left(self) -> list[str]:
        """Names of what is no longer as it was."""
        settings = [name for name, read in self._settings.items() if read() != self._before[name]]
        replaced = [
            f"{holder}.{name}"
            for holder, functions in self._functions.items()
            for name, function in functions.items()
            if not _is_still(function, vars(_WATCHED[holder]).get(name))
        ]
        return (settings + replaced)[:_MOST_NAMED]


def _is_still(function: Any, found: Any) -> bool:
    """Whether ``found`` is the function that was there, or a wrapper of it, as torch's compiler puts around some."""
    return found is function or getattr(found, "__wrapped__", None) is function


def _functions(holder: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(holder).items() if callable(value)}
