"""Crops of the two colour photographs that scikit-learn carries: real colours with no file and no network."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from avae_lib.data.image_dataset import DatasetError, ImageDataset

__all__ = ["load_photos32"]

_SIDE = 32
_TRAIN_STRIDE, _TEST_STRIDE = 8, 16
_TEST_COLUMNS = slice(384, 512)
_VALID_COLUMNS = slice(512, 576)
_VALID_CROPS = 500
"""Crops for validation that the two photographs hold."""


def load_photos32(validation: int = 0) -> ImageDataset:
    """Crops of 32×32 pixels, 8 bits, three channels: 5,800 for training, 350 for test, each in a fixed shuffled order.

    From ``china.jpg`` and ``flower.jpg``, 427×640 pixels each. A band of 128 columns of each photograph is kept for
    test, and no training crop touches it. Crops overlap: there is much less in 5,800 of them than in as many pictures.

    >>> photos = load_photos32(validation=100)
    >>> len(photos.train), len(photos.valid), len(photos.test)
    (5000, 100, 350)

    Args:
        validation: crops for validation, at most 500. They come from a band of 64 columns of their own; with any of
            them the 800 training crops that touch this band are left out.

    Raises:
        DatasetError: there are not so many crops for validation.
    """
    from sklearn.datasets import load_sample_images  # costs a second: only those who ask pay

    if not 0 <= validation <= _VALID_CROPS:
        raise DatasetError(f"photos32 has 0 to {_VALID_CROPS} crops for validation, got data.validation = {validation}")
    photographs = load_sample_images().images
    before = slice(0, _TEST_COLUMNS.start)
    after = slice(_VALID_COLUMNS.stop if validation else _TEST_COLUMNS.stop, None)
    train = [_crops(photo[:, band], _TRAIN_STRIDE) for photo in photographs for band in (before, after)]
    valid = [_crops(photo[:, _VALID_COLUMNS], _TRAIN_STRIDE) for photo in photographs]
    test = [_crops(photo[:, _TEST_COLUMNS], _TEST_STRIDE) for photo in photographs]
    held_out = _shuffled(valid)[:validation] if validation else None
    return ImageDataset(name="photos32", train=_shuffled(train), valid=held_out, test=_shuffled(test))


def _crops(picture: UInt8[np.ndarray, "height width 3"], stride: int) -> UInt8[np.ndarray, "_ 3 32 32"]:
    """All crops whose corners lie on a grid."""
    windows = np.lib.stride_tricks.sliding_window_view(picture, (_SIDE, _SIDE), axis=(0, 1))
    return windows[::stride, ::stride].reshape(-1, 3, _SIDE, _SIDE)


def _shuffled(crops: list[UInt8[np.ndarray, "_ 3 32 32"]]) -> UInt8[Tensor, "examples 3 32 32"]:
    images = np.concatenate(crops)
    # RandomState's stream is frozen by NumPy's policy, so the order is the same everywhere and always.
    return torch.from_numpy(images[np.random.RandomState(0).permutation(len(images))])
