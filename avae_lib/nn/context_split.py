"""What a layer's channels are split into: what goes on, what is asked, and under which key it is found again."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["ChannelSplit", "ContextSplit"]


@dataclass(frozen=True)
class ContextSplit:
    """One layer's features of a pixel, by what they are for; in a local model there is the value alone."""

    value: Float[Tensor, "batch width h w"]
    """c (or e): what goes on, and what others find here."""
    key: Float[Tensor, "batch key_channels h w"] | None = None
    """k: what the queries of other layers are compared with; None where no layer looks here."""
    query: Float[Tensor, "batch key_channels h w"] | None = None
    """s: what this layer looks for in the contexts above; None where it looks at none."""
    evidence_query: Float[Tensor, "batch key_channels h w"] | None = None
    """r: what this layer looks for in the evidence. It is the first part of the value, shared and not cut off."""

    @property
    def joined(self) -> Float[Tensor, "batch channels h w"]:
        """c ⊕ k: value and key side by side."""
        return self.value if self.key is None else torch.cat((self.value, self.key), dim=1)


class ChannelSplit(nn.Module):
    r"""Cuts feature maps into value, key and query, in this order.

    .. math:: x = c \oplus k \oplus s, \qquad c = r \oplus \dots

    Args:
        value, key, query: channels of c, k and s; 0 for none.
        evidence_query: channels of r, which c shares; 0 for none.
    """

    def __init__(self, value: int, key: int = 0, query: int = 0, evidence_query: int = 0) -> None:
        super().__init__()
        self.sizes, self.evidence_query = (value, key, query), evidence_query

    @property
    def channels(self) -> int:
        """Channels of x."""
        return sum(self.sizes)

    def forward(self, x: Float[Tensor, "batch channels h w"]) -> ContextSplit:
        value, key, query = (part if part.shape[1] else None for part in x.split(self.sizes, dim=1))
        return ContextSplit(value, key, query, value[:, : self.evidence_query] if self.evidence_query else None)

    def extra_repr(self) -> str:
        value, key, query = self.sizes
        return f"value={value}, key={key}, query={query}, evidence_query={self.evidence_query}"
