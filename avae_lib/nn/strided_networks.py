"""The convolutional encoder and decoder of a VQ-VAE: strided convolutions, and residual blocks between them.

A. van den Oord, O. Vinyals, K. Kavukcuoglu, "Neural Discrete Representation Learning", NeurIPS 2017, section 4.1.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from avae_lib.nn.convolutions import convolution

__all__ = ["PlainResidualBlock", "strided_decoder", "strided_encoder"]


class PlainResidualBlock(nn.Module):
    r"""A shortcut and two convolutions.

    .. math:: y = x + \mathrm{conv}_{1\times1}\,\mathrm{ReLU}\,\mathrm{conv}_{3\times3}\,\mathrm{ReLU}\,(x)

    >>> import torch
    >>> PlainResidualBlock(channels=4)(torch.zeros(1, 4, 5, 5)).shape
    torch.Size([1, 4, 5, 5])
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.correction = nn.Sequential(
            nn.ReLU(), convolution(channels, channels), nn.ReLU(), convolution(channels, channels, kernel_size=1)
        )

    def forward(self, x: Float[Tensor, "batch channels h w"]) -> Float[Tensor, "batch channels h w"]:
        return x + self.correction(x)


def strided_encoder(in_channels: int, channels: int, halvings: int, blocks: int) -> nn.Sequential:
    """``halvings`` convolutions 4×4 of stride 2, each with a rectifier, then a 3×3 one and residual blocks.

    >>> import torch
    >>> strided_encoder(3, channels=8, halvings=2, blocks=1)(torch.zeros(1, 3, 32, 32)).shape
    torch.Size([1, 8, 8, 8])
    """
    layers: list[nn.Module] = []
    for index in range(halvings):
        halve = nn.Conv2d(channels if index else in_channels, channels, kernel_size=4, stride=2, padding=1)
        layers += [halve, nn.ReLU()]
    return nn.Sequential(*layers, convolution(channels, channels), *_residual_blocks(channels, blocks))


def strided_decoder(in_channels: int, channels: int, doublings: int, blocks: int) -> nn.Sequential:
    """A 3×3 convolution, residual blocks, and ``doublings`` transposed convolutions 4×4 of stride 2 with rectifiers.

    >>> import torch
    >>> strided_decoder(16, channels=8, doublings=2, blocks=1)(torch.zeros(1, 16, 8, 8)).shape
    torch.Size([1, 8, 32, 32])
    """
    layers: list[nn.Module] = [convolution(in_channels, channels), *_residual_blocks(channels, blocks)]
    for _ in range(doublings):
        layers += [nn.ConvTranspose2d(channels, channels, kernel_size=4, stride=2, padding=1), nn.ReLU()]
    return nn.Sequential(*layers)


def _residual_blocks(channels: int, blocks: int) -> list[nn.Module]:
    return [*(PlainResidualBlock(channels) for _ in range(blocks)), nn.ReLU()]
