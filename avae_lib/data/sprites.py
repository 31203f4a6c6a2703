"""Small white shapes whose every property is known: images drawn from four independent factors."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from jaxtyping import Bool, Int, UInt8
from torch import Tensor

from avae_lib.data.image_dataset import ImageDataset

__all__ = ["SPRITE_FACTORS", "all_sprites", "load_sprites"]

SPRITE_FACTORS = {
    "shape": ("square", "disc", "diamond"),
    "radius": (2.3, 3.3, 4.3),
    "column": (4.5, 5.5, 6.5, 7.5, 8.5, 9.5, 10.5, 11.5),
    "row": (4.5, 5.5, 6.5, 7.5, 8.5, 9.5, 10.5, 11.5),
}
"""The values of each factor. Radius (half the width), column and row of the centre are in pixels."""

_SIZE = 16
_TRAIN_EXAMPLES = 460


def all_sprites() -> tuple[UInt8[Tensor, "images 1 16 16"], Int[Tensor, "images factors"]]:
    """One black-and-white image of 16×16 pixels for each combination of factors, and the index of each factor's value.

    A pixel is white where the shape covers its centre.

    >>> images, factors = all_sprites()
    >>> images.shape, factors.shape
    (torch.Size([576, 1, 16, 16]), torch.Size([576, 4]))
    >>> images[-1, 0, 7:16, 7:16]
    tensor([[0, 0, 0, 0, 1, 0, 0, 0, 0],
            [0, 0, 0, 1, 1, 1, 0, 0, 0],
            [0, 0, 1, 1, 1, 1, 1, 0, 0],
            [0, 1, 1, 1, 1, 1, 1, 1, 0],
            [1, 1, 1, 1, 1, 1, 1, 1, 1],
            [0, 1, 1, 1, 1, 1, 1, 1, 0],
            [0, 0, 1, 1, 1, 1, 1, 0, 0],
            [0, 0, 0, 1, 1, 1, 0, 0, 0],
            [0, 0, 0, 0, 1, 0, 0, 0, 0]], dtype=torch.uint8)
    """
    combinations = list(itertools.product(*(range(len(values)) for values in SPRITE_FACTORS.values())))
    images = torch.stack([_drawn(combination) for combination in combinations])
    return images.unsqueeze(1), torch.tensor(combinations)


def load_sprites() -> ImageDataset:
    """The sprites as a data set: 460 for training, 116 for test, in a fixed shuffled order; labels are the shapes.

    >>> sprites = load_sprites()
    >>> sprites.image_shape, sprites.bits, len(sprites.train), len(sprites.test)
    ((1, 16, 16), 1, 460, 116)
    """
    images, factors = all_sprites()
    # RandomState's stream is frozen by NumPy's policy, so the split is the same everywhere and always.
    order = torch.from_numpy(np.random.RandomState(0).permutation(len(images)))
    images, shapes = images[order], factors[order, 0]
    return ImageDataset(
        name="sprites",
        train=images[:_TRAIN_EXAMPLES],
        test=images[_TRAIN_EXAMPLES:],
        bits=1,
        train_labels=shapes[:_TRAIN_EXAMPLES],
        test_labels=shapes[_TRAIN_EXAMPLES:],
    )


def _drawn(combination: tuple[int, ...]) -> UInt8[Tensor, "16 16"]:
    shape, radius, column, row = (
        values[index] for values, index in zip(SPRITE_FACTORS.values(), combination, strict=True)
    )
    centres = torch.arange(_SIZE, dtype=torch.float64) + 0.5
    down, right = torch.meshgrid(centres - row, centres - column, indexing="ij")
    return _is_inside(shape, right, down, radius).to(torch.uint8)


def _is_inside(shape: str, right: Tensor, down: Tensor, radius: float) -> Bool[Tensor, "16 16"]:
    if shape == "square":
        return torch.maximum(right.abs(), down.abs()) <= radius
    if shape == "disc":
        return right.square() + down.square() <= radius**2
    return right.abs() + down.abs() <= radius
