"""Latent-variable models as codecs: lossless with bits back, lossy with quantised layers, and ordinary codecs."""

from avae_lib.compression.asymmetric_numeral_systems import (
    AnsStack,
    BrokenCode,
    FrequencyTable,
    Uniform,
    frequency_tables,
)
from avae_lib.compression.bits_back import Account, BitsBack, Coded, GaussianBins
from avae_lib.compression.latent_walk import latent_walk
from avae_lib.compression.quantised_layers import LossyResult, QuantisedLayers
from avae_lib.compression.reference_codecs import independent_pixel_bits, lossless_bits, lossy_bits
from avae_lib.compression.rounded_latents import NetBits, net_bits

__all__ = [
    "Account",
    "AnsStack",
    "BitsBack",
    "BrokenCode",
    "Coded",
    "FrequencyTable",
    "GaussianBins",
    "LossyResult",
    "NetBits",
    "QuantisedLayers",
    "Uniform",
    "frequency_tables",
    "independent_pixel_bits",
    "latent_walk",
    "lossless_bits",
    "lossy_bits",
    "net_bits",
]
