"""One update of a model in training."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from avae_lib.objectives import ELBO
from avae_lib.training.team import Team
from avae_lib.training.training_state import TrainingState

__all__ = ["update"]


def update(state: TrainingState, forward: Callable[[Tensor], ELBO]) -> None:
    """Take the next batch, descend its loss by one step of the optimiser, and move the averaged weights along.

    Where loss or gradient is not finite, or the gradient too long (:class:`GradientLimit`), nothing of that counts:
    weights, buffers (such as the statistics of batch normalisation), moments and counts of the optimiser and the
    averaged weights stay exactly as they were. Order of the images, noise and schedules go on. The decision is made
    and carried out on the device, alike for all members of a team; the host never waits for it.
    """
    state.rollback.remember()
    with torch.autocast(state.device.type, torch.bfloat16, enabled=state.config.precision == "bfloat16"):
        elbo = forward(state.team.share(state.sampler.draw()))
    loss = state.loss(elbo, state.step)
    state.optimizer.zero_grad()
    loss.backward()
    gradient_norm = torch.nn.utils.clip_grad_norm_(state.model.parameters(), state.config.clip_norm)
    reading = _read(state.team, elbo, loss, gradient_norm)
    taken = torch.isfinite(reading["loss"]) & state.limit.admits(gradient_norm)
    state.optimizer.step()
    state.rollback.undo_unless(taken)
    state.averaged.update_parameters(state.model, taken)
    state.step += 1
    state.schedule.step()
    state.skips.add(state.step, state.sampler.last_indices, taken, reading["loss"], gradient_norm)
    state.means.add(taken, **reading)


def _read(team: Team, elbo: ELBO, loss: Tensor, gradient_norm: Tensor) -> dict[str, Tensor]:
    """Means over the whole batch, the same for all members of the team, as the decision must be."""
    of_share = torch.cat([loss[None], elbo.log_likelihood.mean()[None], elbo.kl.mean(dim=0)]).detach()
    means = team.mean(of_share)
    return {
        "loss": means[0],
        "gradient_norm": gradient_norm,
        "log_likelihood": means[1],
        "kl_per_layer": means[2:],
    }
