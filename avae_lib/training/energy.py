"""The electricity that training uses, where the machine tells."""

from __future__ import annotations

from collections.abc import Callable

import torch

__all__ = ["EnergyMeter", "energy_meter"]

EnergyMeter = Callable[[], float | None]
"""Kilowatt-hours used since the meter was made; None where nobody knows."""

_JOULES_PER_KWH = 3.6e6


def energy_meter(device: torch.device, with_codecarbon: bool = False) -> EnergyMeter:
    """A meter that starts now: the device's own counter, or the estimate of codecarbon for the whole machine.

    Raises:
        ValueError: codecarbon is asked for, but not installed.
    """
    if with_codecarbon:
        return _codecarbon_meter()
    read = _counter_of_gpu(device) if device.type == "cuda" else None
    if read is None:
        return lambda: None
    start = read()
    return lambda: (read() - start) / _JOULES_PER_KWH


def _counter_of_gpu(device: torch.device) -> Callable[[], float] | None:
    """Joules that the GPU has used since its driver was loaded, by NVML; None where NVML or the counter is missing."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except pynvml.NVMLError:
        return None
    return lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000


def _codecarbon_meter() -> EnergyMeter:
    try:
        from codecarbon import EmissionsTracker
    except ImportError as problem:
        raise ValueError("training.codecarbon needs codecarbon: pip install codecarbon, or leave it out") from problem
    tracker = EmissionsTracker(save_to_file=False, log_level="error")
    tracker.start_task()
    used = 0.0

    def read() -> float:
        nonlocal used
        used += tracker.stop_task().energy_consumed
        tracker.start_task()
        return used

    return read
