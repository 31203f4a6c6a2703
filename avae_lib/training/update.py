"""One update of a model in training: from the next batch to the averaged weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from avae_lib.models.contract import ModelWithStages, label_arguments
from avae_lib.objectives import ELBO
from avae_lib.training.distributed import Team
from avae_lib.training.micro_batches import autocast, backward_in_pieces
from avae_lib.training.optimizers_and_schedules import step_unless_skipped
from avae_lib.training.training_state import TrainingState

__all__ = ["PENALTY", "Outcome", "compute", "next_batch", "note", "update"]

PENALTY = "penalty: "
"""Prefix of the names of penalties in the running means."""


def update(state: TrainingState, forward: Callable[..., ELBO]) -> None:
    """Take the next batch, descend its loss by one optimizer step, and move the averaged weights along.

    A model with stages prepares for the update first (:class:`avae_lib.models.contract.ModelWithStages`).

    If loss or gradient is not finite, or the gradient is too long
    (:class:`avae_lib.training.skipped_updates.GradientLimit`), the update is skipped: weights, buffers (such as the
    statistics of batch normalisation), optimizer state and averaged weights stay exactly as they were. The data order,
    the noise and the schedules still advance. The decision is made and carried out on the device, alike for all
    processes; the host does not wait for it.

    >>> from avae_lib.data import load
    >>> from avae_lib.models.vae import VAEConfig
    >>> from avae_lib.training.training_config import TrainingConfig
    >>> model = VAEConfig((1, 8, 8), bits=4, likelihood="discretized_logistic", hidden_sizes=(8,)).build()
    >>> state = TrainingState(model, load("digits"), TrainingConfig(), torch.device("cpu"))
    >>> update(state, forward=model)
    >>> state.step, sorted(state.means.take())
    (1, ['gradient_norm', 'kl_per_layer', 'log_likelihood', 'loss'])
    """
    if isinstance(state.model, ModelWithStages):
        state.model.begin_update(state.step)
    images, labels = next_batch(state)
    note(state, compute(state, forward, images, labels))


@dataclass(frozen=True)
class Outcome:
    """What one update did, on the device.

    >>> Outcome(taken=torch.tensor(True), measured={"loss": torch.tensor(3.0)}).measured["loss"]
    tensor(3.)
    """

    taken: Bool[Tensor, ""]
    """Whether it was taken and not skipped."""
    measured: dict[str, Tensor]
    """Means over the batch, as they enter the row of metrics."""


def next_batch(state: TrainingState) -> tuple[Tensor, dict[str, Tensor]]:
    """This process's share of the next batch: images, and labels as keyword arguments of a conditional model.

    >>> from avae_lib.presets import find_preset
    >>> preset = find_preset("digits-vae")
    >>> state = TrainingState(preset.build_model(), preset.data.load(), preset.training, torch.device("cpu"))
    >>> images, labels = next_batch(state)
    >>> len(images) == preset.training.batch_size, labels
    (True, {})
    """
    images = state.team.share(state.sampler.draw())
    if state.channels_last and images.dim() == 4:
        images = images.contiguous(memory_format=torch.channels_last)
    labels = label_arguments(state.model, state.sampler.last_labels)
    return images, {name: state.team.share(value) for name, value in labels.items()}


def compute(state: TrainingState, forward: Callable[..., ELBO], images: Tensor, labels: dict[str, Tensor]) -> Outcome:
    """The part of an update that runs on the device: it changes tensors in place, and the host waits for none.

    Everything that differs from call to call comes from the arguments, from tensors that stay where they are, or from
    learning rate and KL weight, so a GPU can record it once and replay it
    (:mod:`avae_lib.training.graphed_updates`).

    >>> from avae_lib.presets import find_preset
    >>> preset = find_preset("digits-vae")
    >>> state = TrainingState(preset.build_model(), preset.data.load(), preset.training, torch.device("cpu"))
    >>> outcome = compute(state, state.model, *next_batch(state))
    >>> outcome.taken, sorted(outcome.measured)
    (tensor(True), ['gradient_norm', 'kl_per_layer', 'log_likelihood', 'loss'])
    """
    state.rollback.remember()  # buffers
    state.statistics.remember()  # running statistics, such as those of a codebook
    state.optimizer.zero_grad()
    elbo, loss = _backward(state, forward, images, labels)
    gradient_norm = state.weights.clip_gradients(state.config.optimizer.clip_norm)  # before clipping

    measured = _measured(state.team, elbo, loss, gradient_norm)
    skipped = state.limit.skips(measured["loss"], gradient_norm)  # a boolean scalar on the device
    step_unless_skipped(state.optimizer, skipped)
    state.rollback.undo_unless(~skipped)
    state.averaged.update_parameters(state.model, ~skipped)
    return Outcome(~skipped, measured)


def note(state: TrainingState, outcome: Outcome) -> None:
    """Count an update, move the schedules on, and keep its numbers for the next row of metrics.

    >>> from avae_lib.presets import find_preset
    >>> preset = find_preset("digits-vae")
    >>> state = TrainingState(preset.build_model(), preset.data.load(), preset.training, torch.device("cpu"))
    >>> note(state, compute(state, state.model, *next_batch(state)))
    >>> state.step
    1
    """
    state.step += 1
    state.schedule.step()  # learning rate of the next update
    measured = outcome.measured
    state.skips.add(state.step, state.sampler.last_indices, outcome.taken, measured["loss"], measured["gradient_norm"])
    state.means.add(outcome.taken, **measured)


def _backward(
    state: TrainingState, forward: Callable[..., ELBO], images: Tensor, labels: dict[str, Tensor]
) -> tuple[ELBO, Tensor]:
    """Add the gradient of the loss to the parameters; returns the terms of the bound and the loss."""
    if state.config.micro_batch is not None and state.config.micro_batch < len(images):
        return backward_in_pieces(state, forward, images, labels)
    with autocast(state):
        elbo = forward(images, **labels)
    state.statistics.average()  # over the processes
    loss = state.loss(elbo, state.step)  # −log-likelihood + kl_weight_at(step) · KL + penalties
    loss.backward()
    return elbo, loss


def _measured(team: Team, elbo: ELBO, loss: Tensor, gradient_norm: Tensor) -> dict[str, Tensor]:
    """Means over the whole batch. All processes get the same numbers, so they agree on skipping the update."""
    penalties = [penalty.mean() for penalty in elbo.penalties.values()]
    scalars = torch.stack([loss, elbo.log_likelihood.mean(), *penalties])
    of_share = torch.cat([scalars, elbo.kl.mean(dim=0)]).detach()  # this process's share of the batch
    of_batch = team.mean(of_share)  # one exchange between the processes for all numbers
    batch_loss, batch_log_likelihood, *batch_penalties = of_batch[: len(scalars)]
    return {
        "loss": batch_loss,
        "gradient_norm": gradient_norm,
        "log_likelihood": batch_log_likelihood,
        "kl_per_layer": of_batch[len(scalars) :],
        **{f"{PENALTY}{name}": penalty for name, penalty in zip(elbo.penalties, batch_penalties, strict=True)},
    }
