"""Watches a student's functions while a model uses them, and says which is wrong or slow and what to do about it."""

from __future__ import annotations

import contextlib
import functools
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from avae_lib import components
from avae_lib.checking.check import public_trials
from avae_lib.checking.harnesses import observe
from avae_lib.checking.verdicts import judge_trials
from avae_lib.components import Component

__all__ = ["watched"]

_RUN_ONCE = nn.Module | torch.optim.Optimizer | Iterator
"""Types of arguments that a call changes, so that a second call would not see the same."""
COMPARED_CALLS = 3
"""Number of calls of each function that are compared with the library's own, where it has one."""
TOLERANCE = 0.02
"""Allowed difference from the library's result, relative to its largest entry: the rounding of bfloat16."""
SLOW_RATIO = 3.0
"""A function is slow if it takes this many times as long as the library's …"""
SLOW_SHARE = 0.1
"""… and the difference is at least this share of the whole time."""


@contextlib.contextmanager
def watched(unit: str) -> Iterator[None]:
    """Run a block with the student's functions, then print one line for each that is wrong or slow.

    A function is wrong if it raises, returns NaN for inputs without NaN, or differs from the library's. In a student
    edition, the library has no function of its own for the current and later units; there, a function is wrong if it
    was called and one of its public cases fails. Functions that take a module, an optimizer or an iterator are not
    compared.

    Args:
        unit: the current unit, for example ``"05_hierarchical_vae"``.

    >>> from avae_lib.logarithms import log_mean_exp
    >>> with components.using("log_mean_exp", lambda x, dim: x.mean(dim)), watched("00_start_here"):
    ...     _ = log_mean_exp(torch.tensor([0.0, 1.0]), 0)
    log_mean_exp: it differs from the library's by 0.19 of the largest entry; components.restore("log_mean_exp") puts \
the library's own in its place
    """
    clinic = _Clinic()
    with clinic.open():
        try:
            yield
        finally:
            for line in clinic.complaints(unit):
                print(line)


@dataclass
class _Record:
    """What was observed of one function."""

    entry: Component
    function: Callable
    calls: int = 0
    error: str = ""
    made_nan: Tensor = field(default_factory=lambda: torch.tensor(False))
    difference: float = 0.0
    seconds: list[float] = field(default_factory=list)
    library_seconds: list[float] = field(default_factory=list)


class _Clinic:
    """All functions of the student that are in use, with what was observed of them."""

    def __init__(self) -> None:
        in_use = (entry for entry in components.listing() if entry.is_replaced and entry.is_written)
        self._records = [_Record(entry, entry.current) for entry in in_use]
        self._inside: list[list[_Record]] = [[]]  # for each call that is running, the functions that it called
        self._comparing = False
        self._last_error: Exception | None = None
        self._started = time.perf_counter()

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        kept_in = [record.entry.kept_in for record in self._records]
        for record in self._records:
            record.entry.use(self._watching(record))
        try:
            yield
        finally:
            for record, file in zip(self._records, kept_in, strict=True):
                record.entry.use(record.function, file)

    def complaints(self, unit: str) -> list[str]:
        """One line for each function that is wrong or slow."""
        seconds = time.perf_counter() - self._started
        found = [(record, _trouble(record, seconds)) for record in self._records]
        return [f"{record.entry.name}: {trouble}; {_way_out(record, unit)}" for record, trouble in found if trouble]

    def _watching(self, record: _Record) -> Callable:
        @functools.wraps(record.function)
        def examined(*args: Any, **kwargs: Any) -> Any:
            if self._comparing:
                return (record.entry.reference if record.entry.has_reference else record.function)(*args, **kwargs)
            if any(tensor.is_meta for tensor in _floats((args, kwargs))):  # shapes alone: nothing to look at
                return record.function(*args, **kwargs)
            record.calls += 1
            expected = self._of_library(record, args, kwargs)
            self._inside[-1].append(record)
            self._inside.append([])
            started = _now() if expected is not None else 0.0
            try:
                result = record.function(*args, **kwargs)
                self._examine(record, (args, kwargs), result, expected, started)
                return result
            except Exception as error:
                if error is not self._last_error:  # else it came from a function that this one called
                    record.error, self._last_error = f"{type(error).__name__}: {error}", error
                raise
            finally:
                self._inside.pop()

        return examined

    def _examine(self, record: _Record, inputs: Any, result: Any, expected: Any, started: float) -> None:
        """Record faults of the result, except those that come from a function which this one called."""
        called = self._inside[-1]
        if expected is not None:
            record.seconds.append(_now() - started)
            if all(inner.difference <= TOLERANCE for inner in called):
                record.difference = max(record.difference, _difference(result, expected))
        faults_inside = [inner.made_nan for inner in called]
        excused = functools.reduce(torch.logical_or, faults_inside, _has_nan(inputs))
        record.made_nan = record.made_nan | (_has_nan(result) & ~excused)

    def _of_library(self, record: _Record, args: tuple, kwargs: dict) -> Any:
        """The result of the library's own function, timed; None if it is not compared.

        It runs before the student's, so that parts which remember their latest call remember the student's.
        """
        is_due = record.entry.has_reference and record.calls <= COMPARED_CALLS
        if not is_due or any(isinstance(x, _RUN_ONCE) for x in (*args, *kwargs.values())):
            return None
        self._comparing = True
        started = _now()
        try:
            with torch.no_grad():
                return record.entry.reference(*args, **kwargs)
        except Exception:  # inputs that the library refuses are no fault of this function
            return None
        finally:
            record.library_seconds.append(_now() - started)
            self._comparing = False


