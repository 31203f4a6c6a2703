"""Inputs that are more than tensors and numbers: lists, records, iterators that run once, and parts to call.

A request holds them as data, so that they can travel as JSON. :func:`built` makes of them the objects that a student's
function is called with, and :func:`leaves` names all that they hold: ``evidence[0].value``, ``parts.posterior``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

from avae_lib.checking.json_arrays import array_from_json, array_to_json
from avae_lib.checking.toy_parts import ChannelMap, record_class

__all__ = [
    "Map",
    "Once",
    "Record",
    "Repeated",
    "built",
    "changed_inputs",
    "changed_leaves",
    "input_from_json",
    "input_to_json",
    "leaves",
    "left_behind",
    "length_of",
]


@dataclasses.dataclass(frozen=True, eq=False)
class Record:
    """A record: the student's function reads its fields by name, as in ``context.value``; it cannot assign to them.

    >>> built(Record({"value": 1.0})).value
    1.0
    """

    fields: Mapping[str, Any]


@dataclasses.dataclass(frozen=True, eq=False)
class Once:
    """An iterator over the items that can be run through once, as a generator can.

    >>> numbers = built(Once([1, 2]))
    >>> sum(numbers), sum(numbers)
    (3, 0)
    """

    items: Sequence[Any]


@dataclasses.dataclass(frozen=True, eq=False)
class Repeated:
    """A long vector that a request stores in short form: a few numbers that repeat.

    >>> built(Repeated(Tensor([1.0, 2.0]), times=3))
    tensor([1., 2., 1., 2., 1., 2.])
    """

    values: Tensor
    times: int


@dataclasses.dataclass(frozen=True, eq=False)
class Map:
    """A part to call: a fixed smooth map of feature maps, in which no component of the course is used.

    The same weights always make the same map (see :class:`avae_lib.checking.toy_parts.ChannelMap`).

    Args:
        weight: all its weights, in one tensor.
        takes: channels of each argument.
        returns: name and channels of each result.
        form: ``"tensor"`` (one result), ``"tuple"`` or ``"record"``.
        residual: whether its argument is added to its result.
        bounded: names of the results that are kept between −1 and 1, as log standard deviations.

    >>> triple = built(Map(Tensor([[3.0, 0.0], [0.0, 0.0]]), takes=(1,), returns=(("y", 1),)))
    >>> triple(Tensor([[[[1.0, 2.0]]]]))
    tensor([[[[3., 6.]]]])
    """

    weight: Tensor
    takes: tuple[int, ...]
    returns: tuple[tuple[str, int], ...]
    form: str = "tensor"
    residual: bool = False
    bounded: tuple[str, ...] = ()

    @property
    def settings(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("takes", "returns", "form", "residual", "bounded")}


def input_to_json(value: Any) -> dict[str, Any]:
    """One input as plain JSON types; plain values, such as a list of numbers, stay as they are.

    >>> input_to_json((0.5, [1, 2]))
    {'tuple': [{'plain': 0.5}, {'plain': [1, 2]}]}
    """
    if isinstance(value, Tensor):
        return {"array": array_to_json(value)}
    if isinstance(value, Map):
        return {"map": {"weight": array_to_json(value.weight), **value.settings}}
    if isinstance(value, Record):
        return {"record": {name: input_to_json(field) for name, field in value.fields.items()}}
    if isinstance(value, Once):
        return {"once": [input_to_json(item) for item in value.items]}
    if isinstance(value, Repeated):
        return {"repeated": {"values": array_to_json(value.values), "times": value.times}}
    if isinstance(value, tuple):
        return {"tuple": [input_to_json(item) for item in value]}
    if isinstance(value, list) and not _is_plain(value):
        return {"list": [input_to_json(item) for item in value]}
    return {"plain": value}


def _is_plain(value: Any) -> bool:
    return all(map(_is_plain, value)) if type(value) is list else isinstance(value, str | int | float | None)


def input_from_json(content: Mapping[str, Any]) -> Any:
    """The inverse of :func:`input_to_json`.

    >>> input_from_json(input_to_json((0.5, [1, 2])))
    (0.5, [1, 2])
    """
    ((kind, value),) = content.items()
    return READ[kind](value)


def _map_from_json(content: Mapping[str, Any]) -> Map:
    facts = {**content, "weight": array_from_json(content["weight"])}
    facts |= {name: tuple(content[name]) for name in ("takes", "bounded")}
    return Map(**{**facts, "returns": tuple((name, channels) for name, channels in content["returns"])})


def _items_from_json(content: Sequence[Any]) -> list[Any]:
    return [input_from_json(item) for item in content]


READ: Mapping[str, Callable[[Any], Any]] = {
    "array": array_from_json,
    "plain": lambda value: value,
    "list": _items_from_json,
    "tuple": lambda value: tuple(_items_from_json(value)),
    "once": lambda value: Once(_items_from_json(value)),
    "record": lambda value: Record({name: input_from_json(field) for name, field in value.items()}),
    "map": _map_from_json,
    "repeated": lambda value: Repeated(array_from_json(value["values"]), value["times"]),
}


def changed_leaves(value: Any, change: Callable[[str, Tensor], Tensor], path: str) -> Any:
    """The same structure with every tensor changed; ``change`` is given its path too.

    >>> changed_leaves([Tensor([1.0]), 5], lambda path, tensor: 2 * tensor, "x")
    [tensor([2.]), 5]
    """
    if isinstance(value, Tensor):
        return change(path, value)
    if isinstance(value, Map):
        return dataclasses.replace(value, weight=change(path, value.weight))
    if isinstance(value, Record):
        fields = value.fields.items()
        return Record({name: changed_leaves(field, change, f"{path}.{name}") for name, field in fields})
    if isinstance(value, Once):
        return Once(changed_leaves(list(value.items), change, path))
    if isinstance(value, Repeated):
        return Repeated(change(path, value.values), value.times)
    if isinstance(value, list | tuple):
        return type(value)(changed_leaves(item, change, f"{path}[{n}]") for n, item in enumerate(value))
    return value


def built(value: Any, name: str = "") -> Any:
    """What a function is called with: records as objects with fields, maps as callables, iterators that run once.

    Args:
        name: what a map calls itself in its errors.

    >>> layers = built([Record({"value": 1.0, "key": 2.0})])
    >>> layers[0].value, layers[0].key
    (1.0, 2.0)
    """
    if isinstance(value, Map):
        return ChannelMap(name, value.weight, **value.settings)
    if isinstance(value, Record):
        fields = {field: built(content, field) for field, content in value.fields.items()}
        return record_class(tuple(fields))(**fields)
    if isinstance(value, Once):
        return (item for item in [built(item) for item in value.items])
    if isinstance(value, Repeated):
        return value.values.repeat(value.times)
    if isinstance(value, list | tuple):
        return type(value)(built(item, name) for item in value)
    return value


def changed_inputs(inputs: Mapping[str, Any], change: Callable[[Tensor], Tensor]) -> dict[str, Any]:
    """Inputs by name, built from scratch with every tensor changed.

    >>> changed_inputs({"x": Tensor([1.0]), "dim": 0}, lambda tensor: tensor + 1)
    {'x': tensor([2.]), 'dim': 0}
    """
    return {
        name: built(changed_leaves(value, lambda _, tensor: change(tensor), name), name)
        for name, value in inputs.items()
    }


def leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every tensor and plain value in a structure with its path; of a map, its weights.

    >>> list(leaves([Record({"value": 1.0}), 2.0], "evidence"))
    [('evidence[0].value', 1.0), ('evidence[1]', 2.0)]
    """
    if isinstance(value, Map):
        yield path, value.weight
    elif isinstance(value, Repeated):
        yield path, value.values
    elif isinstance(value, Record):
        for name, field in value.fields.items():
            yield from leaves(field, f"{path}.{name}")
    elif isinstance(value, list | tuple | Once):
        for number, item in enumerate(value.items if isinstance(value, Once) else value):
            yield from leaves(item, f"{path}[{number}]")
    else:
        yield path, value


def left_behind(value: Any, handed: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The leaves of a structure as a call has left them, and the length of each list.

    Args:
        value: the structure as it was before.
        handed: what :func:`built` made of it, after the call.

    >>> list(left_behind([1, 2], [1, 2, 3], "items"))
    [('number of entries of items', 3)]
    """
    if isinstance(value, Map):
        yield path, handed.weight if isinstance(handed, ChannelMap) else handed
    elif isinstance(value, Record):
        for name, field in value.fields.items():
            yield from left_behind(field, getattr(handed, name, None), f"{path}.{name}")
    elif isinstance(value, list | tuple):
        items = list(handed) if isinstance(handed, list | tuple) else []
        yield length_of(path), len(items)
        for number, (item, after) in enumerate(zip(value, items, strict=False)):
            yield from left_behind(item, after, f"{path}[{number}]")
    elif isinstance(value, Tensor | Repeated):
        yield path, handed


def length_of(path: str) -> str:
    """The name under which the length of a list is noted.

    >>> length_of("evidence")
    'number of entries of evidence'
    """
    return f"number of entries of {path}"
