"""One update of a model in training."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from avae_lib.models.contract import ModelWithStages, label_arguments
from avae_lib.objectives import ELBO
from avae_lib.training.distributed import Team
from avae_lib.training.training_state import TrainingState

__all__ = ["PENALTY", "update"]


PENALTY = "penalty: "
"""What the names of penalties begin with in the running means."""


def update(state: TrainingState, forward: Callable[..., ELBO]) -> None:
    """Take the next batch, descend its loss by one step of the optimiser, and move the averaged weights along.

    A model with stages prepares for the update first (:class:`avae_lib.models.contract.ModelWithStages`).
    Where loss or gradient is not finite, or the gradient too long (:class:`GradientLimit`), the update is discarded:
    weights, buffers (such as the statistics of batch normalisation), optimiser state and averaged weights stay exactly
    as they were; the data order, the noise and the schedules still advance. The decision is made and carried out on
    the device, alike for all members of a team; the host never waits for it.
    """
    if isinstance(state.model, ModelWithStages):
        state.model.begin_update(state.step)
    state.rollback.remember()
    state.statistics.remember()
    images, labels = _next_batch(state)
    with torch.autocast(state.device.type, torch.bfloat16, enabled=state.config.precision == "bfloat16"):
        elbo = forward(images, **labels)
    state.statistics.average()
    loss = state.loss(elbo, state.step)
    state.optimizer.zero_grad()
    loss.backward()
    gradient_norm = torch.nn.utils.clip_grad_norm_(state.model.parameters(), state.config.optimizer.clip_norm)
    reading = _read(state.team, elbo, loss, gradient_norm)
    taken = ~state.limit.skips(reading["loss"], gradient_norm)
    state.optimizer.step()
    state.rollback.undo_unless(taken)
    state.averaged.update_parameters(state.model, taken)
    state.step += 1
    state.schedule.step()
    state.skips.add(state.step, state.sampler.last_indices, taken, reading["loss"], gradient_norm)
    state.means.add(taken, **reading)


def _next_batch(state: TrainingState) -> tuple[Tensor, dict[str, Tensor]]:
    """This member's share of the next batch: images, and the labels as keyword arguments of a conditional model."""
    images, labels = state.sampler.draw(), state.sampler.last_labels
    arguments = label_arguments(state.model, labels)
    return state.team.share(images), {name: state.team.share(value) for name, value in arguments.items()}


def _read(team: Team, elbo: ELBO, loss: Tensor, gradient_norm: Tensor) -> dict[str, Tensor]:
    """Means over the whole batch, the same for all members of the team, as the decision must be."""
    penalties = [penalty.mean()[None] for penalty in elbo.penalties.values()]
    of_share = torch.cat([loss[None], elbo.log_likelihood.mean()[None], *penalties, elbo.kl.mean(dim=0)]).detach()
    means = team.mean(of_share)
    return {
        "loss": means[0],
        "gradient_norm": gradient_norm,
        "log_likelihood": means[1],
        "kl_per_layer": means[2 + len(penalties) :],
        **{f"{PENALTY}{name}": mean for name, mean in zip(elbo.penalties, means[2:], strict=False)},
    }
