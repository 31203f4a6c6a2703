"""Named experiments. Each can be trained as it is, or with any of its fields overridden."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace

import torch

from avae_lib.data import DataConfig
from avae_lib.models.hierarchy import HierarchyConfig
from avae_lib.models.vae import VAEConfig
from avae_lib.training.experiment import Experiment
from avae_lib.training.training_config import TrainingConfig

__all__ = ["PRESETS", "PresetSummary", "UnknownPreset", "find_preset", "summary"]

DIGITS_VAE = Experiment(
    name="digits-vae",
    source="sizes as in Kingma and Welling (2014), scaled to 8×8 images; training tuned here on two CPU cores",
    data=DataConfig("digits", binarize="threshold"),
    model=VAEConfig(image_shape=(1, 8, 8), latent_dim=8, hidden_sizes=(200, 200)),
    training=TrainingConfig(steps=2000, batch_size=100, optimizer="adam", learning_rate=3e-3, beta_warmup_steps=500),
)

MNIST_VAE = Experiment(
    name="mnist-vae",
    source="layer sizes, batch size and binarisation of the one-layer VAE of Burda et al. (2016); 20 epochs only",
    data=DataConfig("mnist", binarize="dynamic"),
    model=VAEConfig(image_shape=(1, 28, 28), latent_dim=50, hidden_sizes=(200, 200)),
    training=TrainingConfig(
        steps=12_000,
        batch_size=100,
        optimizer="adam",
        learning_rate=2e-3,
        warmup_steps=200,
        beta_warmup_steps=2000,  # with it 16 of 50 units become active instead of 11: −ELBO 98.6 instead of 103.1 nats
        evaluate_every=500,
    ),
)

DIGITS_ATTENTIVE = Experiment(
    name="digits-attentive",
    source="design of Apostolopoulou et al. (2022), scaled to 8×8 images; training tuned here on two CPU cores",
    data=DataConfig("digits"),
    model=HierarchyConfig(conditioning="attentive", layers=5, latent_channels=2),
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

PRESETS = {preset.name: preset for preset in (DIGITS_VAE, DIGITS_ATTENTIVE, DIGITS_LOCAL, MNIST_VAE)}
"""All presets by name."""


class UnknownPreset(ValueError):
    """A name that no preset has."""


def find_preset(name: str) -> Experiment:
    """The preset of that name.

    Raises:
        UnknownPreset: there is none; the message lists them and suggests the nearest.
    """
    if name not in PRESETS:
        close = difflib.get_close_matches(name, PRESETS, n=1)
        hint = f", did you mean {close[0]!r}?" if close else "."
        raise UnknownPreset(f"no preset is called {name!r}{hint} There are: {', '.join(PRESETS)}")
    return PRESETS[name]


@dataclass(frozen=True)
class PresetSummary:
    """One line of the list of presets."""

    name: str
    dataset: str
    layers: int
    """Stochastic layers."""
    parameters: int
    """Trainable numbers in the model."""


def summary(preset: Experiment) -> PresetSummary:
    """What a preset amounts to, counted on the model that it builds."""
    with torch.device("meta"):  # shapes only: the largest model is counted at once
        model = preset.model.build()
    parameters = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    return PresetSummary(preset.name, preset.data.name, model.num_layers, parameters)
