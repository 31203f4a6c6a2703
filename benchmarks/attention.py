"""What attention over depth costs a hierarchy of L layers, in time and memory, computed in several ways.

    python benchmarks/attention.py                     all ways, L = 8, 16, 32, 64: one table, one record
    python benchmarks/attention.py --layers 16 --ways list fused      some of it, without a record

One row is all attention of a hierarchy to its contexts: layer l looks at the l − 1 contexts above it, L(L−1)/2 pairs.
The sizes are those of cifar10-attentive-16 on a GPU, smaller ones on the CPU. Ways:

* stacking: each layer stacks all keys and all values above it before it looks at them
* list: the library's own depthwise_attention, which leaves contexts where they are
* compiled: the same through torch.compile, as one graph for each layer's attention; these are as many compilations as
  layers, longer and longer ones, so this way is measured for few layers only
* fused: two operators with gradients of their own; Triton kernels on a GPU, the same algorithm in PyTorch on the CPU

Before it is timed, each way is checked against attention in float64. Memory is what the passes add to the contexts:
on a GPU the allocator's peak, on the CPU the peak of all tensors that operators return (compiled code is not seen).
Gigabytes per second count what has to be moved: for each pair, the value is read twice and its gradient written once.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import records
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from training_steps.arithmetic import added_on_gpu, seconds_of

from avae_lib.nn.depthwise_attention import depthwise_attention
from avae_lib.nn.fused_depthwise_attention import fused_depthwise_attention

LAYERS = (8, 16, 32, 64)
SIZES = {"cuda": (32, 20, 276, 16, 16), "cpu": (2, 20, 276, 16, 16)}
"""Examples, channels of a key and of a value, height and width. The channels are those of cifar10-attentive-16."""
COMPILED_UP_TO = {"cuda": 16, "cpu": 8}
SCALE = 0.224  # scale of attention, 1/√20

Attention = Callable[[Tensor, Sequence[Tensor], Sequence[Tensor], float], Tensor]


def stacking_attention(query: Tensor, keys: Sequence[Tensor], values: Sequence[Tensor], scale: float) -> Tensor:
    """Attention over depth as it is often written: every layer copies the whole history."""
    scores = torch.einsum("bkhw,blkhw->blhw", scale * query, torch.stack(list(keys), dim=1))
    return torch.einsum("blhw,blchw->bchw", scores.softmax(dim=1), torch.stack(list(values), dim=1))


def ways(device: torch.device) -> dict[str, Attention]:
    # Each layer looks at another number of contexts, and with that number the compiled code differs.
    torch._dynamo.config.cache_size_limit = max(LAYERS) + 1
    compiled = torch.compile(depthwise_attention, fullgraph=True, dynamic=False)
    return {
        "stacking": stacking_attention,
        "list": depthwise_attention,
        "compiled": compiled,
        "fused": fused_depthwise_attention,
    }


class Hierarchy:
    """Queries of the layers 2 … L and contexts of the layers 1 … L−1, as leaves of a graph."""

    def __init__(self, layers: int, size: tuple[int, ...], device: torch.device, dtype: torch.dtype) -> None:
        batch, key_channels, channels, height, width = size
        generator = torch.Generator().manual_seed(0)

        def maps(number: int) -> list[Tensor]:
            drawn = [torch.randn(batch, number, height, width, generator=generator) for _ in range(layers - 1)]
            in_layout = [x.to(device, dtype, memory_format=torch.channels_last) for x in drawn]
            return [x.requires_grad_() for x in in_layout]

        self.queries, self.keys, self.values = maps(key_channels), maps(key_channels), maps(channels)

    def leaves(self) -> list[Tensor]:
        return [*self.queries, *self.keys, *self.values]

    def forward(self, attention: Attention) -> list[Tensor]:
        return [
            attention(query, self.keys[: above + 1], self.values[: above + 1], SCALE)
            for above, query in enumerate(self.queries)
        ]

    def forward_and_backward(self, attention: Attention) -> list[Tensor]:
        """The gradients of half the sum of squares of the results, in all leaves."""
        found = self.forward(attention)
        return list(torch.autograd.grad(found, self.leaves(), [x.detach() for x in found]))

    def in_float64(self) -> Hierarchy:
        exact = Hierarchy.__new__(Hierarchy)
        for name in ("queries", "keys", "values"):
            setattr(exact, name, [x.detach().double().requires_grad_() for x in getattr(self, name)])
        return exact


def error(attention: Attention, size: tuple[int, ...], device: torch.device, dtype: torch.dtype) -> float:
    """The largest difference of a gradient from attention in float64, relative to the largest gradient."""
    hierarchy = Hierarchy(4, (2, *size[1:]), device, dtype)
    got = hierarchy.forward_and_backward(attention)
    wanted = hierarchy.in_float64().forward_and_backward(depthwise_attention)
    largest = max(float(y.abs().max()) for y in wanted)
    return max(float((x - y).abs().max()) for x, y in zip(got, wanted, strict=True)) / largest


def seconds(step: Callable[[], Any], device: torch.device, at_least: float) -> float:
    """Median seconds of a step that has been done before; on the CPU those of this process, whatever else runs."""
    times: list[float] = []
    while len(times) < 3 or sum(times) < at_least:
        clock, processor = seconds_of(step, device)
        times.append(clock if device.type == "cuda" else processor)
    return statistics.median(times)


class Allocations(TorchDispatchMode):
    """The peak of the bytes of all storages that operators have made and that are still alive."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = {x.untyped_storage().data_ptr() for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)}
        result = func(*args, **(kwargs or {}))
        for x in tree_leaves(result):
            if isinstance(x, Tensor) and x.untyped_storage().data_ptr() not in given | self.known:
                self._count(x.untyped_storage())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        address, size = storage.data_ptr(), storage.nbytes()
        self.known.add(address)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, address, size)

    def _forget(self, address: int, size: int) -> None:
        self.known.discard(address)
        self.now -= size


