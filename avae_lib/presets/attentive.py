"""Presets of the Deep Attentive VAE and its local twins."""

from __future__ import annotations

from dataclasses import replace

from avae_lib.data import DataConfig
from avae_lib.models.attentive import AttentiveConfig
from avae_lib.training.experiment import Experiment
from avae_lib.training.training_config import TrainingConfig

__all__ = ["PRESETS"]

DIGITS_ATTENTIVE = Experiment(
    name="digits-attentive",
    source="design of Apostolopoulou et al. (2022), scaled to 8×8 images; training tuned here on two CPU cores",
    data=DataConfig("digits"),
    model=AttentiveConfig(conditioning="attentive", layers=5, latent_channels=2),
    training=TrainingConfig(
        steps=1000,
        optimizer="adam",
        learning_rate=1e-2,
        warmup_steps=100,
        beta_warmup_steps=500,
        ema_decay=0.98,
        checkpoint_every=10,
    ),
)

DIGITS_LOCAL = replace(
    DIGITS_ATTENTIVE,
    name="digits-local",
    source="digits-attentive with layers conditioned on the one above alone: its twin for comparison",
    model=replace(DIGITS_ATTENTIVE.model, conditioning="local"),
)

PRESETS = (DIGITS_ATTENTIVE, DIGITS_LOCAL)
