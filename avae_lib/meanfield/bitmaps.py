"""Black-and-white pictures as spins: real digits, enlarged until their strokes are several pixels wide."""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from jaxtyping import Float, Integer, Num, UInt8
from torch import Tensor

__all__ = ["bitmaps", "holes", "one_of_each_digit"]

_HOLES_OF_DIGITS = (1, 0, 0, 0, 0, 0, 1, 0, 2, 1)
_INK = 0.2
_CANDIDATES = 200
"""Number of images of a class that are examined: enough to find a typical one, few enough to be quick on MNIST."""


class LabelledImages(Protocol):
    """The part of a data set that :func:`one_of_each_digit` uses; those of :mod:`avae_lib.data` have it."""

    name: str
    test: UInt8[Tensor, "n 1 rows cols"]
    test_labels: Integer[Tensor, " n"] | None


def bitmaps(images: Num[Tensor, "n 1 rows cols"], side: int, ink: float = _INK) -> Float[Tensor, "n side side"]:
    """Grey pictures enlarged to ``side`` pixels and made black (−1) or white (1), with a threshold for each picture.

    The brightest pixels become white, a share ``ink`` of each picture, so that strokes are equally bold in all of them
    and the holes of an 8 stay open. Pixels below a third of the brightest stay black, so a thin 1 has less ink.

    Args:
        images: grey values on any scale, bright strokes on dark paper.
        side: rows and columns of the result, at least those of ``images``.
        ink: largest share of white pixels, above 0 and below 1.

    Raises:
        ValueError: ``ink`` is out of range or the pictures would have to shrink.

    A grey square becomes a white one, enlarged threefold:

    >>> image = torch.zeros(1, 1, 4, 4)
    >>> image[..., 1:3, 1:3] = 0.8
    >>> picture = bitmaps(image, side=12)
    >>> picture.shape, picture.unique()
    (torch.Size([1, 12, 12]), tensor([-1.,  1.], dtype=torch.float64))
    """
    if not 0 < ink < 1:
        raise ValueError(f"ink must be above 0 and below 1, got {ink}")
    if side < max(images.shape[-2:]):
        raise ValueError(f"side must be at least that of the images, {max(images.shape[-2:])}, got {side}")
    framed = F.pad(images.double(), (1, 1, 1, 1))
    large = F.interpolate(framed, size=(side, side), mode="bicubic", align_corners=False).squeeze(1)
    flat = large.flatten(1)
    thresholds = torch.maximum(flat.quantile(1 - ink, dim=1), flat.amax(dim=1) / 3).view(-1, 1, 1)
    return torch.where(large > thresholds, 1.0, -1.0).double()


def holes(picture: Float[Tensor, "rows cols"]) -> int:
    """The number of separate black regions that white strokes enclose.

    >>> ring = -torch.ones(5, 5)
    >>> ring[1:4, 1:4] = 1
    >>> ring[2, 2] = -1
    >>> holes(ring)
    1
    """
    from scipy.ndimage import label

    black = F.pad(picture, (1, 1, 1, 1), value=-1.0) < 0  # the frame joins all black regions outside the strokes
    return label(black.numpy())[1] - 1


def one_of_each_digit(dataset: LabelledImages, side: int = 48) -> Float[Tensor, "10 side side"]:
    """A typical, readable test image of each digit 0–9 as a bitmap.

    Among the first two hundred images of a digit, a bitmap is readable if it has as many holes as the digit should
    have, and still has them with an eighth less ink. The result is the readable bitmap nearest to their average.

    Raises:
        ValueError: the data set has no labels, or no readable image of some digit.

    >>> from avae_lib.data.digits import load_digits
    >>> digits = one_of_each_digit(load_digits())
    >>> digits.shape, [holes(picture) for picture in digits]
    (torch.Size([10, 48, 48]), [1, 0, 0, 0, 0, 0, 1, 0, 2, 1])
    """
    if dataset.test_labels is None:
        raise ValueError(f"dataset {dataset.name!r} has no labels: take one with labelled digits, such as 'digits'")
    return torch.stack([_typical(dataset, digit, side) for digit in range(10)])


def _typical(dataset: LabelledImages, digit: int, side: int) -> Tensor:
    own = dataset.test[dataset.test_labels == digit][:_CANDIDATES]
    pictures = bitmaps(own, side) if len(own) else own
    thinner = bitmaps(own, side, ink=_INK * 7 / 8) if len(own) else own
    wanted = _HOLES_OF_DIGITS[digit]
    readable = [p for p, thin in zip(pictures, thinner, strict=True) if holes(p) == holes(thin) == wanted]
    if not readable:
        raise ValueError(f"dataset {dataset.name!r} has no readable test image of the digit {digit}")
    pictures = torch.stack(readable)
    return pictures[(pictures - pictures.mean(dim=0)).square().sum(dim=(1, 2)).argmin()]
