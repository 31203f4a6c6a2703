"""The processes that train one model together, as torchrun starts them; usually there is only one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils._pytree import register_pytree_node

from avae_lib.errors import InvalidInput
from avae_lib.objectives import ELBO

__all__ = ["ALONE", "Agreement", "Team", "is_leading_process", "join_team"]


T = TypeVar("T")

_PATIENCE = timedelta(minutes=30)
"""How long a process waits for the others, which may be evaluating, writing to a slow disk or compiling."""

# DistributedDataParallel with a static graph looks for tensors in what a model returns, and knows no records.
register_pytree_node(
    ELBO,
    lambda elbo: ([elbo.log_likelihood, elbo.kl, dict(elbo.penalties)], None),
    lambda parts, _: ELBO(*parts),
)


@dataclass(frozen=True)
class Team:
    """The processes that train together: each computes its share of every batch, and all take the same steps.

    With a single process every method returns its argument, or does nothing.

    >>> Team(rank=1, size=2).share(torch.arange(6))
    tensor([1, 3, 5])
    """

    rank: int = 0
    size: int = 1
    host_group: Any = None
    """Process group for what is exchanged between processors and not between GPUs; None for the usual group."""

    @property
    def is_leader(self) -> bool:
        """Whether this is the process that writes and prints."""
        return self.rank == 0

    def share(self, batch: Tensor) -> Tensor:
        """This process's part of a batch; all processes have drawn the same batch."""
        return batch[self.rank :: self.size]

    def wrap(
        self, model: nn.Module, reaches_all_parameters: Callable[[], bool], repeats_itself: bool = False
    ) -> nn.Module:
        """The model, with its gradients averaged over all processes in every backward pass.

        Gradients lie in the buffers that are exchanged, so they are never copied.

        Args:
            model: the model.
            reaches_all_parameters: whether each pass reaches all parameters. If so, no time is spent on looking for
                others. If not, the processes would wait for them forever.
            repeats_itself: whether each update is one forward and one backward pass of the same operations. If it also
                reaches all parameters, the order in which gradients become ready is learned in the first update.
        """
        if self.size == 1:
            return model
        reaches_all = reaches_all_parameters()
        return DistributedDataParallel(
            model,
            find_unused_parameters=not reaches_all,
            gradient_as_bucket_view=True,
            static_graph=reaches_all and repeats_itself,
        )

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
        distributed.all_gather_object(values, value, group=self.host_group)
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


class Agreement:
    """Lets the processes of a team agree on what to do next, without waiting for one another.

    The answer to a call is about the flags of the call before, so that their exchange has the time of an update. With a
    single process the answer is its own flags.

    >>> agreement = Agreement(ALONE)
    >>> agreement.any(False, True)
    [False, True]
    """

    def __init__(self, team: Team) -> None:
        self._team = team
        self._asked: tuple[Tensor, Any] | None = None

    def any(self, *flags: bool) -> list[bool]:
        """For each flag, whether a process has raised it in the call before this one; the same for all of them."""
        if self._team.size == 1:
            return list(flags)
        answers = [False] * len(flags) if self._asked is None else self._answers(*self._asked)
        raised = torch.tensor([int(flag) for flag in flags])
        self._asked = raised, distributed.all_reduce(raised, group=self._team.host_group, async_op=True)
        return answers

    def _answers(self, raised: Tensor, exchange: Any) -> list[bool]:
        exchange.wait()
        return [count > 0 for count in raised.tolist()]


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
    device = _own_device(device)
    is_ours = not distributed.is_initialized()
    if is_ours:
        _begin_group(device)
    host_group = distributed.new_group(backend="gloo", timeout=_PATIENCE)
    try:
        yield Team(distributed.get_rank(), size, host_group), device
    finally:
        distributed.destroy_process_group(None if is_ours else host_group)


def _own_device(device: torch.device) -> torch.device:
    """The GPU of this process: of those of its machine the one with its local rank."""
    if device.type != "cuda":
        return device
    place, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if place >= gpus:
        raise InvalidInput(
            f"this machine has {gpus} GPUs for at least {place + 1} processes: start no more than {gpus} on it, with "
            f"--nproc-per-node {gpus}"
        )
    own = torch.device("cuda", place)
    torch.cuda.set_device(own)  # before anything is exchanged: NCCL would put all processes on the first GPU
    return own


def _begin_group(device: torch.device) -> None:
    on_gpu = device.type == "cuda"
    distributed.init_process_group(
        "nccl" if on_gpu else "gloo",
        timeout=_PATIENCE,
        **({"device_id": device} if on_gpu else {}),
        **_meeting_place(),
    )


def _meeting_place() -> dict[str, Any]:
    """Where the processes find each other, if it is not the usual place.

    Restarted by torchrun, they would find the addresses of the processes before them, which still stand in its store.
    Processes on several machines do not agree on the number of restarts, so these must use a new store each time (see
    docs/training_at_scale.md).
    """
    restarts = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    if restarts == "0" or os.environ.get("LOCAL_WORLD_SIZE") != os.environ["WORLD_SIZE"]:
        return {}
    store, rank, size = next(distributed.rendezvous("env://"))
    return {"store": distributed.PrefixStore(f"restart {restarts}", store), "rank": rank, "world_size": size}
