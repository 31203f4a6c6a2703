"""Time and electricity of a run, over all its stretches."""

from __future__ import annotations

import time

from avae_lib.training.energy import energy_meter
from avae_lib.training.training_state import TrainingState

__all__ = ["Clock"]


class Clock:
    """Keeps ``seconds`` and ``energy_kwh`` of a state up to date, from what they were when the stretch began."""

    def __init__(self, state: TrainingState) -> None:
        self._state = state
        self._start = time.monotonic() - state.seconds
        self._energy_before = state.energy_kwh or 0.0
        self._meter = energy_meter(state.device, state.config.codecarbon)

    def note_time(self) -> None:
        """Bring ``seconds`` up to now."""
        self._state.seconds = time.monotonic() - self._start

    def note_energy(self) -> None:
        """Bring ``energy_kwh`` up to now, where somebody measures it."""
        used = self._meter()
        if used is not None:
            self._state.energy_kwh = self._energy_before + used
