"""What the layers of an attentive hierarchy show one another, and what is remembered of it on the way down.

Each layer writes one :class:`ContextSplit`. A history decides how it is normalised and kept for the layers below, which
look at it with :mod:`avae_lib.nn.depthwise_attention`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avae_lib.nn.precision import at_least_float32

__all__ = [
    "ChannelNorm",
    "ChannelSplit",
    "ContextSplit",
    "Forgetful",
    "JointNorm",
    "NormalizedLate",
    "NormalizedOnce",
    "Unnormalized",
]


@dataclass(frozen=True)
class ContextSplit:
    """What one layer shows to the others: its features at every pixel, divided by what they are used for.

    Contexts are the features of the layers on the way down, evidence those of the image on the way up. In a local model
    there is a value and nothing else.

    >>> record = ContextSplit(value=torch.zeros(1, 8, 4, 4), key=torch.zeros(1, 2, 4, 4))
    >>> record.joined.shape
    torch.Size([1, 10, 4, 4])
    """

    value: Float[Tensor, "batch width h w"]
    """c (or e of the evidence): passed on to the next layer, and what other layers find here."""
    key: Float[Tensor, "batch key_channels h w"] | None = None
    """k: what the queries of other layers are compared with; None where no layer looks."""
    query: Float[Tensor, "batch key_channels h w"] | None = None
    """s: what this layer looks for in the contexts above; None where it does not look."""
    evidence_query: Float[Tensor, "batch evidence_key_channels h w"] | None = None
    """r: what this layer looks for in the evidence; the first channels of the value, which also stay in it."""

    @property
    def joined(self) -> Float[Tensor, "batch channels h w"]:
        """c ⊕ k: value and key side by side."""
        return self.value if self.key is None else torch.cat((self.value, self.key), dim=1)


class ChannelSplit(nn.Module):
    r"""Divides the channels of a feature map into value, key and query, in this order.

    .. math:: x = c \oplus k \oplus s, \qquad c = r \oplus \dots

    Args:
        value, key, query: channels of c, k and s; 0 for none.
        evidence_query: channels of r, which are also the first of c; 0 for none.

    >>> record = ChannelSplit(value=4, key=2, query=2, evidence_query=2)(torch.arange(8.0).reshape(1, 8, 1, 1))
    >>> for part in (record.value, record.key, record.query, record.evidence_query):
    ...     print(part.flatten().tolist())
    [0.0, 1.0, 2.0, 3.0]
    [4.0, 5.0]
    [6.0, 7.0]
    [0.0, 1.0]
    """

    def __init__(self, value: int, key: int = 0, query: int = 0, evidence_query: int = 0) -> None:
        super().__init__()
        if evidence_query > value:
            raise ValueError(f"evidence_query must be at most value = {value} channels, got {evidence_query}")
        self.sizes = (value, key, query)
        self.evidence_query = evidence_query

    @property
    def channels(self) -> int:
        """Channels of x."""
        return sum(self.sizes)

    def forward(self, x: Float[Tensor, "batch channels h w"]) -> ContextSplit:
        value, *others = x.split(self.sizes, dim=1)
        key, query = (part if part.shape[1] else None for part in others)
        evidence_query = value[:, : self.evidence_query] if self.evidence_query else None
        return ContextSplit(value, key, query, evidence_query)

    def extra_repr(self) -> str:
        value, key, query = self.sizes
        return f"value={value}, key={key}, query={query}, evidence_query={self.evidence_query}"


class ChannelNorm(nn.LayerNorm):
    r"""Layer normalisation over the channels of each pixel (Ba et al., 2016).

    .. math:: y_{\cdot hw} = g \odot \frac{x_{\cdot hw} - \operatorname{mean}(x_{\cdot hw})}
              {\sqrt{\operatorname{var}(x_{\cdot hw}) + 10^{-5}}} + b

    No pixel sees another, so the result at a pixel does not depend on the size of the picture.

    >>> ChannelNorm(2)(torch.tensor([[[[101.0]], [[99.0]]]])).flatten().tolist()  # one pixel, two channels
    [0.9999, -0.9999]
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)

    def forward(self, x: Float[Tensor, "batch channels h w"]) -> Float[Tensor, "batch channels h w"]:
        channels_last = x.movedim(1, -1)  # (batch, h, w, channels)
        # In float32 by a cast of our own: autocast would do so on a GPU, and on a CPU not.
        normalised = super().forward(at_least_float32(channels_last)).to(x.dtype)
        return normalised.movedim(-1, 1)  # (batch, channels, h, w)


