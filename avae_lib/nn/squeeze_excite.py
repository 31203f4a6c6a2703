"""Squeeze and excitation: the whole picture decides how loud each channel is."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["SqueezeExcite"]


class SqueezeExcite(nn.Module):
    r"""Each channel times a gate between 0 and 1 that is read off the means of all channels.

    .. math:: y_c = x_c \cdot \sigma\bigl(W_2 \operatorname{relu}(W_1 \bar x)\bigr)_c, \qquad
              \bar x = \operatorname{mean}_{hw} x

    Hu, Shen & Sun, "Squeeze-and-Excitation Networks" (2018), section 3.

    Args:
        channels: channels of x.
        reduction: how many times fewer channels the hidden layer has.
        least: fewest channels of the hidden layer.
    """

    def __init__(self, channels: int, reduction: int = 16, least: int = 4) -> None:
        super().__init__()
        hidden = max(channels // reduction, least)
        self.gate = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels), nn.Sigmoid())

    def forward(self, x: Float[Tensor, "batch channels h w"]) -> Float[Tensor, "batch channels h w"]:
        return x * self.gate(x.mean(dim=(2, 3)))[:, :, None, None]
