"""Where the time of an update goes: the operations that PyTorch's profiler sees, in groups that a reader knows."""

from __future__ import annotations

import contextlib
import functools
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from avae_lib import components
from avae_lib.training.training_state import TrainingState
from training_steps.timing import Quiet, milliseconds_per_update
from training_steps.variants import Variant, experiment_of, state_of, stepping

__all__ = ["GROUPS", "profile_update"]

GROUPS = (
    "convolution, forward",
    "convolution, backward",
    "matrix products",
    "pointwise and norms",
    "attention over depth",
    "likelihood",
    "optimizer",
    "moving average",
    "clipping and skipping",
    "data",
)
"""The groups, in the order of a picture."""

_MARK = "part of the update: "
_BY_NAME = (("optimizer", "Optimizer.step"), ("optimizer", "Optimizer.zero_grad"))
_PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm", "aten::linear", "MmBackward", "AddmmBackward")


def profile_update(
    preset: str,
    variant: str,
    batch: int | None,
    device: str,
    steps: int,
    quiet: Quiet = contextlib.nullcontext,
) -> dict[str, str | int | float | dict[str, float]]:
    """Milliseconds of each group in one update, the mean over some updates.

    On a GPU it is the time of the kernels, on a CPU that of the operations. Of a compiled update the kernels are fused,
    so most of it counts as convolutions and pointwise operations.
    """
    chosen = Variant.named(variant)
    state = state_of(experiment_of(preset, chosen, batch, device))
    with _marked(state), stepping(state, chosen) as step:
        milliseconds_per_update(step, state, 2)
        on_gpu = state.device.type == "cuda"
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
        with quiet():
            by_clock, _ = milliseconds_per_update(step, state, steps)
            with profile(activities=activities) as profiler:
                milliseconds_per_update(step, state, steps)
    groups = _times(list(profiler.events() or ()), on_gpu)
    parts = {name: groups.get(name, 0.0) / 1e3 / steps for name in GROUPS}
    return {
        "preset": preset,
        "variant": chosen.name,
        "batch": state.config.batch_size,
        "ms_per_update": by_clock,
        "ms_of_parts": parts,
    }


@contextlib.contextmanager
def _marked(state: TrainingState) -> Iterator[None]:
    """Inside the ``with`` block the parts of an update carry the names of their groups."""
    with contextlib.ExitStack() as stack:
        attention = components.implementation("depthwise_attention")
        stack.enter_context(components.using("depthwise_attention", _named("attention over depth", attention)))
        for owner, method, group in _parts(state):
            marked = _named(group, getattr(owner, method))
            stack.enter_context(patch.object(owner, method, marked))
        yield


def _parts(state: TrainingState) -> Iterator[tuple[Any, str, str]]:
    """Objects with the methods that make up an update."""
    yield state.sampler, "draw", "data"
    yield state.averaged, "update_parameters", "moving average"
    for owner, method in (
        (state.weights, "clip_gradients"),
        (state.rollback, "remember"),
        (state.rollback, "undo_unless"),
        (state.limit, "skips"),
        (state.skips, "add"),
        (state.means, "add"),
    ):
        yield owner, method, "clipping and skipping"
    head = getattr(state.model, "head", None)
    if hasattr(head, "log_likelihood"):
        yield head, "log_likelihood", "likelihood"


def _named(group: str, work: Callable) -> Callable:
    @functools.wraps(work)
    def marked(*args: Any, **kwargs: Any) -> Any:
        with record_function(f"{_MARK}{group}"):
            return work(*args, **kwargs)

    return marked


def _times(events: list[Any], on_gpu: bool) -> dict[str, float]:
    """Microseconds of each group. An operation of the backward pass belongs where its forward operation did."""
    groups_of_forward = {
        (event.thread, event.sequence_nr): group
        for event in events
        if event.sequence_nr >= 0 and "Backward" not in event.name and (group := _group_by_mark(event)) is not None
    }
    times: dict[str, float] = defaultdict(float)
    for event in events:
        if event.device_type != torch.autograd.DeviceType.CPU:
            continue  # kernels count with the operation that launched them
        time = event.self_device_time_total if on_gpu else event.self_cpu_time_total
        times[_group(event, groups_of_forward)] += time
    return times


def _group(event: Any, groups_of_forward: dict[tuple[int, int], str]) -> str:
    chain = list(_with_ancestors(event))
    if marked := _group_by_mark(event):
        return marked
    for ancestor in chain:
        if "evaluate_function" in ancestor.name:
            group = groups_of_forward.get((ancestor.fwd_thread, ancestor.sequence_nr))
            if group is not None:
                return group
    names = [ancestor.name for ancestor in chain]
    if any("onvolution" in name for name in names):
        return f"convolution, {'backward' if any('ackward' in name for name in names) else 'forward'}"
    if any(name.startswith("aten::conv") for name in names):
        return "convolution, forward"
    return "matrix products" if any(product in name for name in names for product in _PRODUCTS) else GROUPS[3]


def _group_by_mark(event: Any) -> str | None:
    for ancestor in _with_ancestors(event):
        if ancestor.name.startswith(_MARK):
            return ancestor.name.removeprefix(_MARK)
        for group, beginning in _BY_NAME:
            if ancestor.name.startswith(beginning):
                return group
    return None


def _with_ancestors(event: Any) -> Iterator[Any]:
    while event is not None:
        yield event
        event = event.cpu_parent
