"""VDVAE, Efficient-VDVAE, each of its changes alone, and the same questions asked of the attentive model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from avae_lib.models.attentive import AttentiveConfig
from avae_lib.models.vdvae import VDVAEConfig
from avae_lib.presets import find_preset
from avae_lib.presets.derivation import derive
from avae_lib.training.experiment import Experiment
from avae_lib.training.training_config import LearningRateConfig, LoggingConfig

__all__ = ["ARMS", "ATTENTIVE", "UPDATES", "Arm", "experiment"]

UPDATES = 500
"""Updates after which all arms are compared; VDVAE and Efficient-VDVAE go on from there."""

_BETAS = {"adamw": (0.9, 0.9), "adamax": (0.9, 0.999)}
"""As published: AdamW with those of VDVAE, Adamax with those of Efficient-VDVAE and of the attentive model."""


@dataclass(frozen=True)
class Arm:
    """One model and its optimizer."""

    name: str
    """Name of its folder and in the record."""
    label: str
    """Name in tables and figures."""
    preset: str
    """The preset whose data and training it has, save for what :func:`experiment` sets."""
    model: VDVAEConfig | AttentiveConfig
    optimizer: Literal["adamw", "adamax"]


_VDVAE = find_preset("photos32-vdvae").model
_EFFICIENT = find_preset("photos32-efficient-vdvae").model
_ATTENTIVE = find_preset("photos32-attentive").model

ARMS = (
    Arm("vdvae", "VDVAE", "photos32-vdvae", _VDVAE, "adamw"),
    Arm("efficient", "Efficient-VDVAE", "photos32-vdvae", _EFFICIENT, "adamax"),
    Arm(
        "narrow", "narrow and shallow", "photos32-vdvae", replace(_EFFICIENT, standard_deviation="exponential"), "adamw"
    ),
    Arm("softplus", "softplus", "photos32-vdvae", replace(_VDVAE, standard_deviation="softplus"), "adamw"),
    Arm("adamax", "Adamax", "photos32-vdvae", _VDVAE, "adamax"),
)
"""The base, all changes together, and each alone."""

ATTENTIVE = (
    Arm("attentive", "attentive", "photos32-attentive", _ATTENTIVE, "adamax"),
    Arm(
        "attentive-softplus",
        "attentive, softplus",
        "photos32-attentive",
        replace(_ATTENTIVE, standard_deviation="softplus"),
        "adamax",
    ),
    Arm("attentive-adamw", "attentive, AdamW", "photos32-attentive", _ATTENTIVE, "adamw"),
    Arm(
        "attentive-narrow",
        "attentive, narrow",
        "photos32-attentive",
        replace(_ATTENTIVE, width=12, key_channels=4),
        "adamax",
    ),
)
"""The preset; the softplus; AdamW, because Adamax is its own; and half the channels of values, keys and queries."""


def experiment(arm: Arm, rate: float, seed: int, steps: int) -> Experiment:
    """An arm trained from one seed with one learning rate, constant after its warm-up, and averaged weights.

    A constant rate makes a run of 500 updates the beginning of a longer one.
    """
    training = {
        "steps": steps,
        "seed": seed,
        "threads": 1,
        "device": "cpu",
        "optimizer": {"kind": arm.optimizer, "betas": _BETAS[arm.optimizer]},
        "learning_rate": LearningRateConfig(peak=rate, warmup_steps=50, schedule="constant"),
        "logging": LoggingConfig(metrics_every=50, evaluate_every=50, evaluation_images=128, checkpoint_every=200),
    }
    source = "experiments/efficient_vdvae"
    return derive(find_preset(arm.preset), name=arm.name, source=source, model=arm.model, training=training)
