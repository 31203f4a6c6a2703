"""Fixed lists of measurements for :mod:`train_step`, the most valuable first, so that a short time is well spent.

A suite has lanes, whose tasks follow one another, and a pool of tasks that workers take in turn. A task that takes
times asks for quiet (:mod:`training_steps.jobs`); everything else pauses until it has them.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from avae_lib.preset_summaries import recorded_summaries

__all__ = ["SUITES", "Suite"]

Task = dict[str, Any]


@dataclass(frozen=True)
class Suite:
    """What is measured."""

    lanes: list[list[Task]]
    """Tasks that follow one another, in lanes beside each other."""
    pool: list[Task] = field(default_factory=list)
    """Tasks that may run beside all others, in this order."""
    workers: int = 0
    """How many tasks of the pool run at once."""


LARGE = {"cifar10-vdvae": 32, "cifar10-attentive-16": 160}
"""The reference models, with their batch sizes: the memory of the other one has to fit beside each."""
FIRST = ("bfloat16", "eager")
COMPILED = (
    "compiled+bfloat16",
    "compiled+bfloat16+channels-last",
    "compiled+bfloat16+channels-last+graphs",
    "bfloat16+channels-last",
    "compiled",
    "compiled+channels-last",
    "compiled+plain+bfloat16",
    "bfloat16+channels-last+graphs",
)
FUSED = ("bfloat16+channels-last+graphs+fused", "compiled+bfloat16+channels-last+graphs+fused")
SMALL_BATCH = 4  # of presets that are only tried: several share the memory


def gpu(args: argparse.Namespace) -> Suite:
    """Both reference models in all variants, a profile of each, and every preset for some updates."""
    lanes = []
    for preset, batch in LARGE.items():
        shared = {"preset": preset, "batch": args.batch or batch}
        timed = {"kind": "time", **shared, "steps": 10, "repeats": 5, "seconds": 300}
        profiled = {"kind": "profile", **shared, "variant": "bfloat16", "steps": 3, "seconds": 120}
        first = [{**timed, "variant": variant} for variant in FIRST]
        fused = FUSED if "attentive" in preset else ()
        compiled = [{**timed, "variant": variant} for variant in (*COMPILED, *fused)]
        beside = {"kind": "plain", **shared, "variant": "bfloat16", "repeats": 15, "seconds": 120}
        again = {**profiled, "variant": "compiled+bfloat16+channels-last", "seconds": 300}
        lanes.append([*first, profiled, beside, *compiled, again])
    on_device = {"arguments": ["--device", args.device], "seconds": 120}
    lanes[0] += [{"script": name, **on_device} for name in ("attention.py", "likelihood.py")]
    summaries = sorted(recorded_summaries(), key=lambda entry: -(entry.memory or {}).get("total", 0))
    names = [entry.name for entry in summaries]
    eager, compiled = ["eager", "bfloat16"], ["compiled", "compiled+bfloat16"]
    tried = {"kind": "try", "batch": SMALL_BATCH, "steps": 3}
    pool = [{**tried, "preset": name, "variants": eager, "seconds": 90} for name in names]
    pool += [{**tried, "preset": name, "variants": compiled, "seconds": 240} for name in names if name not in LARGE]
    return Suite(lanes, pool, workers=max(1, (os.cpu_count() or 2) // 4))


def cpu(args: argparse.Namespace) -> Suite:
    """The same kinds of tasks on small presets, to see that all of it works."""
    lanes = []
    for preset in args.presets:
        shared = {"preset": preset, "batch": args.batch or 4}
        timed = {"kind": "time", **shared, "steps": args.steps, "repeats": args.repeats, "seconds": 120}
        profiled = {"kind": "profile", **shared, "variant": "eager", "steps": args.steps, "seconds": 120}
        beside = {"kind": "plain", **shared, "variant": "eager", "repeats": args.repeats, "seconds": 120}
        lanes.append([*({**timed, "variant": variant} for variant in args.variants), profiled, beside])
    tried = {"kind": "try", "batch": SMALL_BATCH, "steps": 2, "seconds": 120}
    pool = [{**tried, "preset": preset, "variants": ["eager", "bfloat16"]} for preset in args.presets]
    return Suite(lanes, pool, workers=1)


SUITES: dict[str, Callable[[argparse.Namespace], Suite]] = {"gpu": gpu, "cpu": cpu}
"""Suites by name."""
