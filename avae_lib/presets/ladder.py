"""Presets of hierarchies of vectors: the Ladder VAE, the plain stack that is its twin, and BIVA."""

from __future__ import annotations

from avae_lib.data import DataConfig
from avae_lib.models.biva import BIVAConfig
from avae_lib.models.ladder import LadderConfig
from avae_lib.presets.derivation import derive
from avae_lib.training.experiment import Experiment
from avae_lib.training.training_config import (
    KLWeightConfig,
    LearningRateConfig,
    LoggingConfig,
    OptimizerConfig,
    TrainingConfig,
)

__all__ = ["PRESETS"]

MNIST_EPOCH = 60_000 // 256

MNIST_LADDER_5 = Experiment(
    name="mnist-ladder-5",
    source="layer sizes, batch size, binarisation and the warm-up of 200 epochs of Sønderby et al. (2016); 400 epochs "
    "with a cosine decay are ours",
    data=DataConfig("mnist", binarize="dynamic", validation=10_000),
    model=LadderConfig(image_shape=(1, 28, 28), latent_dims=(64, 32, 16, 8, 4), hidden_sizes=(512, 256, 128, 64, 64)),
    training=TrainingConfig(
        steps=400 * MNIST_EPOCH,
        batch_size=256,
        optimizer=OptimizerConfig(kind="adam", ema_decay=0.999),
        learning_rate=LearningRateConfig(peak=1e-3),
        kl_weight=KLWeightConfig(warmup_steps=200 * MNIST_EPOCH),
        logging=LoggingConfig(evaluate_every=1000, checkpoint_every=1000),
    ),
)

MNIST_PLAIN_5 = derive(
    MNIST_LADDER_5,
    name="mnist-plain-5",
    source="mnist-ladder-5 with inference upwards alone, nothing shared with the generative model: the twin that fails",
    model={"inference": "bottom_up"},
)

DIGITS_LADDER = Experiment(
    name="digits-ladder",
    source="design of Sønderby et al. (2016), scaled to 8×8 images; training tuned here on two CPU cores",
    data=DataConfig("digits", binarize="threshold", validation=150),
    model=LadderConfig(latent_dims=(16, 8, 4), hidden_sizes=(128, 64, 32)),
    training=TrainingConfig(
        steps=1500,
        batch_size=100,
        optimizer=OptimizerConfig(kind="adam", ema_decay=0.98),
        learning_rate=LearningRateConfig(peak=3e-3),
        kl_weight=KLWeightConfig(warmup_steps=600),
    ),
)

DIGITS_PLAIN = derive(
    DIGITS_LADDER,
    name="digits-plain",
    source="digits-ladder with inference upwards alone, nothing shared with the generative model: the twin that fails",
    model={"inference": "bottom_up"},
)

DIGITS_BIVA = derive(
    DIGITS_LADDER,
    name="digits-biva",
    source="way of inference and skip paths of Maaløe et al. (2019), fully-connected and scaled to 8×8 images; "
    "training as for digits-ladder, but shorter",
    model=BIVAConfig(latent_dims=(8, 4, 4), hidden_sizes=(128, 64, 32)),
    training={"steps": 1000, "kl_weight": {"warmup_steps": 500}},
)

PRESETS = (MNIST_LADDER_5, MNIST_PLAIN_5, DIGITS_LADDER, DIGITS_PLAIN, DIGITS_BIVA)
