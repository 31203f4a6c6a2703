"""Restoring images that are incomplete, noisy or blurred, with a hierarchy of latents as the prior."""

from avae_lib.restoration.degradations import CircularBlur, Degradation, Mask, Unchanged, gaussian_kernel
from avae_lib.restoration.plug_and_play import Autoencoded, Restoration, psnr, restore, tempered_pass

__all__ = [
    "Autoencoded",
    "CircularBlur",
    "Degradation",
    "Mask",
    "Restoration",
    "Unchanged",
    "gaussian_kernel",
    "psnr",
    "restore",
    "tempered_pass",
]
