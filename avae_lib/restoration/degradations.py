"""Degradations of an image: linear maps A, each with its adjoint and a regularised inverse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Bool, Float
from torch import Tensor

__all__ = ["CircularBlur", "Degradation", "Mask", "Unchanged", "gaussian_kernel"]


class Degradation(Protocol):
    r"""A linear map A of images ``(batch, channels, height, width)`` to observations of the same shape."""

    def __call__(self, x: Float[Tensor, "batch channels h w"]) -> Float[Tensor, "batch channels h w"]:
        """A x."""
        ...

    def adjoint(self, y: Float[Tensor, "batch channels h w"]) -> Float[Tensor, "batch channels h w"]:
        r"""Aᵀ y, the map with :math:`\langle Ax, y\rangle = \langle x, A^\top y\rangle` for all x and y."""
        ...

    def solve(self, right: Float[Tensor, "batch channels h w"], weight: float) -> Float[Tensor, "batch channels h w"]:
        """(AᵀA + weight · I)⁻¹ applied to ``right``; ``weight`` is above 0."""
        ...


@dataclass(frozen=True)
class Unchanged:
    """The identity: an observation is the image itself, with noise.

    >>> Unchanged().solve(torch.tensor([[[[6.0]]]]), weight=2.0).item()
    2.0
    """

    def __call__(self, x: Tensor) -> Tensor:
        return x

    def adjoint(self, y: Tensor) -> Tensor:
        """Aᵀ = I."""
        return y

    def solve(self, right: Tensor, weight: float) -> Tensor:
        """Divide by 1 + weight."""
        require_weight(weight)
        return right / (1 + weight)


@dataclass(frozen=True)
class Mask:
    """Pixels that are not kept are observed as 0.

    Args:
        kept: bool, broadcastable to the images, for example ``(h, w)`` for all images and colours.

    >>> Mask(torch.tensor([[True, False]]))(torch.tensor([[[[5.0, 7.0]]]]))
    tensor([[[[5., 0.]]]])
    """

    kept: Bool[Tensor, "*mask"]

    def __post_init__(self) -> None:
        if not isinstance(self.kept, Tensor) or self.kept.dtype != torch.bool:
            got = getattr(self.kept, "dtype", type(self.kept).__name__)
            raise TypeError(f"kept must be a bool tensor, true where a pixel is observed, got {got}")

    def __call__(self, x: Tensor) -> Tensor:
        return x * self.kept

    def adjoint(self, y: Tensor) -> Tensor:
        """A diagonal of zeros and ones is its own adjoint."""
        return y * self.kept

    def solve(self, right: Tensor, weight: float) -> Tensor:
        """Divide by 1 + weight where a pixel is kept, and by weight elsewhere."""
        require_weight(weight)
        return right / (self.kept.to(right.dtype) + weight)


class CircularBlur:
    """A convolution with a kernel, of images that continue at the opposite edge.

    In the Fourier transform it is a product, frequency by frequency, and so are its adjoint and its inverse.

    Args:
        kernel: odd sides, ``(side, side)``; its middle is the pixel itself.
        height, width: of the images, at least the kernel's sides.

    >>> blur = CircularBlur(torch.tensor([[0.0, 0.5, 0.5]]).expand(1, 3), height=1, width=4)
    >>> blur(torch.tensor([[[[8.0, 0.0, 0.0, 0.0]]]])).round()
    tensor([[[[4., 4., 0., 0.]]]])
    """

    def __init__(self, kernel: Float[Tensor, "rows columns"], height: int, width: int) -> None:
        if kernel.ndim != 2 or kernel.shape[0] % 2 == 0 or kernel.shape[1] % 2 == 0:
            raise ValueError(f"kernel must have two odd sides, so that it has a middle, got {tuple(kernel.shape)}")
        if kernel.shape[0] > height or kernel.shape[1] > width:
            raise ValueError(f"kernel must fit into images of {height} × {width}, got {tuple(kernel.shape)}")
        rows, columns = kernel.shape
        padded = torch.zeros(height, width, dtype=kernel.dtype)
        padded[:rows, :columns] = kernel
        self._response = torch.fft.fft2(padded.roll((-(rows // 2), -(columns // 2)), (0, 1)))

    def __call__(self, x: Tensor) -> Tensor:
        return self._filtered(x, self._response)

    def adjoint(self, y: Tensor) -> Tensor:
        """The convolution with the kernel turned by 180 degrees."""
        return self._filtered(y, self._response.conj())

    def solve(self, right: Tensor, weight: float) -> Tensor:
        """Divide each frequency by its squared gain plus weight."""
        require_weight(weight)
        return self._filtered(right, 1 / (self._response.abs().square() + weight))

    def _filtered(self, x: Tensor, gains: Tensor) -> Tensor:
        if x.shape[-2:] != gains.shape:
            raise ValueError(f"images must be {gains.shape[0]} × {gains.shape[1]}, got {x.shape[-2]} × {x.shape[-1]}")
        return torch.fft.ifft2(torch.fft.fft2(x) * gains).real


def gaussian_kernel(std_pixels: float, side: int) -> Float[Tensor, "side side"]:
    """A Gaussian on a grid of pixels, normalised to sum to 1.

    >>> gaussian_kernel(1.0, side=5).sum().round(decimals=4)
    tensor(1.)
    """
    if not (std_pixels > 0 and side >= 1 and side % 2 == 1):
        raise ValueError(f"std_pixels must be above 0 and side odd, got {std_pixels} and {side}")
    offsets = torch.arange(side) - side // 2
    profile = torch.exp(-0.5 * (offsets / std_pixels).square())
    return torch.outer(profile, profile) / profile.sum().square()


def require_weight(weight: float) -> None:
    """Raise unless ``weight`` is above 0, which guarantees a solution."""
    if not weight > 0:
        raise ValueError(f"weight must be above 0, got {weight!r}")
