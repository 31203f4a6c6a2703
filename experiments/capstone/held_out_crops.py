"""Crops of the kind that the grader of the capstone draws: from the test band, off the grid of the public crops."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

__all__ = ["all_crops_of_the_test_band", "held_out_crops"]

_SIDE, _GRID = 32, 16
_TEST_COLUMNS = slice(384, 512)


def held_out_crops(count: int, seed: int) -> UInt8[Tensor, "count 3 32 32"]:
    """Crops at random places, half of them mirrored; none lies on the grid of the 350 public test crops.

    >>> held_out_crops(5, seed=0).shape
    torch.Size([5, 3, 32, 32])
    """
    random = np.random.RandomState(seed)
    bands = _test_bands()
    height, width, _ = bands[0].shape
    crops = []
    while len(crops) < count:
        band, row, column = random.randint(len(bands)), random.randint(height - 31), random.randint(width - 31)
        if row % _GRID or column % _GRID:
            crop = bands[band][row : row + _SIDE, column : column + _SIDE].transpose(2, 0, 1)
            crops.append(crop[:, :, ::-1] if random.randint(2) else crop)
    return torch.from_numpy(np.stack(crops))


def all_crops_of_the_test_band() -> UInt8[Tensor, "crops 3 32 32"]:
    """Every window of the test band, mirrored or not: 153,648 crops, including all that the grader can draw."""
    windows = [
        np.lib.stride_tricks.sliding_window_view(band, (_SIDE, _SIDE), axis=(0, 1)).reshape(-1, 3, _SIDE, _SIDE)
        for band in _test_bands()
    ]
    crops = np.concatenate(windows)
    return torch.from_numpy(np.concatenate([crops, crops[..., ::-1]]))


def _test_bands() -> list[UInt8[np.ndarray, "height width 3"]]:
    from sklearn.datasets import load_sample_images

    return [photo[:, _TEST_COLUMNS] for photo in load_sample_images().images]
