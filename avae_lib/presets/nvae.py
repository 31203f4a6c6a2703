"""Presets of NVAE."""

from __future__ import annotations

from avae_lib.data import DataConfig
from avae_lib.models.nvae import NVAEConfig
from avae_lib.presets.derivation import derive
from avae_lib.training.experiment import Experiment
from avae_lib.training.training_config import (
    KLWeightConfig,
    LearningRateConfig,
    LoggingConfig,
    OptimizerConfig,
    PenaltiesConfig,
    TrainingConfig,
)

__all__ = ["PRESETS"]

CIFAR10_EPOCH = 50_000 // 256

CIFAR10_NVAE_30 = Experiment(
    name="cifar10-nvae-30",
    source="Vahdat and Kautz (2020): sizes, optimiser, penalties and lengths of the released CIFAR-10 command, in one "
    "batch of 256 instead of 32 on each of eight devices; its penalty on the scales of batch norms is left out",
    data=DataConfig("cifar10", flip_horizontal=True, validation=5_000),
    model=NVAEConfig(
        image_shape=(3, 32, 32),
        bits=8,
        groups=(30,),
        channels=128,
        latent_channels=20,
        halvings=1,
        encoder_cells=2,
        decoder_cells=2,
        outer_cells=2,
        flows=1,
        weight_norm=True,
        mixtures=10,
    ),
    training=TrainingConfig(
        steps=400 * CIFAR10_EPOCH,
        batch_size=256,  # 32 on each of eight devices
        optimizer=OptimizerConfig(
            kind="adamax",
            epsilon=1e-3,
            ema_decay=0.0,
            clip_norm=1e6,  # none in the released code
        ),
        learning_rate=LearningRateConfig(peak=1e-2, final_fraction=0.01, warmup_steps=5 * CIFAR10_EPOCH),
        kl_weight=KLWeightConfig(
            start=1e-4,
            warmup_steps=120 * CIFAR10_EPOCH,  # 30 % of the run
            balancing=True,
        ),
        penalties=PenaltiesConfig(
            spectral=1e-2,
            l2=1.5e-4,  # half the weight decay of 3e-4: the gradient of θ² is 2 θ
        ),
        logging=LoggingConfig(evaluate_every=1000, checkpoint_every=1000),
    ),
)

PHOTOS32_NVAE = derive(
    CIFAR10_NVAE_30,
    name="photos32-nvae",
    source="design of Vahdat and Kautz (2020), scaled to two CPU cores: 8 channels, 5 layers at 4×4 and 8×8",
    data=DataConfig("photos32", validation=500),
    model=NVAEConfig(
        image_shape=(3, 32, 32), bits=8, groups=(2, 3), channels=8, latent_channels=4, halvings=2, mixtures=3
    ),
    training={
        "steps": 1000,
        "batch_size": 16,
        "learning_rate": {"warmup_steps": 50},
        "kl_weight": {"start": 0.0, "warmup_steps": 300},
        "penalties": {"l2": 0.0},
        "optimizer": {"ema_decay": 0.98, "clip_norm": 100.0},
        "logging": {"evaluate_every": 100, "evaluation_images": 64, "checkpoint_every": 50},
    },
)

DIGITS_NVAE = derive(
    PHOTOS32_NVAE,
    name="digits-nvae",
    source="design of Vahdat and Kautz (2020), scaled to 8×8 images and two CPU cores: 8 channels, 4 layers at 2×2 "
    "and 4×4",
    data=DataConfig("digits", validation=150),
    model=NVAEConfig(groups=(2, 2), channels=8, latent_channels=2),
    training={
        "steps": 600,
        "batch_size": 64,
        "learning_rate": {"warmup_steps": 30},
        "penalties": {"spectral": 1e-3},
        "logging": {"evaluation_images": 1000, "checkpoint_every": 20},
    },
)

PRESETS = (CIFAR10_NVAE_30, PHOTOS32_NVAE, DIGITS_NVAE)
