"""A small model for judging one training step: it answers in an ELBO, yet holds no piece that students write."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from avae_lib.objectives import ELBO

__all__ = ["ToyModel"]


class ToyModel(nn.Module):
    """Linear codes of an image, scored by squared distances: quadratic terms in the places of an ELBO's.

    In training mode the batch's mean enters the codes, as in a model with batch statistics, so a step that is taken in
    the wrong mode, or example by example, shows. Each call draws noise from torch's global generator, as that of a
    VAE does, and is counted, so a second call shows too.

    Args:
        encoder: ``(pixels, layers)``; each layer's code is one number.
        decoder: ``(layers, pixels)``.
        log_scale: added to every log-likelihood, which may be positive by that.
    """

    def __init__(self, encoder: Tensor, decoder: Tensor, log_scale: float = 0.0) -> None:
        super().__init__()
        self.log_scale = log_scale
        self.calls = 0
        self.encoder = nn.Parameter(encoder.clone())
        self.decoder = nn.Parameter(decoder.clone())

    def forward(self, x: Tensor) -> ELBO:
        self.calls += 1
        if x.ndim != 4:
            raise ValueError(f"the model takes images (batch, channels, height, width), got shape {tuple(x.shape)}")
        pixels = x.flatten(1).to(self.encoder.dtype)  # (batch, pixels)
        codes = pixels @ self.encoder  # (batch, layers)
        codes = codes - 0.3 * codes.mean(dim=0) if self.training else 0.5 * codes
        draws = codes + 0.3 * torch.randn(codes.shape, dtype=codes.dtype)
        distances = (pixels - draws @ self.decoder).square().sum(dim=1)  # (batch,)
        return ELBO(log_likelihood=self.log_scale - distances, kl=codes.square())
