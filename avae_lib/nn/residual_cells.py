"""Residual cells: what a hierarchy computes between two of its stochastic layers, and between pixels and latents.

Apostolopoulou et al. (2022) after Vahdat & Kautz (2020), with plain convolutions and without squeeze-and-excitation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avae_lib.nn.convolutions import Resize, WeightNormConvolution
from avae_lib.nn.nonlocal_block import non_local_or_identity
from avae_lib.nn.unpooling import Enlargement

__all__ = [
    "FactorizedReduction",
    "JoiningConvolution",
    "Node",
    "ResidualBlock",
    "SummingConvolution",
    "residual_cell",
    "resized_channels",
]


class JoiningConvolution(nn.Module):
    r"""A linear map of two streams laid side by side.

    .. math:: y = W (a \oplus b)

    Args:
        first, second: channels of a and b.
        out_channels: channels of y.
        key_channels: of the non-local block that follows; 0 for none.

    >>> JoiningConvolution(4, 2, out_channels=6)(torch.zeros(1, 4, 3, 3), torch.zeros(1, 2, 3, 3)).shape
    torch.Size([1, 6, 3, 3])
    """

    def __init__(self, first: int, second: int, out_channels: int, key_channels: int = 0) -> None:
        super().__init__()
        self.map = WeightNormConvolution(first + second, out_channels)
        self.non_local = non_local_or_identity(out_channels, key_channels)

    def forward(
        self, a: Float[Tensor, "batch first h w"], b: Float[Tensor, "batch second h w"]
    ) -> Float[Tensor, "batch out_channels h w"]:
        return self.non_local(self.map(torch.cat((a, b), dim=1)))


class SummingConvolution(nn.Module):
    r"""A stream corrected by a linear map of another.

    .. math:: y = V a + W b

    V is there only where a and y differ in width; else a is taken as it is.

    Args:
        first, second: channels of a and b.
        out_channels: channels of y.
        key_channels: of the non-local block that follows; 0 for none.

    >>> merge, a = SummingConvolution(4, 2, out_channels=4), torch.randn(1, 4, 3, 3)
    >>> b = torch.randn(1, 2, 3, 3)
    >>> bool(torch.allclose(merge(a, b), a + merge.map(b)))
    True
    """

    def __init__(self, first: int, second: int, out_channels: int, key_channels: int = 0) -> None:
        super().__init__()
        self.match = nn.Identity() if first == out_channels else WeightNormConvolution(first, out_channels)
        self.map = WeightNormConvolution(second, out_channels)
        self.non_local = non_local_or_identity(out_channels, key_channels)

    def forward(
        self, a: Float[Tensor, "batch first h w"], b: Float[Tensor, "batch second h w"]
    ) -> Float[Tensor, "batch out_channels h w"]:
        return self.non_local(self.match(a) + self.map(b))


RESIDUAL_SCALE = 0.1
"""Weight of the correction in a block: a chain of many starts close to the identity."""
NODES = 2
"""Nodes in a block."""


class Node(nn.Sequential):
    r"""The smallest part of a cell: normalise, look around, bend, convolve.

    .. math:: y = \mathrm{conv}_{3\times3} \circ \mathrm{swish} \circ \mathrm{nonlocal} \circ \mathrm{BN}\,(x)

    Args:
        in_channels, out_channels: channels of x and y.
        stride: of the convolution; all before it runs at the resolution of x.
        key_channels: of the non-local block; 0 for none.

    >>> Node(4, 6, stride=2)(torch.randn(2, 4, 8, 8)).shape
    torch.Size([2, 6, 4, 4])
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, key_channels: int = 0) -> None:
        super().__init__(
            nn.BatchNorm2d(in_channels),
            non_local_or_identity(in_channels, key_channels),
            nn.SiLU(),
            WeightNormConvolution(in_channels, out_channels, kernel_size=3, stride=stride),
        )


