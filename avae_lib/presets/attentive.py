"""Presets of the Deep Attentive VAE and its local twins."""

from __future__ import annotations

from avae_lib.data import DataConfig
from avae_lib.models.attentive import AttentiveConfig
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

PROGRAM = "Apostolopoulou et al. (2022), configuration of their program"


def _published_training(*, batch_size: int, steps_per_epoch: int, epochs: int) -> TrainingConfig:
    """Training as published, with all lengths in epochs. Gradients are not clipped, because none reaches 1e9, and
    weights are not averaged, because the decay is 0."""
    return TrainingConfig(
        steps=epochs * steps_per_epoch,
        batch_size=batch_size,
        optimizer=OptimizerConfig(kind="adamax", betas=(0.9, 0.999), epsilon=1e-3, ema_decay=0.0, clip_norm=1e9),
        learning_rate=LearningRateConfig(
            peak=1e-2,
            warmup_steps=5 * steps_per_epoch,
            final_fraction=1e-2,  # of the peak: 1e-4
        ),
        kl_weight=KLWeightConfig(start=0.1, warmup_steps=16 * steps_per_epoch),
        penalties=PenaltiesConfig(l2=1.5e-4),
        logging=LoggingConfig(metrics_every=50, evaluate_every=steps_per_epoch, checkpoint_every=steps_per_epoch),
    )


CIFAR10_ATTENTIVE = Experiment(
    name="cifar10-attentive-16",
    source=f"{PROGRAM}, 400 epochs; for its oddities add --model.faithful --data.flip-vertical",
    data=DataConfig("cifar10", flip_horizontal=True, validation=5_000),
    model=AttentiveConfig(
        image_shape=(3, 32, 32),
        bits=8,
        layers=16,
        width=256,
        latent_channels=20,
        key_channels=20,
        cell_key_channels=32,
        prior_log_std_range=(-1.0, 5.0),
        likelihood="discretized_logistic_mixture",
        mixtures=5,
    ),
    training=_published_training(batch_size=160, steps_per_epoch=312, epochs=400),
)

CIFAR10_NVAE_LIKE = derive(
    CIFAR10_ATTENTIVE,
    name="cifar10-nvae-like-16",
    source=f"{PROGRAM} for their baseline without any attention, 400 epochs; not the NVAE of Vahdat and Kautz (2020)",
    model={"conditioning": "local", "cell_key_channels": 0, "prior_log_std_range": (-5.0, 5.0)},
)

OMNIGLOT_ATTENTIVE = Experiment(
    name="omniglot-attentive-15",
    source=f"{PROGRAM}, 400 epochs",
    data=DataConfig("omniglot", binarize="dynamic", validation=1_345),
    model=AttentiveConfig(
        image_shape=(1, 28, 28),
        bits=1,
        layers=15,
        width=64,
        latent_channels=20,
        key_channels=8,
        normalise_evidence=False,
        image_blocks=2,
        padding=2,
        merger_key_channels=8,
        output_key_channels=8,
        likelihood="bernoulli",
    ),
    training=_published_training(batch_size=32, steps_per_epoch=760, epochs=400),
)

MNIST_ATTENTIVE = derive(
    OMNIGLOT_ATTENTIVE,
    name="mnist-attentive-15",
    source="ours: omniglot-attentive-15 on MNIST for as many updates, as no configuration was published",
    data=DataConfig("mnist", binarize="dynamic", validation=10_000),
    training=_published_training(batch_size=32, steps_per_epoch=1875, epochs=160),
)

IMAGENET32_ATTENTIVE = derive(
    CIFAR10_ATTENTIVE,
    name="imagenet32-attentive-16",
    source="ours: cifar10-attentive-16 on ImageNet-32 for 60 epochs; no result or configuration was published",
    data=DataConfig("imagenet32", validation=5_000),
    # The warm-ups are those of cifar10-attentive-16 in updates: an epoch is 26 times as long here.
    training={"steps": 60 * 8007, "logging": {"evaluate_every": 8007, "checkpoint_every": 8007}},
)

DIGITS_ATTENTIVE = Experiment(
    name="digits-attentive",
    source="design of Apostolopoulou et al. (2022), scaled to 8×8 images; training tuned here on two CPU cores",
    data=DataConfig("digits", validation=150),
    model=AttentiveConfig(
        image_shape=(1, 8, 8), bits=4, layers=5, width=28, latent_channels=2, key_channels=4, blocks=1
    ),
    training=TrainingConfig(
        steps=1300,
        batch_size=48,
        optimizer=OptimizerConfig(kind="adam", ema_decay=0.98),
        learning_rate=LearningRateConfig(peak=1e-2, warmup_steps=100),
        kl_weight=KLWeightConfig(warmup_steps=500),
        logging=LoggingConfig(checkpoint_every=10),
    ),
)

DIGITS_LOCAL = derive(
    DIGITS_ATTENTIVE,
    name="digits-local",
    source="digits-attentive with layers conditioned on the one above alone: its twin for comparison",
    model={"conditioning": "local"},
)

PHOTOS32_ATTENTIVE = Experiment(
    name="photos32-attentive",
    source="design of Apostolopoulou et al. (2022), small enough for two CPU cores",
    data=DataConfig("photos32", flip_horizontal=True, validation=500),
    model=AttentiveConfig(
        image_shape=(3, 32, 32),
        bits=8,
        layers=4,
        width=24,
        latent_channels=4,
        key_channels=8,
        blocks=1,
        halvings=2,
        likelihood="discretized_logistic_mixture",
        mixtures=3,
    ),
    training=TrainingConfig(
        steps=1000,
        batch_size=16,
        optimizer=OptimizerConfig(kind="adamax"),
        learning_rate=LearningRateConfig(peak=1e-2, warmup_steps=50),
        kl_weight=KLWeightConfig(start=0.1, warmup_steps=200),
        logging=LoggingConfig(evaluation_images=64, checkpoint_every=50),
    ),
)

PHOTOS32_LOCAL = derive(
    PHOTOS32_ATTENTIVE,
    name="photos32-local",
    source="photos32-attentive with layers conditioned on the one above alone: its twin for comparison",
    model={"conditioning": "local"},
)


def _without_normalisation(preset: Experiment) -> Experiment:
    return derive(
        preset,
        name=f"{preset.name}-plain",
        source=f"{preset.name} without normalisation of contexts and evidence: the form that unit 06 writes",
        model={"normalise_contexts": False, "normalise_evidence": False},
    )


DIGITS_ATTENTIVE_PLAIN = _without_normalisation(DIGITS_ATTENTIVE)
DIGITS_LOCAL_PLAIN = _without_normalisation(DIGITS_LOCAL)
PHOTOS32_ATTENTIVE_PLAIN = _without_normalisation(PHOTOS32_ATTENTIVE)
PHOTOS32_LOCAL_PLAIN = _without_normalisation(PHOTOS32_LOCAL)

PRESETS = (
    DIGITS_ATTENTIVE,
    DIGITS_LOCAL,
    DIGITS_ATTENTIVE_PLAIN,
    DIGITS_LOCAL_PLAIN,
    PHOTOS32_ATTENTIVE,
    PHOTOS32_LOCAL,
    PHOTOS32_ATTENTIVE_PLAIN,
    PHOTOS32_LOCAL_PLAIN,
    MNIST_ATTENTIVE,
    OMNIGLOT_ATTENTIVE,
    CIFAR10_ATTENTIVE,
    CIFAR10_NVAE_LIKE,
    IMAGENET32_ATTENTIVE,
)
