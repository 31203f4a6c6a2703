"""The residual cells of NVAE: batch-normalised, with a swish, weighed by squeeze and excitation.

A. Vahdat, J. Kautz, "NVAE: A Deep Hierarchical Variational Autoencoder", NeurIPS 2020, section 3.1 and figure 3.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from avae_lib.nn.convolutions import Resize, require_odd
from avae_lib.nn.residual_cells import FactorizedReduction
from avae_lib.nn.unpooling import Enlargement

__all__ = ["NVAECell", "SqueezeExcite", "decoder_cell", "encoder_cell", "normalised_convolution"]


class SqueezeExcite(nn.Module):
    r"""Each channel times a gate between 0 and 1 that is read off the means of all channels.

    .. math:: y_c = x_c \cdot \sigma\bigl(W_2 \operatorname{relu}(W_1 \bar x)\bigr)_c, \qquad
              \bar x = \operatorname{mean}_{hw} x

    Hu, Shen & Sun, "Squeeze-and-Excitation Networks" (2018), section 3.

    Args:
        channels: channels of x.
        reduction: how many times fewer channels the hidden layer has.
        least: fewest channels of the hidden layer.

    >>> import torch
    >>> layer, x = SqueezeExcite(channels=3), torch.ones(1, 3, 4, 4)
    >>> gates = layer(x) / x
    >>> bool(((0 < gates) & (gates < 1)).all()), bool((gates == gates[:, :, :1, :1]).all())
    (True, True)
    """

    def __init__(self, channels: int, reduction: int = 16, least: int = 4) -> None:
        super().__init__()
        hidden = max(channels // reduction, least)
        self.gate = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels), nn.Sigmoid())

    def forward(self, x: Float[Tensor, "batch channels h w"]) -> Float[Tensor, "batch channels h w"]:
        return x * self.gate(x.mean(dim=(2, 3)))[:, :, None, None]


RESIDUAL_WEIGHT = 0.1
"""Factor on what a cell adds to its shortcut, as in the released code."""
DEPTHWISE_KERNEL = 5
"""Side of the depthwise kernel, which alone sees beyond a pixel: large, and cheap since it mixes no channels."""


def normalised_convolution(
    in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1, weight_norm: bool = True
) -> nn.Conv2d:
    r"""A padded convolution, its weights written as a length times a direction for each output channel.

    .. math:: w_o = g_o \frac{v_o}{\lVert v_o \rVert}

    Salimans & Kingma (2016). ``.weight`` is w itself, so that penalties on weights need not know.

    Args:
        kernel_size: odd.
        weight_norm: False leaves w as it is.

    Raises:
        ValueError: an even kernel size.

    >>> layer = normalised_convolution(2, 3)
    >>> sorted(name for name, _ in layer.named_parameters())
    ['bias', 'parametrizations.weight.original0', 'parametrizations.weight.original1']
    """
    require_odd(kernel_size)
    layer = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2)
    if weight_norm:
        parametrizations.weight_norm(layer)  # in place
    return layer


class NVAECell(nn.Module):
    r"""A shortcut, and a small correction to it.

    .. math:: y = S(x) + 0.1\, \mathrm{SE}\bigl(F(x)\bigr)

    Args:
        shortcut: S.
        correction: F, whose results have the shape of those of S; not checked.
        out_channels: channels of y.

    >>> import torch
    >>> cell = NVAECell(nn.Identity(), nn.Conv2d(8, 8, 3, padding=1), out_channels=8)
    >>> cell(torch.zeros(1, 8, 4, 4)).shape
    torch.Size([1, 8, 4, 4])
    """

    def __init__(self, shortcut: nn.Module, correction: nn.Module, out_channels: int) -> None:
        super().__init__()
        self.shortcut = shortcut
        self.correction = nn.Sequential(correction, SqueezeExcite(out_channels))

    def forward(self, x: Float[Tensor, "batch in_channels h w"]) -> Float[Tensor, "batch out_channels h2 w2"]:
        return self.shortcut(x) + RESIDUAL_WEIGHT * self.correction(x)


def encoder_cell(in_channels: int, out_channels: int, resize: Resize = "keep", weight_norm: bool = True) -> NVAECell:
    """Twice BN – swish – 3×3 convolution; with ``resize="halve"`` the first one has stride two.

    Raises:
        ValueError: another way to resize, or channels that change where the size is kept.

    >>> import torch
    >>> encoder_cell(8, 16, "halve")(torch.zeros(2, 8, 4, 4)).shape
    torch.Size([2, 16, 2, 2])
    """
    _require_resize(resize, "halve", in_channels, out_channels)
    stride = 2 if resize == "halve" else 1
    correction = nn.Sequential(
        *_norm_swish(in_channels),
        normalised_convolution(in_channels, out_channels, 3, stride, weight_norm),
        *_norm_swish(out_channels),
        normalised_convolution(out_channels, out_channels, 3, 1, weight_norm),
    )
    return NVAECell(_shortcut(in_channels, out_channels, resize, weight_norm), correction, out_channels)


def decoder_cell(
    in_channels: int, out_channels: int, resize: Resize = "keep", expansion: int = 6, weight_norm: bool = True
) -> NVAECell:
    """BN – 1×1 – BN – swish – 5×5 depthwise – BN – swish – 1×1 – BN: pixels and channels are mixed apart.

    A 5×5 convolution of C channels has 25 C² weights; this cell has (2 C + 25) · ``expansion`` · C, and its depthwise
    part looks at ``expansion`` times as many channels.

    Args:
        resize: keep, or double by nearest neighbours first.
        expansion: how many times more channels there are inside.

    Raises:
        ValueError: another way to resize, or channels that change where the size is kept.

    >>> import torch
    >>> decoder_cell(16, 8, "double")(torch.zeros(2, 16, 4, 4)).shape
    torch.Size([2, 8, 8, 8])
    """
    _require_resize(resize, "double", in_channels, out_channels)
    hidden = expansion * in_channels
    correction = nn.Sequential(
        Enlargement(scale_factor=2, mode="nearest") if resize == "double" else nn.Identity(),
        _batch_norm(in_channels),
        nn.Conv2d(in_channels, hidden, 1, bias=False),
        *_norm_swish(hidden),
        nn.Conv2d(hidden, hidden, DEPTHWISE_KERNEL, padding=DEPTHWISE_KERNEL // 2, groups=hidden, bias=False),
        *_norm_swish(hidden),
        nn.Conv2d(hidden, out_channels, 1, bias=False),
        _batch_norm(out_channels),
    )
    return NVAECell(_shortcut(in_channels, out_channels, resize, weight_norm), correction, out_channels)


def _require_resize(resize: Resize, other: Resize, in_channels: int, out_channels: int) -> None:
    if resize not in ("keep", other):
        raise ValueError(f"resize must be keep or {other}, got {resize!r}")
    if resize == "keep" and in_channels != out_channels:
        raise ValueError(f"channels must stay the same where resize is keep, got {in_channels} and {out_channels}")


def _shortcut(in_channels: int, out_channels: int, resize: Resize, weight_norm: bool) -> nn.Module:
    if resize == "halve":
        pixel_map = functools.partial(normalised_convolution, kernel_size=1, weight_norm=weight_norm)
        return FactorizedReduction(in_channels, out_channels, pixel_map)
    if resize == "double":
        smooth = Enlargement(scale_factor=2, mode="bilinear", align_corners=True)
        return nn.Sequential(smooth, normalised_convolution(in_channels, out_channels, 1, weight_norm=weight_norm))
    return nn.Identity()


def _batch_norm(channels: int) -> nn.BatchNorm2d:
    # Slow running averages: what evaluation and sampling go by must outlast the noise of small batches.
    return nn.BatchNorm2d(channels, momentum=0.05)


def _norm_swish(channels: int) -> Sequence[nn.Module]:
    return _batch_norm(channels), nn.SiLU()
