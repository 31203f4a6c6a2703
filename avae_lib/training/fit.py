"""The training loop: updates, metrics, checkpoints, and going on after any kind of end."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from avae_lib.data import Dataset
from avae_lib.errors import InvalidInput
from avae_lib.models.contract import num_classes
from avae_lib.observations import observed_by
from avae_lib.training.checkpoints import Checkpoints, save_milestone, save_weights
from avae_lib.training.costs import Clock, Costs, expected_memory
from avae_lib.training.devices import find_device
from avae_lib.training.distributed import Team, join_team
from avae_lib.training.metrics import Journal, Watch
from avae_lib.training.run_guards import StopRequest, TrainingInterrupted, run_lock, stop_on_signals
from avae_lib.training.training_config import TrainingConfig
from avae_lib.training.training_state import TrainingState
from avae_lib.training.update import update

__all__ = ["TrainedModel", "fit"]


@dataclass(frozen=True)
class TrainedModel:
    """What :func:`fit` gives back."""

    model: nn.Module
    """The model under the averaged weights, in evaluation mode."""
    step: int
    """Updates it has had."""


def fit(
    model: nn.Module,
    dataset: Dataset,
    config: TrainingConfig,
    run_dir: Path | str,
    watch: Watch | None = None,
) -> TrainedModel:
    """Train a model, or go on training it where the run folder's checkpoint stands.

    Files in the run folder: ``metrics.jsonl`` (:class:`MetricsFile`), ``checkpoint.pt`` (:class:`Checkpoints`),
    ``weights.safetensors`` (the averaged weights) and ``costs.json`` (:class:`Costs`); with validation images also
    ``best.safetensors`` (:class:`BestWeights`), with ``logging.milestones`` a folder of milestones, and after a skipped
    update ``skipped.jsonl`` (:class:`SkippedUpdate`).

    On the CPU an interrupted and resumed run ends with the same weights, bit for bit, as an uninterrupted one. The
    caller's random state is left unchanged.

    Processes started by torchrun work together. Each computes its share of every batch, on a GPU of its own if there
    are GPUs; the first one writes the files, so all must see the same folder. Batch normalisation, and penalties that
    compare the images of a batch, see the share of one process only.

    Args:
        model: any :class:`avae_lib.models.contract.LatentVariableModel` that is a module; trained in place.
        dataset: images of the shape and bits that the model takes, with labels for a conditional model. The test images
            are never looked at.
        config: how to train; ``steps`` may be larger than when the run began. With ``minutes`` the call may return
            before all steps are done; the next one goes on.
        run_dir: folder of the run; made if need be.
        watch: called with each row of metrics and the model under its averaged weights; takes the place of the
            progress bar.

    Raises:
        ValueError: the model takes other images than the data set has, or other classes; or there is no such device.
        CheckpointError: the folder's checkpoints are damaged, or of another model.
        RunInUse: another process is training in the folder.
        TrainingDiverged: too many updates in a row were skipped; noticed when the next row of metrics is due.
        TrainingInterrupted: a signal asked to stop; all is saved.
    """
    _require_matching_examples(model, dataset)
    _require_matching_classes(model, dataset)
    run_dir = Path(run_dir)
    with join_team(find_device(config.device)) as (team, device), _only_leader_prints(team):
        _require_equal_shares(config.batch_size, team)
        _require_spread(model, config.batch_size // team.size)
        run_dir.mkdir(parents=True, exist_ok=True)
        with _lock(run_dir, team), torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            state = TrainingState(model, dataset, config, device, team)
            team.in_turn(lambda: _resume(state, run_dir))
            if state.step < config.steps:
                _train(state, dataset, run_dir, watch)
            if team.is_leader:
                save_weights(state.averaged.module, state.step, run_dir)
    return TrainedModel(state.averaged.module, state.step)


def _resume(state: TrainingState, run_dir: Path) -> None:
    """Bring the state to where the folder's checkpoint stands, without one leave it at the start; say which."""
    if Checkpoints(run_dir).load(accept=state.load_state_dict) is None:
        print(f"training in {run_dir} from the start: {state.config.steps} steps on {state.device}")
        return
    if state.step < state.config.steps:
        print(f"{run_dir} holds a checkpoint: resuming from step {state.step} of {state.config.steps}")
    else:
        print(f"{run_dir} is already finished at step {state.step}: ask for more training.steps to continue it")


