"""Attention between the pixels of one feature map."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from avae_lib.nn.weight_norm_convolution import WeightNormConvolution

__all__ = ["NonLocalBlock", "non_local_or_identity"]


class NonLocalBlock(nn.Module):
    r"""Every pixel plus what it finds at all pixels.

    .. math:: y_n = x_n + \gamma \sum_m \operatorname{softmax}_m\bigl(\tau \langle q_n, k_m \rangle\bigr)\, v_m

    q, k and v are 1×1 convolutions of x. Wang et al. (2018) with the gate γ of Zhang et al. (2019), which starts at 0,
    so that a fresh block is the identity. τ starts at 1 and is trained.

    Args:
        channels: of x, v and y.
        key_channels: of q and k.
    """

    def __init__(self, channels: int, key_channels: int) -> None:
        super().__init__()
        self.query = WeightNormConvolution(channels, key_channels)
        self.key = WeightNormConvolution(channels, key_channels)
        self.value = WeightNormConvolution(channels, channels)
        self.scale = nn.Parameter(torch.ones(()))
        self.gate = nn.Parameter(torch.zeros(()))

    def forward(self, x: Float[Tensor, "batch channels h w"]) -> Float[Tensor, "batch channels h w"]:
        query, key, value = (_one_row_for_each_pixel(part(x)) for part in (self.query, self.key, self.value))
        found = F.scaled_dot_product_attention(self.scale.to(query.dtype) * query, key, value, scale=1.0)
        return x + self.gate * found.squeeze(1).transpose(1, 2).unflatten(2, x.shape[2:])


def non_local_or_identity(channels: int, key_channels: int) -> nn.Module:
    """A non-local block, or with no key channels the identity."""
    return NonLocalBlock(channels, key_channels) if key_channels else nn.Identity()


def _one_row_for_each_pixel(x: Float[Tensor, "batch channels h w"]) -> Float[Tensor, "batch 1 pixels channels"]:
    """With one head: PyTorch's kernels that don't store the pixels × pixels weights take four dimensions only."""
    return x.flatten(start_dim=2).transpose(1, 2).unsqueeze(1)
