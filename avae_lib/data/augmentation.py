"""Random changes to training images that keep their content, on the device where the images are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import UInt8
from torch import Generator, Tensor

__all__ = ["RandomFlips"]

_HEIGHT, _WIDTH = 2, 3


@dataclass(frozen=True)
class RandomFlips:
    """Mirror each image with probability 1/2, in each direction that is on.

    Each image is either mirrored or left as it was:

    >>> images = torch.tensor([[[[1, 2]]]], dtype=torch.uint8).repeat(100, 1, 1, 1)
    >>> flipped = RandomFlips(horizontal=True)(images, Generator().manual_seed(0))
    >>> flipped.unique(dim=0).tolist()
    [[[[1, 2]]], [[[2, 1]]]]
    """

    horizontal: bool = False
    """Exchange left and right."""
    vertical: bool = False
    """Exchange up and down."""

    def __call__(
        self, images: UInt8[Tensor, "batch channels height width"], generator: Generator
    ) -> UInt8[Tensor, "batch channels height width"]:
        """The batch with some images flipped; the generator is on its device, and is not used if both are off."""
        for is_on, dimension in ((self.horizontal, _WIDTH), (self.vertical, _HEIGHT)):
            if is_on:
                chosen = torch.rand(len(images), generator=generator, device=images.device) < 0.5
                images = torch.where(chosen[:, None, None, None], images.flip(dimension), images)
        return images
