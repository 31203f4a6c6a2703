"""Means over the updates since the last row of metrics, kept on the device so that nothing waits for them."""

from __future__ import annotations

from torch import Tensor

__all__ = ["RunningMeans"]


class RunningMeans:
    """Running means of named values, each a scalar or a vector of fixed length."""

    def __init__(self) -> None:
        self._count = 0
        self._sums: dict[str, Tensor] = {}

    def add(self, **values: Tensor) -> None:
        """Take one more update into the means."""
        self._count += 1
        for name, value in values.items():
            value = value.detach().double()
            self._sums[name] = self._sums[name] + value if name in self._sums else value

    def take(self) -> dict[str, float | list[float]]:
        """The means of what was added since the last call; empty if nothing was."""
        means = {name: (total / self._count).tolist() for name, total in self._sums.items()}
        self._count, self._sums = 0, {}
        return means

    def state_dict(self) -> dict[str, int | dict[str, Tensor]]:
        return {"count": self._count, "sums": dict(self._sums)}

    def load_state_dict(self, state: dict[str, int | dict[str, Tensor]]) -> None:
        self._count, self._sums = state["count"], dict(state["sums"])
