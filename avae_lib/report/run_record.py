"""All that a report tells of a run, read from its folder and measured on its model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from avae_lib.data import ImageDataset
from avae_lib.evaluation import Evaluation, evaluate, measuring, unit_activity
from avae_lib.run_pictures import depth_rows, temperature_rows
from avae_lib.training.costs import Costs
from avae_lib.training.devices import find_device
from avae_lib.training.experiment import Experiment
from avae_lib.training.metrics_file import MetricsFile
from avae_lib.training.runs import load_run

__all__ = ["RunRecord"]

_IMAGES_IN_A_ROW = 12


@dataclass(frozen=True)
class RunRecord:
    """A run: what was asked for, how it went, what came out."""

    run_dir: Path
    experiment: Experiment
    dataset: ImageDataset
    device: str
    """The device that the measurements were made on, in words."""
    parameters: int
    num_layers: int
    num_dims: int
    bits: int
    costs: Costs | None
    """What training has cost; None for runs that did not note it."""
    metrics: tuple[dict[str, Any], ...]
    """Rows of metrics.jsonl."""
    evaluation: Evaluation
    activity: tuple[Tensor, ...]
    """Variance of the posterior mean of each unit, a tensor for each layer, top first."""
    samples: dict[str, Tensor]
    reconstructions: dict[str, Tensor]

    @classmethod
    def read(
        cls, run_dir: Path, importance_samples: int, images: int | None, seed: int, progress: bool = False
    ) -> RunRecord:
        """Load the run's model, and judge it on the first ``images`` test images, or as many as training looked at.

        Raises:
            RunError, WeightsError: the folder is no run, or has no weights yet.
        """
        experiment, dataset, model, device = _load(run_dir)
        test = dataset.pixels("test")[: images or experiment.training.evaluation_images]
        with measuring(model, seed):
            activity = unit_activity(model, test)
        return cls(
            run_dir=run_dir,
            experiment=experiment,
            dataset=dataset,
            device=_in_words(device),
            parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
            num_layers=model.num_layers,
            num_dims=model.num_dims,
            bits=model.bits,
            costs=Costs.read(run_dir),
            metrics=tuple(MetricsFile(run_dir / "metrics.jsonl").rows()),
            evaluation=evaluate(model, test, importance_samples, seed=seed, progress=progress),
            activity=activity,
            samples=temperature_rows(model, count=_IMAGES_IN_A_ROW, seed=seed),
            reconstructions=depth_rows(model, test[:_IMAGES_IN_A_ROW], seed),
        )

    def rows(self, split: str) -> list[dict[str, Any]]:
        """Rows of metrics of ``"train"`` or ``"test"`` in which the bound is a number."""
        return [row for row in self.metrics if row.get("split") == split and row.get("negative_elbo") is not None]

    @property
    def steps(self) -> int:
        """Updates that the model has had."""
        return max((row["step"] for row in self.metrics), default=0)

    @property
    def seconds(self) -> float:
        """Time that training took."""
        return max((row["seconds"] for row in self.metrics), default=0.0)

    @property
    def skipped(self) -> int:
        """Updates left out."""
        return max((row.get("skipped", 0) for row in self.metrics), default=0)


def _load(run_dir: Path) -> tuple[Experiment, ImageDataset, nn.Module, torch.device]:
    device = find_device("auto")
    model, experiment = load_run(run_dir, device)
    return experiment, experiment.data.load(), model, device


def _in_words(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' * (threads > 1)}"
