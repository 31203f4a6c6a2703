"""Attention between the pixels of one feature map."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from avae_lib.components import component
from avae_lib.nn.convolutions import WeightNormConvolution

__all__ = ["NonLocalBlock", "non_local_or_identity", "nonlocal_attention"]


@component(unit="06_attentive_vae")
def nonlocal_attention(
    query: Float[Tensor, "batch pixels key_channels"],
    key: Float[Tensor, "batch pixels key_channels"],
    value: Float[Tensor, "batch pixels channels"],
    scale: Float[Tensor, ""] | float,
) -> Float[Tensor, "batch pixels channels"]:
    r"""What every pixel finds when it looks at all pixels.

    .. math:: \sum_m a_{nm} v_m, \qquad a_{nm} = \operatorname{softmax}_m\bigl(\tau \langle q_n, k_m \rangle\bigr)

    Vaswani et al. (2017), for the pixels of one feature map as in Wang et al. (2018). PyTorch's kernel takes the
    pixels in pieces and never stores the pixels × pixels weights.

    Args:
        query: q, what each pixel looks for, ``(batch, pixels, key_channels)``.
        key: k, under which each pixel is found, same shape. Scores may be as large as 1e9.
        value: v, what is found, ``(batch, pixels, channels)``, as large as 1e30.
        scale: τ, the inverse temperature of the softmax, a number or a scalar tensor.

    Returns:
        ``(batch, pixels, channels)``, differentiable in all tensors. None of the inputs is changed.

    With τ = 0 all pixels count the same:

    >>> x = torch.tensor([[[1.0], [3.0]]])
    >>> nonlocal_attention(x, x, x, 0.0)
    tensor([[[2.],
             [2.]]])
    """
    # With one head: the kernels that save memory take four dimensions only.
    query, key, value = ((scale * query).unsqueeze(1), key.unsqueeze(1), value.unsqueeze(1))
    return F.scaled_dot_product_attention(query, key, value, scale=1.0).squeeze(1)


class NonLocalBlock(nn.Module):
    r"""Every pixel plus what it finds at all pixels.

    .. math:: y_n = x_n + \gamma \sum_m \operatorname{softmax}_m\bigl(\tau \langle q_n, k_m \rangle\bigr)\, v_m

    q, k and v are 1×1 convolutions of x. Wang et al. (2018) with the gate γ of Zhang et al. (2019), which starts at 0,
    so that a fresh block is the identity. τ starts at 1 and is trained.

    Args:
        channels: of x, v and y.
        key_channels: of q and k.

    >>> block, x = NonLocalBlock(channels=4, key_channels=2), torch.randn(1, 4, 3, 3)
    >>> bool((block(x) == x).all())
    True
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
        found = nonlocal_attention(query, key, value, self.scale.to(query.dtype))
        return x + self.gate * found.transpose(1, 2).unflatten(2, x.shape[2:])


def non_local_or_identity(channels: int, key_channels: int) -> nn.Module:
    """A non-local block, or with no key channels the identity.

    >>> non_local_or_identity(channels=8, key_channels=0)
    Identity()
    """
    return NonLocalBlock(channels, key_channels) if key_channels else nn.Identity()


def _one_row_for_each_pixel(x: Float[Tensor, "batch channels h w"]) -> Float[Tensor, "batch pixels channels"]:
    return x.flatten(start_dim=2).transpose(1, 2)
