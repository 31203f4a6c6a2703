"""Presets of the variational autoencoder with one latent layer."""

from __future__ import annotations

from avae_lib.data import DataConfig
from avae_lib.models.vae import VAEConfig
from avae_lib.training.experiment import Experiment
from avae_lib.training.training_config import TrainingConfig

__all__ = ["PRESETS"]

DIGITS_VAE = Experiment(
    name="digits-vae",
    source="sizes as in Kingma and Welling (2014), scaled to 8×8 images; training tuned here on two CPU cores",
    data=DataConfig("digits", binarize="threshold", validation=150),
    model=VAEConfig(image_shape=(1, 8, 8), latent_dim=8, hidden_sizes=(200, 200)),
    training=TrainingConfig(steps=2000, batch_size=100, optimizer="adam", learning_rate=3e-3, beta_warmup_steps=500),
)

MNIST_VAE = Experiment(
    name="mnist-vae",
    source="layer sizes, batch size and binarisation of the one-layer VAE of Burda et al. (2016); 20 epochs only",
    data=DataConfig("mnist", binarize="dynamic", validation=10_000),
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

PRESETS = (DIGITS_VAE, MNIST_VAE)
