"""The training loop: update after update, with metrics and checkpoints, resuming where the last call stopped.

One update is in :mod:`avae_lib.training.update`; everything that an update changes is in
:mod:`avae_lib.training.training_state`.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from avae_lib.atomic_write import remove_abandoned_drafts
from avae_lib.data import Dataset
from avae_lib.data.fingerprint import keep_fingerprint, require_same_data
from avae_lib.training.activation_checkpointing import checkpointed_blocks
from avae_lib.training.checkpoints import Checkpoints, is_milestone, milestone_file, save_milestone, save_weights
from avae_lib.training.costs import Clock, Costs
from avae_lib.training.devices import find_device, threads_for
from avae_lib.training.disk_space import expected_disk_space, require_enough_disk_space
from avae_lib.training.distributed import Agreement, Team, join_team
from avae_lib.training.fused_attention import require_fused_attention
from avae_lib.training.graphed_updates import require_graphs
from avae_lib.training.loggers import loggers
from avae_lib.training.memory import expected_memory
from avae_lib.training.memory_plan import require_enough_memory
from avae_lib.training.metrics import Callback, CallbackFailed, Journal
from avae_lib.training.requirements import (
    note_on_unseen_classes,
    require_batches_in_pieces,
    require_batches_that_can_be_shared,
    require_matching_data,
)
from avae_lib.training.run_guards import StopRequest, TrainingInterrupted, run_lock, stop_on_signals
from avae_lib.training.training_config import TrainingConfig
from avae_lib.training.training_state import TrainingState
from avae_lib.training.updating import updating

__all__ = ["TrainedModel", "fit"]


@dataclass(frozen=True)
class TrainedModel:
    """A model as :func:`fit` returns it."""

    model: nn.Module
    """The model under the averaged weights, in evaluation mode."""
    step: int
    """Number of updates the model has had, skipped ones included."""


def fit(
    model: nn.Module,
    dataset: Dataset,
    config: TrainingConfig,
    run_dir: Path | str,
    callbacks: Callback | Sequence[Callback] = (),
    progress_bar: bool = True,
    on_start: Callable[[], None] | None = None,
) -> TrainedModel:
    """Train a model, or continue its training from the checkpoint in the run folder.

    Files in the run folder: ``metrics.jsonl`` (:class:`avae_lib.training.metrics.MetricsFile`), ``checkpoint.pt``
    (:class:`Checkpoints`), ``weights.safetensors`` (the averaged weights) and ``costs.json`` (:class:`Costs`); with
    validation images also ``best.safetensors`` (:class:`avae_lib.training.checkpoints.BestWeights`), with
    ``logging.milestones`` a folder of milestones, and after a skipped update ``skipped.jsonl``
    (:class:`avae_lib.training.skipped_updates.SkippedUpdate`).

    On the CPU an interrupted and resumed run ends with the same weights, bit for bit, as an uninterrupted one. The
    caller's random state and number of threads are left unchanged.

    Processes started by torchrun work together. Each computes its share of every batch, on a GPU of its own if there
    are GPUs; the first one writes the files, so all must see the same folder. Batch normalisation, and penalties that
    compare the images of a batch, see the share of one process only.

    Args:
        model: any :class:`avae_lib.models.contract.LatentVariableModel` that is a module; trained in place. With
            ``sharded`` its weights remain divided among the processes; the model that is returned has them whole.
        dataset: images of the shape and bits that the model takes, with labels for a conditional model. The test split
            is never read.
        config: how to train; ``steps`` may be larger than when the run began. With ``minutes`` the call may return
            before all steps are done; the next call continues.
        run_dir: folder of the run; made if it does not exist.
        callbacks: functions of a row of metrics (a dictionary as in ``metrics.jsonl``, with ``row["split"]`` "train" or
            "valid") and the model under its averaged weights. All are called with each row, in this order; they may
            draw random numbers without changing the training. One function may stand alone.
        progress_bar: whether to show a progress bar.
        on_start: called once nothing speaks against the training any more, before anything is written.

    Raises:
        OtherData: the run in the folder began with other data; ``data.json`` there has their fingerprint.
        InvalidInput: the model takes other images or classes than the data set has; there is no such device, or too
            little memory or disk space; or ``micro_batch``, ``activation_checkpointing``, ``fused_attention``,
            ``cuda_graphs`` or ``sharded`` are not for this run.
        CheckpointError: the folder's checkpoints are damaged, or of another model.
        RunInUse: another process is training in the folder.
        TrainingDiverged: too many updates in a row were skipped; noticed when the next row of metrics is due.
        TrainingInterrupted: a signal asked to stop; everything is saved.
        CallbackFailed: a callback raised an exception, which is the cause of this one; everything is saved.

    Two updates of a small VAE, and two more by a second call, with a callback that keeps the rows of metrics:

    >>> import tempfile
    >>> from avae_lib.data import load
    >>> from avae_lib.models.vae import VAEConfig
    >>> digits = load("digits")
    >>> model = VAEConfig((1, 8, 8), bits=4, likelihood="discretized_logistic", hidden_sizes=(8,)).build()
    >>> kept = []
    >>> keep = lambda row, model: kept.append((row["split"], row["step"]))
    >>> with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
    ...     first = fit(model, digits, TrainingConfig(steps=2, device="cpu"), folder, [keep], progress_bar=False)
    ...     second = fit(model, digits, TrainingConfig(steps=4, device="cpu"), folder, [keep], progress_bar=False)
    >>> first.step, second.step, kept
    (2, 4, [('train', 2), ('train', 4)])
    """
    require_matching_data(model, dataset)
    run_dir, callbacks = Path(run_dir), [callbacks] if callable(callbacks) else callbacks
    with join_team(find_device(config.device)) as (team, device), _only_leader_prints(team):
        require_batches_that_can_be_shared(model, config.batch_size, team.size)
        require_batches_in_pieces(model, config, config.batch_size // team.size)
        if config.activation_checkpointing:
            checkpointed_blocks(model)  # refuses a model without any
        if config.fused_attention:
            require_fused_attention(model, device)
        if config.sharded:
            from avae_lib.training.sharding import require_sharding  # FSDP2 takes a while to import

            require_sharding(model, config, team)
        if config.cuda_graphs:
            require_graphs(model, device, team, config)
        run_dir.mkdir(parents=True, exist_ok=True)
        noise = torch.random.fork_rng(devices=range(torch.cuda.device_count()))
        with _lock(run_dir, team), noise, threads_for(model, config.threads):
            if Checkpoints(run_dir).exist:
                require_same_data(dataset, run_dir)
            if team.is_leader:
                _remove_what_a_kill_left(run_dir)
            state = TrainingState(model, dataset, config, device, team)
            team.in_turn(lambda: _resume(state, run_dir))
            if state.step < config.steps:
                _train(state, dataset, run_dir, callbacks, progress_bar, on_start)
            elif on_start is not None:
                on_start()
            state.averaged.gather()
            if team.is_leader:
                save_weights(state.averaged.module, state.step, run_dir)
    return TrainedModel(state.averaged.module, state.step)


def _train(
    state: TrainingState,
    dataset: Dataset,
    run_dir: Path,
    callbacks: Sequence[Callback],
    progress_bar: bool,
    on_start: Callable[[], None] | None,
) -> None:
    """Run the loop; print what it needs of memory and disk before it, and print and write its costs after it."""
    config = replace(state.config, batch_size=state.config.batch_size // state.team.size)  # of this process
    whole = state.averaged.module  # the model itself may be sharded
    memory = expected_memory(whole, config, state.sampler.bytes_held, state.team.size)
    parameters = sum(parameter.numel() for parameter in state.model.parameters() if parameter.requires_grad)
    print(f"{parameters:,} parameters; expected memory {memory.text(state.device)}")
    require_enough_memory(whole, config, state.sampler.bytes_held, memory, state.device, state.team.size)
    space = expected_disk_space(config, memory, layers=getattr(state.model, "num_layers", 1))
    print(space)
    require_enough_disk_space(config, space, run_dir)
    print(note_on_unseen_classes(state.model, dataset), end="")
    if on_start is not None:
        on_start()
    if state.team.is_leader and not Checkpoints(run_dir).exist:
        keep_fingerprint(dataset, run_dir)
    clock = Clock(state)
    with (
        stop_on_signals() as stop,
        loggers(state.config.logging, run_dir, state.step, state.team.is_leader) as own,
        _journal(state, dataset, run_dir, [*callbacks, *own], progress_bar) as journal,
    ):
        _loop(state, journal, clock, stop, run_dir)
    costs = Costs.of(state, memory)
    if state.team.is_leader:
        costs.write(run_dir)
    print(costs.text())
    _report_unfinished(state, stop, journal)


def _loop(state: TrainingState, journal: Journal, clock: Clock, stop: StopRequest, run_dir: Path) -> None:
    """Update until all steps are done, a signal asks to stop, or the minutes of this call are used up."""
    agreement = Agreement(state.team)
    with updating(state) as make_update:
        while state.step < state.config.steps:
            wants_to_stop = stop.made or clock.is_budget_spent or journal.failure is not None
            wants_to_save = state.team.is_leader and clock.asks_for_checkpoint()
            is_to_stop, is_to_save = agreement.any(wants_to_stop, wants_to_save)
            if is_to_stop:
                break
            make_update()
            clock.note_time()
            if journal.needs_average or is_milestone(state):
                state.averaged.gather()
            journal.record()  # progress bar, metrics, validation, best weights
            if state.team.is_leader:
                save_milestone(state, run_dir)
            state.skips.require_progress()
            if is_to_save or state.is_due(state.config.logging.checkpoint_every):
                _save(state, journal, clock, run_dir)
    if state.step < state.config.steps:
        _save(state, journal, clock, run_dir)


def _save(state: TrainingState, journal: Journal, clock: Clock, run_dir: Path) -> None:
    """Write the checkpoint and the averaged weights. All processes call this together, and the leader writes."""
    journal.record_skipped()  # so that the checkpoint counts them
    clock.note_energy()
    clock.note_checkpoint()
    content = state.state_dict()
    if state.team.is_leader:
        Checkpoints(run_dir).save(content)
        save_weights(state.averaged.module, state.step, run_dir)


def _resume(state: TrainingState, run_dir: Path) -> None:
    """Load the folder's checkpoint into the state if there is one, and print where training starts."""
    if Checkpoints(run_dir).load(accept=state.load_state_dict) is None:
        print(f"training in {run_dir} from the start: {state.config.steps} steps on {state.device}")
    elif state.step < state.config.steps:
        print(f"{run_dir} holds a checkpoint: resuming from step {state.step} of {state.config.steps}")
    else:
        print(f"{run_dir} is already finished at step {state.step}: raise training.steps to continue it")


