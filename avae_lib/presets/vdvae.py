"""Presets of the Very Deep VAE."""

from __future__ import annotations

from typing import Any

from avae_lib.data import DataConfig
from avae_lib.models.vdvae import VDVAEConfig, decoder_blocks, encoder_blocks
from avae_lib.models.vdvae_import import DATASETS
from avae_lib.presets.derivation import derive
from avae_lib.training.experiment import Experiment
from avae_lib.training.training_config import (
    KLWeightConfig,
    LearningRateConfig,
    LoggingConfig,
    OptimizerConfig,
    SkippingConfig,
    TrainingConfig,
)

__all__ = ["PRESETS"]

# The published epsilon and limits on gradient norms are for a loss in nats per dimension. The loss here is in nats per
# image, so they are multiplied by the number of dimensions of an image.
DIMS_OF_32 = 3 * 32 * 32
DIMS_OF_64 = 3 * 64 * 64


def _pixel_statistics(dataset: str) -> dict[str, Any]:
    return {"pixel_mean": DATASETS[dataset].pixel_mean, "pixel_std": DATASETS[dataset].pixel_std}


CIFAR10_VDVAE = Experiment(
    name="cifar10-vdvae",
    source="Child (2021), table of hyper-parameters; blocks, decay of the average and clipping of the released code",
    data=DataConfig("cifar10", validation=5_000),
    model=VDVAEConfig(
        image_shape=(3, 32, 32),
        width=384,
        enc_blocks="32x11,32d2,16x6,16d2,8x6,8d2,4x3,4d4,1x3",
        dec_blocks="1x1,4m1,4x2,8m4,8x5,16m8,16x10,32m16,32x21",
        **_pixel_statistics("cifar10"),
    ),
    training=TrainingConfig(
        steps=1_100_000,
        batch_size=32,
        optimizer=OptimizerConfig(
            kind="adamw",
            betas=(0.9, 0.9),
            epsilon=1e-8 * DIMS_OF_32,
            weight_decay=0.01,
            ema_decay=0.9999,
            clip_norm=200.0 * DIMS_OF_32,
        ),
        learning_rate=LearningRateConfig(peak=2e-4, warmup_steps=100, schedule="constant"),
        skipping=SkippingConfig(threshold=400.0 * DIMS_OF_32, max_in_a_row=100),
        logging=LoggingConfig(metrics_every=100, evaluate_every=10_000, checkpoint_every=5_000),
    ),
)

CIFAR10_EFFICIENT_VDVAE = derive(
    CIFAR10_VDVAE,
    name="cifar10-efficient-vdvae",
    source="Hazami et al. (2022), configuration cifar10_C1 of their code, whose model also has a link to the decoder "
    "from each encoder block, convolutions where widths meet, SiLUs, and softplus scales of the pixels' logistics. "
    "They begin to decay the learning rate at update 50,000 and balance the KL for 10,000",
    data=DataConfig("cifar10", flip_horizontal=True, validation=5_000),
    model={
        "enc_blocks": encoder_blocks({32: 12, 16: 7, 8: 7, 4: 4, 1: 3}),
        "dec_blocks": decoder_blocks({1: 3, 4: 4, 8: 7, 16: 11, 32: 22}),
        "custom_width_str": "32:48,16:96,8:192",
        "custom_middle_width_str": "32:48,16:48",
        "standard_deviation": "softplus",
        "pixel_mean": None,
        "pixel_std": None,
    },
    training={
        "steps": 800_000,
        "optimizer": {"kind": "adamax", "betas": (0.9, 0.999), "weight_decay": 0.0, "clip_norm": 1e9},
        "learning_rate": LearningRateConfig(peak=1e-3, warmup_steps=100, final_fraction=0.2),
        "kl_weight": KLWeightConfig(start=1e-4, warmup_steps=5_000, balancing=True),
        "skipping": {"threshold": 800.0 * DIMS_OF_32},
    },
)

