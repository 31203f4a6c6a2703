"""Simple relations between wrong numbers and right ones, each with the sentence that a student reads.

A relation is named only if it holds in every sample, which is every draw of a case, up to rounding, and if it
moves at least two different numbers by far more than rounding. So the sentence is true of all observed numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

__all__ = [
    "ONCE_MENDED",
    "Sample",
    "not_finite",
    "resized",
    "same",
    "shape_is_wrong",
    "telling_relation_of",
    "vague_relation_of",
]

FLOAT32, FLOAT64 = 2e-5, 1e-9  # relative: a few hundred roundings of float32, a few million of float64
CLEAR = 50  # times the tolerance: a smaller change may be rounding
NOT_BY_CHANCE = 0.05  # a smaller share of right places is not mentioned
NEAR_ONE = 1e-3  # a factor this close to 1 is more likely an offset among large numbers, or lost precision
ONCE_MENDED = "once that is mended:"  # before the second of two slips
NAMED_FACTORS = {
    -1.0: "has the opposite sign",
    2.0: "is twice the right one: a factor 1/2 is missing",
    0.5: "is half the right one: a factor 1/2 too many",
    math.log(2): "is the right one times log 2: nats and bits confused",
    1 / math.log(2): "is the right one divided by log 2: it is in bits, but must be in nats",
}


@dataclass(frozen=True)
class Sample:
    """The numbers that a function returned for one draw of the inputs, and the right ones, both in float64.

    ``rtol`` and ``atol`` are how far a right answer may be off; ``precision`` is the relative rounding allowed here;
    ``in_double`` says whether the right numbers were in float64.

    >>> sample = Sample(torch.tensor([2.0, 4.0]), torch.tensor([1.0, 2.0]), inputs={})
    >>> sample.is_right(), sample.fits(2 * sample.wanted)
    (False, True)
    """

    got: Tensor
    wanted: Tensor
    inputs: Mapping[str, Any]
    rtol: float = 1e-4
    atol: float = 1e-4
    precision: float = FLOAT32
    in_double: bool = False

    @property
    def scale(self) -> float:
        """The largest finite one of the right numbers."""
        finite = self.wanted[self.wanted.isfinite()].abs()
        return finite.max().item() if finite.numel() else 0.0

    def is_right(self) -> bool:
        """Whether the numbers are right to the tolerance of the case."""
        same_shape = self.got.shape == self.wanted.shape
        return same_shape and torch.allclose(self.got, self.wanted, rtol=self.rtol, atol=self.atol)

    def is_rounded(self) -> bool:
        """Whether the right numbers are in float64 and these agree with them to the digits of float32."""
        return self.in_double and same(self.got, self.wanted)

    def slack(self, predicted: Tensor) -> Tensor:
        """How far each number may be from its prediction: never further than a right answer from the right one."""
        size = predicted.abs().nan_to_num(posinf=0.0)
        rounding = self.precision * (size + 0.1 * self.scale)
        return torch.minimum(rounding, self.atol + self.rtol * size)

    def fits(self, predicted: Tensor) -> bool:
        """Whether the function returned these numbers, up to rounding."""
        if predicted.shape != self.got.shape:
            return False
        equal = self.got == predicted  # infinities too
        return bool((equal | ((self.got - predicted).abs() <= self.slack(predicted))).all())

    def moved(self, predicted: Tensor) -> list[float]:
        """The right numbers that the prediction moves by much more than rounding."""
        far = (predicted - self.wanted).abs() > CLEAR * self.slack(predicted)
        return self.wanted[far].tolist()


Samples = Sequence[Sample]


def proved(samples: Samples, predict: Callable[[Sample], Tensor | None], numbers: int = 2) -> bool:
    """Whether a prediction fits every sample and moves at least so many different numbers."""
    moved: set[float] = set()
    for sample in samples:
        predicted = predict(sample)
        if predicted is None or not sample.fits(predicted):
            return False
        moved |= {round(number, 6) for number in sample.moved(predicted)}
    return len(moved) >= numbers


def same(got: Tensor, wanted: Tensor, rtol: float = 1e-5) -> bool:
    """Equal up to the rounding of float32, relative to the largest finite one of the right numbers.

    >>> same(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.000001]))
    True
    """
    scale = Sample(got, wanted, {}).scale
    return got.shape == wanted.shape and torch.allclose(got, wanted, rtol=rtol, atol=0.1 * rtol * scale)


def shape_is_wrong(samples: Samples) -> str:
    """What is wrong with the shape of the first sample of a wrong shape; nothing if all shapes are right.

    >>> shape_is_wrong([Sample(torch.ones(4, 1), torch.ones(4), inputs={})])
    'has shape (4, 1), but must have shape (4,): the numbers are right, but a dimension of size one is left over'
    """
    wrong = [sample for sample in samples if sample.got.shape != sample.wanted.shape]
    if not wrong:
        return ""
    first, reason = wrong[0], _reason_for_shape(wrong)
    said = f"has shape {tuple(first.got.shape)}, but must have shape {tuple(first.wanted.shape)}"
    return said + (f": {reason}" if reason else "")


def _reason_for_shape(wrong: Samples) -> str:
    if mended := resized(wrong):
        right = all(sample.fits(sample.wanted) for sample in mended)
        return ("the numbers are right, but " if right else "") + _said_of_sizes(wrong)
    if all(sample.got.ndim == 2 and same(sample.got.T, sample.wanted) for sample in wrong):
        return "rows and columns are exchanged"
    for reduce, word in ((torch.sum, "summed"), (torch.mean, "averaged")):
        for dim in range(min(sample.got.ndim for sample in wrong)):
            if all(same(reduce(sample.got, dim), sample.wanted) for sample in wrong):
                return f"it still has to be {word} over dimension {dim}"
        if all(sample.got.ndim == 0 and same(sample.got, reduce(sample.wanted)) for sample in wrong):
            return f"it is {word} over too many dimensions"
    return ""


def _said_of_sizes(wrong: Samples) -> str:
    if all(sample.got.ndim > sample.wanted.ndim for sample in wrong):
        return "a dimension of size one is left over"
    if all(sample.got.ndim < sample.wanted.ndim for sample in wrong):
        return "a dimension of size one is squeezed away"
    return "a dimension of size one is left over or squeezed away"


def resized(samples: Samples) -> list[Sample]:
    """The samples in the right shapes, if they differ from these only by dimensions of size one; otherwise none.

    >>> [sample.got.shape for sample in resized([Sample(torch.ones(4, 1), torch.ones(4), inputs={})])]
    [torch.Size([4])]
    """
    if any(sample.got.squeeze().shape != sample.wanted.squeeze().shape for sample in samples):
        return []
    return [replace(sample, got=sample.got.reshape(sample.wanted.shape)) for sample in samples]


def not_finite(samples: Samples) -> str:
    """Where numbers are NaN or infinite although the right ones are not, with common causes; nothing if nowhere.

    >>> not_finite([Sample(torch.tensor([1.0, math.inf]), torch.ones(2), inputs={})])
    'is infinite in 1 of 2 places: an overflow, log(0), or a division by zero'
    """
    for name, causes, found_in in (
        ("NaN", "0/0, ∞ − ∞, 0 · ∞, or the logarithm or root of a negative number", Tensor.isnan),
        ("infinite", "an overflow, log(0), or a division by zero", Tensor.isinf),
    ):
        for sample in samples:
            found, right = found_in(sample.got), found_in(sample.wanted)
            if right.shape != found.shape:
                found &= ~right.any()  # the shapes differ, so places cannot be compared
            elif right.any():
                found &= ~right
            if found.any():
                return f"is {name} in {int(found.sum())} of {found.numel()} places: {causes}"
    return ""


def finite(samples: Samples) -> str:
    for sample in samples:
        if sample.got.shape == sample.wanted.shape and (found := sample.got.isfinite() & sample.wanted.isinf()).any():
            return f"is finite in {int(found.sum())} of {found.numel()} places where it has to be infinite"
    return ""


def zero(samples: Samples) -> str:
    return "is zero everywhere" if all(not sample.got.any() for sample in samples) else ""


def copied_input(samples: Samples) -> str:
    for name in samples[0].inputs:
        if proved(samples, lambda sample, name=name: _tensor(sample.inputs.get(name))):
            return f"is the input `{name}` itself"
    return ""


def _tensor(value: Any) -> Tensor | None:
    return value.double() if isinstance(value, Tensor) else None


def named_factor(samples: Samples) -> str:
    for factor, words in NAMED_FACTORS.items():
        if proved(samples, lambda sample, factor=factor: factor * sample.wanted):
            return words
    return ""


def size_as_factor(samples: Samples) -> str:
    for power, words in (
        (-1, "divided by {}: use the sum, not the mean"),
        (1, "times {}: use the mean, not the sum"),
    ):
        if place := _size_that(samples, lambda sample, size, power=power: sample.wanted * size**power):
            return f"is the right one {words.format(place)}"
    return ""


def size_as_offset(samples: Samples) -> str:
    for sign, words in ((1, "too large"), (-1, "too small")):
        if place := _size_that(samples, lambda sample, size, sign=sign: sample.wanted + sign * math.log(size)):
            return f"is {words} by the logarithm of {place}"
    return ""


def _size_that(samples: Samples, predict: Callable[[Sample, int], Tensor]) -> str:
    """Words for the size of the inputs that explains all samples; nothing if two different sizes would."""
    places = {}  # by the sizes in all samples: many places share them
    for place, size_of in reversed(list(_sizes(samples[0].inputs))):
        if all(sizes := tuple(size_of(sample.inputs) for sample in samples)):
            places[sizes] = place
    found = [place for sizes, place in places.items() if _explains(samples, sizes, predict)]
    return found[0] if len(found) == 1 else ""


def _explains(samples: Samples, sizes: Sequence[int], predict: Callable[[Sample, int], Tensor]) -> bool:
    size_of = {id(sample): size for sample, size in zip(samples, sizes, strict=True)}
    return proved(samples, lambda sample: predict(sample, size_of[id(sample)]))


def _sizes(inputs: Mapping[str, Any]) -> Iterator[tuple[str, Callable[[Mapping[str, Any]], int]]]:
    """Sizes that a formula may take from inputs like these, in words and as functions of other inputs; 0 if lacking."""
    for name, value in inputs.items():
        if isinstance(value, Tensor):
            for dim in range(value.ndim):
                yield f"the size of dimension {dim} of `{name}`", _size_of(name, dim)
            if value.ndim > 1:
                yield f"the size of the last dimension of `{name}`", _size_of(name, -1)
                yield f"the number of entries of `{name}`", _count_in(name)
                yield f"the number of values of one row of `{name}`", _count_in(name, first_row=True)


def _size_of(name: str, dim: int) -> Callable[[Mapping[str, Any]], int]:
    def size(inputs: Mapping[str, Any]) -> int:
        value = inputs.get(name)
        return value.shape[dim] if isinstance(value, Tensor) and -value.ndim <= dim < value.ndim else 0

    return size


def _count_in(name: str, first_row: bool = False) -> Callable[[Mapping[str, Any]], int]:
    def count(inputs: Mapping[str, Any]) -> int:
        value = inputs.get(name)
        return (value[0] if first_row else value).numel() if isinstance(value, Tensor) and value.ndim else 0

    return count


def constant_offset(samples: Samples) -> str:
    offset = torch.cat([(sample.got - sample.wanted).flatten() for sample in samples]).mean()
    if proved(samples, lambda sample: sample.wanted + offset, numbers=3):
        return f"is off by the same amount, {offset:.4g}, everywhere"
    return ""


def constant_factor(samples: Samples) -> str:
    got, wanted = (torch.cat([getattr(sample, name).flatten() for sample in samples]) for name in ("got", "wanted"))
    factor = (got * wanted).sum() / wanted.square().sum()
    has_a_name = any(abs(factor / named - 1) <= NEAR_ONE for named in (1.0, *NAMED_FACTORS))
    if not has_a_name and proved(samples, lambda sample: factor * sample.wanted, numbers=3):
        return f"is the right one times {factor:.4g} everywhere"
    return ""


def other_order(samples: Samples) -> str:
    several = [s for s in samples if len(s.wanted.unique()) > max(2, s.wanted.numel() // 2)]  # not only −1 and 1
    in_order = all(same(s.got.flatten().sort().values, s.wanted.flatten().sort().values) for s in samples)
    is_reordered = bool(several) and in_order and all(map(_is_reordered, several))
    return "has the right numbers in the wrong order" if is_reordered else ""


def _is_reordered(sample: Sample) -> bool:
    """Whether at least two numbers are clearly in the wrong place."""
    return int(((sample.got - sample.wanted).abs() > NEAR_ONE * sample.scale).sum()) > 1


def same_everywhere(samples: Samples) -> str:
    several = [sample for sample in samples if sample.got.numel() > 1 and not _is_constant(sample.wanted)]
    return "is the same number everywhere" if several and all(_is_constant(sample.got) for sample in several) else ""


def _is_constant(values: Tensor) -> bool:
    return same(values, values.mean().expand_as(values))


def nearly_right(samples: Samples) -> str:
    return "is nearly right, within about a percent" if all(map(_is_nearly_right, samples)) else ""


def _is_nearly_right(sample: Sample) -> bool:
    size = sample.wanted[sample.wanted.isfinite()].abs().mean().nan_to_num().item()
    return torch.allclose(sample.got, sample.wanted, rtol=5e-3, atol=5e-3 * size)


def right_in_places(samples: Samples) -> str:
    right = sum(int(torch.isclose(s.got, s.wanted, rtol=s.rtol, atol=s.atol).sum()) for s in samples)
    places = sum(sample.got.numel() for sample in samples)
    word = "calls" if all(sample.got.ndim == 0 for sample in samples) else "places"
    return f"is right in {right} of {places} {word}" if right > NOT_BY_CHANCE * places else ""


TELLING = (
    not_finite,
    finite,
    zero,
    copied_input,
    named_factor,
    size_as_factor,
    size_as_offset,
    constant_offset,
    constant_factor,
    other_order,
    same_everywhere,
)
VAGUE = (nearly_right, right_in_places)  # said of numbers where no cause is known


def telling_relation_of(samples: Samples) -> str:
    """How the numbers of all samples are related to the right ones, in words; nothing if no relation is known.

    >>> right = torch.tensor([1.0, 2.0, 5.0])
    >>> telling_relation_of([Sample(-right, right, inputs={})])
    'has the opposite sign'
    """
    if said := shape_is_wrong(samples):
        mended = resized(samples)
        second = telling_relation_of(mended) if mended and not all(s.fits(s.wanted) for s in mended) else ""
        return f"{said}; {ONCE_MENDED} it {second}" if second else said
    return next(filter(None, (relation(samples) for relation in TELLING)), "")


def vague_relation_of(samples: Samples) -> str:
    """How far the numbers are from being right, where no cause is known.

    >>> vague_relation_of([Sample(torch.tensor([1.0, 2.0, 9.0]), torch.tensor([1.0, 2.0, 5.0]), inputs={})])
    'is right in 2 of 3 places'
    """
    return next(filter(None, (relation(samples) for relation in VAGUE)), "")
