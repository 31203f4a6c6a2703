"""Frey faces: 1,965 grey pictures of one face, 28×20, frames of a short film (Brendan Frey and Sam Roweis)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from avae_lib.data.image_dataset import ImageDataset
from avae_lib.data.published_sets import Edition, PublishedSet, reading

__all__ = ["FREY_FACES"]

_FILE = "frey_rawface.mat"
_HEIGHT, _WIDTH = 28, 20
_VALID_IMAGES, _TEST_IMAGES = 200, 200


def _read(paths: Mapping[str, Path]) -> ImageDataset:
    from scipy.io import loadmat  # comes with scikit-learn

    with reading(paths[_FILE]):
        faces = _upright(loadmat(paths[_FILE], variable_names=("ff",))["ff"])
    # There is no official split. RandomState's stream is frozen by NumPy's policy, so this one is always the same.
    faces = faces[torch.from_numpy(np.random.RandomState(0).permutation(len(faces)))]
    train = len(faces) - _VALID_IMAGES - _TEST_IMAGES
    return ImageDataset(
        name="freyfaces",
        train=faces[:train],
        valid=faces[train : train + _VALID_IMAGES],
        test=faces[train + _VALID_IMAGES :],
        version="shuffled, seed 0",
    )


def _upright(columns: UInt8[np.ndarray, "560 examples"]) -> UInt8[Tensor, "examples 1 28 20"]:
    """Images from columns that list the pixels line by line, as they are read."""
    if columns.ndim != 2 or len(columns) != _HEIGHT * _WIDTH or columns.dtype != np.uint8:
        raise ValueError(f"wanted ff: {_HEIGHT * _WIDTH} rows of uint8, got {columns.dtype} of shape {columns.shape}")
    if columns.shape[1] <= _VALID_IMAGES + _TEST_IMAGES:
        raise ValueError(f"wanted more than {_VALID_IMAGES + _TEST_IMAGES} images in ff, got {columns.shape[1]}")
    return torch.from_numpy(np.ascontiguousarray(columns.T).reshape(-1, 1, _HEIGHT, _WIDTH))


FREY_FACES = PublishedSet(
    name="freyfaces",
    editions=(
        Edition(
            files=(_FILE,),
            places=("freyfaces", "."),
            read=_read,
            source="https://cs.nyu.edu/~roweis/data.html",
        ),
    ),
    embedded="digits",
    sizes=(1_565, 200),
)
