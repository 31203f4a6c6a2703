"""Recognises a named mistake: the results equal its results in every draw, and differ clearly from the right ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from avae_lib.checking.comparison import Trial, agree, compared
from avae_lib.checking.numeric_relations import ONCE_MENDED, resized, shape_is_wrong
from avae_lib.checking.records import Observation, Recorded
from avae_lib.checking.symptoms import as_wanted, names_of, samples_of, subject

__all__ = ["is_shown", "named_mistake"]

NUMBERS_BESIDE_A_SLIP = 2  # how many different numbers a mistake must explain beside a slip in shape or sign


def named_mistake(trial: Trial, observed: Sequence[Observation], numbers: int = 0) -> str:
    """The sentence of a mistake that this case names, if all observations are those of that mistake.

    Numbers of the wrong shape or sign are compared once more without that slip, to report a second mistake too.

    Args:
        numbers: how many different wrong numbers the mistake must account for.

    >>> from avae_lib.checking.comparison import Probe
    >>> from avae_lib.checking.records import Request
    >>> right, mean = (Observation({"result": Recorded.of(torch.tensor(number))}) for number in (6.0, 2.0))
    >>> probe = Probe(Request("total", {"x": torch.tensor([1.0, 2.0, 3.0])}), right, [("a sum, not a mean", mean)])
    >>> trial = Trial("values", 1, "value", "a hint", (probe,), rtol=1e-4, atol=1e-6)
    >>> named_mistake(trial, [mean])
    'a sum, not a mean'
    """
    if said := _matched(trial, observed, numbers):
        return said
    for slip, mended in _mended(trial, observed):
        if said := _matched(trial, mended, max(numbers, NUMBERS_BESIDE_A_SLIP)):
            return f"{slip}; {ONCE_MENDED} {said}"
    return ""


def _matched(trial: Trial, observed: Sequence[Observation], numbers: int) -> str:
    for in_probes in zip(*(probe.mistakes for probe in trial.probes), strict=True):
        shown = [shown for _, shown in in_probes]
        if is_shown(trial, observed, shown) and (not numbers or len(_wrong_numbers(trial, shown)) >= numbers):
            return in_probes[0][0]
    return ""


def _wrong_numbers(trial: Trial, shown: Sequence[Observation | None]) -> set[float]:
    """The different finite numbers that a mistake shows where others are right."""
    found: set[float] = set()
    for probe, theirs in zip(trial.probes, shown, strict=True):
        wanted = compared(trial, probe.expected)
        for name, value in compared(trial, theirs).items() if theirs is not None else ():
            if value.array is not None and not as_wanted(trial, value, wanted[name]):
                numbers = value.array.double()
                numbers = numbers[numbers.isfinite()]
                found |= {round(number, 6) for number in numbers.abs().flatten().tolist()}
    return found


def is_shown(trial: Trial, observed: Sequence[Observation], shown: Sequence[Observation | None]) -> bool:
    """Whether the observations are those of a mistake in every probe, and differ from the right ones in some.

    Args:
        shown: the observation of the mistake in each probe; None where its result is right.

    >>> from avae_lib.checking.comparison import Probe
    >>> from avae_lib.checking.records import Request
    >>> right, mean = (Observation({"result": Recorded.of(torch.tensor(number))}) for number in (6.0, 2.0))
    >>> probe = Probe(Request("total", {"x": torch.tensor([1.0, 2.0, 3.0])}), right, [("a sum, not a mean", mean)])
    >>> trial = Trial("values", 1, "value", "a hint", (probe,), rtol=1e-4, atol=1e-6)
    >>> is_shown(trial, [mean], [mean]), is_shown(trial, [right], [mean])
    (True, False)
    """
    is_wrong = False
    for probe, ours, theirs in zip(trial.probes, observed, shown, strict=True):
        if not agree(trial, ours, theirs or probe.expected, as_mistake=True):
            return False
        if theirs is not None and not agree(trial, theirs, probe.expected):
            is_wrong = True
            if not _is_nearer(trial, ours, theirs, probe.expected):
                return False
    return is_wrong


def _is_nearer(trial: Trial, observed: Observation, shown: Observation, right: Observation) -> bool:
    """Whether numbers are ten times nearer to those of a mistake than these are to the right ones."""
    if observed.error is not None or right.error is not None:
        return True
    ours, theirs, wanted = (compared(trial, one) for one in (observed, shown, right))
    if theirs.keys() != wanted.keys():
        return True  # another number of results, so there are no distances to compare
    return all(
        _distance(ours[name], theirs[name]) <= 0.1 * _distance(theirs[name], wanted[name])
        for name in ours
        if not as_wanted(trial, theirs[name], wanted[name])
    )


def _distance(one: Recorded, other: Recorded) -> float:
    """The largest difference between finite numbers; infinite where shapes or infinities differ."""
    if one.array is None or other.array is None or one.array.shape != other.array.shape:
        return 0.0 if one.array is other.array else float("inf")
    ours, theirs = one.array.double(), other.array.double()
    finite = ours.isfinite() & theirs.isfinite()
    if not torch.allclose(ours[~finite], theirs[~finite], equal_nan=True):
        return float("inf")
    return max((ours - theirs)[finite].abs().tolist(), default=0.0)


def _mended(trial: Trial, observed: Sequence[Observation]) -> Iterator[tuple[str, list[Observation]]]:
    """A slip in shape or sign, in words, and the observations corrected for it, to look for a second mistake."""
    seen = {name: samples_of(trial, observed, name) for name in names_of(trial)}
    if not all(seen.values()):
        return
    wrong = {name: samples for name, samples in seen.items() if shape_is_wrong(samples)}
    if wrong and all(map(resized, wrong.values())):
        name, samples = next(iter(wrong.items()))
        yield f"{subject(trial, name)} {shape_is_wrong(samples)}", _as_if(trial, observed, _in_shape)
    elif not wrong and len(seen) == 1 and trial.kind == "value":
        (name,) = seen
        yield f"{subject(trial, name)} has the opposite sign", _as_if(trial, observed, lambda array, _: -array.double())


def _in_shape(array: Tensor, wanted: Tensor) -> Tensor:
    return array.reshape(wanted.shape)


def _as_if(
    trial: Trial, observed: Sequence[Observation], change: Callable[[Tensor, Tensor], Tensor]
) -> list[Observation]:
    """The observations with every array changed, each passed together with the right one."""
    part = "gradients" if trial.kind == "gradient" else "outputs"
    changed = []
    for probe, one in zip(trial.probes, observed, strict=True):
        wanted = compared(trial, probe.expected)
        values = compared(trial, one).items()
        arrays = {name: replace(value, array=change(value.tensor, wanted[name].tensor)) for name, value in values}
        changed.append(replace(one, **{part: arrays}))
    return changed
