"""Two streams of features made into one."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avae_lib.nn.nonlocal_block import non_local_or_identity
from avae_lib.nn.weight_norm_convolution import WeightNormConvolution

__all__ = ["JoiningConvolution", "SummingConvolution"]


class JoiningConvolution(nn.Module):
    r"""A linear map of two streams laid side by side.

    .. math:: y = W (a \oplus b)

    Args:
        first, second: channels of a and b.
        out_channels: channels of y.
        key_channels: of the non-local block that follows; 0 for none.
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
