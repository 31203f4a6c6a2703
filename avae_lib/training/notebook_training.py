"""Training inside a notebook: within a number of minutes, with samples and the learning curve while it goes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from avae_lib import plotting
from avae_lib.atomic_write import write_atomically
from avae_lib.data.sentences import fixed_vocabulary
from avae_lib.evaluation import measuring
from avae_lib.observations import AnyModel, Pixels, Tokens, observed_by
from avae_lib.training.checkpoints import LATEST, step_of_weights
from avae_lib.training.experiment import Experiment
from avae_lib.training.fit import TrainedModel
from avae_lib.training.metrics import MetricsFile
from avae_lib.training.run_guards import TrainingInterrupted
from avae_lib.training.runs import load_run, train_run

__all__ = ["train_in_notebook"]

_SAMPLES = 8


def train_in_notebook(experiment: Experiment, run_dir: Path | str, minutes: float | None = None) -> TrainedModel:
    """Train for some minutes, or continue from the checkpoint in the run folder.

    Each evaluation on validation images prints a line and redraws one figure, with the learning curve since the run
    began and samples. The figure is also saved as ``progress.png`` in the run folder. After the minutes, an
    interruption or a lost connection, run the cell again to continue. On the CPU of one machine the weights are then
    the same, bit for bit, as without the break.

    Args:
        experiment: data, model and training. A run folder always needs the same one.
        run_dir: folder of the run, for example in the folder of ``notebook_setup.keep_runs_on_drive``.
        minutes: longest time that this call trains; None for no limit.

    Returns:
        The model after the updates it has had so far, under its averaged weights.

    Raises:
        The errors of :func:`avae_lib.training.runs.train_run`; an interruption is only printed.

    >>> from tempfile import TemporaryDirectory
    >>> from avae_lib.presets import PRESETS
    >>> experiment = PRESETS["digits-vae"]
    >>> short = replace(experiment, training=replace(experiment.training, steps=20))
    >>> with TemporaryDirectory() as folder:
    ...     trained = train_in_notebook(short, folder)
    training in ... from the start: 20 steps on ...
    111,280 parameters; ...
    update 20 of 20: ... bits per dimension on validation images, after 0.0 minutes of training
    20 updates in ...
    >>> trained.step
    20
    """
    run_dir = Path(run_dir)
    limited = replace(experiment, training=replace(experiment.training, minutes=minutes))
    try:
        return train_run(limited, run_dir, [_Progress(limited, run_dir)], progress_bar=False)
    except TrainingInterrupted as interruption:
        print(f"{interruption}; run this cell again to continue")
        model, _ = load_run(run_dir)
        return TrainedModel(model, step_of_weights(run_dir / LATEST) or 0)


class _Progress:
    """Prints a line and redraws the figure at every row of metrics on validation images."""

    def __init__(self, experiment: Experiment, run_dir: Path) -> None:
        self._steps, self._name, self._run_dir = experiment.training.steps, experiment.name, run_dir
        self._picture = plotting.LivePicture()

    def __call__(self, row: dict[str, Any], model: AnyModel) -> None:
        if row["split"] != "valid":
            return
        observed = observed_by(model)
        name, held_out = _name(row, observed), f"validation {observed.example}s"
        print(
            f"update {row['step']:,} of {self._steps:,}: {row[_quantity(row)]:.3f} {name} on {held_out}, "
            f"after {row['seconds'] / 60:.1f} minutes of training"
        )
        title, curves = f"{self._name} after {row['step']:,} updates", self._curves(_quantity(row))
        figure = plotting.training_progress(curves, _samples(model), observed.bits, title, quantity=name)
        write_atomically(self._run_dir / "progress.png", plotting.png_bytes(figure))
        alt = f"Learning curve of {title}: {name} on training batches and {held_out}; eight samples."
        self._picture.show(figure, alt)

    def _curves(self, quantity: str) -> dict[str, tuple[list[int], list[float]]]:
        rows = MetricsFile(self._run_dir / "metrics.jsonl").rows()
        return {
            name: _curve([row for row in rows if row.get("split") == split], quantity)
            for name, split in (("training", "train"), ("validation", "valid"))
        }


def _quantity(row: dict[str, Any]) -> str:
    """Name of the quantity to plot: bits per dimension, or the objective of a model without density."""
    return "bits_per_dim" if "bits_per_dim" in row else "objective"


def _name(row: dict[str, Any], observed: Pixels | Tokens) -> str:
    """Name and unit of the plotted quantity."""
    per_value, per_example = f"bits per {observed.value}", f"nats per {observed.example} (training objective)"
    return per_value if "bits_per_dim" in row else per_example


def _samples(model: AnyModel) -> Tensor | tuple[str, ...]:
    """Images, or sentences in words."""
    with measuring(model):
        samples = model.sample(_SAMPLES).cpu()
    return fixed_vocabulary().to_sentences(samples) if isinstance(observed_by(model), Tokens) else samples


def _curve(rows: list[dict[str, Any]], quantity: str) -> tuple[list[int], list[float]]:
    """Updates and values of a quantity, without rows that have no finite value."""
    rows = [row for row in rows if row.get(quantity) is not None]
    return [row["step"] for row in rows], [row[quantity] for row in rows]
