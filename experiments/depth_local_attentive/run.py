"""Loss against depth, local against attentive, at equal parameters.

    AVAE_DATA=… python experiments/depth_local_attentive/run.py

Attention over depth is the plain form, without normalisation. Keys and queries pass through the cells along with the
values, so an attentive model is larger than a local one of the same width. Here the local model is widened until its
number of parameters is as near as possible to that of the attentive model of the same depth.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from ablation import Arm, Study, command
from ablation_pictures import loss_against_depth

from avae_lib.data import DataConfig
from avae_lib.models.attentive import AttentiveConfig
from avae_lib.training.training_config import (
    KLWeightConfig,
    LearningRateConfig,
    LoggingConfig,
    OptimizerConfig,
    TrainingConfig,
)

DEPTHS = (2, 4, 8, 16)
DATA = {
    "small": DataConfig("cifar10", validation=1000),
    "full": DataConfig("cifar10", flip_horizontal=True, validation=5000),
}
MODEL = {
    "small": AttentiveConfig(
        image_shape=(3, 32, 32),
        bits=8,
        width=16,
        latent_channels=2,
        key_channels=4,
        normalise_contexts=False,
        normalise_evidence=False,
        blocks=1,
        image_blocks=0,
        halvings=2,
        likelihood="discretized_logistic_mixture",
        mixtures=3,
    ),
    "full": AttentiveConfig(
        image_shape=(3, 32, 32),
        bits=8,
        width=96,
        latent_channels=8,
        key_channels=16,
        normalise_contexts=False,
        normalise_evidence=False,
        blocks=1,
        image_blocks=1,
        halvings=1,
        likelihood="discretized_logistic_mixture",
        mixtures=5,
    ),
}
"""The attentive model at each scale, for any depth."""
TRAINING = {
    "small": TrainingConfig(
        steps=1600,
        batch_size=8,
        optimizer=OptimizerConfig(kind="adamax", ema_decay=0.98, clip_norm=1e5),
        learning_rate=LearningRateConfig(peak=1e-2, warmup_steps=50, schedule="constant"),
        logging=LoggingConfig(metrics_every=50, evaluate_every=50, evaluation_images=100, checkpoint_every=1000),
    ),
    "full": TrainingConfig(
        steps=60_000,
        batch_size=64,
        optimizer=OptimizerConfig(kind="adamax", epsilon=1e-3, ema_decay=0.999, clip_norm=1e5),
        learning_rate=LearningRateConfig(peak=1e-2, warmup_steps=1000, schedule="constant"),
        kl_weight=KLWeightConfig(start=0.1, warmup_steps=5000),
        logging=LoggingConfig(metrics_every=100, evaluate_every=2000, checkpoint_every=2000),
    ),
}


def study(scale: str) -> Study:
    """The study at one scale."""
    return Study(
        name="depth_local_attentive",
        question="How does the bound improve with depth, local against attentive, at equal parameters?",
        data=DATA[scale],
        training=TRAINING[scale],
        arms=tuple(arm(scale, conditioning, layers) for conditioning in ("local", "attentive") for layers in DEPTHS),
    )


def arm(scale: str, conditioning: str, layers: int) -> Arm:
    """One depth and kind of conditioning."""
    attentive = replace(MODEL[scale], layers=layers)
    model = attentive if conditioning == "attentive" else local_of_equal_size(attentive)
    factors = {"layers": layers, "conditioning": conditioning, "width": model.width}
    return Arm(f"{conditioning}, L = {layers}", factors, model)


def local_of_equal_size(attentive: AttentiveConfig) -> AttentiveConfig:
    """The local model whose number of parameters is nearest to that of the attentive one."""
    step = 2**attentive.halvings  # so that the width can be halved that many times
    widths = range(attentive.width, 3 * attentive.width, step)
    local = (replace(attentive, conditioning="local", width=width) for width in widths)
    return min(local, key=lambda config: abs(_parameters(config) - _parameters(attentive)))


@cache
def _parameters(config: AttentiveConfig) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in config.build().parameters())


if __name__ == "__main__":
    command({scale: partial(study, scale) for scale in ("small", "full")}, loss_against_depth)
