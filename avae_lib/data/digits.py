"""The 1,797 handwritten digits that come with scikit-learn: real images without a file or a network."""

from __future__ import annotations

import numpy as np
import torch

from avae_lib.data.image_dataset import ImageDataset

__all__ = ["load_digits"]

_TRAIN_EXAMPLES = 1500
_BITS = 4


def load_digits() -> ImageDataset:
    """Handwritten digits, 8×8 grey values in 4 bits: 1,500 for training, 297 for test, in a fixed shuffled order.

    scikit-learn's copy of the test part of "Optical recognition of handwritten digits" (Alpaydin and Kaynak, 1998).
    Its 17 grey levels 0 … 16 are clipped to 16 levels.

    >>> digits = load_digits()
    >>> digits.train.shape, digits.bits, digits.train_labels[:3]
    (torch.Size([1500, 1, 8, 8]), 4, tensor([2, 8, 2]))
    """
    from sklearn.datasets import load_digits as sklearn_digits  # the import takes a second

    images, labels = sklearn_digits(return_X_y=True)
    # RandomState's stream is frozen by NumPy's policy, so the split is the same everywhere and always.
    order = np.random.RandomState(0).permutation(len(images))
    pixels = torch.from_numpy(images[order].clip(max=2**_BITS - 1).astype(np.uint8)).reshape(-1, 1, 8, 8)
    labels = torch.from_numpy(labels[order])
    return ImageDataset(
        name="digits",
        train=pixels[:_TRAIN_EXAMPLES],
        test=pixels[_TRAIN_EXAMPLES:],
        bits=_BITS,
        train_labels=labels[:_TRAIN_EXAMPLES],
        test_labels=labels[_TRAIN_EXAMPLES:],
    )
