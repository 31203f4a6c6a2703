"""Compare the memory that training is expected to need with the peak that a process reaches, on the CPU.

    python benchmarks/memory.py            prints one table and records it in benchmarks/results/
    python benchmarks/memory.py PRESET     for one preset, without a record

Each row is a process of its own, which makes two updates on random images. Measured is its highest resident memory
minus that before the model is built, after two updates of a small model have loaded all libraries: once with the
allocator told to return freed memory at once, and once as it is, where the gaps between tensors count, too.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from records import Table, options_of, record

from avae_lib.data import ImageDataset
from avae_lib.presets import find_preset
from avae_lib.training.activation_checkpointing import activation_checkpointing
from avae_lib.training.experiment import Experiment
from avae_lib.training.memory import expected_memory, size_in_words
from avae_lib.training.training_state import TrainingState
from avae_lib.training.update import update

BATCHES = {
    "cifar10-vdvae": 2,
    "photos32-nvae": 32,
    "photos32-attentive": 64,
    "photos32-vdvae": 32,
    "mnist-ladder-5": 256,
}
"""Batch size for each preset, so that a few gigabytes suffice."""
WAYS: dict[str, dict[str, Any]] = {
    "as usual": {},
    "micro_batch": {"micro_batch": 0.5},
    "checkpointing": {"activation_checkpointing": True},
    "both": {"activation_checkpointing": True, "micro_batch": 0.5},
    "bfloat16": {"precision": "bfloat16"},
}


def experiment_of(preset: str, batch: int, **changes: Any) -> Experiment:
    """A preset with this batch size; ``micro_batch`` is a fraction of it."""
    experiment = find_preset(preset)
    if "micro_batch" in changes:
        changes["micro_batch"] = max(1, int(changes["micro_batch"] * batch))
    training = dataclasses.replace(experiment.training, batch_size=batch, device="cpu", **changes)
    return dataclasses.replace(experiment, training=training)


def train(experiment: Experiment) -> int:
    """Make two updates; returns the expected memory."""
    model = experiment.build_model()
    torch.manual_seed(0)
    images = torch.randint(2**model.bits, (experiment.training.batch_size, *model.image_shape), dtype=torch.uint8)
    dataset = ImageDataset("random", images, images[:1], bits=model.bits)
    expected = expected_memory(model, experiment.training, images.nbytes).total
    state = TrainingState(model, dataset, experiment.training, torch.device("cpu"))
    with activation_checkpointing(model, experiment.training.activation_checkpointing):
        for _ in range(2):
            update(state, model)
    return expected


def measure_here(preset: str, batch: int, changes: dict[str, Any]) -> dict[str, int]:
    """Expected and measured bytes, in this process, which must not have done anything else."""
    train(experiment_of("digits-vdvae", 2, **changes))
    before = _resident("VmRSS")
    expected = train(experiment_of(preset, batch, **changes))
    return {"expected": expected, "measured": _resident("VmHWM") - before}


def measure(preset: str, batch: int, changes: dict[str, Any], with_gaps: bool = False) -> dict[str, int]:
    """Expected and measured bytes, in a new process; ``with_gaps`` leaves the allocator as it is."""
    at_once = {} if with_gaps else {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    path = os.pathsep.join(filter(None, sys.path))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path} | at_once
    command = [sys.executable, __file__, "--here", json.dumps([preset, batch, changes])]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _resident(which: str) -> int:
    """Resident bytes of this process: VmRSS now, VmHWM at most. getrusage also counts the process that started it."""
    (kilobytes,) = re.findall(rf"^{which}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return 1024 * int(kilobytes)


def main(only: str | None = None) -> None:
    table = Table(preset="<24", batch=">6", way="<16", expected=">12", measured=">12", ratio=">8.2f", with_gaps=">12")
    rows = []
    for preset in [only] if only else BATCHES:
        for way, changes in WAYS.items():
            batch = BATCHES[preset]
            with_gaps = measure(preset, batch, changes, with_gaps=True)["measured"]
            row = {"preset": preset, "batch": batch, "way": way, **measure(preset, batch, changes)}
            row["measured_with_gaps"] = with_gaps
            rows.append(row)
            words = {name: size_in_words(row[name]) for name in ("expected", "measured")}
            ratio = row["expected"] / row["measured"]
            table.add(preset=preset, batch=batch, way=way, **words, ratio=ratio, with_gaps=size_in_words(with_gaps))
    if only is None:
        record("memory", rows)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--here"]:
        print(json.dumps(measure_here(*json.loads(sys.argv[2]))))
    else:
        parser = options_of(__doc__)
        parser.add_argument("preset", nargs="?", choices=BATCHES, help="one preset, without a record")
        main(parser.parse_args().preset)
