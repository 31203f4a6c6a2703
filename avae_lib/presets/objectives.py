"""Presets of one-layer models that are trained on something else than the VAE's bound, and of the conditional VAE.

Each is digits-vae or mnist-vae in all that is not named.
"""

from __future__ import annotations

from dataclasses import replace

from avae_lib.models.beta_tcvae import BetaTCVAEConfig
from avae_lib.models.beta_vae import BetaVAEConfig
from avae_lib.models.conditional_vae import ConditionalVAEConfig
from avae_lib.models.info_vae import InfoVAEConfig
from avae_lib.models.iwae import IWAEConfig
from avae_lib.models.wasserstein_ae import WassersteinAEConfig
from avae_lib.presets.vae import DIGITS_VAE, MNIST_VAE

__all__ = ["PRESETS"]

DIGITS = {"image_shape": (1, 8, 8), "latent_dim": 8, "hidden_sizes": (200, 200)}
MNIST = {"image_shape": (1, 28, 28), "latent_dim": 50, "hidden_sizes": (200, 200)}

AT_FULL_WEIGHT = replace(DIGITS_VAE.training, beta_warmup_steps=0)
"""No warm-up of the KL: the objective is the model's own from the first update."""
MNIST_AT_FULL_WEIGHT = replace(MNIST_VAE.training, beta_warmup_steps=0)

PRESETS = (
    replace(
        DIGITS_VAE,
        name="digits-iwae",
        source="Burda et al. (2016) with k = 5 draws, on the networks of digits-vae",
        model=IWAEConfig(**DIGITS, importance_samples=5),
        training=AT_FULL_WEIGHT,
    ),
    replace(
        MNIST_VAE,
        name="mnist-iwae",
        source="the one-layer model of Burda et al. (2016) with k = 50 draws; 20 epochs only",
        model=IWAEConfig(**MNIST, importance_samples=50),
        training=MNIST_AT_FULL_WEIGHT,
    ),
    replace(
        DIGITS_VAE,
        name="digits-beta-vae",
        source="Higgins et al. (2017) on the networks of digits-vae; beta chosen here",
        model=BetaVAEConfig(**DIGITS, beta=2.0),
    ),
    replace(
        MNIST_VAE,
        name="mnist-beta-vae",
        source="Higgins et al. (2017), beta = 4, on the networks of mnist-vae",
        model=BetaVAEConfig(**MNIST, beta=4.0),
    ),
    replace(
        DIGITS_VAE,
        name="digits-beta-tcvae",
        source="Chen et al. (2018) on the networks of digits-vae; beta chosen here",
        model=BetaTCVAEConfig(**DIGITS, beta=4.0, dataset_size=1350),
    ),
    replace(
        MNIST_VAE,
        name="mnist-beta-tcvae",
        source="Chen et al. (2018) on the networks of mnist-vae; beta chosen here",
        model=BetaTCVAEConfig(**MNIST, beta=6.0, dataset_size=50_000),
    ),
    replace(
        DIGITS_VAE,
        name="digits-info-vae",
        source="Zhao et al. (2019) on the networks of digits-vae; weights of both terms chosen here",
        model=InfoVAEConfig(**DIGITS, alpha=0.5, mmd_weight=10.0),
    ),
    replace(
        MNIST_VAE,
        name="mnist-info-vae",
        source="Zhao et al. (2019) on the networks of mnist-vae; weights of both terms chosen here",
        model=InfoVAEConfig(**MNIST, alpha=0.5, mmd_weight=100.0),
    ),
    replace(
        DIGITS_VAE,
        name="digits-wae",
        source="Tolstikhin et al. (2018) on the networks of digits-vae; weight of the penalty chosen here",
        model=WassersteinAEConfig(**DIGITS, penalty="mmd", penalty_weight=100.0),
        training=AT_FULL_WEIGHT,
    ),
    replace(
        MNIST_VAE,
        name="mnist-wae",
        source="Tolstikhin et al. (2018), with their 8 latents, on the networks of mnist-vae; weight of the penalty "
        "chosen here",
        model=WassersteinAEConfig(**{**MNIST, "latent_dim": 8}, penalty="mmd", penalty_weight=1000.0),
        training=MNIST_AT_FULL_WEIGHT,
    ),
    replace(
        DIGITS_VAE,
        name="digits-conditional-vae",
        source="Sohn et al. (2015) with the class as condition, on the networks of digits-vae",
        data=replace(DIGITS_VAE.data, labels=True),
        model=ConditionalVAEConfig(**DIGITS, num_classes=10),
    ),
    replace(
        MNIST_VAE,
        name="mnist-conditional-vae",
        source="Sohn et al. (2015) with the class as condition, on the networks of mnist-vae",
        data=replace(MNIST_VAE.data, labels=True),
        model=ConditionalVAEConfig(**MNIST, num_classes=10),
    ),
)
