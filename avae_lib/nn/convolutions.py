"""Convolutions that several networks share, and the scaling of pixels before the first of them."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Num
from torch import Tensor, nn

from avae_lib.likelihoods import scale_pixels

__all__ = ["INITIAL_VARIANCE", "PixelScaling", "Resize", "WeightNormConvolution", "convolution", "require_odd"]

Resize = Literal["keep", "halve", "double"]
"""What happens to height and width."""
INITIAL_VARIANCE = 0.33
"""Variance of a fresh weight of a :class:`WeightNormConvolution`, times the number of inputs it is summed over."""
INITIAL_LOG_STRETCH = 0.01
"""A fresh kernel is longer than its direction by this much, on the log scale."""


def require_odd(kernel_size: int) -> None:
    """Refuse a kernel without a middle: padded by half its size it would not keep height and width.

    Raises:
        ValueError: even, or below 1.

    >>> require_odd(4)
    Traceback (most recent call last):
        ...
    ValueError: kernel_size must be odd and at least 1, got 4
    """
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise ValueError(f"kernel_size must be odd and at least 1, got {kernel_size}")


class PixelScaling(nn.Module):
    """Pixel levels 0 … 2**bits − 1 spread evenly over [−1, 1]: the first step of most networks here.

    The result has the dtype of the network's weights, for instance float64 after ``model.double()``.

    >>> PixelScaling(bits=8)(torch.tensor([[[[0, 255]]]], dtype=torch.uint8)).flatten().tolist()
    [-1.0, 1.0]
    """

    like: Float[Tensor, ""]

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = bits
        self.register_buffer("like", torch.zeros(()), persistent=False)  # follows the weights from type to type

    def forward(self, x: Num[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels height width"]:
        return scale_pixels(x, self.bits, self.like.dtype)


def convolution(in_channels: int, out_channels: int, kernel_size: int = 3, init_scale: float = 1.0) -> nn.Conv2d:
    """A convolution padded to keep height and width, with biases that start at zero.

    Args:
        kernel_size: odd; 1 mixes channels only.
        init_scale: factor on the initial weights. Zero starts a branch that contributes nothing, yet learns:
            its weights get a gradient from the first step on.

    Raises:
        ValueError: an even kernel size.

    >>> convolution(3, 5)(torch.zeros(1, 3, 8, 8)).shape
    torch.Size([1, 5, 8, 8])
    >>> convolution(3, 5, init_scale=0.0)(torch.randn(1, 3, 8, 8)).abs().max().item()
    0.0
    """
    require_odd(kernel_size)
    layer = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
    with torch.no_grad():
        layer.weight.mul_(init_scale)
        assert layer.bias is not None
        layer.bias.zero_()
    return layer


class WeightNormConvolution(nn.Module):
    r"""A convolution with one length and one direction for each output channel.

    .. math:: y_o = \sum_i W_{oi} * x_i + b_o, \qquad W_o = e^{g_o} \frac{v_o}{\lVert v_o \rVert_2}

    Salimans & Kingma (2016), with the length on a log scale as in Apostolopoulou et al. (2022). Height and width are
    divided by ``stride`` and otherwise kept: what the kernel lacks at the border is filled with zeros, the odd row and
    column at the bottom and at the right (TensorFlow's "same").

    Args:
        in_channels, out_channels: channels of x and y.
        kernel_size: odd.
        stride: 1 or 2; height and width of x must be divisible by it.
        bias: whether there is b.

    Raises:
        ValueError: an even kernel size, another stride, or in a call a height or width that the stride does not divide.

    >>> layer = WeightNormConvolution(2, 3, kernel_size=3, stride=2)
    >>> layer(torch.zeros(1, 2, 8, 8)).shape
    torch.Size([1, 3, 4, 4])
    >>> bool(torch.allclose(layer.weight.flatten(1).norm(dim=1), layer.log_gain.exp()))
    True
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int = 1, stride: int = 1, bias: bool = True
    ) -> None:
        super().__init__()
        require_odd(kernel_size)
        if stride not in (1, 2):
            raise ValueError(f"stride must be 1 or 2, got {stride}")
        self.stride = stride
        border = max(kernel_size - stride, 0)
        self.border = (border // 2, border - border // 2)
        self.direction = nn.Parameter(torch.empty(out_channels, in_channels, kernel_size, kernel_size))
        self.log_gain = nn.Parameter(torch.empty(out_channels))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Uniform directions and biases of variance 0.33 over the number of inputs; a bias counts its own length."""
        _uniform_of_variance(self.direction, INITIAL_VARIANCE / self.direction[0].numel())
        self.log_gain.copy_(self._length().log() + INITIAL_LOG_STRETCH)
        if self.bias is not None:
            _uniform_of_variance(self.bias, INITIAL_VARIANCE / len(self.bias))

    @property
    def weight(self) -> Float[Tensor, "out_channels in_channels k k"]:
        """W, the kernels as they are applied."""
        return self.direction * (self.log_gain.exp() / self._length())[:, None, None, None]

    def forward(self, x: Float[Tensor, "batch in_channels h w"]) -> Float[Tensor, "batch out_channels h2 w2"]:
        height, width = x.shape[2:]
        if height % self.stride or width % self.stride:
            raise ValueError(f"height and width must be divisible by the stride {self.stride}, got {height} × {width}")
        before, after = self.border
        if before == after:
            return F.conv2d(x, self.weight, self.bias, self.stride, padding=before)
        return F.conv2d(F.pad(x, (before, after, before, after)), self.weight, self.bias, self.stride)

    def extra_repr(self) -> str:
        out_channels, in_channels, kernel_size, _ = self.direction.shape
        return f"{in_channels}, {out_channels}, kernel_size={kernel_size}, stride={self.stride}"

    def _length(self) -> Float[Tensor, "out_channels"]:
        return self.direction.square().sum(dim=(1, 2, 3)).sqrt()


def _uniform_of_variance(parameter: nn.Parameter, variance: float) -> None:
    bound = math.sqrt(3 * variance)
    nn.init.uniform_(parameter, -bound, bound)
