"""One measurement in a process of its own: speed and memory of the update of one preset in one variant."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import torch

from avae_lib.training.training_state import TrainingState
from training_steps.arithmetic import flop_and_memory, in_turn, matrix_product_peak, seconds_of
from training_steps.variants import Variant, experiment_of, state_of, stepping

__all__ = ["against_plain", "measure", "memory_now", "milliseconds_per_update", "peak_memory", "tidy", "try_out"]

Quiet = Callable[[], contextlib.AbstractContextManager]
"""Makes other work on the machine pause inside a ``with`` block."""


def measure(
    preset: str,
    variant: str,
    batch: int | None,
    device: str,
    steps: int,
    repeats: int,
    quiet: Quiet = contextlib.nullcontext,
) -> dict[str, Any]:
    """Speed, arithmetic and memory of the update, as one row.

    Args:
        preset: name of the preset.
        variant: name of the variant.
        batch: batch size; None for that of the preset.
        device: device, such as cuda.
        steps: updates that are timed together.
        repeats: how often; the median counts.
        quiet: entered while times are taken.
    """
    chosen = Variant.named(variant)
    experiment = experiment_of(preset, chosen, batch, device)
    before = memory_now(device)
    state = state_of(experiment)
    flop, expected = flop_and_memory(state.model, experiment.training, state.sampler.bytes_held)
    with stepping(state, chosen) as step:
        first = _seconds_of_first(step, state)
        with quiet():
            times = [milliseconds_per_update(step, state, steps) for _ in range(repeats)]
            measured = peak_memory(device) - before
            peak = matrix_product_peak(device, chosen.dtype)
    images = experiment.training.batch_size
    by_clock, of_processor = (median(column) for column in zip(*times, strict=True))
    rate = images / by_clock * 1e3
    return {
        "preset": preset,
        "variant": chosen.name,
        "batch": images,
        "images_per_second": rate,
        "ms_per_update": by_clock,
        "processor_ms_per_update": of_processor,
        "ms_of_repeats": [clock for clock, _ in times],
        "gflop_per_image": None if flop is None else flop / 1e9,
        "tflop_per_second": None if flop is None else rate * flop / 1e12,
        "peak_tflop_per_second": peak / 1e12,
        "fraction_of_peak": None if flop is None else rate * flop / peak,
        "expected_bytes": expected.total,
        "measured_bytes": measured,
        "first_update_seconds": first,
    }


def try_out(preset: str, device: str, batch: int, steps: int, variants: list[str]) -> Iterator[dict[str, Any]]:
    """Some updates in each variant, and whether the loss stays finite: one row for each."""
    for name in variants:
        chosen = Variant.named(name)
        state = state_of(experiment_of(preset, chosen, batch, device))
        start = time.perf_counter()
        with stepping(state, chosen) as step:
            for _ in range(steps):
                step()
            loss, skipped = tidy(state)
        yield {
            "preset": preset,
            "variant": chosen.name,
            "batch": state.config.batch_size,
            "seconds": time.perf_counter() - start,
            "loss": loss,
            "skipped_updates": skipped,
        }


def against_plain(
    preset: str, variant: str, batch: int | None, device: str, repeats: int, quiet: Quiet = contextlib.nullcontext
) -> dict[str, Any]:
    """The update and the plain loop in turn, as one row. A speed ratio below 1 is what the library adds."""
    chosen = Variant.named(variant)
    state = state_of(experiment_of(preset, chosen, batch, device))
    by_hand = dataclasses.replace(chosen, plain=True)
    with stepping(state, chosen) as ours, stepping(state, by_hand) as plain, quiet():
        times = in_turn({"our": ours, "plain": plain}, state.device, repeats)
    tidy(state)
    return {"preset": preset, "variant": chosen.name, "batch": state.config.batch_size, **times}


def milliseconds_per_update(step: Callable[[], None], state: TrainingState, steps: int) -> tuple[float, float]:
    """Mean time of some updates in a row, by the clock and of the processor.

    What the updates leave for the metrics is read after the clock has stopped.
    """

    def all_steps() -> None:
        for _ in range(steps):
            step()

    clock, processor = seconds_of(all_steps, state.device)
    tidy(state)
    return 1e3 * clock / steps, 1e3 * processor / steps


def tidy(state: TrainingState) -> tuple[float | None, int]:
    """Read what the updates left for the metrics: the mean loss of the updates taken, and how many were skipped."""
    skipped = len(state.skips.read())
    return state.means.take().get("loss"), skipped


def _seconds_of_first(step: Callable[[], None], state: TrainingState) -> float:
    """Seconds of the first update, which compiles; more follow, in which algorithms settle and a graph is recorded."""
    seconds = milliseconds_per_update(step, state, 1)[0] / 1e3
    milliseconds_per_update(step, state, 5 if state.config.cuda_graphs else 2)
    return seconds


def memory_now(device: str) -> int:
    """Bytes that this process holds on a GPU, or all that it has on a CPU."""
    if torch.device(device).type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    return _resident("VmRSS")


def peak_memory(device: str) -> int:
    """The largest number of bytes so far: tensors on a GPU, the whole process on a CPU."""
    return torch.cuda.max_memory_allocated(device) if torch.device(device).type == "cuda" else _resident("VmHWM")


def _resident(which: str) -> int:
    """Resident bytes of this process: VmRSS now, VmHWM at most; 0 where the system does not tell."""
    status = Path("/proc/self/status")
    found = re.findall(rf"^{which}:\s+(\d+) kB$", status.read_text(), re.MULTILINE) if status.exists() else []
    return 1024 * int(found[0]) if found else 0
