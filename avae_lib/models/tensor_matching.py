"""Weights of a model and tensors of a file brought together: by name where names are given, else in order."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from avae_lib.errors import InvalidInput

__all__ = ["NamedTensor", "PublishedTensor", "UnmatchedTensors", "matched"]


@dataclass(frozen=True)
class NamedTensor:
    """A tensor of a file, in the layout in which it was saved.

    >>> import torch
    >>> NamedTensor("data_layer/conv2d/kernel:0", torch.zeros(3, 3, 8, 8)).kind
    'kernel'
    """

    name: str
    """Layer and weight as the file names them, for example ``data_layer/conv2d/kernel:0``."""
    values: Tensor

    @property
    def kind(self) -> str:
        """What the weight is: the last part of its name, without its number. For example ``kernel``."""
        return self.name.rpartition("/")[2].partition(":")[0]


@dataclass(frozen=True)
class PublishedTensor:
    """A weight of our model, and how the published program saves it."""

    name: str
    """Its name here."""
    kind: str
    """The last part of its name there."""
    shape: tuple[int, ...]
    """Its shape there."""


class UnmatchedTensors(InvalidInput):
    """Weights of the model and of a file that do not fit together.

    Args:
        message: what is wrong, in one sentence.
        report: a line for every tensor that was left over.

    >>> try:
    ...     matched([PublishedTensor("top.constant", "constant", (1, 4, 4, 8))], [], {})
    ... except UnmatchedTensors as error:
    ...     print(error.report[0])
    model: top.constant, a constant (1, 4, 4, 8)
    """

    def __init__(self, message: str, report: Sequence[str]) -> None:
        super().__init__(message)
        self.report = tuple(report)


def matched(
    wanted: Sequence[PublishedTensor], given: Sequence[NamedTensor], names: Mapping[str, str]
) -> list[tuple[PublishedTensor, NamedTensor]]:
    """Pairs of a weight of ours and a tensor of the file: by name where ``names`` has it, else in order.

    Raises:
        UnmatchedTensors: kinds or shapes differ somewhere in the order.
        ValueError: ``names`` names what is not there, one tensor twice, or one of another shape.

    >>> import torch
    >>> kernel = PublishedTensor("head.projection.1.direction", "kernel", (1, 1, 2, 3))
    >>> _, tensor = matched([kernel], [NamedTensor("data/kernel:0", torch.zeros(1, 1, 2, 3))], {})[0]
    >>> tensor.name
    'data/kernel:0'
    """
    by_name = _named_pairs(wanted, given, names)
    taken = {tensor.name for tensor in by_name.values()}
    of_ours = [tensor for tensor in wanted if tensor.name not in by_name]
    of_file = [tensor for tensor in given if tensor.name not in taken]
    if [(ours.kind, ours.shape) for ours in of_ours] != [(file.kind, tuple(file.values.shape)) for file in of_file]:
        raise _unmatched(of_ours, of_file)
    by_name |= {ours.name: file for ours, file in zip(of_ours, of_file, strict=True)}
    return [(tensor, by_name[tensor.name]) for tensor in wanted]


def _named_pairs(
    wanted: Sequence[PublishedTensor], given: Sequence[NamedTensor], names: Mapping[str, str]
) -> dict[str, NamedTensor]:
    """The tensors that ``names`` assigns to weights of ours."""
    ours = {tensor.name: tensor for tensor in wanted}
    file = {tensor.name: tensor for tensor in given}
    for name, theirs in names.items():
        if name not in ours:
            raise InvalidInput(f"names must begin with names of the model's weights, and it has none called {name!r}")
        if theirs not in file:
            raise InvalidInput(f"names pairs {name} with {theirs!r}, which is not in the file")
        if ours[name].shape != tuple(file[theirs].values.shape):
            raise InvalidInput(
                f"names pairs {name} with {theirs}, but they must have one shape: {ours[name].shape} and "
                f"{tuple(file[theirs].values.shape)}"
            )
    if len(set(names.values())) < len(names):
        twice = sorted({theirs for theirs in names.values() if list(names.values()).count(theirs) > 1})
        raise InvalidInput(f"names must use each tensor of the file once; used more often: {', '.join(twice)}")
    return {name: file[theirs] for name, theirs in names.items()}


def _unmatched(wanted: Sequence[PublishedTensor], given: Sequence[NamedTensor]) -> UnmatchedTensors:
    """The error that lists what has no counterpart when both lists are laid side by side."""
    ours = [(tensor.kind, tensor.shape) for tensor in wanted]
    file = [(tensor.kind, tuple(tensor.values.shape)) for tensor in given]
    steps = difflib.SequenceMatcher(None, ours, file, autojunk=False).get_opcodes()
    different = [step for step in steps if step[0] != "equal"]
    of_ours = [tensor for _, start, end, _, _ in different for tensor in wanted[start:end]]
    of_file = [tensor for _, _, _, start, end in different for tensor in given[start:end]]
    report = [f"model: {tensor.name}, a {tensor.kind} {tensor.shape}" for tensor in of_ours]
    report += [f"file: {tensor.name} {tuple(tensor.values.shape)}" for tensor in of_file]
    same = sorted(ours) == sorted(file)
    problem = "has the weights of this model in another order" if same else "is not of this model"
    return UnmatchedTensors(
        f"the file {problem}: {len(of_ours)} weights of the model and {len(of_file)} tensors of the file have no "
        "counterpart. Take the preset of the same model, or pair the tensors in a JSON file of names",
        report,
    )
