"""Two presets of the linear VAE."""

from avae_lib.presets import find_preset
from avae_lib.presets.derivation import derive
from line_models.line_vae import LineVAEConfig

DIGITS_LINE = derive(
    find_preset("digits-vae"), name="digits-line", source="digits-vae with linear networks", model=LineVAEConfig()
)
DIGITS_NARROW_LINE = derive(DIGITS_LINE, name="digits-narrow-line", model={"latent_dim": 1})

PRESETS = (DIGITS_LINE, DIGITS_NARROW_LINE)