IMAGENET32_VDVAE = derive(
    CIFAR10_VDVAE,
    name="imagenet32-vdvae",
    source="Child (2021), table of hyper-parameters; blocks and clipping of the released code",
    data=DataConfig("imagenet32", validation=5_000),
    model={
        "width": 512,
        "enc_blocks": "32x15,32d2,16x9,16d2,8x8,8d2,4x6,4d4,1x6",
        "dec_blocks": "1x2,4m1,4x4,8m4,8x9,16m8,16x19,32m16,32x40",
        **_pixel_statistics("imagenet32"),
    },
    training={
        "steps": 1_700_000,
        "batch_size": 256,
        "optimizer": {"weight_decay": 0.0, "ema_decay": 1 - 1.5e-4},
        "learning_rate": {"peak": 1.5e-4},
        "skipping": {"threshold": 300.0 * DIMS_OF_32},
    },
)

IMAGENET64_VDVAE = derive(
    IMAGENET32_VDVAE,
    name="imagenet64-vdvae",
    data=DataConfig("imagenet64", validation=5_000),
    model={
        "image_shape": (3, 64, 64),
        "enc_blocks": "64x11,64d2,32x20,32d2,16x9,16d2,8x8,8d2,4x7,4d4,1x5",
        "dec_blocks": "1x2,4m1,4x3,8m4,8x7,16m8,16x15,32m16,32x31,64m32,64x12",
        **_pixel_statistics("imagenet64"),
    },
    training={
        "steps": 1_600_000,
        "batch_size": 128,
        "optimizer": {"epsilon": 1e-8 * DIMS_OF_64, "clip_norm": 220.0 * DIMS_OF_64},
        "skipping": {"threshold": 380.0 * DIMS_OF_64},
    },
)

PHOTOS32_VDVAE = Experiment(
    name="photos32-vdvae",
    source="design of Child (2021), scaled to two CPU cores",
    data=DataConfig("photos32", validation=500),
    model=VDVAEConfig(
        width=32,
        enc_blocks=encoder_blocks({32: 1, 16: 2, 8: 2, 4: 2, 1: 1}),
        dec_blocks=decoder_blocks({1: 1, 4: 2, 8: 3, 16: 3, 32: 2}),
        latent_channels=8,
        mixtures=4,
    ),
    training=TrainingConfig(
        steps=2000,
        batch_size=16,
        optimizer=OptimizerConfig(kind="adamw", betas=(0.9, 0.9), ema_decay=0.99, clip_norm=200.0 * DIMS_OF_32),
        learning_rate=LearningRateConfig(peak=1e-3, warmup_steps=100),
        logging=LoggingConfig(evaluation_images=64),
    ),
)

PHOTOS32_EFFICIENT_VDVAE = derive(
    PHOTOS32_VDVAE,
    name="photos32-efficient-vdvae",
    source="design of Hazami et al. (2022), scaled to two CPU cores: the 11 blocks of photos32-vdvae, fewer of them at "
    "high resolution",
    model={
        "custom_width_str": "32:8,16:16",
        "custom_middle_width_str": "32:4,16:4",
        "dec_blocks": decoder_blocks({1: 1, 4: 3, 8: 4, 16: 2, 32: 1}),
        "standard_deviation": "softplus",
    },
    training={
        "optimizer": {"kind": "adamax", "betas": (0.9, 0.999)},
        "learning_rate": {"peak": 1e-2},
    },
)

DIGITS_VDVAE = derive(
    PHOTOS32_VDVAE,
    name="digits-vdvae",
    source="design of Child (2021), scaled to 8×8 images and two CPU cores",
    data=DataConfig("digits", validation=150),
    model={
        "image_shape": (1, 8, 8),
        "bits": 4,
        "enc_blocks": encoder_blocks({8: 2, 4: 2, 1: 1}),
        "dec_blocks": decoder_blocks({1: 1, 4: 2, 8: 3}),
        "latent_channels": 2,
        "mixtures": 3,
    },
    training={
        "steps": 1000,
        "batch_size": 64,
        "learning_rate": {"peak": 1e-2},
        "optimizer": {"ema_decay": 0.98, "clip_norm": 200.0 * 8 * 8},
        "logging": {"evaluation_images": 1000},
    },
)

PRESETS = (
    CIFAR10_VDVAE,
    CIFAR10_EFFICIENT_VDVAE,
    IMAGENET32_VDVAE,
    IMAGENET64_VDVAE,
    PHOTOS32_VDVAE,
    PHOTOS32_EFFICIENT_VDVAE,
    DIGITS_VDVAE,
)
