"""Tests the feedback for wrong solutions: no sentence may name a mistake that the solution does not make.

Every mistake is judged on several draws of its cases, alone and combined with each of the slips in
:mod:`autograder.audit.slips`. A sentence is true if it is the mistake's own, or one that the mistake or the slip gets
alone. Any other sentence that names a mistake, or a relation between the numbers, counts as true if several draws of
the case give it and none gives another cause; so does a relation that another case gives with the same number.
Otherwise the sentence is a coincidence and counts as wrong.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from autograder.audit.slips import SAID_OF_SLIPS, SHOWN_BY_NUMBERS, SLIPS, Slip
from autograder.checks.case import ComponentCheck, Mistake
from autograder.checks.judge_component import Verdict, judge_component
from avae_lib.checking.comparison import Trial
from avae_lib.checking.numeric_relations import ONCE_MENDED
from avae_lib.checking.records import Observation, Request

__all__ = ["Sentences"]

_RELATION = re.compile(
    r"opposite sign|twice the|half the|the right one (?:times|divided)|too (?:large|small) by|off by the same"
    r"|wrong order|same number everywhere|zero everywhere|is the input|still has to be|too many dimensions"
    r"|are exchanged"
)
_SUBJECT = re.compile(r"^(?:it|the (?:\w+ )?result) ")
_NUMBER = re.compile(r"-?\d[\d.e+-]*")

Ask = Callable[[Request], Observation]
Verdicts = Sequence[Sequence[Verdict]]  # of all cases in each draw


@dataclass
class Sentences:
    """The sentences that the mistakes of one check draw.

    Attributes:
        draws: the trials on several seeds, or the public ones.
        ask_right: observes the right function.
        drawn: how many sentences named a cause; the same one drawn from several draws of a case counts once.
        pairs: how many pairs of a mistake and a slip were tried.
        shared: how many of the sentences name another mistake and are true of both.
    """

    check: ComponentCheck
    draws: Sequence[Sequence[Trial]]
    ask_right: Ask
    drawn: int = 0
    pairs: int = 0
    shared: int = 0
    _of_slips: dict[str, set[str]] = field(default_factory=dict)

    def wrong_ones(self, mistake: Mistake, ask: Ask) -> Iterator[str]:
        """Sentences that are not true of a mistake, or of it together with a slip, each with the pair and the case.

        Args:
            ask: observes the mistake.
        """
        alone = self._verdicts(ask)
        yield from self._wrong_in(mistake.name, alone, {mistake.sentence})
        for name, slip in SLIPS.items():
            self.pairs += 1
            if name in SHOWN_BY_NUMBERS or any(cases[0].passed for cases in alone):
                pair, verdicts = f"{mistake.name} and {name}", self._verdicts(_with_slip(ask, slip))
                allowed = {mistake.sentence} | _parts(alone) | self._of_slip(name)
                yield from self._wrong_in(pair, verdicts, allowed, SAID_OF_SLIPS.get(name))

    def _verdicts(self, ask: Ask) -> Verdicts:
        return [judge_component(trials, self.check, ask).cases for trials in self.draws]

    def _of_slip(self, name: str) -> set[str]:
        """What a slip draws when it is made on top of the right function."""
        if name not in self._of_slips:
            self._of_slips[name] = _parts(self._verdicts(_with_slip(self.ask_right, SLIPS[name])))
        return self._of_slips[name]

    def _wrong_in(self, who: str, verdicts: Verdicts, allowed: set[str], known: str | None = None) -> Iterator[str]:
        named = {mistake.sentence for mistake in self.check.mistakes} - allowed
        everything = [verdict.diagnosis for cases in verdicts for verdict in cases]
        for case in zip(*verdicts, strict=True):
            told = Counter(_blank(verdict.diagnosis) for verdict in case if verdict.names_cause)
            self.drawn += len(told)
            is_confirmed = len(told) == 1 and max(told.values()) > 1
            for words in told:
                diagnosis = next(verdict.diagnosis for verdict in case if _blank(verdict.diagnosis) == words)
                foreign = [part for part in _split(diagnosis) if part not in allowed]
                names_another = any(part in named for part in foreign)
                relations = [part for part in foreign if _RELATION.search(part) and not (known and known in part)]
                states_a_relation = any(sum(part in said for said in everything) == 1 for part in relations)
                if (names_another or states_a_relation) and not is_confirmed:
                    yield f"{who}, in “{case[0].name}”: {diagnosis}"
                self.shared += names_another and is_confirmed


def _parts(verdicts: Verdicts) -> set[str]:
    return {part for cases in verdicts for verdict in cases for part in _split(verdict.diagnosis)}


def _split(diagnosis: str) -> list[str]:
    """The sentences about slips that were made at once, without their subjects."""
    return [_SUBJECT.sub("", part) for part in diagnosis.split(f"; {ONCE_MENDED} ")]


def _blank(diagnosis: str) -> str:
    return _NUMBER.sub("#", _SUBJECT.sub("", diagnosis))


def _with_slip(ask: Ask, slip: Slip) -> Ask:
    def ask_with_slip(request: Request) -> Observation:
        seen = ask(request)
        return seen if seen.error is not None else slip(seen)

    return ask_with_slip
