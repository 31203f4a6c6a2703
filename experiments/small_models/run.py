"""Train the small models that lectures 05 and 06 examine, and write their weights to the library.

    python experiments/small_models/run.py

Interrupted runs are resumed; ``--fraction 0.25`` stops each at a quarter of its steps.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
import tyro
from ablation import Run
from depth_local_attentive.run import MODEL, TRAINING, local_of_equal_size

from avae_lib.data import DataConfig, keep_model
from avae_lib.models.attentive import AttentiveConfig
from avae_lib.models.vdvae import VDVAEConfig
from avae_lib.presets import find_preset
from avae_lib.training.experiment import Experiment
from avae_lib.training.training_config import TrainingConfig

PHOTOS = DataConfig("photos32", validation=500)
ATTENTIVE = replace(MODEL["small"], layers=8)
VERY_DEEP = find_preset("photos32-vdvae")


@dataclass(frozen=True)
class SmallModel:
    """A model whose weights are kept, at the end of training and at earlier steps."""

    name: str
    model: AttentiveConfig | VDVAEConfig
    training: TrainingConfig
    milestones: Mapping[int, str] = field(default_factory=dict)
    """Earlier steps at which the weights are kept too, and the suffix of their name."""


SMALL_MODELS = (
    SmallModel(
        "hierarchy-photos32",
        replace(VERY_DEEP.model, latent_channels=4, mixtures=3),
        replace(TRAINING["small"], steps=840),
    ),
    SmallModel(
        "attentive-photos32",
        ATTENTIVE,
        replace(TRAINING["small"], steps=840),
        milestones={100: "-early", 400: "-middle"},
    ),
    SmallModel("local-photos32", local_of_equal_size(ATTENTIVE), replace(TRAINING["small"], steps=840)),
)


def main(runs: Path = Path("runs/experiments"), fraction: float = 1.0) -> None:
    """Train each model or resume its run, and store its weights in the library.

    Args:
        runs: Folder that holds the run folders.
        fraction: Fraction of its steps after which each run stops.
    """
    torch.set_num_threads(1)
    dataset = PHOTOS.load()
    for small in SMALL_MODELS:
        experiment = Experiment(small.name, "small_models", PHOTOS, small.model, small.training)
        run = Run(experiment, runs / "small_models" / small.name)
        end = round(fraction * small.training.steps)
        for steps in sorted({*small.milestones, end}):
            if run.steps < steps <= end:
                run.train(dataset, steps)
                if steps == small.training.steps:
                    run.test(dataset, images=350)
                _keep(run, small.name + small.milestones.get(steps, ""))


def _keep(run: Run, name: str) -> None:
    record, model = run.record(), run.model()
    valid, test = record["curve"]["bits_per_dim"][-1], record["test"]
    facts = {
        "steps": record["steps"],
        "batch_size": record["batch_size"],
        "seed": record["seed"],
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "seconds": record["cpu_seconds"],
        "bits_per_dim": {"valid": valid, "test": test and test["bits_per_dim"]},
        "kl_per_layer": record["curve"]["kl_per_layer"][-1],
        "data": "photos32",
    }
    keep_model(name, run.experiment.model, model, facts)
    print(f"{name}: step {facts['steps']}, {valid:.3f} bits/dim on validation images")


if __name__ == "__main__":
    tyro.cli(main)
