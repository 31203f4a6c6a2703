"""What a layer's context is split into: what goes on, what is asked, and under which key it is found again."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from avae_lib.nn.channel_norm import ChannelNorm
from avae_lib.nn.convolutions import convolution

__all__ = ["AttentiveSplit", "ContextSplit", "LocalSplit"]


@dataclass(frozen=True)
class ContextSplit:
    """One layer's features (c, s, k); in a local model c alone."""

    value: Float[Tensor, "batch width h w"]
    """c: the stream that goes on to the next layer."""
    remembered: Float[Tensor, "batch width h w"] | None = None
    """c as others see it: normalised once, when it is written."""
    key: Float[Tensor, "batch key_channels h w"] | None = None
    """k: what the queries of other layers are compared with; None where no layer looks back."""
    query: Float[Tensor, "batch key_channels h w"] | None = None
    """s: what this layer looks for in others; None where it doesn't look."""


class AttentiveSplit(nn.Module):
    r"""Reads key and query off the normalised value.

    .. math:: n = \mathrm{norm}(c), \qquad k = W_k n, \qquad s = W_s n

    Args:
        width: channels of the value.
        key_channels: channels of key and query.
        has_key: whether any layer looks back at this one.
        has_query: whether this one looks at others.
    """

    def __init__(self, width: int, key_channels: int, *, has_key: bool = True, has_query: bool = True) -> None:
        super().__init__()
        self.norm = ChannelNorm(width)
        self.key = convolution(width, key_channels, 1) if has_key else None
        self.query = convolution(width, key_channels, 1) if has_query else None

    def forward(self, value: Float[Tensor, "batch width h w"]) -> ContextSplit:
        normalised = self.norm(value)
        key = None if self.key is None else self.key(normalised)
        query = None if self.query is None else self.query(normalised)
        return ContextSplit(value, normalised, key, query)


class LocalSplit(nn.Module):
    """The value and nothing else: there is nobody to ask and nobody who asks."""

    def forward(self, value: Float[Tensor, "batch width h w"]) -> ContextSplit:
        return ContextSplit(value)
