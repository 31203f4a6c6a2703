"""Residual cells: what a hierarchy computes between two of its stochastic layers."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from avae_lib.nn.convolutions import Resize, convolution, resizing

__all__ = ["ResidualBlock", "residual_cell"]


class ResidualBlock(nn.Module):
    r"""A shortcut and a correction to it.

    .. math:: y = S(x) + F(x), \qquad F = \mathrm{conv}_{3\times3} \circ \mathrm{swish}
              \circ \mathrm{conv}_{3\times3} \circ \mathrm{swish} \circ R

    R halves, doubles or keeps height and width, and S is R followed by a 1×1 convolution where the number of
    channels changes. Pre-activation as in He et al. (2016), so that a chain of blocks is the identity plus corrections.

    Args:
        in_channels, out_channels: channels of x and y.
        resize: what R does.
        init_scale: factor on the initial weights of the last convolution of F. With 1/√N in a chain of N blocks the
            corrections add up to the size of one, however deep the chain (Child, 2021).
    """

    def __init__(self, in_channels: int, out_channels: int, resize: Resize = "keep", init_scale: float = 1.0) -> None:
        super().__init__()
        self.resize = resizing(resize)
        self.match = nn.Identity() if in_channels == out_channels else convolution(in_channels, out_channels, 1)
        self.correction = nn.Sequential(
            nn.SiLU(),
            convolution(in_channels, out_channels),
            nn.SiLU(),
            convolution(out_channels, out_channels, init_scale=init_scale),
        )

    def forward(self, x: Float[Tensor, "batch in_channels h w"]) -> Float[Tensor, "batch out_channels h2 w2"]:
        x = self.resize(x)
        return self.match(x) + self.correction(x)


def residual_cell(width: int, blocks: int, init_scale: float = 1.0) -> nn.Sequential:
    """A chain of ``blocks`` residual blocks that keeps channels, height and width."""
    return nn.Sequential(*(ResidualBlock(width, width, init_scale=init_scale) for _ in range(blocks)))
