"""``check("name")``: tries a student's function on the public cases of an exercise, in the notebook."""

from __future__ import annotations

import functools
import inspect
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FunctionType
from typing import Any

from avae_lib import components
from avae_lib.checking.comparison import Trial
from avae_lib.checking.error_advice import NOT_WRITTEN
from avae_lib.checking.harnesses import observe
from avae_lib.checking.records import Observation, Request
from avae_lib.checking.verdicts import Verdict, judge_trials
from avae_lib.components import Component
from avae_lib.my_components_file import keep

__all__ = ["CheckFailed", "check", "origin", "public_trials"]

PUBLIC = Path(__file__).parent / "public"


class CheckFailed(AssertionError):
    """Not all cases passed, or none was tried. Jupyter shows one line instead of a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [f"CheckFailed: {self}"]


def check(name: str) -> None:
    """Try this notebook's function for component ``name`` on the public cases; print points and what is wrong.

    The grader judges the same cases on other inputs. If all cases pass, the cell of your function is saved to
    ``my_components.py``, where later units find it. In a notebook::

        @implements("log_mean_exp")
        def log_mean_exp(x, dim): ...

        check("log_mean_exp")

    The library's own function gets no points:

    >>> try:
    ...     check("log_mean_exp")
    ... except CheckFailed as failure:
    ...     print(failure)
    log_mean_exp is not written yet, or its cell has not run: run your function's cell, check again

    Raises:
        CheckFailed: a case did not pass, or the function in use is not from this notebook.
        ComponentError: no component has that name.
    """
    entry = components.find(name)
    _require_own(entry, sys._getframe(1).f_globals)
    verdicts = judge_trials(public_trials(name), functools.partial(_observe, entry.current), reveal=True)
    points = sum(verdict.points for verdict in verdicts)
    most = sum(verdict.max_points for verdict in verdicts)
    print("\n".join([f"{name}: {points} of {most} points ({origin(entry.current)})", *map(_line, verdicts)]))
    if points < most:
        raise CheckFailed(_next_move(name, verdicts))
    if entry.is_replaced:
        print("\n".join(keep(name, entry.current)))


def public_trials(name: str) -> tuple[Trial, ...]:
    """The public cases of a component, which were stored when its unit was released.

    >>> [(trial.name, trial.points) for trial in public_trials("log_mean_exp")][0]
    ('values', 1)

    Raises:
        LookupError: none are stored for it.
    """
    for path in sorted(PUBLIC.glob("*.json")):
        stored = json.loads(path.read_text(encoding="utf-8"))
        if name in stored:
            return tuple(map(Trial.from_json, stored[name]))
    raise LookupError(f"no public cases are stored for {name!r}; this edition of avae_lib checks it nowhere")


def _observe(function, request: Request) -> Observation:
    observed = observe(function, request)
    if observed.error is not None and observed.error.type == "KeyboardInterrupt":
        raise KeyboardInterrupt  # someone pressed stop: they mean the whole check
    return observed


def _line(verdict: Verdict) -> str:
    word = "passed" if verdict.passed else "failed"
    reason = f"\n               {verdict.diagnosis}" if verdict.diagnosis not in ("", NOT_WRITTEN) else ""
    return f"  {word}  {verdict.points}/{verdict.max_points}  {verdict.name}{reason}"


def _next_move(name: str, verdicts: tuple[Verdict, ...]) -> str:
    first = next(verdict for verdict in verdicts if not verdict.passed)
    if first.diagnosis == NOT_WRITTEN:
        return f"{name} is not written yet: put your code in the place of `raise NotImplementedError`, run, check again"
    return f"{name} does not pass yet: start with “{first.name}”"


def _require_own(entry: Component, namespace: Mapping[str, Any]) -> None:
    """Refuse to judge a function that does not come from this notebook.

    Args:
        namespace: the notebook's names.

    Raises:
        CheckFailed: the function in use is the library's or was loaded from a file, or the notebook defines a function
            of the component's name that is not in use.
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
    """Where a function was defined: in a cell of this notebook, with its number if that is known, or in a file.

    >>> from avae_lib.logarithms import log_mean_exp
    >>> origin(log_mean_exp)
    'your function in logarithms.py'
    """
    file = getattr(getattr(inspect.unwrap(function), "__code__", None), "co_filename", "")
    if Path(file).is_file():
        return f"your function in {Path(file).name}"
    return f"your function in {_cell_number(file) or 'this notebook'}"


def _cell_number(file: str) -> str:
    """The cell that was compiled under a name, with Jupyter's number: "cell In[4]"; nothing where it doesn't tell."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    named = getattr(getattr(shell, "compile", None), "format_code_name", lambda _: None)(file)
    return f"cell {named[1]}" if named else ""
