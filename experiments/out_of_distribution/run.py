"""Train small hierarchies on Fashion-MNIST, and find which score distinguishes other images from its test images.

    python experiments/out_of_distribution/run.py

Writes avae_lib/data/records/out_of_distribution.json, which lecture 07 reads. Interrupted runs are resumed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
import tyro
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from avae_lib import data
from avae_lib.data import DataConfig
from avae_lib.evaluation import Estimate, bits_per_dim, image_log_likelihoods, measuring
from avae_lib.evaluation.out_of_distribution import area_under_curve
from avae_lib.models.ladder import LadderConfig
from avae_lib.training.experiment import Experiment
from avae_lib.training.runs import train_run
from avae_lib.training.training_config import (
    KLWeightConfig,
    LearningRateConfig,
    LoggingConfig,
    OptimizerConfig,
    TrainingConfig,
)

RECORD = Path(data.__file__).parent / "records/out_of_distribution.json"
SEEDS = (0, 1, 2)
INSIDE = DataConfig("fashion_mnist", binarize="dynamic", validation=5_000)
FASHION = Experiment(
    name="fashion-ladder",
    source="out_of_distribution",
    data=INSIDE,
    model=LadderConfig(image_shape=(1, 28, 28), latent_dims=(32, 16, 8), hidden_sizes=(256, 128, 64)),
    training=TrainingConfig(
        steps=4000,
        batch_size=128,
        optimizer=OptimizerConfig(kind="adam", ema_decay=0.99),
        learning_rate=LearningRateConfig(peak=2e-3),
        kl_weight=KLWeightConfig(warmup_steps=1500),
        logging=LoggingConfig(evaluate_every=500, checkpoint_every=1000),
    ),
)
IMAGES, IMPORTANCE_SAMPLES, KEPT_SCORES = 1000, 32, 300


def main(runs: Path = Path("runs/experiments/out_of_distribution"), seeds: tuple[int, ...] = SEEDS) -> None:
    """Train a model from each seed or resume its run, evaluate all of them and write the record.

    Args:
        runs: Folder that holds the run folders.
        seeds: Seeds of the runs.
    """
    torch.set_num_threads(1)
    started = time.process_time()
    sets = image_sets()
    results = [judged(seed, sets, runs) for seed in seeds]
    record = {
        "inside": "fashion_mnist",
        "sets": {name: len(images) for name, images in sets.items()},
        "importance_samples": IMPORTANCE_SAMPLES,
        "latent_dims": FASHION.model.latent_dims,
        "steps": FASHION.training.steps,
        "processor_minutes": round((time.process_time() - started) / 60, 1),
        "seeds": results,
    }
    RECORD.write_text(json.dumps(record) + "\n", encoding="utf-8")


def image_sets() -> dict[str, UInt8[Tensor, "images 1 28 28"]]:
    """Test images by the name of their set; all are binarised at random, once."""
    inside = replace(INSIDE, validation=0).load().pixels("test")
    others = {
        "MNIST": DataConfig("mnist", binarize="dynamic").load().pixels("test"),
        "Omniglot": DataConfig("omniglot_evaluation", binarize="dynamic").load().pixels("test"),
        "upside down": inside[IMAGES : 2 * IMAGES].flip(2),
        "shuffled pixels": inside[2 * IMAGES : 3 * IMAGES].flatten(2)[..., fixed_order(28 * 28)].unflatten(2, (28, 28)),
    }
    return {name: images[:IMAGES].contiguous() for name, images in {"Fashion-MNIST": inside, **others}.items()}


def fixed_order(count: int) -> Tensor:
    """A fixed permutation."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(0))


def judged(seed: int, sets: dict[str, Tensor], runs: Path) -> dict[str, Any]:
    """Areas under the ROC curve for each score and set, and for the first seed the scores of single images."""
    experiment = replace(FASHION, training=replace(FASHION.training, seed=seed))
    model = train_run(experiment, runs / f"{experiment.name}-{seed}").model
    scores = {name: scores_of(model, images) for name, images in sets.items()}
    bound = Estimate.over(scores["Fashion-MNIST"]["−log p(x)"])
    result = {"seed": seed, "bits_per_dim": bits_per_dim(bound.mean, model.num_dims), "areas": areas_of(scores)}
    result["means"] = {name: {score: v.mean().item() for score, v in of_set.items()} for name, of_set in scores.items()}
    if seed == SEEDS[0]:
        result["scores"] = {name: _first_of(of_set) for name, of_set in scores.items()}
    print(json.dumps({key: value for key, value in result.items() if key != "scores"}, indent=1, ensure_ascii=False))
    return result


def areas_of(scores: Mapping[str, Mapping[str, Tensor]]) -> dict[str, dict[str, dict[str, float]]]:
    """The area under the ROC curve for each other set and score; the first set is the one the model was trained on."""
    inside, *outside = scores
    return {
        other: {score: asdict(area_under_curve(scores[inside][score], scores[other][score])) for score in scores[other]}
        for other in outside
    }


def scores_of(model: nn.Module, images: UInt8[Tensor, "images 1 28 28"]) -> dict[str, Float[Tensor, " images"]]:
    """−log p(x), and the likelihood ratio without the lowest k layers, for every k; nats."""
    draws = {"samples": IMPORTANCE_SAMPLES, "rows": 2000}
    with measuring(model):
        full = image_log_likelihoods(model, images, **draws)
        kept = {
            k: image_log_likelihoods(model, images, keep_layers=model.num_layers - k, **draws)
            for k in range(1, model.num_layers + 1)
        }
    return {"−log p(x)": -full} | {f"LLR, k = {k}": full - upper for k, upper in kept.items()}


def _first_of(scores: dict[str, Tensor]) -> dict[str, list[float]]:
    return {score: [round(value, 2) for value in values[:KEPT_SCORES].tolist()] for score, values in scores.items()}


if __name__ == "__main__":
    tyro.cli(main)