def _journal(
    state: TrainingState, dataset: Dataset, run_dir: Path, callbacks: Sequence[Callback], progress_bar: bool
) -> Journal:
    """The journal with the validation images, as many as the configuration allows."""
    if dataset.valid is None:
        return Journal(state, None, run_dir, callbacks, progress_bar=progress_bar)
    held_out = dataset.examples("valid", state.config.logging.evaluation_images)
    labels = dataset.labels("valid")
    labels = None if labels is None else labels[: len(held_out)]
    return Journal(state, held_out, run_dir, callbacks, labels, progress_bar)


def _report_unfinished(state: TrainingState, stop: StopRequest, journal: Journal) -> None:
    """Raise if a callback failed; if steps are left, say that the minutes are used up, or raise because of a signal."""
    if state.team.any(journal.failure is not None):
        raise journal.failure or CallbackFailed("a callback failed in the leading process; everything is saved")
    if state.step == state.config.steps:
        return
    where = f"after step {state.step} of {state.config.steps}; everything is saved"
    signals = [number for number in state.team.gather(stop.number) if number is not None]
    if signals:
        raise TrainingInterrupted(f"stopped {where}", signals[0])
    print(f"training.minutes = {state.config.minutes:g} are used up {where}; the same command continues from there")


def _only_leader_prints(team: Team) -> contextlib.AbstractContextManager:
    return contextlib.nullcontext() if team.is_leader else contextlib.redirect_stdout(io.StringIO())


def _remove_what_a_kill_left(run_dir: Path) -> None:
    for folder in (run_dir, (run_dir / milestone_file(0)).parent):
        remove_abandoned_drafts(folder)


def _lock(run_dir: Path, team: Team) -> contextlib.AbstractContextManager:
    return run_lock(run_dir) if team.is_leader else contextlib.nullcontext()
