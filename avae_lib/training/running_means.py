"""Means over the updates since the last row of metrics, kept on the device so that nothing waits for them."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["RunningMeans"]


class RunningMeans:
    """Running means of named values, each a scalar or a vector of fixed length, over the updates that were taken."""

    def __init__(self) -> None:
        self._count: int | Tensor = 0
        self._sums: dict[str, Tensor] = {}

    def add(self, taken: Tensor, **values: Tensor) -> None:
        """Bring one more update into the means if ``taken``, a scalar of booleans on the device, is true."""
        self._count = self._count + taken.long()
        for name, value in values.items():
            value = torch.where(taken, value.detach().double(), 0.0)
            self._sums[name] = self._sums[name] + value if name in self._sums else value

    def take(self) -> dict[str, float | list[float]]:
        """The means of what was added since the last call; empty if nothing was."""
        count = int(self._count)
        means = {name: (total / count).tolist() for name, total in self._sums.items()} if count else {}
        self._count, self._sums = 0, {}
        return means

    def state_dict(self) -> dict[str, int | dict[str, Tensor]]:
        return {"count": int(self._count), "sums": dict(self._sums)}

    def load_state_dict(self, state: dict[str, int | dict[str, Tensor]], device: torch.device) -> None:
        self._count, self._sums = state["count"], {name: total.to(device) for name, total in state["sums"].items()}