def _train(state: TrainingState, dataset: Dataset, run_dir: Path, watch: Watch | None) -> None:
    memory, clock = expected_memory(state, dataset), Clock(state)
    parameters = sum(parameter.numel() for parameter in state.model.parameters() if parameter.requires_grad)
    print(f"{parameters:,} parameters; expected memory {memory.text()}")
    with stop_on_signals() as stop:
        _update_until_done(state, _journal(state, dataset, run_dir, watch), clock, stop, run_dir)
    if state.team.is_leader:
        Costs.of(state, memory).write(run_dir)
    print(Costs.of(state, memory).text())
    if state.step == state.config.steps:
        return
    where = f"after step {state.step} of {state.config.steps}; all is saved"
    if state.team.any(stop.made):
        raise TrainingInterrupted(f"stopped {where}")
    print(f"training.minutes = {state.config.minutes:g} are used up {where}; the same command goes on from there")


def _journal(state: TrainingState, dataset: Dataset, run_dir: Path, watch: Watch | None) -> Journal:
    if dataset.valid is None:
        return Journal(state, None, run_dir, watch)
    held_out, labels = dataset.examples("valid")[: state.config.logging.evaluation_images], dataset.labels("valid")
    return Journal(state, held_out, run_dir, watch, None if labels is None else labels[: len(held_out)])


def _update_until_done(state: TrainingState, journal: Journal, clock: Clock, stop: StopRequest, run_dir: Path) -> None:
    forward = state.team.wrap(state.model)
    forward = torch.compile(forward) if state.config.compile else forward
    with journal:
        while state.step < state.config.steps and not _is_to_stop(state, stop, clock):
            update(state, forward)
            clock.note_time()
            journal.record()
            if state.team.is_leader:
                save_milestone(state, run_dir)
            state.skips.require_progress()
            if state.is_due(state.config.logging.checkpoint_every):
                _save(state, journal, clock, run_dir)
        if state.step < state.config.steps:
            _save(state, journal, clock, run_dir)


def _is_to_stop(state: TrainingState, stop: StopRequest, clock: Clock) -> bool:
    """Whether all are to stop now; a team agrees on it when a row of metrics is due, since asking takes time."""
    wants_to_stop = stop.made or clock.is_budget_spent
    if state.team.size == 1:
        return wants_to_stop
    return state.is_due(state.config.logging.metrics_every) and state.team.any(wants_to_stop)


def _save(state: TrainingState, journal: Journal, clock: Clock, run_dir: Path) -> None:
    journal.record_skipped()  # so that the checkpoint counts them
    clock.note_energy()
    content = state.state_dict()
    if state.team.is_leader:
        Checkpoints(run_dir).save(content)
        save_weights(state.averaged.module, state.step, run_dir)


def _only_leader_prints(team: Team) -> contextlib.AbstractContextManager:
    return contextlib.nullcontext() if team.is_leader else contextlib.redirect_stdout(io.StringIO())


def _lock(run_dir: Path, team: Team) -> contextlib.AbstractContextManager:
    return run_lock(run_dir) if team.is_leader else contextlib.nullcontext()


def _require_equal_shares(batch_size: int, team: Team) -> None:
    if batch_size % team.size != 0:
        raise InvalidInput(
            f"training.batch_size is shared out among {team.size} processes and must be a multiple of their number, "
            f"got {batch_size}"
        )


def _require_spread(model: nn.Module, share: int) -> None:
    if share == 1 and any(isinstance(module, nn.BatchNorm1d) for module in model.modules()):
        raise InvalidInput(
            "training.batch_size must be at least 2 for each process: this model normalises vectors over the batch, "
            "and a single one has no spread"
        )


def _require_matching_examples(model: nn.Module, dataset: Dataset) -> None:
    wanted, got = observed_by(model), dataset.observed
    if wanted != got:
        raise InvalidInput(f"the model takes {wanted}, but {dataset.name} has {got}: change {wanted.decided_by}")


def _require_matching_classes(model: nn.Module, dataset: Dataset) -> None:
    classes, labels = num_classes(model), dataset.labels("train")
    if not classes and labels is not None:
        raise InvalidInput("data.labels must be false: this model takes no labels, so it would not use them")
    if classes and labels is None:
        raise InvalidInput(
            f"data.labels must be true: this model is conditional on one of {classes} classes, "
            f"but {dataset.name} gives it no labels"
        )
    if classes and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise InvalidInput(
            f"the model takes labels 0 … {classes - 1}, but those of {dataset.name} are "
            f"{int(labels.min())} … {int(labels.max())}: change model.num_classes"
        )
