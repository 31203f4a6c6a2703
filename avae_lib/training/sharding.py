"""FSDP2: each process keeps its part of every weight, with the gradient, moments and moving average of this part.

Everything that is special about sharded weights is here. Each weight is cut along its first dimension. The processes
put the weights of a block together just before its forward pass, and let go of them once the backward pass has used
them. Gradients are averaged over the processes, and each keeps those of its parts. Optimizer and moving average work on
the parts alone, which to them are ordinary tensors. What a run writes is whole, as if nothing had been sharded.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from avae_lib.errors import InvalidInput
from avae_lib.models.contract import ModelWithStages
from avae_lib.training.activation_checkpointing import checkpointed_blocks, has_checkpointed_blocks
from avae_lib.training.distributed import Team
from avae_lib.training.moving_average import MovingAverage, averaged_and_copied
from avae_lib.training.training_config import TrainingConfig
from avae_lib.training.whole_weights import WholeWeights

# What models return is not changed in place, which alone would be a reason to warn.
warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")

__all__ = ["ShardedAverage", "Shards", "gathered_blocks", "require_sharding"]


class Shards(WholeWeights):
    """This process's parts of a model's weights; making them shards the model.

    All processes make theirs together, from the weights of the first one. Gathering is done by all together, too.

    Args:
        model: the model; its weights become sharded in place.
        team: the processes, at least two.
    """

    def __init__(self, model: nn.Module, team: Team) -> None:
        for tensor in (*model.parameters(), *model.buffers()):
            team.follow_leader(tensor.data)
        self._team = team
        _shard(model, DeviceMesh(next(model.parameters()).device.type, list(range(team.size))))
        self._weights = list(model.parameters())
        self.tensors = [nn.Parameter(_own(weight), weight.requires_grad) for weight in self._weights]

    @torch.no_grad()
    def clip_gradients(self, clip_norm: float) -> Tensor:
        """Take up the gradients of the backward pass, and scale them down to this norm over all processes."""
        of_parts, of_scalars = [], []
        for own, weight in zip(self.tensors, self._weights, strict=True):
            own.data = _own(weight)  # FSDP2 may have moved it to a place of its own
            own.grad, weight.grad = None if weight.grad is None else _own(weight.grad), None
            if own.grad is not None:
                (of_parts if isinstance(weight, DTensor) else of_scalars).append(own.grad)
        norm = self._norm(of_parts, self._averaged(of_scalars))
        clip_grads_with_norm_(self.tensors, clip_norm, norm, foreach=True)
        return norm

    def _averaged(self, gradients: list[Tensor]) -> list[Tensor]:
        """Gradients of scalars, which FSDP2 leaves alone, averaged over the processes in one exchange."""
        if gradients:
            torch._foreach_copy_(gradients, list(self._team.mean(torch.stack(gradients))))
        return gradients

    def _norm(self, of_parts: list[Tensor], of_scalars: list[Tensor]) -> Tensor:
        """The norm of the whole gradient: each part is in one process, and each scalar in all of them."""
        nothing = torch.zeros(1, device=self.tensors[0].device)  # on the device even if there are no such gradients
        square_of_parts, square_of_scalars = (
            get_total_norm([nothing, *gradients], foreach=True).double().square()
            for gradients in (of_parts, of_scalars)
        )
        return (self._team.size * self._team.mean(square_of_parts) + square_of_scalars).sqrt().float()

    def gather(self, index: int, own: Tensor) -> Tensor:
        """The whole tensor from its parts, which belong to the weight with this index."""
        like = self._weights[index]
        if not isinstance(like, DTensor):
            return own
        layout = {"shape": like.shape, "stride": like.stride(), "run_check": False}
        return DTensor.from_local(own.detach(), like.device_mesh, like.placements, **layout).full_tensor()

    def part(self, index: int, whole: Tensor) -> Tensor:
        """This process's part of a whole tensor, which belongs to the weight with this index; not a copy."""
        wanted = self.tensors[index].shape
        if whole.dim() == 0:
            return whole
        parts = whole.chunk(self._team.size)
        return parts[self._team.rank] if self._team.rank < len(parts) else whole.new_empty(wanted)

    def state_of(self, model: nn.Module) -> dict[str, Any]:
        return {
            name: self._kept(value.full_tensor()) if isinstance(value, DTensor) else value
            for name, value in model.state_dict().items()
        }

    def state_of_optimizer(self, optimizer: Optimizer) -> dict[str, Any]:
        state = optimizer.state_dict()
        return state | {"state": self._of_each_moment(state, lambda index, own: self._kept(self.gather(index, own)))}

    def load_model(self, model: nn.Module, state: dict[str, Any]) -> None:
        """Give the model its parts of a whole state that has been found to fit."""
        for index, (name, weight) in enumerate(model.named_parameters()):
            _own(weight).copy_(self.part(index, state[name]))
        for name, buffer in model.named_buffers():
            if name in state:
                buffer.copy_(state[name])

    def own_state_of_optimizer(self, state: dict[str, Any]) -> dict[str, Any]:
        return state | {"state": self._of_each_moment(state, self.part)}

    def _of_each_moment(self, state: dict[str, Any], change: Any) -> dict[int, dict[str, Any]]:
        """A state of the optimizer with its moments changed, and its counts, which are scalars, left alone."""
        return {
            index: {
                name: change(index, value) if isinstance(value, Tensor) and value.dim() > 0 else value
                for name, value in moments.items()
            }
            for index, moments in state["state"].items()
        }

    def _kept(self, whole: Tensor) -> Tensor:
        """In the memory of the leader's host; the others do not write it."""
        return whole.cpu() if self._team.is_leader else whole.new_empty(0)


