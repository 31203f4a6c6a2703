"""The Very Deep VAEs of the ablations: images, training and model at each scale; each arm changes one thing.

``small`` trains on two CPU cores in minutes, ``full`` needs a GPU.
"""

from __future__ import annotations

from typing import Any

from avae_lib.data import DataConfig
from avae_lib.models.vdvae import VDVAEConfig, decoder_blocks, encoder_blocks
from avae_lib.training.training_config import (
    LearningRateConfig,
    LoggingConfig,
    OptimizerConfig,
    SkippingConfig,
    TrainingConfig,
)

__all__ = ["BLOCKS", "DATA", "TRAINING", "model"]

DATA = {
    "small": DataConfig("photos32", validation=500),
    "full": DataConfig("cifar10", flip_horizontal=True, validation=5000),
}
"""Images at each scale."""

BLOCKS = {"small": {1: 1, 4: 3, 8: 4, 16: 3, 32: 1}, "full": {1: 2, 4: 4, 8: 10, 16: 16, 32: 16}}
"""Decoder blocks at each resolution: 12 and 48 in all."""

TRAINING = {
    "small": TrainingConfig(
        steps=1920,
        batch_size=8,
        optimizer=OptimizerConfig(kind="adamax", ema_decay=0.98, clip_norm=200.0 * 3 * 32 * 32),
        learning_rate=LearningRateConfig(peak=1e-2, warmup_steps=50, schedule="constant"),
        logging=LoggingConfig(metrics_every=40, evaluate_every=40, evaluation_images=100, checkpoint_every=1000),
    ),
    "full": TrainingConfig(
        steps=80_000,
        batch_size=32,
        optimizer=OptimizerConfig(
            kind="adamw",
            betas=(0.9, 0.9),
            epsilon=1e-8 * 3 * 32 * 32,
            weight_decay=0.01,
            ema_decay=0.9995,
            clip_norm=200.0 * 3 * 32 * 32,
        ),
        learning_rate=LearningRateConfig(peak=2e-4, warmup_steps=100, schedule="constant"),
        skipping=SkippingConfig(threshold=400.0 * 3 * 32 * 32, max_in_a_row=100),
        logging=LoggingConfig(metrics_every=100, evaluate_every=2_000, checkpoint_every=2_000),
    ),
}
"""Training at each scale. Full: the published settings of CIFAR-10, for the 80,000 updates of the paper's ablations."""

_ENCODER = {"small": {32: 1, 16: 1, 8: 1, 4: 1, 1: 1}, "full": {32: 8, 16: 7, 8: 6, 4: 3, 1: 3}}
_SIZES = {"small": {"width": 16, "latent_channels": 4, "mixtures": 3}, "full": {"width": 192, "mixtures": 10}}


def model(scale: str, blocks: dict[int, int] | None = None, **changes: Any) -> VDVAEConfig:
    """The model of a scale with ``blocks`` decoder blocks at each resolution, and other fields changed."""
    return VDVAEConfig(
        enc_blocks=encoder_blocks(_ENCODER[scale]),
        dec_blocks=decoder_blocks(blocks or BLOCKS[scale]),
        **(_SIZES[scale] | changes),
    )