# A history decides what the layers below remember of a context and how it is normalised before they look at it. It maps
# (contexts remembered so far, the newest context) to (contexts remembered from now on, contexts that this layer sees).
# Contexts are listed top first. Each layer adds one context, so nothing is recomputed on the way down.
Contexts = tuple[ContextSplit, ...]


class NormalizedOnce(nn.Module):
    """A history in which a value is normalised when it is added, and every layer below sees it so.

    >>> newest = ContextSplit(value=torch.tensor([[[[101.0]], [[99.0]]]]))
    >>> remembered, seen = NormalizedOnce(channels=2)((), newest)
    >>> seen[-1].value.flatten().tolist(), remembered == seen
    ([0.9999, -0.9999], True)
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)

    def forward(self, remembered: Contexts, newest: ContextSplit) -> tuple[Contexts, Contexts]:
        remembered = (*remembered, replace(newest, value=self.norm(newest.value)))
        return remembered, remembered


class Unnormalized(nn.Module):
    """A history that keeps values as they are.

    >>> first, second = ContextSplit(torch.zeros(1, 1, 1, 1)), ContextSplit(torch.ones(1, 1, 1, 1))
    >>> remembered, seen = Unnormalized()((first,), second)
    >>> [context.value.item() for context in seen]
    [0.0, 1.0]
    """

    def forward(self, remembered: Contexts, newest: ContextSplit) -> tuple[Contexts, Contexts]:
        remembered = (*remembered, newest)
        return remembered, remembered


class JointNorm(nn.Module):
    """Value and key normalised together, as one vector of channels.

    >>> context = ContextSplit(value=torch.full((1, 1, 1, 1), 101.0), key=torch.full((1, 1, 1, 1), 99.0))
    >>> normalised = JointNorm(channels=2)(context)
    >>> normalised.value.item(), normalised.key.item()
    (0.9999, -0.9999)
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)

    def forward(self, context: ContextSplit) -> ContextSplit:
        if context.key is None:
            raise ValueError("JointNorm needs a context with a key, got one without")
        normalised = self.norm(context.joined)
        value, key = normalised.split((context.value.shape[1], context.key.shape[1]), dim=1)
        return replace(context, value=value, key=key)


class NormalizedLate(nn.Module):
    """The history of the published program: the layer below a context sees it differently from all layers further down.

    The value of the newest context is normalised for this layer only, and its key is not. The context before it, kept
    raw until now, is normalised for good, value and key together (:class:`JointNorm`).

    Args:
        channels, key_channels: of value and key.
        above: number of contexts above this layer, the newest included.
        normalised: whether the newest value is normalised; the joint normalisation happens either way.

    >>> newest = ContextSplit(torch.tensor([[[[101.0]], [[99.0]]]]), key=torch.zeros(1, 1, 1, 1))
    >>> remembered, seen = NormalizedLate(channels=2, key_channels=1, above=1)((), newest)
    >>> remembered[-1].value.flatten().tolist(), seen[-1].value.flatten().tolist()
    ([101.0, 99.0], [0.9999, -0.9999])
    """

    def __init__(self, channels: int, key_channels: int, above: int, normalised: bool = True) -> None:
        super().__init__()
        self.norm_of_newest = ChannelNorm(channels) if normalised else nn.Identity()
        self.joint_norm = JointNorm(channels + key_channels) if above > 1 else None

    def forward(self, remembered: Contexts, newest: ContextSplit) -> tuple[Contexts, Contexts]:
        if self.joint_norm is not None:
            *older, last = remembered
            remembered = (*older, self.joint_norm(last))
        seen = (*remembered, replace(newest, value=self.norm_of_newest(newest.value)))
        return (*remembered, newest), seen


class Forgetful(nn.Module):
    """A history that keeps nothing: local layers do not look at other contexts.

    >>> Forgetful()((), ContextSplit(torch.zeros(1, 1, 1, 1)))
    ((), ())
    """

    def forward(self, remembered: Contexts, newest: ContextSplit) -> tuple[Contexts, Contexts]:
        return (), ()
