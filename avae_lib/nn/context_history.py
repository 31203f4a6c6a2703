"""What the layers below remember of a context, and how it is normalised before they look at it.

A history takes the contexts remembered so far and the newest one, and returns (what is remembered from now on, what
this layer sees). Contexts come top first.
"""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from avae_lib.nn.channel_norm import ChannelNorm
from avae_lib.nn.context_split import ContextSplit

__all__ = ["Forgetful", "JointNorm", "NormalizedLate", "NormalizedOnce", "Unnormalized"]

Contexts = tuple[ContextSplit, ...]


class NormalizedOnce(nn.Module):
    """A value is normalised when it is written, and every layer below sees it so."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)

    def forward(self, remembered: Contexts, newest: ContextSplit) -> tuple[Contexts, Contexts]:
        remembered = (*remembered, replace(newest, value=self.norm(newest.value)))
        return remembered, remembered


class Unnormalized(nn.Module):
    """Values are remembered as they are."""

    def forward(self, remembered: Contexts, newest: ContextSplit) -> tuple[Contexts, Contexts]:
        remembered = (*remembered, newest)
        return remembered, remembered


class JointNorm(nn.Module):
    """Value and key normalised as if they were one."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)

    def forward(self, context: ContextSplit) -> ContextSplit:
        normalised = self.norm(context.joined)
        value, key = normalised.split((context.value.shape[1], context.key.shape[1]), dim=1)
        return replace(context, value=value, key=key)


class NormalizedLate(nn.Module):
    """As in the published program: the newest value is normalised for this layer only, its key not; and the context
    before it, which has been remembered raw, is normalised for good, jointly over value and key.

    So each context is seen in one way by the layer below it, and in another by all further down.

    Args:
        channels, key_channels: of value and key.
        above: contexts above this layer, the newest included.
        normalised: whether the newest value is normalised; the joint normalisation happens either way.
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
    """Nothing is remembered: local layers have no use for it."""

    def forward(self, remembered: Contexts, newest: ContextSplit) -> tuple[Contexts, Contexts]:
        return (), ()
