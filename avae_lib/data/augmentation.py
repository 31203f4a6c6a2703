"""Random changes to training images that leave what they show as it is, on the device where the images are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import UInt8
from torch import Generator, Tensor

__all__ = ["RandomFlips"]

_HEIGHT, _WIDTH = 2, 3


@dataclass(frozen=True)
class RandomFlips:
    """Each image is mirrored or not with equal chances, in each direction that is on, anew in each draw."""

    horizontal: bool = False
    """Left becomes right."""
    vertical: bool = False
    """Up becomes down."""

    def __call__(
        self, images: UInt8[Tensor, "batch channels height width"], generator: Generator
    ) -> UInt8[Tensor, "batch channels height width"]:
        """The batch with some images flipped; the generator is on its device, and untouched where all is off."""
        for is_on, dimension in ((self.horizontal, _WIDTH), (self.vertical, _HEIGHT)):
            if is_on:
                chosen = torch.rand(len(images), generator=generator, device=images.device) < 0.5
                images = torch.where(chosen[:, None, None, None], images.flip(dimension), images)
        return images