def _trouble(record: _Record, seconds: float) -> str:
    if record.error:
        return f"it raised {record.error}"
    if record.made_nan:
        return "it returned NaN for inputs without NaN"
    if record.difference > TOLERANCE:
        return f"it differs from the library's by {record.difference:.2g} of the largest entry"
    if record.calls and not record.entry.has_reference and _first_failing_case(record):
        return "one of its cases fails"
    if not record.seconds:
        return ""
    own, library = min(record.seconds), min(record.library_seconds)
    is_slow = own > SLOW_RATIO * library and (own - library) * record.calls > SLOW_SHARE * seconds
    return f"it takes {own / library:.0f} times as long as the library's" if is_slow else ""


def _way_out(record: _Record, unit: str) -> str:
    name = record.entry.name
    if record.entry.has_reference:
        return f'components.restore("{name}") puts the library\'s own in its place'
    if record.entry.unit != unit:
        return f'components.restore("{name}") takes it out, and the library does with plain code of its own'
    case = _first_failing_case(record)
    return f'run check("{name}") and look at “{case}”' if case else f'check("{name}") passes: look at what it is given'


def _first_failing_case(record: _Record) -> str:
    """The name of the first public case that fails; empty if all pass or none are stored."""
    try:
        verdicts = judge_trials(public_trials(record.entry.name), functools.partial(observe, record.function))
    except LookupError:
        return ""
    return next((verdict.name for verdict in verdicts if not verdict.passed), "")


def _now() -> float:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter()


def _floats(value: Any) -> Iterator[Tensor]:
    """All tensors of floats in nested lists, tuples, dictionaries and records."""
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield value.detach()
    elif isinstance(value, dict):
        yield from itertools.chain.from_iterable(map(_floats, value.values()))
    elif isinstance(value, list | tuple):
        yield from itertools.chain.from_iterable(map(_floats, value))
    elif hasattr(value, "__dataclass_fields__"):
        yield from _floats(vars(value))


def _has_nan(value: Any) -> Tensor:
    """Whether there is a NaN; on the device, without waiting for it."""
    found = [tensor.isnan().any() for tensor in _floats(value)]
    return functools.reduce(torch.logical_or, found) if found else torch.tensor(False)


def _difference(result: Any, expected: Any) -> float:
    """Largest difference relative to the largest entry expected; infinite where shapes differ."""
    pairs = itertools.zip_longest(_floats(result), _floats(expected))
    return max((_relative(*pair) for pair in pairs), default=0.0)


def _relative(result: Tensor | None, expected: Tensor | None) -> float:
    if result is None or expected is None or result.shape != expected.shape:
        return float("inf")
    if result.numel() == 0 or torch.equal(result, expected):
        return 0.0
    largest = expected.double().abs().max().clamp(min=torch.finfo(expected.dtype).tiny)
    return torch.nan_to_num((result.double() - expected.double()).abs().max() / largest, nan=float("inf")).item()
