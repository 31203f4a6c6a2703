"""Compare one processor thread with two while other programs use the machine.

    python benchmarks/threads.py           prints one table and records it in benchmarks/results/

Each row is a process of its own, which makes some updates on random images while busy processes run beside it. The
ratio is the time with two threads divided by the time with one.
"""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from records import Table, options_of, record

from avae_lib.data import ImageDataset
from avae_lib.presets import find_preset
from avae_lib.training.training_state import TrainingState
from avae_lib.training.update import update

UPDATES = {"digits-vae": 60, "photos32-vdvae": 6, "mnist-ladder-5": 12, "cifar10-vq-vae": 2}
"""Timed updates of each preset."""
BUSY = (0, 4)
"""Numbers of busy processes beside it."""


def measure_here(preset: str, threads: int) -> float:
    """Milliseconds for each update."""
    torch.set_num_threads(threads)
    experiment = find_preset(preset)
    model = experiment.build_model()
    images = torch.randint(2**model.bits, (experiment.training.batch_size, *model.image_shape), dtype=torch.uint8)
    training = dataclasses.replace(experiment.training, device="cpu")
    dataset = ImageDataset("random", images, images[:1], bits=model.bits)
    state = TrainingState(model, dataset, training, torch.device("cpu"))
    update(state, model)  # the first one takes longer
    start = time.perf_counter()
    for _ in range(UPDATES[preset]):
        update(state, model)
    return 1000 * (time.perf_counter() - start) / UPDATES[preset]


def measure(preset: str, threads: int) -> float:
    """The same in a new process."""
    command = [sys.executable, __file__, "--here", json.dumps([preset, threads])]
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """Processes that do nothing but use the processor, inside a ``with`` block."""
    processes = [multiprocessing.Process(target=_use_processor, daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()


def _use_processor() -> None:
    while True:
        pass


def main() -> None:
    table = Table(preset="<24", busy=">6", one_thread_ms=">14.1f", two_threads_ms=">15.1f", ratio=">8.2f")
    for busy in BUSY:
        for preset in UPDATES:
            with busy_processes(busy):
                one, two = (measure(preset, threads) for threads in (1, 2))
            table.add(preset=preset, busy=busy, one_thread_ms=one, two_threads_ms=two, ratio=two / one)
    record("threads", table.rows)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--here"]:
        print(measure_here(*json.loads(sys.argv[2])))
    else:
        options_of(__doc__).parse_args()  # it takes no arguments, but has a --help
        main()
