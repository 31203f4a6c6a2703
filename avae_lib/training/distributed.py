"""The processes that train one model together, as torchrun starts them; usually there is only one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

__all__ = ["ALONE", "Team", "is_leading_process", "join_team"]


T = TypeVar("T")


@dataclass(frozen=True)
class Team:
    """Who trains: each member works on its share of every batch, and all take the same steps.

    With a single member every method is what it is without a team.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_leader(self) -> bool:
        """Whether this member is the one that writes and prints."""
        return self.rank == 0

    def share(self, batch: Tensor) -> Tensor:
        """This member's part of a batch that all members have drawn alike."""
        return batch[self.rank :: self.size]

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model, with its gradients averaged over the team in every backward pass."""
        # Parameters that a batch does not reach would otherwise be waited for.
        return DistributedDataParallel(model, find_unused_parameters=True) if self.size > 1 else model

    def mean(self, value: Tensor) -> Tensor:
        """The mean over the team, the same for all; not finite if any member's is not."""
        if self.size == 1:
            return value
        total = value.detach().clone()
        distributed.all_reduce(total)
        return total / self.size

    def follow_leader(self, value: Tensor) -> None:
        """Overwrite the tensor of each member by that of the leader."""
        if self.size > 1:
            distributed.broadcast(value, src=0)

    def any(self, flag: bool) -> bool:
        """Whether it holds for any member; all wait for the answer."""
        return any(self.gather(flag))

    def gather(self, value: T) -> list[T]:
        """The value of each member, in the order of their ranks; all wait for it."""
        if self.size == 1:
            return [value]
        values = [None] * self.size
        distributed.all_gather_object(values, value)
        return values

    def in_turn(self, act: Callable[[], T]) -> T:
        """Let the leader act first and the others after it: what it puts in order they find in order."""
        result = act() if self.is_leader else None
        self.gather(None)
        return result if self.is_leader else act()


ALONE = Team()
"""The team of a single process."""


def is_leading_process() -> bool:
    """Whether this is the process of its team that writes and prints, or has no team."""
    return int(os.environ.get("RANK", "0")) == 0


@contextlib.contextmanager
def join_team(device: torch.device) -> Iterator[tuple[Team, torch.device]]:
    """The team that torchrun's environment variables describe, and this member's device, for the length of a block.

    A process group that is there already is used and left alone.
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
