"""Everything that changes while a model is trained, in one object, so that a checkpoint can hold all of it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from avae_lib.data import BatchSampler, Dataset
from avae_lib.training.devices import continue_with_threads, uses_channels_last
from avae_lib.training.distributed import ALONE, Team
from avae_lib.training.moving_average import MovingAverage, RunningStatistics
from avae_lib.training.optimizers_and_schedules import (
    learning_rate_schedule,
    load_optimizer,
    make_optimizer,
)
from avae_lib.training.skipped_updates import GradientLimit, Rollback, SkippedUpdates
from avae_lib.training.training_config import TrainingConfig
from avae_lib.training.types_of_state import require_same_types
from avae_lib.training.weighted_loss import Loss
from avae_lib.training.whole_weights import WholeWeights

__all__ = ["RunningMeans", "TrainingState"]


class RunningMeans:
    """Means of named values over the updates that were taken, summed on the device so that nothing waits for them.

    Each value is a scalar or a vector of fixed length.

    >>> means = RunningMeans()
    >>> for taken, loss in ((True, 1.0), (False, 99.0), (True, 2.0)):
    ...     means.add(torch.tensor(taken), loss=torch.tensor(loss))
    >>> means.take()
    {'loss': 1.5}
    """

    def __init__(self) -> None:
        self._count: int | Tensor = 0
        self._sums: dict[str, Tensor] = {}

    def add(self, taken: Tensor, **values: Tensor) -> None:
        """Add the values of one update if ``taken``, a boolean scalar on the device, is true."""
        self._count = self._count + taken.long()
        for name, value in values.items():
            value = torch.where(taken, value.detach().double(), 0.0)
            self._sums[name] = self._sums[name] + value if name in self._sums else value

    def take(self) -> dict[str, Any]:
        """The means over the updates since the last call, numbers or lists of numbers; empty if there were none."""
        count = int(self._count)
        means = {name: (total / count).tolist() for name, total in self._sums.items()} if count else {}
        self._count = 0
        self._sums = {}
        return means

    def state_dict(self) -> dict[str, int | dict[str, Tensor]]:
        return {"count": int(self._count), "sums": dict(self._sums)}

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        self._count = state["count"]
        self._sums = {name: total.to(device) for name, total in state["sums"].items()}


class TrainingState:
    """Weights, their average, optimizer, data order, noise, schedule and counters of one run.

    Building a state seeds torch's global generator, from which the models draw their noise.

    Args:
        model: the model to train; it is moved to the device.
        dataset: its training split gives the batches.
        config: how to train.
        device: the device to train on.
        team: the processes that train together.

    >>> from avae_lib.presets import find_preset
    >>> preset = find_preset("digits-vae")
    >>> state = TrainingState(preset.build_model(), preset.data.load(), preset.training, torch.device("cpu"))
    >>> state.step = 150
    >>> state.is_due(every=50), state.is_due(every=100)
    (True, False)
    >>> sorted(state.state_dict())[:4]
    ['averaged', 'energy_kwh', 'limit', 'loss']
    """

    def __init__(
        self,
        model: nn.Module,
        dataset: Dataset,
        config: TrainingConfig,
        device: torch.device,
        team: Team = ALONE,
    ) -> None:
        torch.manual_seed(config.seed + team.rank)  # each process draws different latents
        self.config = config
        self.device = device
        self.team = team
        self.channels_last = uses_channels_last(model, config, device)
        self.model = model.to(device).train()
        if self.channels_last and not config.sharded:  # FSDP2 cuts only contiguous weights
            self.model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  of its 4-D weights
        self.loss = Loss(self.model, config)  # looks at whole weights
        self.weights, self.averaged = _weights_and_average(self.model, config, team)
        self.optimizer = make_optimizer(self.weights.tensors, config)
        self.schedule = learning_rate_schedule(self.optimizer, config, step=0)
        self.sampler = BatchSampler(dataset, config.batch_size, config.seed, device, config.data_on)
        self.observed = dataset.observed
        self.values_per_example = self.observed.values_per_example(dataset.train)
        self.limit = GradientLimit(config, device)  # decides which updates are skipped
        self.rollback = Rollback(self.model.buffers())  # undoes what a skipped update did to them
        self.statistics = RunningStatistics(self.model, team)  # kept equal in all processes
        self.means = RunningMeans()  # for the next row of metrics
        self.skips = SkippedUpdates(config)
        self.step = 0
        self.seconds = 0.0
        self.energy_kwh: float | None = None

    def is_due(self, every: int) -> bool:
        """Whether this step is a multiple of ``every``, or the last one."""
        return self.step % every == 0 or self.step == self.config.steps

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values from which training continues exactly.

        Call ``skips.read()`` first, because unread updates are not counted. All processes must call this together.
        """
        noise, *noise_of_others = self.team.gather(self._noise())
        self.averaged.gather()
        whole = {
            "model": self.weights.state_of(self.model),
            "optimizer": self.weights.state_of_optimizer(self.optimizer),
        }
        return {**self._own_state(), **whole, "noise": noise, "noise_of_others": noise_of_others}

    def _own_state(self) -> dict[str, Any]:
        """What is the same in all processes, but for weights and moments, of which each may have its part."""
        return {
            "step": self.step,
            "seconds": self.seconds,
            "energy_kwh": self.energy_kwh,
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "sampler": self.sampler.state_dict(),
            "loss": self.loss.state_dict(),
            "limit": self.limit.state_dict(),
            "means": self.means.state_dict(),
            "threads": torch.get_num_threads(),
            **self.skips.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state that :meth:`state_dict` returned.

        Raises:
            RuntimeError: the state belongs to another model.
            ValueError: the state belongs to another optimizer or data set, or a value in it is of the wrong type.
        """
        require_same_types(state, self._template(has_energy=state.get("energy_kwh") is not None))
        self.averaged.load_state_dict(state["averaged"])
        self.weights.load_model(self.model, state["model"])
        load_optimizer(self.optimizer, self.weights.own_state_of_optimizer(state["optimizer"]))
        self.sampler.load_state_dict(state["sampler"])
        self.loss.load_state_dict(state.get("loss", {}))
        if "limit" in state:
            self.limit.load_state_dict(state["limit"])
        self.means.load_state_dict(state["means"], self.device)
        self.skips.load_state_dict(state)
        self.step = state["step"]
        self.seconds = state["seconds"]
        self.energy_kwh = state.get("energy_kwh")
        self.schedule = learning_rate_schedule(self.optimizer, self.config, self.step)
        if self.config.threads is None and "threads" in state:
            continue_with_threads(state["threads"])  # sums of another number of threads differ in their last bits
        self._restore_noise([state["noise"], *state.get("noise_of_others", ())])

    def _template(self, has_energy: bool) -> dict[str, Any]:
        """A state of which only the types matter."""
        energy = {"energy_kwh": 0.0 if has_energy else None}
        return {**self._own_state(), **energy, "noise": self._noise(), "noise_of_others": []}

    def _noise(self) -> dict[str, torch.Tensor]:
        states = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state(self.device)
        return states

    def _restore_noise(self, of_members: list[dict[str, torch.Tensor]]) -> None:
        if self.team.rank >= len(of_members):  # an added process starts its own stream of noise
            torch.manual_seed(self.config.seed + self.team.rank + self.step)
            return
        states = of_members[self.team.rank]
        torch.set_rng_state(states["cpu"])
        if self.device.type == "cuda" and "cuda" in states:
            torch.cuda.set_rng_state(states["cuda"], self.device)


def _weights_and_average(model: nn.Module, config: TrainingConfig, team: Team) -> tuple[WholeWeights, MovingAverage]:
    """What this process updates and averages: the whole model, or its shards of it."""
    decay = config.optimizer.ema_decay
    if not config.sharded:
        return WholeWeights(model), MovingAverage(model, decay).eval()
    from avae_lib.training.sharding import ShardedAverage, Shards  # FSDP2 takes a while to import

    average = ShardedAverage(model, decay, team).eval()
    shards = Shards(model, team)
    average.follow(model, shards)
    return shards, average
