"""Residual scaling by 1/√N: loss, skipped updates and divergence at several depths.

    python experiments/residual_scaling/run.py

The skip threshold is the same for all arms. Its rule: twenty times the median gradient norm of updates 101 to 200 of a
pilot run, the shallowest model with scaling, from a separate seed; ``pilot_threshold`` computes it.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import very_deep
from ablation import Arm, Study, command
from ablation_pictures import loss_and_skips

from avae_lib.data import DataConfig
from avae_lib.models.vdvae import VDVAEConfig, decoder_blocks, encoder_blocks
from avae_lib.presets.derivation import derive
from avae_lib.training.experiment import Experiment
from avae_lib.training.fit import fit
from avae_lib.training.metrics import MetricsFile
from avae_lib.training.training_config import (
    LearningRateConfig,
    LoggingConfig,
    OptimizerConfig,
    SkippingConfig,
    TrainingConfig,
)

BLOCKS = {
    "small": {8: {4: 3, 8: 5}, 16: {4: 6, 8: 10}, 32: {4: 12, 8: 20}},
    "full": {
        15: {1: 1, 4: 1, 8: 3, 16: 5, 32: 5},
        30: {1: 1, 4: 3, 8: 6, 16: 10, 32: 10},
        45: {1: 2, 4: 4, 8: 9, 16: 15, 32: 15},
        60: {1: 2, 4: 6, 8: 12, 16: 20, 32: 20},
        75: {1: 3, 4: 7, 8: 15, 16: 25, 32: 25},
    },
}
"""Blocks at each resolution, by their total."""

PILOT_SEED, PILOT_STEPS, TIMES_MEDIAN = 100, 200, 20.0
SKIP_THRESHOLD = {"small": 345.5, "full": 400.0 * 3 * 32 * 32}
"""Gradient norm from which an update is skipped, nats per image: that of the pilot run, and the published one."""

TRAINING = {
    "small": TrainingConfig(
        steps=960,
        batch_size=16,
        optimizer=OptimizerConfig(kind="adamw", betas=(0.9, 0.9), ema_decay=0.98, clip_norm=200.0 * 8 * 8),
        learning_rate=LearningRateConfig(peak=1e-2, warmup_steps=50, schedule="constant"),
        skipping=SkippingConfig(max_in_a_row=100),
        logging=LoggingConfig(metrics_every=20, evaluate_every=20, evaluation_images=150, checkpoint_every=1000),
    ),
    "full": derive(very_deep.TRAINING["full"], skipping={"threshold": None}),
}
DATA = {"small": DataConfig("digits", validation=150), "full": very_deep.DATA["full"]}


def study(scale: str) -> Study:
    """The study at one scale."""
    return Study(
        name="residual_scaling",
        question="What does it do to training that a block of N starts with 1/√N of the usual weights?",
        data=DATA[scale],
        training=derive(TRAINING[scale], skipping={"threshold": SKIP_THRESHOLD[scale]}),
        arms=tuple(_arm(scale, blocks, scaled) for scaled in (False, True) for blocks in BLOCKS[scale]),
    )


def pilot_threshold(scale: str = "small") -> float:
    """The skip threshold by its rule, nats per image; takes half a minute at the small scale."""
    data, training = (
        DATA[scale].load(),
        derive(TRAINING[scale], seed=PILOT_SEED, steps=PILOT_STEPS, logging={"metrics_every": 1}),
    )
    pilot = Experiment("pilot", "residual_scaling", DATA[scale], _model(scale, min(BLOCKS[scale]), True), training)
    with tempfile.TemporaryDirectory() as folder:
        fit(pilot.build_model(), data, training, folder)
        rows = MetricsFile(Path(folder) / "metrics.jsonl").rows()
    norms = [row["gradient_norm"] for row in rows if row["split"] == "train" and row["step"] > PILOT_STEPS // 2]
    return TIMES_MEDIAN * statistics.median(norms)


def _arm(scale: str, blocks: int, scaled: bool) -> Arm:
    factors = {"blocks": blocks, "residual_scaling": scaled, "skip_threshold": SKIP_THRESHOLD[scale]}
    return Arm(f"{'with' if scaled else 'without'} 1/√N, {blocks} blocks", factors, _model(scale, blocks, scaled))


def _model(scale: str, blocks: int, scaled: bool) -> VDVAEConfig:
    placed = BLOCKS[scale][blocks]
    if scale == "full":
        return very_deep.model(scale, placed, residual_scaling=scaled)
    return VDVAEConfig(
        image_shape=(1, 8, 8),
        bits=4,
        width=16,
        enc_blocks=encoder_blocks({8: 2, 4: 1}),
        dec_blocks=decoder_blocks(placed),
        latent_channels=2,
        mixtures=3,
        residual_scaling=scaled,
    )


if __name__ == "__main__":
    command({scale: partial(study, scale) for scale in ("small", "full")}, loss_and_skips)