class ShardedAverage(MovingAverage):
    """A moving average of sharded weights, of which each process computes its parts.

    ``.module`` is a whole model, on the leader's device because the leader evaluates it, and elsewhere in the memory of
    the host. It has the averaged weights of the last :meth:`gather`.

    Args:
        model: the model, before it is sharded.
        decay: as in :class:`avae_lib.training.moving_average.MovingAverage`.
        team: the processes.
    """

    def __init__(self, model: nn.Module, decay: float, team: Team) -> None:
        super().__init__(model, decay)
        if not team.is_leader:
            self.module.cpu()
        self._whole = averaged_and_copied(self.module)

    @torch.no_grad()
    def follow(self, model: nn.Module, shards: Shards) -> None:
        """From now on average the shards of ``model``; its buffers are copied when gathering."""
        self._shards = shards
        sharded, self._buffers_of_model = averaged_and_copied(model)
        statistics = sharded[len(shards.tensors) :]
        followed = [*shards.tensors, *statistics]
        self._averages, self._copies = [tensor.detach().clone() for tensor in followed], []
        self._followed = (model, followed, [])

    @torch.no_grad()
    def gather(self) -> None:
        averages, copies = self._whole
        for index, (whole, own) in enumerate(zip(averages, self._averages, strict=True)):
            is_weight = index < len(self._shards.tensors)
            whole.copy_(self._shards.gather(index, own) if is_weight else own)
        for copy, buffer in zip(copies, self._buffers_of_model, strict=True):
            copy.copy_(buffer)

    @torch.no_grad()
    def load_state_dict(self, *arguments: Any, **options: Any) -> Any:
        """Load a whole state, and keep this process's parts of it."""
        result = super().load_state_dict(*arguments, **options)
        for index, (whole, own) in enumerate(zip(self._whole[0], self._averages, strict=True)):
            is_weight = index < len(self._shards.tensors)
            own.copy_(self._shards.part(index, whole) if is_weight else whole)
        return result


def _shard(model: nn.Module, mesh: DeviceMesh) -> None:
    """Shard a model in place, block by block. Scalars stay whole."""
    options: dict[str, Any] = {
        "mesh": mesh,
        # Freed after the forward pass, the weights of a block would have to be back before the first of its gradients,
        # which may come in by a KL that FSDP2 does not see among what the block returns.
        "reshard_after_forward": False,
        "ignored_params": {weight for weight in model.parameters() if weight.dim() == 0},
    }
    for block in gathered_blocks(model):
        fully_shard(block, **options)
    fully_shard(model, **options)


def _own(tensor: Tensor) -> Tensor:
    """This process's part of a sharded tensor, in the same memory; a tensor that is not sharded as it is."""
    return tensor.to_local().detach() if isinstance(tensor, DTensor) else tensor.detach()


def gathered_blocks(model: nn.Module) -> list[nn.Module]:
    """The blocks whose weights are put together one after the other; what is in none of them belongs to the model.

    They are the blocks of activation checkpointing, which too must be entered by their ``forward`` alone.

    >>> from avae_lib.models.ladder import LadderConfig
    >>> from avae_lib.models.vae import VAEConfig
    >>> len(gathered_blocks(LadderConfig(latent_dims=(4, 2), hidden_sizes=(16, 8)).build()))
    6
    >>> gathered_blocks(VAEConfig().build())
    []
    """
    blocks = checkpointed_blocks(model) if has_checkpointed_blocks(model) else []
    return [block for block in blocks if next(block.parameters(), None) is not None]


def require_sharding(model: nn.Module, config: TrainingConfig, team: Team) -> None:
    """Refuse ``training.sharded`` where it has no sense or was not made for.

    Raises:
        InvalidInput: a single process; ``compile``, ``cuda_graphs`` or penalties on weights; or a model that changes
            between updates, or uses a weight in several blocks.

    >>> require_sharding(nn.Linear(2, 2), TrainingConfig(sharded=True), Team(rank=0, size=1))
    Traceback (most recent call last):
    avae_lib.errors.InvalidInput: training.sharded must be false for a single process: start several by torchrun ...
    """
    if team.size == 1:
        raise InvalidInput(
            "training.sharded must be false for a single process: start several by torchrun "
            "(docs/training_at_scale.md), or continue this run whole with --training.no-sharded"
        )
    for name in ("compile", "cuda_graphs"):
        if getattr(config, name):
            raise InvalidInput(f"training.{name} must be false with training.sharded, got True: choose one of them")
    for name in ("l2", "spectral"):
        weight = getattr(config.penalties, name)
        if weight > 0:
            raise InvalidInput(
                f"training.penalties.{name} must be 0 with training.sharded, where no process has all weights, got "
                f"{weight}: use --training.no-sharded"
            )
    reason = _reason_against(model)
    if reason is not None:
        raise InvalidInput(f"training.sharded must be false for {type(model).__name__}: {reason}")


def _reason_against(model: nn.Module) -> str | None:
    if isinstance(model, ModelWithStages):
        return "it changes between updates (begin_update), which sees whole weights only"
    of_blocks = [id(weight) for block in gathered_blocks(model) for weight in block.parameters()]
    return "two of its blocks use the same weight" if len(of_blocks) > len(set(of_blocks)) else None
