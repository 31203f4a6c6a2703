"""Presets of BIVA."""

from __future__ import annotations

from avae_lib.data import DataConfig
from avae_lib.models.biva import BIVAConfig
from avae_lib.training.experiment import Experiment
from avae_lib.training.training_config import TrainingConfig

__all__ = ["PRESETS"]

DIGITS_BIVA = Experiment(
    name="digits-biva",
    source="way of inference and skip paths of Maaløe et al. (2019), fully-connected and scaled to 8×8 images; "
    "training as for digits-ladder, but shorter",
    data=DataConfig("digits", binarize="threshold", validation=150),
    model=BIVAConfig(latent_dims=(8, 4, 4), hidden_sizes=(128, 64, 32)),
    training=TrainingConfig(
        steps=1000,
        batch_size=100,
        optimizer="adam",
        learning_rate=3e-3,
        beta_warmup_steps=500,
        ema_decay=0.98,
    ),
)

PRESETS = (DIGITS_BIVA,)
