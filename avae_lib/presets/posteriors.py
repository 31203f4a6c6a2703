"""Presets of one-layer models with another posterior, prior or decoder than the VAE's.

Each is digits-vae or mnist-vae in all that is not named.
"""

from __future__ import annotations

from dataclasses import replace

from avae_lib.models.flow_vae import FlowVAEConfig
from avae_lib.models.inverse_lipschitz_vae import InverseLipschitzVAEConfig
from avae_lib.models.vampprior import VampPriorVAEConfig
from avae_lib.presets.vae import DIGITS_VAE, MNIST_VAE

__all__ = ["PRESETS"]

DIGITS = {"image_shape": (1, 8, 8), "latent_dim": 8, "hidden_sizes": (200, 200)}
MNIST = {"image_shape": (1, 28, 28), "latent_dim": 50, "hidden_sizes": (200, 200)}

PRESETS = (
    replace(
        DIGITS_VAE,
        name="digits-planar-flow",
        source="Rezende and Mohamed (2015), 8 planar steps, on the networks of digits-vae",
        model=FlowVAEConfig(**DIGITS, flow="planar", flow_steps=8),
    ),
    replace(
        MNIST_VAE,
        name="mnist-planar-flow",
        source="Rezende and Mohamed (2015), 40 planar steps, on the networks of mnist-vae",
        model=FlowVAEConfig(**MNIST, flow="planar", flow_steps=40),
    ),
    replace(
        DIGITS_VAE,
        name="digits-iaf",
        source="Kingma et al. (2016), 4 gated steps, on the networks of digits-vae",
        model=FlowVAEConfig(**DIGITS, flow="inverse_autoregressive", flow_steps=4, flow_width=64, context_dim=32),
    ),
    replace(
        MNIST_VAE,
        name="mnist-iaf",
        source="Kingma et al. (2016), 4 gated steps, on the networks of mnist-vae",
        model=FlowVAEConfig(**MNIST, flow="inverse_autoregressive", flow_steps=4, flow_width=320, context_dim=100),
    ),
    replace(
        DIGITS_VAE,
        name="digits-vampprior",
        source="Tomczak and Welling (2018), 50 pseudo-inputs, on the networks of digits-vae",
        model=VampPriorVAEConfig(**DIGITS, pseudo_inputs=50),
    ),
    replace(
        MNIST_VAE,
        name="mnist-vampprior",
        source="Tomczak and Welling (2018), 500 pseudo-inputs, on the networks of mnist-vae",
        model=VampPriorVAEConfig(**MNIST, pseudo_inputs=500),
    ),
    replace(
        DIGITS_VAE,
        name="digits-inverse-lipschitz",
        source="after Kinoshita et al. (2023), on the networks of digits-vae; the bound chosen here",
        model=InverseLipschitzVAEConfig(**DIGITS, inverse_lipschitz=1.0),
    ),
    replace(
        MNIST_VAE,
        name="mnist-inverse-lipschitz",
        source="after Kinoshita et al. (2023), on the networks of mnist-vae; the bound chosen here",
        model=InverseLipschitzVAEConfig(**MNIST, inverse_lipschitz=1.0),
    ),
)
