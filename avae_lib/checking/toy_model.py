"""A small model for judging one training step: it answers in an ELBO, yet holds no piece that students write."""

from __future__ import annotations

from torch import Tensor, nn

from avae_lib.objectives import ELBO

__all__ = ["ToyModel"]


class ToyModel(nn.Module):
    """Linear codes of an image, scored by squared distances: quadratic terms in the places of an ELBO's.

    Out of training mode its codes shrink, as those of a model with dropout or batch statistics change, so a step
    that is taken in the wrong mode shows.

    Args:
        encoder: ``(pixels, layers)``; each layer's code is one number.
        decoder: ``(layers, pixels)``.
    """

    def __init__(self, encoder: Tensor, decoder: Tensor) -> None:
        super().__init__()
        self.encoder = nn.Parameter(encoder.clone())
        self.decoder = nn.Parameter(decoder.clone())

    def forward(self, x: Tensor) -> ELBO:
        pixels = x.flatten(1).to(self.encoder.dtype)  # (batch, pixels)
        codes = pixels @ self.encoder if self.training else 0.5 * pixels @ self.encoder  # (batch, layers)
        distances = (pixels - codes @ self.decoder).square().sum(dim=1)  # (batch,)
        return ELBO(log_likelihood=-distances, kl=codes.square())