class FactorizedReduction(nn.Module):
    r"""Height and width halved and nothing thrown away: each of the four pixels of a square has a map of its own.

    .. math:: y = \bigoplus_{(i,j)} W_{ij}\, \mathrm{swish}(x)_{i::2,\, j::2}, \qquad
              (i, j) = (0, 0), (1, 1), (0, 1), (1, 0)

    Args:
        in_channels, out_channels: channels of x and y; the last map makes what the others leave of y.
        pixel_map: from numbers of channels (in, out) to a map that looks at each pixel alone.

    >>> FactorizedReduction(4, 8)(torch.randn(1, 4, 6, 6)).shape
    torch.Size([1, 8, 3, 3])
    """

    OFFSETS = ((0, 0), (1, 1), (0, 1), (1, 0))

    def __init__(
        self, in_channels: int, out_channels: int, pixel_map: Callable[[int, int], nn.Module] = WeightNormConvolution
    ) -> None:
        super().__init__()
        share, rest = divmod(out_channels, len(self.OFFSETS))
        widths = [share, share, share, share + rest]
        self.maps = nn.ModuleList(pixel_map(in_channels, width) for width in widths)

    def forward(self, x: Float[Tensor, "batch in_channels h w"]) -> Float[Tensor, "batch out_channels h//2 w//2"]:
        bent = nn.functional.silu(x)
        # The pixels are picked before the 1×1 map, which is the map of stride 2 on the shifted image.
        quarters = [one_map(bent[:, :, i::2, j::2]) for one_map, (i, j) in zip(self.maps, self.OFFSETS, strict=True)]
        return torch.cat(quarters, dim=1)


class ResidualBlock(nn.Module):
    r"""A shortcut and a small correction to it.

    .. math:: y = S(x) + 0.1\, (N_2 \circ N_1)(x)

    S is the identity where the size is kept. Where it is halved, S is a factorised reduction, and the first node
    strides. Where it is doubled, S is bilinear (corners aligned) and a 1×1 map, and the first node sees each pixel
    four times.

    Args:
        channels: of x.
        resize: what becomes of height and width, and inversely of the channels.
        key_channels: of the non-local blocks in the nodes, and in a shortcut that doubles; 0 for none.

    >>> x = torch.randn(2, 8, 4, 4)
    >>> [tuple(ResidualBlock(8, resize)(x).shape) for resize in ("keep", "halve", "double")]
    [(2, 8, 4, 4), (2, 16, 2, 2), (2, 4, 8, 8)]
    """

    def __init__(self, channels: int, resize: Resize = "keep", key_channels: int = 0) -> None:
        super().__init__()
        out_channels = resized_channels(channels, resize)
        self.shortcut = _shortcut(channels, out_channels, resize, key_channels)
        self.enlarge = Enlargement(scale_factor=2, mode="nearest") if resize == "double" else nn.Identity()
        first = Node(channels, out_channels, 2 if resize == "halve" else 1, key_channels)
        others = (Node(out_channels, out_channels, key_channels=key_channels) for _ in range(NODES - 1))
        self.nodes = nn.Sequential(first, *others)

    def forward(self, x: Float[Tensor, "batch channels h w"]) -> Float[Tensor, "batch out_channels h2 w2"]:
        return self.shortcut(x) + RESIDUAL_SCALE * self.nodes(self.enlarge(x))


def resized_channels(channels: int, resize: Resize) -> int:
    """Channels after a block: twice as many at half the height and width, half as many at twice.

    Raises:
        ValueError: there is no such way to resize, or an odd number of channels is to be halved.

    >>> [resized_channels(8, resize) for resize in ("keep", "halve", "double")]
    [8, 16, 4]
    """
    if resize not in ("keep", "halve", "double"):
        raise ValueError(f"resize must be keep, halve or double, got {resize!r}")
    if resize == "double" and channels % 2:
        raise ValueError(f"channels must be even where height and width are doubled, got {channels}")
    return {"keep": channels, "halve": 2 * channels, "double": channels // 2}[resize]


def residual_cell(channels: int, resizes: Sequence[Resize], key_channels: int = 0) -> nn.Sequential:
    """A chain of residual blocks, one for each entry of ``resizes``.

    >>> residual_cell(8, ["keep", "halve", "halve"])(torch.randn(1, 8, 16, 16)).shape
    torch.Size([1, 32, 4, 4])
    """
    blocks = []
    for resize in resizes:
        blocks.append(ResidualBlock(channels, resize, key_channels))
        channels = resized_channels(channels, resize)
    return nn.Sequential(*blocks)


def _shortcut(channels: int, out_channels: int, resize: Resize, key_channels: int) -> nn.Module:
    if resize == "keep":
        return nn.Identity()
    if resize == "halve":
        return FactorizedReduction(channels, out_channels)
    return nn.Sequential(
        Enlargement(scale_factor=2, mode="bilinear", align_corners=True),
        non_local_or_identity(channels, key_channels),
        WeightNormConvolution(channels, out_channels, bias=False),
    )
