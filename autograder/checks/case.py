"""The parts of a component's check: cases, mistakes that must fail, variants that must pass."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Generator

from avae_lib import components
from avae_lib.checking.comparison import Probe, Trial
from avae_lib.checking.harnesses import observe
from avae_lib.checking.records import Observation, Request

__all__ = ["Case", "ComponentCheck", "Mistake", "Remembered", "Variant", "mistakes_into", "variants_into"]

Item = TypeVar("Item")


@dataclass(frozen=True)
class Case:
    """One named case: its points and the inputs it draws. Its ``kind`` is one of those of :class:`Trial`.

    Args:
        make_inputs: functions that each draw the inputs of one request; the case passes if all results are right.
        hint: one line for the student if no mistake can be named.
        rtol, atol: tolerances within which a right answer by another formula lies.
        draws: how many times each of ``make_inputs`` is called.
        results, gradients_of, watch: as in :class:`Request`, for the harness ``"call_nested"``.
    """

    name: str
    points: int
    hint: str
    make_inputs: tuple[Callable[[Generator], dict[str, Any]], ...]
    kind: str = "value"
    rtol: float = 1e-4
    atol: float = 1e-4
    harness: str = "call"
    gradients: tuple[str, ...] = ()
    looks_at: tuple[str, ...] = ()
    draws: int = 1
    results: tuple[str | tuple[str, tuple[str, ...]], ...] = ()
    gradients_of: tuple[str, ...] = ()
    watch: tuple[str, ...] = ()

    def requests(self, component: str, seed: int) -> Iterator[Request]:
        """The requests of this case, drawn from ``seed``. One draw reveals nothing about those of other seeds."""
        for draw in range(self.draws):
            for number, make_inputs in enumerate(self.make_inputs):
                place = f"{component}/{self.name}/{draw}/{number}"
                inputs = make_inputs(torch.Generator().manual_seed(_derived(seed, f"{place}/inputs")))
                seed_of_call = _derived(seed, f"{place}/call")
                how = (self.harness, self.gradients, seed_of_call, self.results, self.gradients_of, self.watch)
                yield Request(component, inputs, *how)


def _derived(seed: int, place: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}/{place}".encode()).digest()[:6], "big")


@dataclass(frozen=True)
class Mistake:
    """A wrong implementation that students really write, the sentence they get, and the case that must catch it."""

    function: Callable
    sentence: str
    caught_by: str

    @property
    def name(self) -> str:
        return self.function.__name__


@dataclass(frozen=True)
class Variant:
    """A right implementation, written in another way."""

    function: Callable

    @property
    def name(self) -> str:
        return self.function.__name__


def mistakes_into(collection: list[Mistake]) -> Callable[..., Callable]:
    """A decorator ``@mistake(sentence, caught_by=…)`` that appends the function to ``collection``."""

    def mistake(sentence: str, caught_by: str) -> Callable:
        def keep(function: Callable) -> Callable:
            collection.append(Mistake(function, sentence, caught_by))
            return function

        return keep

    return mistake


def variants_into(collection: list[Variant]) -> Callable[[Callable], Callable]:
    """A decorator ``@variant`` that appends the function to ``collection``."""

    def keep(function: Callable) -> Callable:
        collection.append(Variant(function))
        return function

    return keep


@dataclass(frozen=True)
class ComponentCheck:
    """The check of one component: its cases, the main one first, and the mistakes and variants that test them."""

    component: str
    cases: tuple[Case, ...]
    mistakes: tuple[Mistake, ...]
    variants: tuple[Variant, ...]

    @property
    def points(self) -> int:
        return sum(case.points for case in self.cases)

    @property
    def unit(self) -> str:
        return _component(self.component).unit

    def trials(self, seed: int) -> Iterator[Trial]:
        """The cases with inputs and expected results for one ``seed``, made one by one as they are needed."""
        return (self._trial(case, seed) for case in self.cases)

    def _trial(self, case: Case, seed: int) -> Trial:
        probes = tuple(self._probe(case, request) for request in case.requests(self.component, seed))
        return Trial(case.name, case.points, case.kind, case.hint, probes, case.rtol, case.atol, case.looks_at)

    def _probe(self, case: Case, request: Request) -> Probe:
        expected = observe(_component(self.component).reference, request)
        return Probe(request, expected, self._shown_by_mistakes(case, request))

    def _shown_by_mistakes(self, case: Case, request: Request) -> Iterable[tuple[str, Observation]]:
        """What each mistake assigned to this case shows. In other cases the same numbers may have other causes."""
        named = (mistake for mistake in self.mistakes if mistake.caught_by == case.name)
        return Remembered((mistake.sentence, observe(mistake.function, request)) for mistake in named)


class Remembered(Iterable[Item], Generic[Item]):
    """An iterator's items, for any number of passes. Each item is computed once, when it is first needed."""

    def __init__(self, items: Iterator[Item]) -> None:
        self._from_the_first = items

    def __iter__(self) -> Iterator[Item]:
        self._from_the_first, this_time = itertools.tee(self._from_the_first)
        return this_time


def _component(name: str) -> components.Component:
    return next(entry for entry in components.listing() if entry.name == name)
