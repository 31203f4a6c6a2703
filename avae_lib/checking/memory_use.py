"""Measures the memory of a function: whether it grows with the number of chunks, or with all pairs of two lists."""

from __future__ import annotations

import itertools
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode  # not TorchDispatchMode: that loads the compiler, which takes seconds

from avae_lib.checking.nested_inputs import Once, changed_inputs
from avae_lib.checking.records import Recorded, Request

__all__ = ["ALL_PAIRS", "GROWS", "growing", "keeps_all_pairs"]

GROWS = "memory that grows with the number of chunks"
ALL_PAIRS = "memory for all pairs"
CHUNKS = 240
"""Chunks in the stream along which memory is watched."""
LENGTHS = (500, 1000, 2000, 4000)
"""Numbers in either list. Work in pieces of up to 2,500 rows is told from work on all pairs by the last two."""
LONG_SECONDS = 1.0
"""After a call that takes longer, the lists are not made longer still: that is how pairs in Python's own lists look."""


def growing(function: Callable, request: Request) -> dict[str, Recorded]:
    """Whether what a function holds grows while it runs through a long stream of chunks.

    The stream repeats the items of the only iterator among the inputs. The function is called once before, so that
    what is made at a first call does not count.

    A function that keeps every chunk holds more and more:

    >>> request = Request("total", {"chunks": Once([torch.ones(1, 1000), torch.ones(1, 1000)])})
    >>> growing(lambda chunks: sum(chunk.sum() for chunk in chunks), request)[GROWS].array
    tensor(False)
    >>> growing(lambda chunks: torch.stack(list(chunks)).sum(), request)[GROWS].array
    tensor(True)
    """
    ((name, once),) = ((name, value) for name, value in request.inputs.items() if isinstance(value, Once))
    function(**changed_inputs(request.inputs, Tensor.clone))
    holding = _Holding()
    with _traced(), holding:
        stream = holding.watched(itertools.islice(itertools.cycle(once.items), CHUNKS))
        function(**{**changed_inputs(request.inputs, Tensor.clone), name: stream})
    smallest = min(item[0].numel() * item.element_size() for item in once.items)
    return {GROWS: Recorded.of(holding.growth > smallest / 2)}


def keeps_all_pairs(function: Callable, request: Request) -> dict[str, Recorded]:
    """Whether the memory that a function takes grows with the product of the lengths of its inputs.

    Its inputs are repeated until they are so long that all pairs stand out. With twice as many numbers on either side
    memory doubles, or becomes four times as much where something is kept for every pair. What is measured is the
    largest tensor that an operation makes, and what Python allocates at most, NumPy's arrays included.

    The largest difference of two numbers, with all differences and without:

    >>> request = Request("widest", {"a": torch.rand(8), "b": torch.rand(8)})
    >>> keeps_all_pairs(lambda a, b: (a[:, None] - b).max(), request)[ALL_PAIRS].array
    tensor(True)
    >>> keeps_all_pairs(lambda a, b: a.max() - b.min(), request)[ALL_PAIRS].array
    tensor(False)
    """
    with _Peak():  # what is imported at a first call is not counted, and imports are slow while memory is traced
        function(**_of_length(1, request))
    return {ALL_PAIRS: Recorded.of(_always_quadruples(function, request))}


def _always_quadruples(function: Callable, request: Request) -> bool:
    few = _Peak.of(function, request, LENGTHS[0])
    for length in LENGTHS[1:]:
        many = _Peak.of(function, request, length)
        if not any(_quadruples(*bytes_, pairs=length**2) for bytes_ in zip(few.bytes, many.bytes, strict=True)):
            return False
        if many.seconds > LONG_SECONDS:
            return True
        few = many
    return True


def _quadruples(few: int, many: int, pairs: int) -> bool:
    """Whether bytes for twice as long inputs are one for each pair at least, and grew like the number of pairs."""
    return many >= pairs and many > 2.5 * few


def _of_length(length: int, request: Request) -> dict[str, Any]:
    """The inputs of a request, with the numbers of each tensor over and over, ``length`` in all."""
    return {
        name: value[torch.arange(length) % len(value)] if isinstance(value, Tensor) else value
        for name, value in request.inputs.items()
    }


@contextmanager
def _traced() -> Iterator[None]:
    """Inside a ``with`` block, the allocations of Python and NumPy are counted; a running count continues."""
    was_tracing = tracemalloc.is_tracing()
    tracemalloc.start()
    try:
        yield
    finally:
        if not was_tracing:
            tracemalloc.stop()


class _Operations(TorchFunctionMode):
    """Sees every tensor that an operation returns."""

    def __torch_function__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, Tensor):
                self.note(tensor)
        return result

    def note(self, tensor: Tensor) -> None:
        """What is to be done with it."""
        raise NotImplementedError


class _Holding(_Operations):
    """The bytes that are held: storages of tensors, and what Python and NumPy have allocated."""

    growth = 0.0
    """Bytes that were added with each chunk in the second half of the stream; 0 if it was not run through."""

    def __init__(self) -> None:
        super().__init__()
        self._storages: dict[int, tuple[StorageWeakRef, int]] = {}

    def note(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        self._storages[storage._cdata] = StorageWeakRef(storage), storage.nbytes()

    def watched(self, chunks: Iterator[Tensor]) -> Iterator[Tensor]:
        """The chunks, each a tensor of its own; what is held is measured when they are asked for."""
        half = 0
        for number, chunk in enumerate(chunks, start=1):
            held = self._held()
            if number == CHUNKS // 2:
                half = held
            elif number == CHUNKS:
                self.growth = (held - half) / (CHUNKS - CHUNKS // 2)
            yield chunk.clone()

    def _held(self) -> int:
        self._storages = {key: held for key, held in self._storages.items() if not held[0].expired()}
        return tracemalloc.get_traced_memory()[0] + sum(size for _, size in self._storages.values())


class _Peak(_Operations):
    """Peak use of one call: bytes of its largest tensor, bytes that Python allocates, and seconds."""

    tensor_bytes = 0
    python_bytes = 0
    seconds = 0.0

    @property
    def bytes(self) -> tuple[int, int]:
        return self.tensor_bytes, self.python_bytes

    @classmethod
    def of(cls, function: Callable, request: Request, length: int) -> _Peak:
        inputs, peak = _of_length(length, request), cls()
        with _traced():
            tracemalloc.reset_peak()
            before, started = tracemalloc.get_traced_memory()[0], time.perf_counter()
            with peak:
                function(**inputs)
            peak.seconds = time.perf_counter() - started
            peak.python_bytes = tracemalloc.get_traced_memory()[1] - before
        return peak

    def note(self, tensor: Tensor) -> None:
        self.tensor_bytes = max(self.tensor_bytes, tensor.untyped_storage().nbytes())
