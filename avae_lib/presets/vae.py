"""Presets of models with one latent layer: the VAE, and those that differ from it in objective, posterior or prior.

Each is digits-vae or mnist-vae in everything that is not written here.
"""

from __future__ import annotations

from dataclasses import replace

from avae_lib.data import DataConfig
from avae_lib.models.beta_tcvae import BetaTCVAEConfig
from avae_lib.models.beta_vae import BetaVAEConfig
from avae_lib.models.conditional_vae import ConditionalVAEConfig
from avae_lib.models.flow_vae import FlowVAEConfig
from avae_lib.models.info_vae import InfoVAEConfig
from avae_lib.models.inverse_lipschitz_vae import InverseLipschitzVAEConfig
from avae_lib.models.iwae import IWAEConfig
from avae_lib.models.vae import VAEConfig
from avae_lib.models.vampprior import VampPriorVAEConfig
from avae_lib.models.wasserstein_ae import WassersteinAEConfig
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

DIGITS_VAE = Experiment(
    name="digits-vae",
    source="sizes as in Kingma and Welling (2014), scaled to 8×8 images; training tuned here on two CPU cores",
    data=DataConfig("digits", binarize="threshold", validation=150),
    model=VAEConfig(image_shape=(1, 8, 8), latent_dim=8, hidden_sizes=(200, 200)),
    training=TrainingConfig(
        steps=2000,
        batch_size=100,
        optimizer=OptimizerConfig(kind="adam"),
        learning_rate=LearningRateConfig(peak=3e-3),
        kl_weight=KLWeightConfig(warmup_steps=500),
    ),
)

MNIST_VAE = Experiment(
    name="mnist-vae",
    source="layer sizes, batch size and binarisation of the one-layer VAE of Burda et al. (2016); 20 epochs only",
    data=DataConfig("mnist", binarize="dynamic", validation=10_000),
    model=VAEConfig(image_shape=(1, 28, 28), latent_dim=50, hidden_sizes=(200, 200)),
    training=TrainingConfig(
        steps=12_000,
        batch_size=100,
        optimizer=OptimizerConfig(kind="adam"),
        learning_rate=LearningRateConfig(peak=2e-3, warmup_steps=200),
        kl_weight=KLWeightConfig(
            warmup_steps=2000,  # with it 16 of 50 units become active instead of 11: −ELBO 98.6 instead of 103.1 nats
        ),
        logging=LoggingConfig(evaluate_every=500),
    ),
)

DIGITS = vars(DIGITS_VAE.model)
"""Fields of the model of digits-vae, for the configurations of other models."""
MNIST = vars(MNIST_VAE.model)
"""Fields of the model of mnist-vae, for the configurations of other models."""
AT_FULL_WEIGHT = {"kl_weight": {"warmup_steps": 0}}
"""No warm-up of the KL weight, so the model's own objective is trained from the first update."""

