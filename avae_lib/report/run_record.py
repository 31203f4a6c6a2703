"""What a report says about a run, read from its folder and measured on its model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from avae_lib.data import Dataset, split_to_look_at
from avae_lib.evaluation import Evaluation, evaluate, measuring, unit_activity
from avae_lib.observations import AnyModel, Pixels, Tokens
from avae_lib.report.page_parts import Panel
from avae_lib.report.panels import panels
from avae_lib.training.costs import Costs
from avae_lib.training.devices import find_device, threads_for
from avae_lib.training.experiment import Experiment
from avae_lib.training.looks import note_look
from avae_lib.training.metrics import MetricsFile
from avae_lib.training.runs import load_run

__all__ = ["RunRecord"]

_DRAWN = ("negative_elbo", "bits_per_dim", "log_likelihood", "kl")
_NAMES = {"valid": "validation", "test": "test"}


@dataclass(frozen=True)
class RunRecord:
    """A run: its settings, its progress and its result."""

    run_dir: Path
    experiment: Experiment
    dataset: Dataset
    device: str
    """The device that the measurements were made on, in words."""
    parameters: int
    num_layers: int
    costs: Costs | None
    """What training has cost; None for runs that did not note it."""
    metrics: tuple[dict[str, Any], ...]
    """Rows of metrics.jsonl."""
    held_out: str
    """Which examples the model was judged on: "validation", or "test" for a data set without validation examples."""
    evaluation: Evaluation
    activity: tuple[Tensor, ...]
    """Variance of the posterior mean of each unit, a tensor for each layer, top first."""
    panels: tuple[Panel, ...]
    """What there is to see of the model at work."""

    @classmethod
    def read(
        cls,
        run_dir: Path,
        importance_samples: int,
        images: int | None,
        seed: int,
        progress: bool = False,
        device: str = "auto",
    ) -> RunRecord:
        """Load the run's model, and judge it on the first ``images`` held-out examples, or as many as in training.

        These are validation examples, so a report can be made any number of times without a look at the test split;
        test examples only where the data set has no others.

        Raises:
            RunError, WeightsError: the folder is no run, or has no weights yet.
        """
        experiment, dataset, model = _load(run_dir, device)
        split = split_to_look_at(dataset)
        examples = dataset.examples(split, images or experiment.training.logging.evaluation_images)
        labels = dataset.labels(split)
        labels = None if labels is None else labels[: len(examples)]
        with measuring(model, seed):
            activity = unit_activity(model, examples, labels=labels)
        note_look(run_dir, split, by="report")
        with threads_for(model):
            evaluation = evaluate(model, examples, importance_samples, seed=seed, progress=progress, labels=labels)
        return cls(
            run_dir=run_dir,
            experiment=experiment,
            dataset=dataset,
            device=_in_words(find_device(device)),
            parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
            num_layers=model.num_layers,
            costs=Costs.read(run_dir),
            metrics=tuple(MetricsFile(run_dir / "metrics.jsonl").rows()),
            held_out=_NAMES[split],
            evaluation=evaluation,
            activity=activity,
            panels=panels(model, examples, labels, _NAMES[split], evaluation, seed),
        )

    @property
    def curve(self) -> tuple[str, str]:
        """The examples of the learning curve beside that of training: their name, and the ``split`` of their rows.

        Runs from before validation images were held out have a curve of test images.
        """
        split = "valid" if self.rows("valid") or not self.rows("test") else "test"
        return _NAMES[split], split

    def rows(self, split: str) -> list[dict[str, Any]]:
        """Rows of metrics of ``"train"``, ``"valid"`` or ``"test"`` with all numbers that are drawn."""
        drawn = _DRAWN if self.has_density else ("objective",)
        rows = [row for row in self.metrics if row.get("split") == split]
        return [row for row in rows if all(row.get(name) is not None for name in drawn) and self._has_layers(row)]

    def _has_layers(self, row: dict[str, Any]) -> bool:
        kl = row.get("kl_per_layer") or ()
        return len(kl) == self.num_layers and None not in kl

    @property
    def observed(self) -> Pixels | Tokens:
        """What the model takes and returns."""
        return self.dataset.observed

    @property
    def has_density(self) -> bool:
        """Whether the model defines a density."""
        return self.evaluation.no_density is None

    @property
    def quantity(self) -> str:
        """The metric that shows the progress of training: an entry of a row of metrics."""
        return "negative_elbo" if self.has_density else "objective"

    @property
    def steps(self) -> int:
        """Updates that the model has had."""
        return max((row["step"] for row in self.metrics), default=0)

    @property
    def seconds(self) -> float:
        """Time that training took."""
        return max((row.get("seconds") or 0.0 for row in self.metrics), default=0.0)

    @property
    def skipped(self) -> int:
        """Updates left out."""
        return max((row.get("skipped") or 0 for row in self.metrics), default=0)


def _load(run_dir: Path, device: str) -> tuple[Experiment, Dataset, AnyModel]:
    model, experiment = load_run(run_dir, find_device(device))
    return experiment, experiment.data.load(), model


def _in_words(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' * (threads > 1)}"
