"""Watches a student's functions while a model runs on them, and says which is wrong or slow and what to do about it."""

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
"""Arguments that a second call would not find as the first one did."""
COMPARED_CALLS = 3
"""Calls of each function that are compared with the library's, where the library has one."""
TOLERANCE = 0.02
"""Difference to the library's result, relative to its largest entry, that bfloat16 may make."""
SLOW_RATIO, SLOW_SHARE = 3.0, 0.1
"""Slow is what takes this many times as long as the library's and costs this share of the whole time."""


@contextlib.contextmanager
def watched(unit: str) -> Iterator[None]:
    """Run a block on the student's functions, then print one line for each that is wrong or slow.

    A function is wrong if it raises, returns NaN for inputs without NaN, or differs from the library's. A unit that
    has been handed back is compared with the library's bodies. The others have none in a student's edition: there,
    functions that were called are wrong if one of their public cases fails. Functions that take a module, an
    optimizer or an iterator are run once only and not compared.

    Args:
        unit: the unit that is being worked on, ``"05_hierarchical_vae"``, say.

    >>> with watched("05_hierarchical_vae"):
    ...     pass
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
    """What was seen of one function."""

    entry: Component
    function: Callable
    calls: int = 0
    error: str = ""
    made_nan: Tensor = field(default_factory=lambda: torch.tensor(False))
    difference: float = 0.0
    seconds: list[float] = field(default_factory=list)
    library_seconds: list[float] = field(default_factory=list)


class _Clinic:
    """All functions of the student's that are in use, with what is seen of them."""

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
        """One line for each function in trouble."""
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
        """A fault of a function that this one called is not held against this one."""
        called = self._inside[-1]
        if expected is not None:
            record.seconds.append(_now() - started)
            if all(inner.difference <= TOLERANCE for inner in called):
                record.difference = max(record.difference, _difference(result, expected))
        faults_inside = [inner.made_nan for inner in called]
        excused = functools.reduce(torch.logical_or, faults_inside, _has_nan(inputs))
        record.made_nan = record.made_nan | (_has_nan(result) & ~excused)

    def _of_library(self, record: _Record, args: tuple, kwargs: dict) -> Any:
        """What the library's body returns, timed; None where it is not compared. It runs first: parts that keep their
        latest call then keep the student's."""
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
    """Its name; empty if all pass or no cases are stored."""
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
