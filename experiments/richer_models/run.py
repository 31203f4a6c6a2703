"""Train the models that lecture 04 examines, and compare six ways of training the VAE of sentences.

    python experiments/richer_models/run.py

Interrupted runs are resumed. The weights of three models and the record of the comparison are written to the library.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
import tyro

from avae_lib.data import keep_model
from avae_lib.evaluation import evaluate
from avae_lib.presets import find_preset
from avae_lib.presets.derivation import derive
from avae_lib.training.experiment import Experiment
from avae_lib.training.runs import train_run

SENTENCES = find_preset("sentences-text-vae")
KEPT = {
    "codes-photos32": find_preset("photos32-vq-vae"),
    "two-levels-photos32": find_preset("photos32-vq-vae-2"),
    "sentences": SENTENCES,
}
"""Name of the kept weights → model, data and training."""

SMALL = replace(SENTENCES.model, embedding_dim=32, hidden_dim=64, latent_dim=8)
BRIEF = derive(
    SENTENCES.training, steps=1200, batch_size=16, learning_rate={"peak": 4e-3}, logging={"evaluation_images": 64}
)
SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Arm:
    """A way of training the VAE of sentences."""

    label: str
    word_dropout: float = 0.0
    beta_warmup_steps: int = 0
    free_nats: float = 0.0

    def experiment(self, seed: int) -> Experiment:
        """The run of this arm from a seed."""
        training = derive(
            BRIEF, kl_weight={"warmup_steps": self.beta_warmup_steps, "free_bits": self.free_nats}, seed=seed
        )
        model = replace(SMALL, word_dropout=self.word_dropout)
        return Experiment(f"sentences-{self.label}", "richer_models", SENTENCES.data, model, training)


ARMS = (
    Arm("plainly"),
    Arm("annealing", beta_warmup_steps=800),
    Arm("word dropout", word_dropout=0.5),
    Arm("both", word_dropout=0.5, beta_warmup_steps=800),
    Arm("both, 4 free nats", word_dropout=0.5, beta_warmup_steps=800, free_nats=4.0),
    Arm("annealing, 4 free nats", beta_warmup_steps=800, free_nats=4.0),
)


def main(
    runs: Path = Path("runs/experiments/richer_models"), kept: tuple[str, ...] = tuple(KEPT), arms: bool = True
) -> None:
    """Train the models to be kept, then the arms of the comparison, and write weights and record.

    Args:
        runs: Folder that holds the run folders.
        kept: Names of the models to train and store in the library.
        arms: Also compare ways of training the VAE of sentences.
    """
    torch.set_num_threads(1)
    for name in kept:
        _keep(name, KEPT[name], runs / name)
    if arms:
        record = {"seeds": SEEDS, "steps": BRIEF.steps, "arms": [_compared(arm, runs) for arm in ARMS]}
        place = Path(str(files("avae_lib").joinpath("data/records/text_remedies.json")))
        place.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _compared(arm: Arm, runs: Path) -> dict[str, Any]:
    results = []
    for seed in SEEDS:
        experiment = arm.experiment(seed)
        trained = train_run(experiment, runs / f"{experiment.name}-{seed}".replace(", ", "-").replace(" ", "_"))
        results.append(_judged(trained.model, experiment))
        print(f"{arm.label}, seed {seed}: {results[-1]}")
    return {"label": arm.label, "runs": results}


def _judged(model: torch.nn.Module, experiment: Experiment) -> dict[str, float]:
    """On test examples: rate and minus the bound in nats, and the bound in bits per dimension or token."""
    evaluation = evaluate(model, experiment.data.load().examples("test"), importance_samples=1)
    bound = evaluation.negative_elbo.mean
    bits = bound / evaluation.num_dims / math.log(2)
    return {"kl": sum(layer.mean for layer in evaluation.kl), "negative_elbo": bound, "bits": bits}


def _keep(name: str, experiment: Experiment, run: Path) -> None:
    trained = train_run(experiment, run)
    judged = _judged(trained.model, experiment)
    facts = {
        "preset": experiment.name,
        "free_nats": experiment.training.kl_weight.free_bits,
        "steps": trained.step,
        "seed": experiment.training.seed,
        "parameters": sum(parameter.numel() for parameter in trained.model.parameters()),
        "test": judged,
        "data": experiment.data.name,
    }
    keep_model(name, experiment.model, trained.model, facts)
    print(f"{name}: {facts}")


if __name__ == "__main__":
    tyro.cli(main)