OTHER_OBJECTIVES = (
    derive(
        DIGITS_VAE,
        name="digits-iwae",
        source="Burda et al. (2016) with k = 5 draws, on the networks of digits-vae",
        model=IWAEConfig(**DIGITS, importance_samples=5),
        training=AT_FULL_WEIGHT,
    ),
    derive(
        MNIST_VAE,
        name="mnist-iwae",
        source="the one-layer model of Burda et al. (2016) with k = 50 draws; 20 epochs only",
        model=IWAEConfig(**MNIST, importance_samples=50),
        training=AT_FULL_WEIGHT,
    ),
    derive(
        DIGITS_VAE,
        name="digits-beta-vae",
        source="Higgins et al. (2017) on the networks of digits-vae; beta chosen here",
        model=BetaVAEConfig(**DIGITS, beta=2.0),
    ),
    derive(
        MNIST_VAE,
        name="mnist-beta-vae",
        source="Higgins et al. (2017), beta = 4, on the networks of mnist-vae",
        model=BetaVAEConfig(**MNIST, beta=4.0),
    ),
    derive(
        DIGITS_VAE,
        name="digits-beta-tcvae",
        source="Chen et al. (2018) on the networks of digits-vae; beta chosen here",
        model=BetaTCVAEConfig(**DIGITS, beta=4.0, dataset_size=1350),
    ),
    derive(
        MNIST_VAE,
        name="mnist-beta-tcvae",
        source="Chen et al. (2018) on the networks of mnist-vae; beta chosen here",
        model=BetaTCVAEConfig(**MNIST, beta=6.0, dataset_size=50_000),
    ),
    derive(
        DIGITS_VAE,
        name="digits-info-vae",
        source="Zhao et al. (2019) on the networks of digits-vae; weights of both terms chosen here",
        model=InfoVAEConfig(**DIGITS, alpha=0.5, mmd_weight=10.0),
    ),
    derive(
        MNIST_VAE,
        name="mnist-info-vae",
        source="Zhao et al. (2019) on the networks of mnist-vae; weights of both terms chosen here",
        model=InfoVAEConfig(**MNIST, alpha=0.5, mmd_weight=100.0),
    ),
    derive(
        DIGITS_VAE,
        name="digits-wae",
        source="Tolstikhin et al. (2018) on the networks of digits-vae; weight of the penalty chosen here",
        model=WassersteinAEConfig(**DIGITS, penalty="mmd", penalty_weight=100.0),
        training=AT_FULL_WEIGHT,
    ),
    derive(
        MNIST_VAE,
        name="mnist-wae",
        source="Tolstikhin et al. (2018), with their 8 latents, on the networks of mnist-vae; weight of the penalty "
        "chosen here",
        model=replace(WassersteinAEConfig(**MNIST, penalty="mmd", penalty_weight=1000.0), latent_dim=8),
        training=AT_FULL_WEIGHT,
    ),
    derive(
        DIGITS_VAE,
        name="digits-conditional-vae",
        source="Sohn et al. (2015) with the class as condition, on the networks of digits-vae",
        data={"labels": True},
        model=ConditionalVAEConfig(**DIGITS, num_classes=10),
    ),
    derive(
        MNIST_VAE,
        name="mnist-conditional-vae",
        source="Sohn et al. (2015) with the class as condition, on the networks of mnist-vae",
        data={"labels": True},
        model=ConditionalVAEConfig(**MNIST, num_classes=10),
    ),
)
"""Models with another objective than the VAE's bound, and the conditional VAE."""

OTHER_POSTERIORS = (
    derive(
        DIGITS_VAE,
        name="digits-planar-flow",
        source="Rezende and Mohamed (2015), 8 planar steps, on the networks of digits-vae",
        model=FlowVAEConfig(**DIGITS, flow="planar", flow_steps=8),
    ),
    derive(
        MNIST_VAE,
        name="mnist-planar-flow",
        source="Rezende and Mohamed (2015), 40 planar steps, on the networks of mnist-vae",
        model=FlowVAEConfig(**MNIST, flow="planar", flow_steps=40),
    ),
    derive(
        DIGITS_VAE,
        name="digits-iaf",
        source="Kingma et al. (2016), 4 gated steps, on the networks of digits-vae",
        model=FlowVAEConfig(**DIGITS, flow="inverse_autoregressive", flow_steps=4, flow_width=64, context_dim=32),
    ),
    derive(
        MNIST_VAE,
        name="mnist-iaf",
        source="Kingma et al. (2016), 4 gated steps, on the networks of mnist-vae",
        model=FlowVAEConfig(**MNIST, flow="inverse_autoregressive", flow_steps=4, flow_width=320, context_dim=100),
    ),
    derive(
        DIGITS_VAE,
        name="digits-vampprior",
        source="Tomczak and Welling (2018), 50 pseudo-inputs, on the networks of digits-vae",
        model=VampPriorVAEConfig(**DIGITS, pseudo_inputs=50),
    ),
    derive(
        MNIST_VAE,
        name="mnist-vampprior",
        source="Tomczak and Welling (2018), 500 pseudo-inputs, on the networks of mnist-vae",
        model=VampPriorVAEConfig(**MNIST, pseudo_inputs=500),
    ),
    derive(
        DIGITS_VAE,
        name="digits-inverse-lipschitz",
        source="after Kinoshita et al. (2023), on the networks of digits-vae; the bound chosen here",
        model=InverseLipschitzVAEConfig(**DIGITS, inverse_lipschitz=1.0),
    ),
    derive(
        MNIST_VAE,
        name="mnist-inverse-lipschitz",
        source="after Kinoshita et al. (2023), on the networks of mnist-vae; the bound chosen here",
        model=InverseLipschitzVAEConfig(**MNIST, inverse_lipschitz=1.0),
    ),
)
"""Models with another posterior, prior or decoder than the VAE's."""

PRESETS = (DIGITS_VAE, MNIST_VAE, *OTHER_OBJECTIVES, *OTHER_POSTERIORS)
