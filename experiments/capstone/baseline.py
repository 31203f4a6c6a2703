"""Train the baseline of the capstone from three seeds, and one stronger model that shows what the budget allows.

    python experiments/capstone/baseline.py

Writes avae_lib/data/records/capstone_baseline.json, which the grader of unit 08 and its assignment read. Runs go on
where they stand.
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
from held_out_crops import held_out_crops
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from avae_lib import data
from avae_lib.capstone import QUANTITIES, measure, public_images
from avae_lib.data import DataConfig, ImageDataset, keep_model
from avae_lib.evaluation import Estimate
from avae_lib.models.attentive import AttentiveConfig
from avae_lib.models.vdvae import VDVAEConfig
from avae_lib.training.experiment import Experiment, to_json
from avae_lib.training.fit import fit
from avae_lib.training.training_config import (
    KLWeightConfig,
    LearningRateConfig,
    LoggingConfig,
    OptimizerConfig,
    SkippingConfig,
    TrainingConfig,
)

__all__ = ["BASELINE", "REFERENCE", "bits_of", "estimates", "trained"]

RECORD = Path(data.__file__).parent / "records/capstone_baseline.json"
SEEDS = (0, 1, 2)
IMPORTANCE_SAMPLES = 16
HELD_OUT, HELD_OUT_SEED = 200, 8

BASELINE = Experiment(
    name="capstone-baseline",
    source="one layer of 256 latents between small convolutional networks; nothing tuned",
    data=DataConfig("photos32", validation=500),
    model=AttentiveConfig(
        image_shape=(3, 32, 32),
        bits=8,
        conditioning="local",
        layers=1,
        width=24,
        latent_channels=4,
        blocks=1,
        image_blocks=0,
        halvings=2,
        likelihood="discretized_logistic_mixture",
        mixtures=3,
    ),
    training=TrainingConfig(
        steps=3000,
        batch_size=16,
        optimizer=OptimizerConfig(kind="adamax", clip_norm=200.0 * 3 * 32 * 32),
        learning_rate=LearningRateConfig(peak=5e-3, warmup_steps=50),
        kl_weight=KLWeightConfig(warmup_steps=300),
        logging=LoggingConfig(evaluate_every=300, evaluation_images=100),
    ),
)
"""The model that a capstone submission has to beat: the middle one of three seeds."""

REFERENCE = Experiment(
    name="capstone-reference",
    source="design of Child (2021): 14 layers from 1×1 to 32×32; nothing tuned",
    data=BASELINE.data,
    model=VDVAEConfig(
        enc_blocks="32x1,32d2,16x2,16d2,8x2,8d2,4x2,4d4,1x1",
        dec_blocks="1x1,4m1,4x2,8m4,8x3,16m8,16x3,32m16,32x1",
        width=48,
        latent_channels=4,
        mixtures=5,
    ),
    training=TrainingConfig(
        steps=2000,
        batch_size=8,
        optimizer=OptimizerConfig(kind="adamax", clip_norm=200.0 * 3 * 32 * 32),
        learning_rate=LearningRateConfig(peak=8e-3, warmup_steps=100),
        skipping=SkippingConfig(factor=20.0),
        logging=LoggingConfig(evaluate_every=250, evaluation_images=100),
    ),
)
"""A hierarchy trained within the budget; the bands of the grade are set by it."""


def main(runs: Path = Path("runs/experiments/capstone"), reference: bool = True) -> None:
    """Train all models or resume their runs, evaluate them, store the baseline and write the record.

    Args:
        runs: Folder that holds the run folders.
        reference: Also train the stronger model.
    """
    torch.set_num_threads(1)
    baselines = [judged(BASELINE, seed, runs) for seed in SEEDS]
    middle = sorted(baselines, key=lambda result: result["public"]["bound"]["mean"])[len(baselines) // 2]
    record: dict[str, Any] = {
        **middle["public"],
        "model": BASELINE.name,
        "data": BASELINE.data.name,
        "importance_samples": IMPORTANCE_SAMPLES,
        "sets": {"public": "the 350 test crops", "held_out": f"{HELD_OUT} crops off their grid, half of them mirrored"},
        "baseline": _described(BASELINE) | {"kept_seed": middle["seed"], "seeds": baselines},
    }
    model, _ = trained(BASELINE, middle["seed"], BASELINE.data.load(), runs / f"{BASELINE.name}-{middle['seed']}")
    facts = {"parameters": record["baseline"]["parameters"], "steps": BASELINE.training.steps, "seed": middle["seed"]}
    keep_model(BASELINE.name, BASELINE.model, model, facts | {"data": BASELINE.data.name})
    _write(record)
    if reference:
        _write(record | {"reference": _described(REFERENCE) | {"seeds": [judged(REFERENCE, 0, runs)]}})


def judged(experiment: Experiment, seed: int, runs: Path) -> dict[str, Any]:
    """The figures of one run on the public and on held-out crops, with its costs."""
    model, minutes = trained(experiment, seed, experiment.data.load(), runs / f"{experiment.name}-{seed}")
    sets = {"public": public_images(), "held_out": held_out_crops(HELD_OUT, HELD_OUT_SEED)}
    figures = {name: estimates(bits_of(model, images)) for name, images in sets.items()}
    result = {"seed": seed, "processor_minutes": minutes} | figures
    print(json.dumps(result, indent=1), flush=True)
    return result


def trained(
    experiment: Experiment,
    seed: int,
    dataset: ImageDataset,
    run_dir: Path,
    start: Mapping[str, Tensor] | None = None,
) -> tuple[nn.Module, float]:
    """The model under its averaged weights, and the processor time that its training took, in minutes.

    Args:
        start: initial weights; None draws them from the seed.
    """
    experiment = replace(experiment, training=replace(experiment.training, seed=seed))
    model = experiment.build_model()
    if start is not None:
        model.load_state_dict(start)
    spent = run_dir / "processor_minutes.json"
    minutes = json.loads(spent.read_text()) if spent.exists() else 0.0
    before = time.process_time()
    try:
        model = fit(model, dataset, experiment.training, run_dir, [_say], progress_bar=False).model
    finally:  # also for a run that is interrupted and resumed
        minutes += (time.process_time() - before) / 60
        spent.write_text(json.dumps(minutes))
    return model, round(minutes, 1)


def bits_of(model: nn.Module, images: UInt8[Tensor, "images c h w"]) -> dict[str, Float[Tensor, " images"]]:
    """The bound and the importance-weighted estimate of each image, as the grader measures them; bits per dimension."""
    measured = measure(model, images, samples=IMPORTANCE_SAMPLES)
    return {quantity: measured.of(quantity) for quantity in QUANTITIES}


def estimates(bits: Mapping[str, Float[Tensor, " images"]]) -> dict[str, dict[str, float]]:
    """Means with standard errors, by quantity."""
    return {quantity: asdict(Estimate.over(values)) for quantity, values in bits.items()}


def _described(experiment: Experiment) -> dict[str, Any]:
    parameters = sum(parameter.numel() for parameter in experiment.model.build().parameters())
    return {"config": to_json(experiment), "parameters": parameters, "updates": experiment.training.steps}


def _say(row: dict[str, Any], model: nn.Module) -> None:
    if row["split"] == "valid":
        print(f"update {row['step']}: {row['bits_per_dim']:.3f} bits/dim on validation crops", flush=True)


def _write(record: dict[str, Any]) -> None:
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    tyro.cli(main)
