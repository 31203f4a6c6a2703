"""Presets of the VQ-VAE, with one level of codes and with two levels and a learned prior."""

from __future__ import annotations

from avae_lib.data import DataConfig
from avae_lib.models.vq_vae import VQVAEConfig
from avae_lib.models.vq_vae_2 import VQVAE2Config
from avae_lib.presets.derivation import derive
from avae_lib.training.experiment import Experiment
from avae_lib.training.training_config import LearningRateConfig, LoggingConfig, OptimizerConfig, TrainingConfig

__all__ = ["PRESETS"]

PHOTOS32_VQ_VAE = Experiment(
    name="photos32-vq-vae",
    source="design of van den Oord et al. (2017), scaled to two CPU cores: 64 positions, 128 codes, 32 channels",
    data=DataConfig("photos32", validation=500),
    model=VQVAEConfig(codebook_decay=0.95),
    training=TrainingConfig(
        steps=1000,
        batch_size=16,
        optimizer=OptimizerConfig(kind="adam", clip_norm=1e5),
        learning_rate=LearningRateConfig(peak=2e-3),
        logging=LoggingConfig(evaluate_every=200, evaluation_images=64),
    ),
)

PHOTOS32_VQ_VAE_2 = derive(
    PHOTOS32_VQ_VAE,
    name="photos32-vq-vae-2",
    source="design of Razavi et al. (2019), scaled to two CPU cores: 16 and 64 positions, 128 codes each, 32 channels",
    model=VQVAE2Config(codebook_decay=0.95, prior_from_step=600),
    training={
        "steps": 1500,
        "learning_rate": {
            "schedule": "cosine_restarts",
            "first_period_steps": 551,  # after 50 updates of warm-up: the second cosine begins with the prior
        },
        "logging": {"evaluate_every": 100},
    },
)

CIFAR10_VQ_VAE = derive(
    PHOTOS32_VQ_VAE,
    name="cifar10-vq-vae",
    source="design of van den Oord et al. (2017): two strided convolutions, two residual blocks, 256 channels, 512 "
    "codes; likelihood, length of codes and of training are ours",
    data=DataConfig("cifar10", validation=5_000),
    model=VQVAEConfig(channels=256, codes=512, code_dim=64, mixtures=10),
    training={
        "steps": 100_000,
        "batch_size": 128,
        "learning_rate": {"peak": 3e-4, "warmup_steps": 500},
        "optimizer": {"ema_decay": 0.999},
        "logging": {"evaluate_every": 1000, "evaluation_images": 1000, "checkpoint_every": 1000},
    },
)

CIFAR10_VQ_VAE_2 = derive(
    CIFAR10_VQ_VAE,
    name="cifar10-vq-vae-2",
    source="design of Razavi et al. (2019), for 32×32 images and with a gated PixelCNN (van den Oord et al., 2016) as "
    "prior of each level; sizes and length of training are ours",
    model=VQVAE2Config(
        channels=256,
        codes=512,
        code_dim=64,
        mixtures=10,
        prior_from_step=100_000,
        prior_channels=128,
        prior_layers=12,
    ),
    training={
        "steps": 200_000,
        "learning_rate": {
            "schedule": "cosine_restarts",
            "first_period_steps": 99_501,  # after 500 updates of warm-up: the second cosine begins with the prior
        },
    },
)

PRESETS = (PHOTOS32_VQ_VAE, PHOTOS32_VQ_VAE_2, CIFAR10_VQ_VAE, CIFAR10_VQ_VAE_2)