def added_bytes(step: Callable[[], Any], device: torch.device) -> int:
    """Bytes that a step needs at most besides what was there before."""
    if device.type == "cuda":
        return added_on_gpu(step, device)
    with Allocations() as allocations:
        step()
    return allocations.peak


def measure(way: str, attention: Attention, layers: int, options: argparse.Namespace) -> dict[str, Any]:
    device, dtype = torch.device(options.device), getattr(torch, options.dtype)
    torch._dynamo.reset()
    hierarchy = Hierarchy(layers, SIZES[device.type], device, dtype)
    pair = hierarchy.values[0].numel() * hierarchy.values[0].element_size()
    start = time.perf_counter()
    hierarchy.forward_and_backward(attention)
    first = time.perf_counter() - start
    both = functools.partial(hierarchy.forward_and_backward, attention)
    memory = None if way == "compiled" and device.type == "cpu" else added_bytes(both, device)
    forward = seconds(functools.partial(hierarchy.forward, attention), device, options.seconds)
    total = seconds(both, device, options.seconds)
    pairs = layers * (layers - 1) // 2
    return {
        "layers": layers,
        "way": way,
        "error": error(attention, SIZES[device.type], device, dtype),
        "first_s": first,
        "forward_ms": 1e3 * forward,
        "both_ms": 1e3 * total,
        "us_per_pair": 1e6 * total / pairs,
        "gigabytes_per_s": 3 * pairs * pair / total / 1e9,
        "peak_megabytes": None if memory is None else memory / 1e6,
    }


def main() -> None:
    parser = records.options_of(__doc__)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", default=device, help="where to measure")
    parser.add_argument("--dtype", default="bfloat16" if device == "cuda" else "float32", help="of the contexts")
    parser.add_argument("--layers", type=int, nargs="+", default=LAYERS, help="numbers of layers")
    parser.add_argument("--ways", nargs="+", help="ways to compute it; all by default")
    parser.add_argument("--seconds", type=float, default=1.0, help="seconds that each time is measured for, at least")
    parser.add_argument("--out", type=Path, help="folder for a record of these rows, even if they are not all")
    options = parser.parse_args()
    kind = torch.device(options.device).type
    table = records.Table(
        layers=">6", way="<9", error=">9.0e", first_s=">8.1f", forward_ms=">11.1f", both_ms=">10.1f",
        us_per_pair=">12.1f", gigabytes_per_s=">16.1f", peak_megabytes=">15.0f",
    )  # fmt: skip
    for layers in options.layers:
        for way, attention in ways(torch.device(options.device)).items():
            is_asked = options.ways is None or way in options.ways
            if is_asked and (way != "compiled" or layers <= COMPILED_UP_TO[kind]):
                table.add(**measure(way, attention, layers, options))
    if options.out or (options.ways is None and tuple(options.layers) == LAYERS):
        folder, facts = options.out or records.RESULTS, {"size": SIZES[kind], "dtype": options.dtype}
        records.record("attention", table.rows, options.device, folder, **facts)


if __name__ == "__main__":
    main()
