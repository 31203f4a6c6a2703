"""Presets of the VAE of sentences."""

from __future__ import annotations

from avae_lib.data import DataConfig
from avae_lib.models.text_vae import TextVAEConfig
from avae_lib.training.experiment import Experiment
from avae_lib.training.training_config import KLWeightConfig, LearningRateConfig, OptimizerConfig, TrainingConfig

__all__ = ["PRESETS"]

SENTENCES_TEXT_VAE = Experiment(
    name="sentences-text-vae",
    source="LSTMs, word dropout, annealed KL as in Bowman et al. (2016); free bits and sizes chosen here, for one core",
    data=DataConfig("sentences"),
    model=TextVAEConfig(),
    training=TrainingConfig(
        steps=2000,
        batch_size=32,
        optimizer=OptimizerConfig(kind="adam", clip_norm=5.0),
        learning_rate=LearningRateConfig(peak=2e-3),
        kl_weight=KLWeightConfig(warmup_steps=1200, free_bits=4.0),
    ),
)

PRESETS = (SENTENCES_TEXT_VAE,)
