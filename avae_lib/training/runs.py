"""Run folders: the configuration, metrics, checkpoints and weights of one experiment.

* ``config.json``: the experiment; rebuilds exactly the model that was trained
* ``metrics.jsonl``: metrics during training, see :class:`avae_lib.training.metrics.MetricsFile`
* ``checkpoint.pt``: where training resumes; ``checkpoint.previous.pt`` is the one before
* ``weights.safetensors``: the averaged weights after the last update
* ``best.safetensors``: the averaged weights with the lowest negative ELBO on validation images; for a model that
  defines no density, those with the lowest training objective
* ``milestones/000500.safetensors``: the averaged weights of each step of ``training.logging.milestones``
  and ``training.logging.milestone_every``
* ``start.safetensors`` and ``started_from.json``: the weights that the run began from, and where they came from; only
  for a run that began from another one
* ``costs.json``: time, memory and electricity, see :class:`avae_lib.training.costs.Costs`
* ``data.json``: hashes of the data that the run began with, see :mod:`avae_lib.data.fingerprint`
* ``looks.jsonl``: evaluations on held-out examples after training, see :class:`avae_lib.training.looks.Looks`
* ``skipped.jsonl``: updates that were skipped, and why; only if there were any
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from avae_lib.atomic_write import write_atomically
from avae_lib.data import Dataset
from avae_lib.errors import UserError, disk_is_full, in_shell
from avae_lib.field_types import shown
from avae_lib.models.contract import num_classes
from avae_lib.training.checkpoints import (
    LATEST,
    Checkpoints,
    has_weights,
    load_weights,
    save_weights,
    step_of_weights,
)
from avae_lib.training.distributed import is_leading_process
from avae_lib.training.experiment import (
    ConfigError,
    Experiment,
    ModelConfig,
    differing_fields,
    from_json,
    require_readable,
    to_json,
)
from avae_lib.training.fit import TrainedModel, fit
from avae_lib.training.metrics import Callback
from avae_lib.training.optimizers_and_schedules import learning_rate_factor
from avae_lib.training.starting_weights import (
    StartingWeights,
    StartRecord,
    keep_starting_weights,
    load_starting_weights,
)

__all__ = ["RunError", "load_run", "read_experiment", "require_room_for", "train_run", "write_run"]

_FREE_TO_CHANGE = (
    "name",
    "source",
    "training.steps",
    "training.logging.metrics_every",
    "training.logging.evaluate_every",
    "training.logging.evaluation_images",
    "training.logging.checkpoint_every",
    "training.logging.checkpoint_minutes",
    "training.logging.milestones",
    "training.logging.milestone_every",
    "training.logging.milestones_kept",
    "training.logging.tensorboard",
    "training.logging.wandb",
    "training.minutes",
    "training.skipping.max_in_a_row",
    "training.skipping.threshold",
    "training.skipping.factor",
    "training.device",
    "training.data_on",
    "training.threads",
    "training.memory_check",
    "training.disk_check",
    "training.micro_batch",
    "training.activation_checkpointing",
    "training.fused_attention",
    "training.precision",
    "training.compile",
    "training.cuda_graphs",
    "training.channels_last",
    "training.sharded",
    "training.logging.codecarbon",
)
"""Fields that may differ when a run is continued: its length, what it writes, what it skips, and the machine."""

_PUT_BACK = "If the file was changed, put back what `avae train` wrote; otherwise choose another run folder"
_NOTABLE = 1.1  # factor on the learning rate


class RunError(UserError, RuntimeError):
    """A run folder that cannot be used for this; the message says what to do."""


def train_run(
    experiment: Experiment,
    run_dir: Path | str,
    callbacks: Callback | Sequence[Callback] = (),
    progress_bar: bool = True,
    init_from: StartingWeights | None = None,
) -> TrainedModel:
    """Train an experiment in a run folder, or continue the one that is there.

    Args:
        experiment: data, model and training.
        run_dir: folder of the run; made if it does not exist.
        callbacks, progress_bar: as for :func:`avae_lib.training.fit.fit`.
        init_from: weights of another run that a new run begins from. The folder keeps a copy, so that resuming does not
            need the other run again.

    Raises:
        ConfigError: the configuration could not be read back from the folder; the message names the field.
        RunError: the folder cannot be written, holds another experiment (the message names the fields that differ),
            or weights from elsewhere, or began from other weights than ``init_from``.
        OtherModel: the weights to begin from are of another model.
        DatasetError: the data could not be loaded.
        Exception: all that :func:`avae_lib.training.fit.fit` raises.

    >>> from tempfile import TemporaryDirectory
    >>> from avae_lib.presets import PRESETS
    >>> experiment = PRESETS["digits-vae"]
    >>> short = replace(experiment, training=replace(experiment.training, steps=20))
    >>> with TemporaryDirectory() as folder:
    ...     trained = train_run(short, folder)
    training in ... from the start: 20 steps on ...
    111,280 parameters; ...
    20 updates in ...
    >>> trained.step
    20
    """
    run_dir = Path(run_dir)
    require_readable(experiment)
    require_room_for(experiment, run_dir)
    dataset, model = experiment.data.load(), experiment.build_model()
    _say_if_classes_are_unseen(model, dataset)
    if init_from is not None:
        _begin_from(init_from, experiment, model, run_dir)
    if not Checkpoints(run_dir).exist:
        load_starting_weights(model, run_dir)
        _say_where_it_begins(run_dir, init_from)
    _say_if_the_learning_rate_rises(experiment, run_dir)
    is_new = not run_dir.exists()
    _make_folder(run_dir)
    begin = partial(_write_experiment, experiment, run_dir)
    try:
        trained = fit(model, dataset, experiment.training, run_dir, callbacks, progress_bar, begin)
    finally:
        if is_new and is_leading_process():
            _remove_if_unused(run_dir)
    if trained.step > experiment.training.steps:  # the run already had more updates than this call asked for
        _write_experiment(replace(experiment, training=replace(experiment.training, steps=trained.step)), run_dir)
    return trained


def load_run(
    run_dir: Path | str,
    device: torch.device | str = "cpu",
    weights: str = LATEST,
    config: ModelConfig | None = None,
) -> tuple[nn.Module, Experiment]:
    """Load the trained model of a run, under its averaged weights and in evaluation mode, with its experiment.

    Args:
        run_dir: folder of the run.
        device: device for the model.
        weights: file in this folder: weights.safetensors, best.safetensors, milestones/000500.safetensors, …
        config: configuration of the model, for a run whose own names a class that is not available here.

    Raises:
        RunError: the folder is no run, or its configuration cannot be read.
        WeightsError: it has no such weights yet, or they are damaged.

    >>> from tempfile import TemporaryDirectory
    >>> from avae_lib.presets import find_preset
    >>> preset = find_preset("digits-vae")
    >>> with TemporaryDirectory() as folder:
    ...     write_run(preset, preset.build_model(), folder)
    ...     model, experiment = load_run(folder)
    >>> experiment == preset, model.training
    (True, False)
    """
    run_dir = Path(run_dir)
    experiment = read_experiment(run_dir, config)
    model = load_weights(experiment.build_model(), run_dir, weights)
    return model.to(device).eval(), experiment


def read_experiment(run_dir: Path | str, config: ModelConfig | None = None) -> Experiment:
    """Read the experiment in a run folder.

    Args:
        run_dir: folder of the run.
        config: configuration to use in place of the stored one of the model.

    Raises:
        RunError: the folder is no run, its configuration cannot be read, or ``config`` has other values than those
            stored.

    >>> read_experiment("no/such/run")
    Traceback (most recent call last):
    avae_lib.training.runs.RunError: no/such/run is no run folder: it has no config.json (`avae train` makes one)
    """
    path = Path(run_dir) / "config.json"
    if not path.is_file():
        raise RunError(_no_config(Path(run_dir)))
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if config is not None:
            record = _with_model(record, config)
        experiment = from_json(record)
    except RecursionError:
        raise RunError(f"{path} cannot be read: it is nested too deeply. {_PUT_BACK}") from None
    except (OSError, ValueError) as problem:  # among them ConfigError, and text that is no UTF-8 or no JSON
        raise RunError(f"{path} cannot be read: {problem}. {_PUT_BACK}") from problem
    if not isinstance(experiment, Experiment):
        raise RunError(f"{path} holds no experiment but a {type(experiment).__name__}. {_PUT_BACK}")
    if config is None and not callable(getattr(experiment.model, "build", None)):
        raise RunError(f"{path} holds no model that can be built but {shown(experiment.model)}. {_PUT_BACK}")
    return experiment if config is None else replace(experiment, model=config)


def _no_config(run_dir: Path) -> str:
    if has_weights(run_dir) or Checkpoints(run_dir).exist:
        return (
            f"{run_dir} holds weights, as avae_lib.fit writes them, but no config.json, which says of what model they "
            "are: call avae_lib.train_run(experiment, folder) with the same data, model and training, which adds it "
            "and continues from the checkpoint"
        )
    return f"{run_dir} is no run folder: it has no config.json (`avae train` makes one)"


def _with_model(record: Any, config: ModelConfig) -> Any:
    """The record of an experiment without that of its model, whose fields must be those of ``config``."""
    if not isinstance(record, dict) or not isinstance(record.get("model"), dict):
        raise ConfigError("it holds no experiment with a model")
    stored, given = record["model"], json.loads(json.dumps(to_json(config)))
    for name in stored.keys() & given.keys():
        if name != "type" and stored[name] != given[name]:
            raise ConfigError(f"config.{name} must be {stored[name]!r}, as it was in training, got {given[name]!r}")
    return {**record, "model": None}


def write_run(experiment: Experiment, model: nn.Module, run_dir: Path | str) -> None:
    """Make a run folder for a model that was trained elsewhere, with its configuration and weights.

    Raises:
        ConfigError: the configuration could not be read back from the folder; the message names the field.
        RunError: the folder holds a run already, or cannot be written.

    >>> from tempfile import TemporaryDirectory
    >>> from avae_lib.presets import find_preset
    >>> preset = find_preset("digits-vae")
    >>> with TemporaryDirectory() as folder:
    ...     write_run(preset, preset.build_model(), folder)
    ...     sorted(path.name for path in Path(folder).iterdir())
    ['config.json', 'weights.safetensors']
    """
    run_dir = Path(run_dir)
    require_readable(experiment)
    if (run_dir / "config.json").exists() or has_weights(run_dir) or Checkpoints(run_dir).exist:
        raise RunError(f"{run_dir} holds a run already: choose another run folder")
    _write_experiment(experiment, run_dir)
    save_weights(model, 0, run_dir)


def require_room_for(experiment: Experiment, run_dir: Path) -> None:
    """Refuse a folder in which this experiment cannot begin or go on.

    Raises:
        RunError: the folder is a file, or holds another experiment or weights from elsewhere; the message says which.

    >>> from avae_lib.presets import find_preset
    >>> require_room_for(find_preset("digits-vae"), Path("no/such/folder"))  # it can be made
    """
    if run_dir.exists() and not run_dir.is_dir():
        raise RunError(f"{run_dir} is a file, but a run needs a folder: choose another one")
    if not (run_dir / "config.json").exists():
        return
    if not Checkpoints(run_dir).exist:
        _require_no_weights(run_dir)
        return  # nothing has been trained yet, and any experiment may begin
    differing = differing_fields(read_experiment(run_dir), experiment)
    refused = [name for name in differing if name not in _FREE_TO_CHANGE]
    if refused:
        changes = ", ".join(f"{name} was {differing[name][0]!r} and is now {differing[name][1]!r}" for name in refused)
        raise RunError(
            f"{run_dir} holds another experiment: {changes}. Ask for the same as before to continue it, or choose "
            f"another run folder; a new run can begin from its weights with --init-from {in_shell(run_dir)}"
        )


def _begin_from(start: StartingWeights, experiment: Experiment, model: nn.Module, run_dir: Path) -> None:
    """Keep the weights of another run in the folder of a new one, unless an earlier call has done so."""
    source = read_experiment(start.run_dir)
    if start.run_dir.resolve() == run_dir.resolve():
        raise RunError(f"{run_dir} cannot begin from its own weights: choose another run folder for the new run")
    known = StartRecord.read(run_dir)
    if known is not None and known.is_of(start):
        return
    if Checkpoints(run_dir).exist:
        began = "fresh weights" if known is None else known.text()
        raise RunError(
            f"{run_dir} began from {began}, not from {start.weights} of {start.run_dir}: leave --init-from out to "
            "continue it, or choose another run folder"
        )
    if is_leading_process():
        keep_starting_weights(start, source.name, model, _differing_models(source, experiment), run_dir)


def _say_where_it_begins(run_dir: Path, asked: StartingWeights | None) -> None:
    """Say what is kept in the folder: a call that did not ask for it may have been meant to begin from nothing."""
    record = StartRecord.read(run_dir)
    if record is None or not is_leading_process():
        return
    if asked is None:
        print(f"{run_dir} begins from {record.text()} (for fresh weights delete {StartRecord.file(run_dir)})")
    else:
        differing = f"; {record.differing}" if record.differing else ""
        print(f"{run_dir} begins from {asked.weights} of {asked.run_dir}{differing}")


def _differing_models(there: Experiment, here: Experiment) -> dict[str, tuple[Any, Any]]:
    if type(there.model) is not type(here.model):
        shared = vars(there.model).keys() & vars(here.model).keys()
        fields = {f"model.{name}": (vars(there.model)[name], vars(here.model)[name]) for name in sorted(shared)}
        classes = {"model": (type(there.model).__name__, type(here.model).__name__)}
        return classes | {name: values for name, values in fields.items() if values[0] != values[1]}
    return differing_fields(there.model, here.model, "model")


def _say_if_classes_are_unseen(model: nn.Module, dataset: Dataset) -> None:
    """A conditional model learns nothing of a class without training images."""
    labels = dataset.labels("train")
    if labels is None or not is_leading_process():
        return
    unseen = sorted(set(range(num_classes(model))) - set(labels.unique().tolist()))
    if unseen:
        print(
            f"note: {dataset.name} has no training images of {len(unseen)} of the {num_classes(model)} classes "
            f"({', '.join(map(str, unseen))}), so samples of these mean nothing; see --model.num-classes"
        )


def _say_if_the_learning_rate_rises(experiment: Experiment, run_dir: Path) -> None:
    """A cosine that ends later than before is higher where the run stands."""
    step = step_of_weights(run_dir / LATEST)
    if not step or not Checkpoints(run_dir).exist or not (run_dir / "config.json").exists():
        return
    earlier, now, run = read_experiment(run_dir).training, experiment.training, in_shell(run_dir)
    before = earlier.learning_rate.peak * learning_rate_factor(step - 1, earlier)
    after = now.learning_rate.peak * learning_rate_factor(step, now)
    if now.steps < earlier.steps and step < now.steps:
        print(f"note: training now ends at step {now.steps} instead of {earlier.steps}, and so does its schedule")
    if earlier.steps != now.steps and after > _NOTABLE * before and step > now.learning_rate.warmup_steps:
        print(
            f"note: the cosine now ends at step {now.steps} instead of {earlier.steps}, so the learning rate rises "
            f"from {before:.2g} to {after:.2g}. To go on at a low rate, begin a new run from these weights: avae train "
            f"{run} --run-dir NEW --init-from {run} --training.learning-rate.peak {before:.1g}"
        )


def _require_no_weights(run_dir: Path) -> None:
    if has_weights(run_dir):
        raise RunError(
            f"{run_dir} holds weights without a checkpoint, as avae import-openai writes them: training would begin "
            "anew and overwrite them; choose another run folder"
        )


def _write_experiment(experiment: Experiment, run_dir: Path) -> None:
    if not is_leading_process():
        return
    content = json.dumps(to_json(experiment), indent=2, ensure_ascii=False) + "\n"
    with _refusing(run_dir):
        run_dir.mkdir(parents=True, exist_ok=True)
        write_atomically(run_dir / "config.json", content)


def _make_folder(run_dir: Path) -> None:
    with _refusing(run_dir):
        run_dir.mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def _refusing(run_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        if disk_is_full(problem):
            raise  # its message says what to do
        raise RunError(f"cannot write into {run_dir} ({problem.strerror}): choose another run folder") from problem


def _remove_if_unused(run_dir: Path) -> None:
    """Remove the folder of a run that was refused before it began, and whose folder holds nothing but the lock."""
    if [file.name for file in run_dir.iterdir()] in ([], [".lock"]):
        (run_dir / ".lock").unlink(missing_ok=True)
        run_dir.rmdir()
