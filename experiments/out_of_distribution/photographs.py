"""Train small Very Deep VAEs on CIFAR-10, and find which score distinguishes other images from its test images.

    python experiments/out_of_distribution/photographs.py

Writes avae_lib/data/records/out_of_distribution_photographs.json, which lecture 07 reads. Interrupted runs are resumed;
with ``--seeds 1`` a single run can be trained in parallel with others.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import tyro
from jaxtyping import Float, UInt8
from run import areas_of, fixed_order
from torch import Tensor, nn

from avae_lib import data
from avae_lib.data import DataConfig
from avae_lib.evaluation import Estimate, bits_per_dim, image_log_likelihoods, measuring
from avae_lib.presets import find_preset
from avae_lib.training.experiment import Experiment
from avae_lib.training.runs import train_run
from avae_lib.training.training_config import LearningRateConfig, LoggingConfig, OptimizerConfig, TrainingConfig

RECORD = Path(data.__file__).parent / "records/out_of_distribution_photographs.json"
SEEDS = (0, 1, 2)
INSIDE = DataConfig("cifar10", validation=1_000)
CIFAR10 = Experiment(
    name="cifar10-very-deep",
    source="out_of_distribution",
    data=INSIDE,
    model=replace(find_preset("photos32-vdvae").model, latent_channels=4, mixtures=3),
    training=TrainingConfig(
        steps=1200,
        batch_size=8,
        optimizer=OptimizerConfig(kind="adamax", ema_decay=0.98, clip_norm=1e5),
        learning_rate=LearningRateConfig(peak=1e-2, warmup_steps=50, final_fraction=0.1),
        logging=LoggingConfig(evaluate_every=300, evaluation_images=100, checkpoint_every=300),
    ),
)
IMAGES, IMPORTANCE_SAMPLES = 300, 2
KEPT_LAYERS = (2, 4, 6)  # of eleven, from the top


def main(runs: Path = Path("runs/experiments/out_of_distribution"), seeds: tuple[int, ...] = SEEDS) -> None:
    """Train a model from each seed or resume its run, evaluate it, and write the record once all are finished.

    Args:
        runs: Folder that holds the run folders.
        seeds: Seeds of the runs.
    """
    torch.set_num_threads(1)
    results = [judged(seed, runs) for seed in seeds]
    if len(results) < len(SEEDS):
        return
    record = {
        "inside": "cifar10",
        "sets": {name: len(images) for name, images in image_sets().items()},
        "importance_samples": IMPORTANCE_SAMPLES,
        "steps": CIFAR10.training.steps,
        "processor_minutes": round(sum(result.pop("processor_seconds") for result in results) / 60, 1),
        "seeds": results,
    }
    RECORD.write_text(json.dumps(record) + "\n", encoding="utf-8")


def image_sets() -> dict[str, UInt8[Tensor, "images 3 32 32"]]:
    """Test images by the name of their set, all as colour images of 32×32 pixels."""
    inside = replace(INSIDE, validation=0).load().test
    others = {
        "photos32": DataConfig("photos32").load().test,
        "MNIST": as_colour(DataConfig("mnist").load().test[:IMAGES]),
        "Fashion-MNIST": as_colour(DataConfig("fashion_mnist").load().test[:IMAGES]),
        "negatives": 255 - inside[IMAGES : 2 * IMAGES],
        "shuffled pixels": inside[2 * IMAGES : 3 * IMAGES].flatten(2)[..., fixed_order(32 * 32)].unflatten(2, (32, 32)),
    }
    return {name: images[:IMAGES].contiguous() for name, images in {"CIFAR-10": inside, **others}.items()}


def as_colour(images: UInt8[Tensor, "images 1 28 28"]) -> UInt8[Tensor, "images 3 32 32"]:
    """Grey images with a black margin of two pixels and three equal channels."""
    return torch.nn.functional.pad(images, (2, 2, 2, 2)).expand(-1, 3, -1, -1)


def judged(seed: int, runs: Path) -> dict[str, Any]:
    """The scores of one model on all sets; read from its run folder if they were computed before."""
    experiment = replace(CIFAR10, training=replace(CIFAR10.training, seed=seed))
    folder = runs / f"{experiment.name}-{seed}"
    if (folder / "judged.json").exists():
        return json.loads((folder / "judged.json").read_text(encoding="utf-8"))
    started = time.process_time()
    model = train_run(experiment, folder).model
    scores = {name: scores_of(model, images) for name, images in image_sets().items()}
    bound = Estimate.over(scores["CIFAR-10"]["−log p(x)"])
    result = {
        "seed": seed,
        "bits_per_dim": bits_per_dim(bound.mean, model.num_dims),
        "areas": areas_of(scores),
        "means": {name: {score: v.mean().item() for score, v in of_set.items()} for name, of_set in scores.items()},
        "processor_seconds": time.process_time() - started,
    }
    (folder / "judged.json").write_text(json.dumps(result) + "\n", encoding="utf-8")
    return result


def scores_of(model: nn.Module, images: UInt8[Tensor, "images 3 32 32"]) -> dict[str, Float[Tensor, " images"]]:
    """−log p(x), and the likelihood ratio that keeps the top layers, for several numbers of them; nats."""
    draws = {"samples": IMPORTANCE_SAMPLES, "rows": 100}
    with measuring(model):
        full = image_log_likelihoods(model, images, **draws)
        kept = {keep: image_log_likelihoods(model, images, keep_layers=keep, **draws) for keep in KEPT_LAYERS}
    return {"−log p(x)": -full} | {f"ratio, top {keep} kept": full - upper for keep, upper in kept.items()}


if __name__ == "__main__":
    tyro.cli(main)
