"""Crops of the two colour photographs that scikit-learn carries: real colours with no file and no network."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from avae_lib.data.image_dataset import ImageDataset

__all__ = ["load_photos32"]

_SIDE = 32
_TRAIN_STRIDE, _TEST_STRIDE = 8, 16
_TEST_COLUMNS = slice(384, 512)


def load_photos32() -> ImageDataset:
    """Crops of 32×32 pixels, 8 bits, three channels: 5,800 for training, 350 for test, each in a fixed shuffled order.

    From ``china.jpg`` and ``flower.jpg``, 427×640 pixels each. A band of 128 columns of each photograph is kept for
    test, and no training crop touches it. Crops overlap: there is much less in 5,800 of them than in as many pictures.
    """
    from sklearn.datasets import load_sample_images  # costs a second: only those who ask pay

    photographs = load_sample_images().images
    before, after = slice(0, _TEST_COLUMNS.start), slice(_TEST_COLUMNS.stop, None)
    train = [_crops(photo[:, band], _TRAIN_STRIDE) for photo in photographs for band in (before, after)]
    test = [_crops(photo[:, _TEST_COLUMNS], _TEST_STRIDE) for photo in photographs]
    return ImageDataset(name="photos32", train=_shuffled(train), test=_shuffled(test))


def _crops(picture: UInt8[np.ndarray, "height width 3"], stride: int) -> UInt8[np.ndarray, "crops 3 32 32"]:
    """All crops whose corners lie on a grid."""
    windows = np.lib.stride_tricks.sliding_window_view(picture, (_SIDE, _SIDE), axis=(0, 1))
    return windows[::stride, ::stride].reshape(-1, 3, _SIDE, _SIDE)


def _shuffled(crops: list[UInt8[np.ndarray, "crops 3 32 32"]]) -> UInt8[Tensor, "examples 3 32 32"]:
    images = np.concatenate(crops)
    # RandomState's stream is frozen by NumPy's policy, so the order is the same everywhere and always.
    return torch.from_numpy(images[np.random.RandomState(0).permutation(len(images))])
