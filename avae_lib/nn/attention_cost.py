"""What attention costs in a whole hierarchy, counted in multiplications."""

from __future__ import annotations

from avae_lib.components import component

__all__ = ["attention_cost"]


@component(unit="06_attentive_vae")
def attention_cost(layers: int, height: int, width: int, channels: int, key_channels: int) -> tuple[int, int]:
    r"""Multiply-adds of depth-wise attention, and of full attention, in a hierarchy of latents.

    .. math:: \tfrac{L(L-1)}{2} \, HW \, (C_k + C) \qquad\text{and}\qquad
              \tfrac{L(L-1)}{2} \, (HW)^2 \, (C_k + C)

    Layer l looks at the l − 1 layers above it. Depth-wise, a pixel looks at the same pixel of each of them; with full
    attention at all their pixels. A score costs :math:`C_k` multiply-adds and its part of the weighted sum
    :math:`C`. Softmax, scale and gate are not counted. Apostolopoulou et al. (2022) compare the two.

    Args:
        layers: L, stochastic layers, at least 1.
        height, width: H and W of the latents.
        channels: C, of a value.
        key_channels: C_k, of a key.

    Returns:
        ``(depth_wise, full)``, exact whole numbers of any size.

    >>> attention_cost(layers=16, height=16, width=16, channels=256, key_channels=20)
    (8478720, 2170552320)
    """
    depth_wise = layers * (layers - 1) // 2 * height * width * (key_channels + channels)
    return depth_wise, depth_wise * height * width
