"""Time and electricity of a run, over all its stretches, and the time that one call may take."""

from __future__ import annotations

import time
from collections.abc import Callable

from avae_lib.training.energy import energy_meter
from avae_lib.training.training_state import TrainingState

__all__ = ["Clock"]


class Clock:
    """Keeps ``seconds`` and ``energy_kwh`` of a state up to date, from what they were when the stretch began.

    Args:
        state: where training stands.
        now: seconds since any fixed moment.
    """

    def __init__(self, state: TrainingState, now: Callable[[], float] = time.monotonic) -> None:
        self._state, self._now = state, now
        self._start, self._seconds_before = now() - state.seconds, state.seconds
        self._energy_before = state.energy_kwh or 0.0
        self._meter = energy_meter(state.device, state.config.codecarbon)

    def note_time(self) -> None:
        """Bring ``seconds`` up to now."""
        self._state.seconds = self._now() - self._start

    @property
    def is_budget_spent(self) -> bool:
        """Whether this stretch, up to the time last noted, has taken the minutes that one call may take."""
        minutes = self._state.config.minutes
        return minutes is not None and self._state.seconds - self._seconds_before >= 60 * minutes

    def note_energy(self) -> None:
        """Bring ``energy_kwh`` up to now, where somebody measures it."""
        used = self._meter()
        if used is not None:
            self._state.energy_kwh = self._energy_before + used
