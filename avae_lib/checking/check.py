"""``check("name")``: what a student runs under an exercise."""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path

from avae_lib import components
from avae_lib.checking.diagnoses import NOT_WRITTEN
from avae_lib.checking.keeping import keep
from avae_lib.checking.observing import observe
from avae_lib.checking.origins import CheckFailed, origin, require_own
from avae_lib.checking.records import Observation, Request
from avae_lib.checking.trials import Trial
from avae_lib.checking.verdicts import Verdict, judge_trials

__all__ = ["CheckFailed", "check", "public_trials"]

PUBLIC = Path(__file__).parent / "public"


def check(name: str) -> None:
    """Try the function of this notebook for component ``name`` on the public cases; print points and what is wrong.

    The grader judges the same cases on other inputs. When all of them pass, the cell of your function is kept in
    ``my_components.py``, so that the next unit can use it.

    Raises:
        CheckFailed: a case did not pass, or what is in use is not this notebook's.
        ComponentError: no component has that name.
    """
    entry = components.find(name)
    require_own(entry, sys._getframe(1).f_globals)
    verdicts = judge_trials(public_trials(name), functools.partial(_observe, entry.current), reveal=True)
    points, most = sum(verdict.points for verdict in verdicts), sum(verdict.max_points for verdict in verdicts)
    print("\n".join([f"{name}: {points} of {most} points ({origin(entry.current)})", *map(_line, verdicts)]))
    if points < most:
        raise CheckFailed(_next_move(name, verdicts))
    if entry.is_replaced:
        print("\n".join(keep(name, entry.current)))


def public_trials(name: str) -> tuple[Trial, ...]:
    """The public cases of a component, as they were stored at the release of its unit.

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
