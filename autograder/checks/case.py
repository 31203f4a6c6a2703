"""The words in which a component's check is written: cases, mistakes that must fail, variants that must pass."""

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
    """One named case: what it is worth and the inputs it draws. The kinds are those of :class:`Trial`.

    Args:
        make_inputs: the inputs of one request; several make one case, and all must come out right.
        hint: one line for the student when nothing more precise can be said.
        rtol, atol: how far a right answer by another formula may be off, from the dtype of the inputs.
        draws: how often each of ``make_inputs`` is drawn.
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
        """The requests of this case, drawn from ``seed``; what they tell says nothing about other draws."""
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
    """A wrong implementation that real students write, what to tell them, and the case that must catch it."""

    function: Callable
    sentence: str
    caught_by: str

    @property
    def name(self) -> str:
        return self.function.__name__


@dataclass(frozen=True)
class Variant:
    """A right implementation, written another way."""

    function: Callable

    @property
    def name(self) -> str:
        return self.function.__name__


def mistakes_into(collection: list[Mistake]) -> Callable[..., Callable]:
    """A decorator ``@mistake(sentence, caught_by=…)`` that puts the function into ``collection``."""

    def mistake(sentence: str, caught_by: str) -> Callable:
        def keep(function: Callable) -> Callable:
            collection.append(Mistake(function, sentence, caught_by))
            return function

        return keep

    return mistake


def variants_into(collection: list[Variant]) -> Callable[[Callable], Callable]:
    """A decorator ``@variant`` that puts the function into ``collection``."""

    def keep(function: Callable) -> Callable:
        collection.append(Variant(function))
        return function

    return keep


@dataclass(frozen=True)
class ComponentCheck:
    """All that judges one component: the cases, the main one first, and what guards them."""

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
        """The cases made concrete for one ``seed``, one after the other as they are needed."""
        return (self._trial(case, seed) for case in self.cases)

    def _trial(self, case: Case, seed: int) -> Trial:
        probes = tuple(self._probe(case, request) for request in case.requests(self.component, seed))
        return Trial(case.name, case.points, case.kind, case.hint, probes, case.rtol, case.atol, case.looks_at)

    def _probe(self, case: Case, request: Request) -> Probe:
        expected = observe(_component(self.component).reference, request)
        return Probe(request, expected, self._shown_by_mistakes(case, request))

    def _shown_by_mistakes(self, case: Case, request: Request) -> Iterable[tuple[str, Observation]]:
        """What the mistakes that this case names show; in other cases the same numbers may have other causes."""
        named = (mistake for mistake in self.mistakes if mistake.caught_by == case.name)
        return Remembered((mistake.sentence, observe(mistake.function, request)) for mistake in named)


class Remembered(Iterable[Item], Generic[Item]):
    """What an iterator gives, for as many passes as are wanted; each item is made once, when it is first needed."""

    def __init__(self, items: Iterator[Item]) -> None:
        self._from_the_first = items

    def __iter__(self) -> Iterator[Item]:
        self._from_the_first, this_time = itertools.tee(self._from_the_first)
        return this_time


def _component(name: str) -> components.Component:
    return next(entry for entry in components.listing() if entry.name == name)
