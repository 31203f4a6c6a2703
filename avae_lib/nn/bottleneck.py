"""The block of convolutions that a Very Deep VAE is made of."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from avae_lib.components import component
from avae_lib.nn.convolutions import convolution

__all__ = ["Bottleneck", "bottleneck_block"]


@component(unit="05_hierarchical_vae")
def bottleneck_block(
    x: Float[Tensor, "batch in_width h w"],
    weights: Sequence[Float[Tensor, "_ _ _ _"]],
    biases: Sequence[Float[Tensor, "_"]],
    residual: bool,
) -> Float[Tensor, "batch out_width h w"]:
    r"""Four convolutions, each after a GELU: 1×1, 3×3, 3×3, 1×1 (Child, 2021, figure 3).

    .. math:: y_0 = x, \qquad y_n = b_n + w_n * \operatorname{gelu}(y_{n-1}), \qquad
              \operatorname{gelu}(x) = x \, \Phi(x)

    with the exact normal distribution function Φ. Zeros are padded around each picture so that it keeps its size.

    Args:
        x: ``(batch, in_width, h, w)``.
        weights: four kernels, ``(out, in, side, side)`` with side 1, 3, 3, 1; the middle two have side 1 as well where
            the resolution is 1 or 2.
        biases: four vectors, ``(out,)``.
        residual: whether x is added to the result; then in_width and out_width are equal.

    Returns:
        ``(batch, out_width, h, w)``, in the dtype of ``x``, differentiable in x, weights and biases. None of them is
        changed.

    With weights of zero a residual block returns its input:

    >>> import torch
    >>> weights = [torch.zeros(3, 3, side, side) for side in (1, 3, 3, 1)]
    >>> x = torch.randn(2, 3, 4, 4)
    >>> bool((bottleneck_block(x, weights, [torch.zeros(3)] * 4, residual=True) == x).all())
    True
    """
    y = x
    for weight, bias in zip(weights, biases, strict=True):
        y = F.conv2d(F.gelu(y), weight, bias, padding=weight.shape[-1] // 2)
    return x + y if residual else y


class Bottleneck(nn.Module):
    r"""The convolutions of a :func:`bottleneck_block`, narrow inside.

    Args:
        in_width, middle_width, out_width: channels before, inside and after.
        resolution: height and width of its pictures. Where that is 1 or 2 all kernels are 1×1.
        is_residual: whether the input is added to the output.
        last_scale: factor on the initial weights of the last convolution.

    A block of width 4 around 32 channels has far fewer weights than one 3×3 convolution of them, 9216:

    >>> block = Bottleneck(in_width=32, middle_width=4, out_width=32, resolution=8, is_residual=True)
    >>> sum(parameter.numel() for parameter in block.parameters())
    588
    """

    def __init__(
        self,
        in_width: int,
        middle_width: int,
        out_width: int,
        resolution: int,
        is_residual: bool = False,
        last_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.is_residual = is_residual
        kernel_size = 3 if resolution > 2 else 1
        self.convolutions = nn.ModuleList(
            [
                convolution(in_width, middle_width, 1),
                convolution(middle_width, middle_width, kernel_size),
                convolution(middle_width, middle_width, kernel_size),
                convolution(middle_width, out_width, 1, init_scale=last_scale),
            ]
        )

    def forward(self, x: Float[Tensor, "batch in_width h w"]) -> Float[Tensor, "batch out_width h w"]:
        weights = [layer.weight for layer in self.convolutions]
        biases = [layer.bias for layer in self.convolutions]
        return bottleneck_block(x, weights, biases, self.is_residual)
