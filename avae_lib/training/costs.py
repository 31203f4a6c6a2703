"""What a run costs: time, electricity and memory; and when the minutes of one call are used up."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from avae_lib.atomic_write import write_atomically
from avae_lib.errors import InvalidInput
from avae_lib.training.memory import Memory
from avae_lib.training.training_state import TrainingState
from avae_lib.training.typed_records import DamagedRecord, read_record

__all__ = ["Clock", "Costs", "EnergyMeter", "duration", "energy_meter"]


_NAME = "costs.json"


@dataclass(frozen=True)
class Costs:
    """The costs of a run so far, over all calls that trained it; ``costs.json`` in its folder.

    >>> from avae_lib.training.memory import Memory
    >>> memory = Memory(4000, 4000, 8000, 4000, 12000, images=64000, activations=None)
    >>> costs = Costs(1000, "CPU", updates=500, images=50_000, hours=0.01, energy_kwh=None, skipped=5, peak_memory=None,
    ...               expected_memory=memory)
    >>> costs.text()
    '500 updates in 36 s (1,389 images/s) on CPU, energy not reported; 5 updates (1.00%) were skipped'
    """

    parameters: int
    """Number of trained parameters."""
    device: str
    """Name of the GPU, or CPU."""
    updates: int
    """Number of updates."""
    images: int
    """Images or sentences in all batches together; each counts as often as it was used."""
    hours: float
    """Training time, evaluations included."""
    energy_kwh: float | None
    """Electricity in kilowatt-hours: of the GPU, or of the machine as codecarbon estimates it; None if unknown."""
    skipped: int
    """Number of skipped updates."""
    peak_memory: int | None
    """Most bytes that the program has held on the GPU; None on other devices."""
    expected_memory: Memory
    """Memory that was predicted before training."""
    example: str = "image"
    """The word for one of the images or sentences."""

    @classmethod
    def of(cls, state: TrainingState, memory: Memory) -> Costs:
        """The costs of a run in its present state."""
        on_gpu = state.device.type == "cuda"
        return cls(
            parameters=sum(p.numel() for p in state.model.parameters() if p.requires_grad),
            device=torch.cuda.get_device_name(state.device) if on_gpu else "CPU",
            updates=state.step,
            images=state.step * state.config.batch_size,
            hours=state.seconds / 3600,
            energy_kwh=state.energy_kwh,
            skipped=state.skips.total,
            peak_memory=torch.cuda.max_memory_allocated(state.device) if on_gpu else None,
            expected_memory=memory,
            example=state.observed.example,
        )

    @classmethod
    def read(cls, run_dir: Path) -> Costs | None:
        """Read the costs in a run folder; None if there are none, or, with a printed message, if they are damaged."""
        path = run_dir / _NAME
        if not path.is_file():
            return None
        try:
            return read_record(cls, path)
        except DamagedRecord as problem:
            print(f"{path} is damaged ({problem}) and left out; training on writes it again", file=sys.stderr)
            return None

    def write(self, run_dir: Path) -> None:
        """Write the costs to ``costs.json`` in a run folder."""
        content = json.dumps(dataclasses.asdict(self), indent=2) + "\n"
        write_atomically(run_dir / _NAME, content)

    @property
    def images_per_second(self) -> float:
        """Images or sentences seen per second of training."""
        return self.images / (3600 * self.hours) if self.hours else 0.0

    def text(self) -> str:
        """The main figures in one line."""
        energy = "energy not reported" if self.energy_kwh is None else f"{self.energy_kwh:.3g} kWh"
        skipped = self.skipped / max(1, self.updates)
        return (
            f"{self.updates:,} updates in {duration(3600 * self.hours)} ({self.images_per_second:,.0f} "
            f"{self.example}s/s) on {self.device}, {energy}; {self.skipped:,} updates ({skipped:.2%}) were skipped"
        )


def duration(seconds: float) -> str:
    """Hours and minutes, minutes and seconds, or seconds.

    >>> duration(7260), duration(100), duration(0.131)
    ('2 h 1 min', '1 min 40 s', '0.13 s')
    """
    if seconds < 9.95:
        return f"{seconds:.2g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


class Clock:
    """Measures the time and electricity of a call, and adds them to those of earlier calls in the training state.

    Args:
        state: the training state, whose ``seconds`` and ``energy_kwh`` are kept up to date.
        now: returns the seconds since some fixed moment.

    >>> from avae_lib.presets import find_preset
    >>> preset = find_preset("digits-vae")
    >>> state = TrainingState(preset.build_model(), preset.data.load(), preset.training, torch.device("cpu"))
    >>> clock = Clock(state, now=iter([100.0, 107.5]).__next__)
    >>> clock.note_time()
    >>> state.seconds
    7.5
    """

    def __init__(self, state: TrainingState, now: Callable[[], float] = time.monotonic) -> None:
        self._state, self._now = state, now
        self._start, self._seconds_before = now() - state.seconds, state.seconds
        self._seconds_at_checkpoint = state.seconds
        self._energy_before = state.energy_kwh or 0.0
        self._meter = energy_meter(state.device, state.config.logging.codecarbon)

    def note_time(self) -> None:
        """Update ``seconds`` of the training state."""
        self._state.seconds = self._now() - self._start

    @property
    def is_budget_spent(self) -> bool:
        """Whether this call had used up ``training.minutes`` when the time was last noted."""
        minutes = self._state.config.minutes
        return minutes is not None and self._state.seconds - self._seconds_before >= 60 * minutes

    def asks_for_checkpoint(self) -> bool:
        """Whether the last checkpoint is ``training.logging.checkpoint_minutes`` old; true once, and not again soon."""
        minutes = self._state.config.logging.checkpoint_minutes
        is_due = self._state.seconds - self._seconds_at_checkpoint >= 60 * minutes
        if is_due:
            self.note_checkpoint()
        return is_due

    def note_checkpoint(self) -> None:
        """Note that a checkpoint is written now."""
        self._seconds_at_checkpoint = self._state.seconds

    def note_energy(self) -> None:
        """Update ``energy_kwh`` of the training state if the energy can be measured."""
        used = self._meter()
        if used is not None:
            self._state.energy_kwh = self._energy_before + used


EnergyMeter = Callable[[], float | None]
"""Returns the kilowatt-hours used since the meter was made, or None if they are unknown."""

_JOULES_PER_KWH = 3.6e6


def energy_meter(device: torch.device, with_codecarbon: bool = False) -> EnergyMeter:
    """Start a meter of electricity: the GPU's own counter, or codecarbon's estimate for the whole machine.

    Raises:
        InvalidInput: codecarbon is requested, but not installed.

    No energy is known of a CPU, unless codecarbon estimates it:

    >>> read = energy_meter(torch.device("cpu"))
    >>> print(read())
    None
    """
    if with_codecarbon:
        return _codecarbon_meter()
    read = _counter_of_gpu(device) if device.type == "cuda" else None
    if read is None:
        return lambda: None
    start = read()
    return lambda: (read() - start) / _JOULES_PER_KWH


def _counter_of_gpu(device: torch.device) -> Callable[[], float] | None:
    """Returns the joules that the GPU has used since its driver was loaded; None if NVML or the counter is missing."""
    try:
        import pynvml  # pyright: ignore[reportMissingImports]  of the extra "energy"
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
        from codecarbon import EmissionsTracker  # pyright: ignore[reportMissingImports]  of the extra "energy"
    except ImportError as problem:
        raise InvalidInput(
            "training.logging.codecarbon needs codecarbon: pip install codecarbon, or leave the option out"
        ) from problem
    tracker = EmissionsTracker(save_to_file=False, log_level="error")
    tracker.start_task()
    used = 0.0

    def read() -> float:
        nonlocal used
        used += tracker.stop_task().energy_consumed
        tracker.start_task()
        return used

    return read
