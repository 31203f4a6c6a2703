"""What a model accepts as pixels, and how it scales them."""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from avae_lib.errors import InvalidInput
from avae_lib.likelihoods import scale_pixels

__all__ = ["PixelScaling", "require_image_kind", "require_pixels"]


class PixelScaling(nn.Module):
    """Pixel levels 0 … 2**bits − 1 spread evenly over [−1, 1]: the first step of most networks here.

    In the type of the network's weights: float64 once the model was told ``.double()``.
    """

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = bits
        self.register_buffer("like", torch.zeros(()), persistent=False)  # follows the weights from type to type

    def forward(self, x: UInt8[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels height width"]:
        return scale_pixels(x, self.bits, self.like.dtype)


def require_pixels(x: Tensor, image_shape: tuple[int, int, int], bits: int) -> None:
    """Refuse anything but a batch of images with levels 0 … 2**bits − 1.

    Levels are looked at on the CPU only: on an accelerator each look would stop the queue.

    Raises:
        TypeError: not a tensor, or not uint8.
        ValueError: another shape, or a level that the bits cannot hold.
    """
    if not isinstance(x, Tensor):
        raise TypeError(f"x must be a tensor of uint8 pixel levels, got {type(x).__name__}: try torch.from_numpy")
    if x.dtype != torch.uint8:
        raise TypeError(
            f"x must be uint8 pixel levels 0 … {2**bits - 1}, got {x.dtype}: the model scales them itself; "
            "undo any scaling and convert with .to(torch.uint8)"
        )
    if tuple(x.shape[1:]) != tuple(image_shape) or len(x) == 0:
        raise InvalidInput(
            f"x must be a batch of images (batch, {', '.join(map(str, image_shape))}), got {tuple(x.shape)}"
        )
    if bits < 8 and x.device.type == "cpu" and not torch.compiler.is_compiling() and int(x.max()) >= 2**bits:
        raise InvalidInput(
            f"x must hold levels 0 … {2**bits - 1} ({bits} bits), got {int(x.max())}: "
            "set the model's bits to those of the data set"
        )


def require_image_kind(image_shape: tuple[int, int, int], bits: int) -> None:
    """Refuse a configuration for images that there are not.

    Raises:
        ValueError: not three sizes of at least 1, or bits that uint8 doesn't hold.
    """
    if len(image_shape) != 3 or min(image_shape) < 1:
        raise InvalidInput(f"image_shape must be channels, height and width, each at least 1, got {image_shape}")
    if not 1 <= bits <= 8:
        raise InvalidInput(f"bits must be 1 to 8, as pixels are uint8, got {bits}")
