"""How much arithmetic a step is, and how much of it a device can do in a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from avae_lib.observations import AnyModel
from avae_lib.training.memory import Memory, expected_memory
from avae_lib.training.sizes_of_pieces import sizes_of_pieces
from avae_lib.training.training_config import TrainingConfig

__all__ = ["added_on_gpu", "flop_and_memory", "in_turn", "matrix_product_peak", "seconds_of"]

REPEATS = 15
SIDE = {"cuda": 8192, "cpu": 1024}
"""Rows and columns of the matrices whose product is timed."""


def flop_and_memory(model: AnyModel, config: TrainingConfig, data_bytes: int = 0) -> tuple[float | None, Memory]:
    """Operations for each image, and the memory that training is expected to need, from one pass on shapes.

    Counted are convolutions and matrix products in the forward and backward pass; a multiplication with an addition
    counts as two. What activation checkpointing computes again would count, too.

    Args:
        model: the model; its weights may lack numbers (device meta).
        config: how it is trained.
        data_bytes: size of the training split on the device.

    Returns:
        Operations (None if the model reads numbers on its way) and memory.

    >>> from avae_lib.presets import find_preset
    >>> preset = find_preset("digits-vae")
    >>> flop_and_memory(preset.build_model(), preset.training)[0]
    636800.0
    """
    with FlopCounterMode(display=False) as counter:
        memory = expected_memory(model, config, data_bytes)
    images = max(sizes_of_pieces(config.batch_size, config.micro_batch))
    return counter.get_total_flops() / images if memory.activations else None, memory


def matrix_product_peak(device: torch.device | str, dtype: torch.dtype, side: int | None = None) -> float:
    """Operations in a second of a large square matrix product, the median of repeated ones.

    On a GPU products of float32 numbers use TensorFloat-32 here if convolutions do, as they do by default.

    >>> matrix_product_peak("cpu", torch.float32, side=64) > 1e6
    True
    """
    device = torch.device(device)
    side = side or SIDE.get(device.type, 1024)
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    out = torch.empty(side, side, device=device, dtype=dtype)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if torch.backends.cudnn.allow_tf32 else "highest")
    try:
        seconds = [seconds_of(lambda: torch.mm(left, right, out=out), device)[0] for _ in range(3 + REPEATS)]
    finally:
        torch.set_float32_matmul_precision(before)
    return 2 * side**3 / median(seconds[3:])  # the first ones choose the algorithm


def seconds_of(work: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """Seconds that some work takes: by the clock, and of processor time in this process.

    On a CPU that other programs use, too, only processor time can be compared.

    >>> clock, processor = seconds_of(lambda: torch.ones(100, 100).exp(), torch.device("cpu"))
    >>> clock > 0 and processor >= 0
    True
    """
    _synchronize(device)
    start, processor_start = time.perf_counter(), time.process_time()
    work()
    _synchronize(device)
    return time.perf_counter() - start, time.process_time() - processor_start


def added_on_gpu(work: Callable[[], object], device: torch.device) -> int:
    """Bytes of tensors that some work needs at most on a GPU, besides what was there before."""
    _synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    work()
    _synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


def in_turn(steps: Mapping[str, Callable[[], object]], device: torch.device, repeats: int) -> dict[str, Any]:
    """Time two pieces of work in turn, so that what else the machine does meets both alike.

    Returns:
        Medians in milliseconds, by the clock and of the processor, all single times, and how many times as fast the
        first one is.

    >>> work = {"our": lambda: torch.ones(10).exp(), "plain": lambda: torch.ones(10).exp()}
    >>> sorted(in_turn(work, torch.device("cpu"), repeats=3))[:3]
    ['our_ms', 'our_ms_per_update', 'our_processor_ms']
    """
    for step in steps.values():
        seconds_of(step, device)  # the first one takes longer
    times = [[seconds_of(step, device) for step in steps.values()] for _ in range(repeats)]
    found: dict[str, Any] = {}
    for kind, prefix in enumerate(("", "processor_")):
        medians = []
        for which, name in enumerate(steps):
            column = [1e3 * pair[which][kind] for pair in times]
            medians.append(median(column))
            found |= {f"{name}_{prefix}ms_per_update": medians[-1], f"{name}_{prefix}ms": column}
        found[f"{prefix}speed_ratio"] = medians[1] / medians[0]
    return found


def _synchronize(device: torch.device) -> None:
    """Wait until the device has done all that was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
