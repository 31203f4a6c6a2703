"""A picture made larger: by repeating its pixels, or as a convolution learns to."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from avae_lib.components import component
from avae_lib.nn.precision import without_autocast

__all__ = ["Enlargement", "LearnedUnpooling", "Unpooling", "unpool_nearest"]


@component(unit="05_hierarchical_vae")
def unpool_nearest(x: Float[Tensor, "batch channels h w"], factor: int) -> Float[Tensor, "batch channels h2 w2"]:
    r"""Each pixel repeated as a square of ``factor`` × ``factor``.

    .. math:: y_{b,c,i,j} = x_{b,c,\lfloor i/f \rfloor,\lfloor j/f \rfloor}

    How a Very Deep VAE brings a coarse stream to a finer resolution (Child, 2021). There is nothing to learn, so the
    upper latents reach the image from the first update on.

    Args:
        x: ``(batch, channels, h, w)``.
        factor: how many times larger height and width become, a whole number from 1 to 32.

    Returns:
        ``(batch, channels, h·factor, w·factor)``, in the dtype of ``x``, which is not changed. The gradient of a
        pixel is the sum over its copies.

    >>> import torch
    >>> unpool_nearest(torch.tensor([[[[1.0, 2.0]]]]), 2)
    tensor([[[[1., 1., 2., 2.],
              [1., 1., 2., 2.]]]])
    """
    batch, channels, height, width = x.shape
    repeated = x[:, :, :, None, :, None].expand(-1, -1, -1, factor, -1, factor)
    return repeated.reshape(batch, channels, height * factor, width * factor)


class Unpooling(nn.Module):
    """:func:`unpool_nearest` as a module.

    Args:
        factor: how many times larger height and width become.

    >>> import torch
    >>> Unpooling(factor=2)(torch.tensor([[[[1.0, 2.0]]]]))
    tensor([[[[1., 1., 2., 2.],
              [1., 1., 2., 2.]]]])
    """

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Float[Tensor, "batch channels h w"]) -> Float[Tensor, "batch channels h2 w2"]:
        return unpool_nearest(x, self.factor)

    def extra_repr(self) -> str:
        return f"factor={self.factor}"


class Enlargement(nn.Upsample):
    """PyTorch's upsampling in the type of its input: on a GPU, autocast would return a float32 map of twice the size.

    >>> import torch
    >>> Enlargement(scale_factor=2, mode="nearest")(torch.ones(1, 1, 2, 2)).shape
    torch.Size([1, 1, 4, 4])
    """

    def forward(self, input: Float[Tensor, "batch channels h w"]) -> Float[Tensor, "batch channels h2 w2"]:
        with without_autocast(input):
            return super().forward(input)


class LearnedUnpooling(nn.ConvTranspose2d):
    """A transposed convolution as wide as its stride, so that each pixel fills a square of its own.

    It has no bias and is therefore linear: what is held back in a stream can be taken along apart from the stream.

    Args:
        in_width, out_width: channels before and after.
        factor: how many times larger the picture becomes.

    >>> import torch
    >>> LearnedUnpooling(3, 5, factor=4)(torch.randn(1, 3, 2, 2)).shape
    torch.Size([1, 5, 8, 8])
    """

    own_wiring = "learned upsampling: own wiring, not unpool_nearest"

    def __init__(self, in_width: int, out_width: int, factor: int) -> None:
        super().__init__(in_width, out_width, kernel_size=factor, stride=factor, bias=False)
