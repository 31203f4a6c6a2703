"""A small configuration of every family of models, for tests that treat all alike."""

from dataclasses import replace

from avae_lib.models.attentive import AttentiveConfig
from avae_lib.models.beta_tcvae import BetaTCVAEConfig
from avae_lib.models.beta_vae import BetaVAEConfig
from avae_lib.models.biva import BIVAConfig
from avae_lib.models.conditional_vae import ConditionalVAEConfig
from avae_lib.models.flow_vae import FlowVAEConfig
from avae_lib.models.info_vae import InfoVAEConfig
from avae_lib.models.inverse_lipschitz_vae import InverseLipschitzVAEConfig
from avae_lib.models.iwae import IWAEConfig
from avae_lib.models.ladder import LadderConfig
from avae_lib.models.nvae import NVAEConfig
from avae_lib.models.text_vae import TextVAEConfig
from avae_lib.models.vae import VAEConfig
from avae_lib.models.vampprior import VampPriorVAEConfig
from avae_lib.models.vdvae import VDVAEConfig
from avae_lib.models.vq_vae import VQVAEConfig
from avae_lib.models.vq_vae_2 import VQVAE2Config
from avae_lib.models.wasserstein_ae import WassersteinAEConfig

DENSE = {
    "image_shape": (1, 8, 8),
    "bits": 4,
    "likelihood": "discretized_logistic",
    "latent_dim": 4,
    "hidden_sizes": (32,),
}
STACK = {
    "bits": 4,
    "latent_dims": (8, 4),
    "hidden_sizes": (32, 32),
    "likelihood": "discretized_logistic",
    "mixtures": 2,
}
ATTENTIVE = AttentiveConfig(layers=3, width=8, latent_channels=2, key_channels=4, blocks=1, mixtures=2)
VDVAE = VDVAEConfig(
    image_shape=(3, 8, 8),
    enc_blocks="8x1,8d4,2x1,2d2,1x1",
    dec_blocks="1x2,2m1,8m2,8x2",
    width=16,
    bottleneck_multiple=0.5,
    latent_channels=2,
    mixtures=2,
)
CODES = {"image_shape": (3, 8, 8), "channels": 8, "blocks": 1, "codes": 6, "code_dim": 4, "mixtures": 2}
NVAE = NVAEConfig(groups=(1, 2), channels=8, latent_channels=2, mixtures=2)
CONFIGS = {
    "attentive": ATTENTIVE,
    "local": replace(ATTENTIVE, conditioning="local"),
    "beta-tcvae": BetaTCVAEConfig(**DENSE, dataset_size=100),
    "beta-vae": BetaVAEConfig(**DENSE),
    "biva": BIVAConfig(**STACK),
    "conditional": ConditionalVAEConfig(**DENSE, num_classes=3),
    "iaf": FlowVAEConfig(**DENSE, flow="inverse_autoregressive", flow_steps=2, flow_width=16, context_dim=3),
    "info-vae": InfoVAEConfig(**DENSE),
    "inverse lipschitz": InverseLipschitzVAEConfig((1, 8, 8), latent_dim=4, hidden_sizes=(32,), convex_units=4),
    "iwae": IWAEConfig(**DENSE),
    "ladder": LadderConfig(**STACK),
    "nvae": NVAE,
    "nvae with flows": replace(NVAE, flows=1, flow_rescales=True, weight_norm=True),
    "plain stack": LadderConfig(**STACK, inference="bottom_up"),
    "planar": FlowVAEConfig(**DENSE, flow="planar", flow_steps=3),
    "text": TextVAEConfig(sequence_length=6, vocabulary_size=9, embedding_dim=8, hidden_dim=16, latent_dim=3),
    "vae": VAEConfig(**DENSE),
    "vampprior": VampPriorVAEConfig(**DENSE, pseudo_inputs=3),
    "vdvae": VDVAE,
    "vdvae in groups": replace(VDVAE, group_size=4, upsampling="learned"),
    "vq-vae": VQVAEConfig(**CODES),
    "vq-vae-2": VQVAE2Config(**CODES, halvings=1),
    "wae": WassersteinAEConfig(**DENSE),
}
