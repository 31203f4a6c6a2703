"""One update of a model in training."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from avae_lib.objectives import ELBO, negative_elbo
from avae_lib.training.schedules import beta_at
from avae_lib.training.training_state import TrainingState

__all__ = ["TrainingDiverged", "update"]


class TrainingDiverged(RuntimeError):
    """Too many updates in a row had a loss or a gradient that is not finite."""


def update(state: TrainingState, forward: Callable[[Tensor], ELBO]) -> None:
    """Take the next batch, descend its loss by one step of the optimiser, and move the averaged weights along.

    Where loss or gradient is not finite the weights stay as they are; that is counted.

    Raises:
        TrainingDiverged: it has now happened ``config.max_skips`` times in a row.
    """
    with torch.autocast(state.device.type, torch.bfloat16, enabled=state.config.precision == "bfloat16"):
        elbo = forward(state.sampler.draw())
    loss = _loss(elbo, beta_at(state.step, state.config))
    state.optimizer.zero_grad()
    loss.backward()
    gradient_norm = torch.nn.utils.clip_grad_norm_(state.model.parameters(), state.config.clip_norm)
    if math.isfinite((loss + gradient_norm).item()):
        _descend(state, elbo, loss, gradient_norm)
    else:
        _skip(state)
    state.step += 1
    state.schedule.step()


def _loss(elbo: ELBO, beta: float) -> Tensor:
    penalties = sum(penalty.mean() for penalty in elbo.penalties.values())
    return negative_elbo(elbo.log_likelihood, elbo.kl, beta) + penalties


def _descend(state: TrainingState, elbo: ELBO, loss: Tensor, gradient_norm: Tensor) -> None:
    state.optimizer.step()
    state.averaged.update_parameters(state.model)
    state.skipped_in_a_row = 0
    state.means.add(
        loss=loss,
        gradient_norm=gradient_norm,
        log_likelihood=elbo.log_likelihood.mean(),
        kl_per_layer=elbo.kl.mean(dim=0),
    )


def _skip(state: TrainingState) -> None:
    state.skipped += 1
    state.skipped_in_a_row += 1
    if state.skipped_in_a_row == state.config.max_skips:
        raise TrainingDiverged(
            f"loss or gradient was not finite in {state.config.max_skips} updates in a row, up to update "
            f"{state.step + 1}: try a smaller training.learning_rate or training.clip_norm, in another run folder"
        )
