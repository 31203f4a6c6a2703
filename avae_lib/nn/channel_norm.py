"""Layer normalisation of feature maps, pixel by pixel."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["ChannelNorm"]


class ChannelNorm(nn.LayerNorm):
    r"""Layer normalisation over the channels of each pixel (Ba et al., 2016).

    .. math:: y_{\cdot hw} = g \odot \frac{x_{\cdot hw} - \operatorname{mean}(x_{\cdot hw})}
              {\sqrt{\operatorname{var}(x_{\cdot hw}) + 10^{-5}}} + b

    No pixel sees another, so what one layer writes for a pixel doesn't depend on the size of the picture.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)

    def forward(self, x: Float[Tensor, "batch channels h w"]) -> Float[Tensor, "batch channels h w"]:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)
