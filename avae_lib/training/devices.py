"""Where a model is trained: the device by its name, and the number of processor threads."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from avae_lib.errors import InvalidInput
from avae_lib.training.training_config import TrainingConfig

__all__ = [
    "continue_with_threads",
    "fast_convolutions",
    "find_device",
    "physical_cores",
    "threads_for",
    "use_one_thread",
    "uses_channels_last",
]


def find_device(name: str) -> torch.device:
    """The device with this name; ``"auto"`` is a GPU if there is one, else the CPU.

    Raises:
        InvalidInput: this machine has no such device.

    >>> find_device("cpu")
    device(type='cpu')
    """
    name = ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as problem:
        here = "cpu; PyTorch finds no GPU"
        if torch.cuda.is_available():
            here = f"cpu, cuda:0 … cuda:{torch.cuda.device_count() - 1}"
        raise InvalidInput(f"device must be auto or a device of this machine ({here}), got {name!r}") from problem
    return torch.device(name)


def uses_channels_last(model: nn.Module, config: TrainingConfig, device: torch.device) -> bool:
    """Whether the channels of a pixel lie side by side in memory while a model is trained.

    ``training.channels_last`` decides; where it is None, a model with convolutions on a GPU does, because the GPU's
    convolutions in bfloat16 would otherwise rearrange their inputs.

    >>> from avae_lib.training.training_config import TrainingConfig
    >>> convolution, cpu = nn.Conv2d(3, 8, 3), torch.device("cpu")
    >>> [uses_channels_last(convolution, TrainingConfig(channels_last=choice), cpu) for choice in (None, True)]
    [False, True]
    """
    if config.channels_last is not None:
        return config.channels_last
    return device.type == "cuda" and any(parameter.dim() == 4 for parameter in model.parameters())


@contextlib.contextmanager
def fast_convolutions(device: torch.device) -> Iterator[None]:
    """On a GPU, try the algorithms of each convolution at its first call and keep the fastest, in a ``with`` block.

    All batches of a run have the same shape, so the trial pays at once.

    >>> with fast_convolutions(torch.device("cpu")):
    ...     torch.backends.cudnn.benchmark
    False
    """
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = before or device.type == "cuda"
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


_SMALL = 1_000_000  # parameters; for fewer, one thread is faster, because threads wait for each other at every layer


@contextlib.contextmanager
def threads_for(model: nn.Module, wanted: int | None = None) -> Iterator[None]:
    """Choose the number of processor threads inside a ``with`` block, and restore it afterwards.

    ``wanted`` comes first, then the environment's OMP_NUM_THREADS, then a number that the program has set with
    ``torch.set_num_threads``. Without any of these, a small model (fewer than a million parameters) gets one thread,
    and a larger one a thread for each idle core (:func:`physical_cores`), because threads that wait for a busy core
    hold up all others (``benchmarks/threads.py``).

    >>> with threads_for(nn.Linear(2, 2), wanted=2):
    ...     torch.get_num_threads()
    2
    """
    before = torch.get_num_threads()
    torch.set_num_threads(wanted or _chosen_by_user() or _number_for(model))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def use_one_thread() -> None:
    """One processor thread from now on, as small models train fastest, unless the user has chosen a number.

    >>> use_one_thread()
    >>> torch.get_num_threads()
    1
    """
    torch.set_num_threads(_chosen_by_user() or 1)


def continue_with_threads(number: int) -> None:
    """The number of threads that an earlier call chose, if this process has as many cores and no other is asked for.

    >>> continue_with_threads(1)
    >>> torch.get_num_threads()
    1
    """
    if _chosen_by_environment() is None and number <= physical_cores():
        torch.set_num_threads(number)


def physical_cores() -> int:
    """Cores that this process may use, two hardware threads of one core counted once.

    The affinity of the process and the quota of its control group (Linux) limit the number.

    >>> 1 <= physical_cores() <= os.cpu_count()
    True
    """
    processors = _processors()
    cores = {_siblings(processor) for processor in processors}
    return max(1, min(len(cores), _quota() or len(cores)))


def _number_for(model: nn.Module) -> int:
    is_small = sum(parameter.numel() for parameter in model.parameters()) < _SMALL
    return 1 if is_small else max(1, round(physical_cores() * _idle_fraction()))


def _chosen_by_user() -> int | None:
    """The number that OMP_NUM_THREADS or ``torch.set_num_threads`` asks for; None where PyTorch has its default."""
    now = torch.get_num_threads()
    defaults = {os.cpu_count(), len(_processors()), physical_cores()}
    return _chosen_by_environment() or (None if now in defaults else now)


def _chosen_by_environment() -> int | None:
    return torch.get_num_threads() if os.environ.get("OMP_NUM_THREADS") else None


def _idle_fraction(seconds: float = 0.2) -> float:
    """The share of the machine's processor time that no program uses, measured while this one waits (Linux)."""
    before = _processor_times()
    if before is None:
        return 1.0
    time.sleep(seconds)
    now = _processor_times() or before
    ticks = [later - earlier for earlier, later in zip(before, now, strict=True)]
    return sum(ticks[3:5]) / max(1, sum(ticks[:8]))  # idle, and waiting for disks


def _processor_times(file: Path = Path("/proc/stat")) -> list[int] | None:
    """Ticks of all processors together: user, nice, system, idle, waiting for disks, …; None on other systems."""
    try:
        return [int(ticks) for ticks in file.read_text(encoding="ascii").splitlines()[0].split()[1:]]
    except (OSError, ValueError):
        return None


def _processors() -> set[int]:
    """Logical processors that this process may run on."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux alone
    return set(affinity(0)) if affinity else set(range(os.cpu_count() or 1))


def _siblings(processor: int) -> str:
    """The hardware threads of a processor's core, as Linux lists them; elsewhere each processor is a core."""
    file = Path(f"/sys/devices/system/cpu/cpu{processor}/topology/thread_siblings_list")
    try:
        return file.read_text(encoding="ascii").strip()
    except OSError:
        return str(processor)


def _quota(file: Path = Path("/sys/fs/cgroup/cpu.max")) -> int | None:
    """Processors' worth of time that the control group grants, rounded up; None without a limit."""
    try:
        quota, period = file.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return None
    return None if quota == "max" else math.ceil(int(quota) / int(period))
