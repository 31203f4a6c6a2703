"""The processes that train one model together, as torchrun starts them; usually there is only one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

__all__ = ["ALONE", "Team", "is_leading_process", "join_team"]


T = TypeVar("T")


@dataclass(frozen=True)
class Team:
    """The processes that train together: each computes its share of every batch, and all take the same steps.

    With a single process every method returns its argument, or does nothing.

    >>> Team(rank=1, size=2).share(torch.arange(6))
    tensor([1, 3, 5])
    """

    rank: int = 0
    size: int = 1

    @property
    def is_leader(self) -> bool:
        """Whether this is the process that writes and prints."""
        return self.rank == 0

    def share(self, batch: Tensor) -> Tensor:
        """This process's part of a batch; all processes have drawn the same batch."""
        return batch[self.rank :: self.size]

    def wrap(self, model: nn.Module, reaches_all_parameters: Callable[[], bool]) -> nn.Module:
        """The model, with its gradients averaged over all processes in every backward pass.

        Where each pass reaches all parameters, no time is spent on looking for others. Where it does not, the processes
        would wait for them forever.
        """
        if self.size == 1:
            return model
        return DistributedDataParallel(model, find_unused_parameters=not reaches_all_parameters())

    def mean(self, value: Tensor) -> Tensor:
        """The mean over all processes, the same for each; not finite if any value is not."""
        if self.size == 1:
            return value
        total = value.detach().clone()
        distributed.all_reduce(total)
        return total / self.size

    def follow_leader(self, value: Tensor) -> None:
        """Overwrite the tensor in each process by the leader's."""
        if self.size > 1:
            distributed.broadcast(value, src=0)

    def any(self, flag: bool) -> bool:
        """Whether the flag is true in any process. All wait for the answer."""
        return any(self.gather(flag))

    def gather(self, value: T) -> list[T]:
        """The values of all processes, in the order of their ranks. All wait for them."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        distributed.all_gather_object(values, value)
        return values

    def in_turn(self, act: Callable[[], T]) -> T:
        """Call ``act`` in the leader first and in the others afterwards, so that they see the files it has changed."""
        if self.is_leader:
            result = act()
            self.gather(None)
            return result
        self.gather(None)
        return act()


ALONE = Team()
"""The team of a single process."""


def is_leading_process() -> bool:
    """Whether this process is the one that writes and prints; true without torchrun.

    >>> is_leading_process()
    True
    """
    return int(os.environ.get("RANK", "0")) == 0


@contextlib.contextmanager
def join_team(device: torch.device) -> Iterator[tuple[Team, torch.device]]:
    """The processes that torchrun's environment variables describe, and this one's device, inside a ``with`` block.

    An existing process group is used, and left open afterwards.

    >>> with join_team(torch.device("cpu")) as (team, device):
    ...     team.size, team.is_leader, device
    (1, True, device(type='cpu'))
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ALONE, device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    is_ours = not distributed.is_initialized()
    if is_ours:
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Team(distributed.get_rank(), size), device
    finally:
        if is_ours:
            distributed.destroy_process_group()
