"""Buffers that hold running means over batches, such as the codebook of a VQ-VAE."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from avae_lib.training.team import Team

__all__ = ["RunningStatistics", "running_statistics"]


def running_statistics(model: nn.Module) -> list[Tensor]:
    r"""The buffers that modules name in their class attribute ``running_statistics``.

    Each holds floating-point numbers that a forward pass moves linearly in what it adds up over its batch, as in
    :math:`m \leftarrow \gamma m + (1 - \gamma) \sum_b e_b`.
    """
    return [module.get_buffer(name) for module in model.modules() for name in getattr(module, "running_statistics", ())]


class RunningStatistics:
    """Keeps the running statistics of a model alike on all members of a team.

    In a forward pass each member moves them by what it saw in its share of the batch. The mean of these movements is
    that of the whole batch, because the statistics are linear in it. A single process changes nothing.
    """

    def __init__(self, model: nn.Module, team: Team) -> None:
        self._team = team
        self._statistics = running_statistics(model) if team.size > 1 else []
        self._before: list[Tensor] = []

    @torch.no_grad()
    def remember(self) -> None:
        """Note where the statistics stand before a forward pass, on all members where they stand for the leader."""
        for statistic in self._statistics:
            self._team.follow_leader(statistic)
        self._before = [statistic.clone() for statistic in self._statistics]

    @torch.no_grad()
    def average(self) -> None:
        """Replace each member's movement since :meth:`remember` by the mean over the team."""
        for statistic, before in zip(self._statistics, self._before, strict=True):
            statistic.copy_(before + self._team.mean(statistic - before))
