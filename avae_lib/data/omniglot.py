"""OMNIGLOT in the split of Burda et al. (2016), by which autoencoders are compared: 24,345 and 8,070 grey 28×28 images.

B. Lake, R. Salakhutdinov, J. Tenenbaum, "Human-level concept learning through probabilistic program induction",
Science, 2015; reduced to 28×28 by Y. Burda, R. Grosse, R. Salakhutdinov, "Importance Weighted Autoencoders".
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from avae_lib.data.image_dataset import ImageDataset
from avae_lib.data.published_sets import Edition, PublishedSet, reading

__all__ = ["OMNIGLOT"]

_FILE = "chardata.mat"
_ADDRESS = "https://github.com/yburda/iwae/raw/master/datasets/OMNIGLOT/chardata.mat"
_SIDE = 28


def _read(paths: Mapping[str, Path]) -> ImageDataset:
    from scipy.io import loadmat  # comes with scikit-learn

    with reading(paths[_FILE]):
        arrays = loadmat(paths[_FILE], variable_names=("data", "testdata"))
        train, test = (_upright(arrays[field]) for field in ("data", "testdata"))
    return ImageDataset(name="omniglot", train=train, test=test)


def _upright(columns: Float[np.ndarray, "784 examples"]) -> UInt8[Tensor, "examples 1 28 28"]:
    """Images from columns in MATLAB's order, which runs down the picture first; brightness 0 … 1 in 8 bits."""
    if columns.ndim != 2 or len(columns) != _SIDE**2:
        raise ValueError(f"wanted arrays of {_SIDE**2} rows, got shape {columns.shape}")
    if not (columns.min() >= 0 and columns.max() <= 1):
        raise ValueError(f"wanted values from 0 to 1, got {columns.min()} to {columns.max()}")
    levels = np.rint(255 * columns.astype(np.float32)).astype(np.uint8)
    images = levels.T.reshape(-1, 1, _SIDE, _SIDE).swapaxes(2, 3)
    return torch.from_numpy(np.ascontiguousarray(images))


def _download(folder: Path) -> None:
    from torchvision.datasets.utils import download_url

    download_url(_ADDRESS, folder / "omniglot", _FILE)


OMNIGLOT = PublishedSet(
    name="omniglot",
    editions=(
        Edition(
            files=(_FILE,),
            places=("omniglot", "."),
            read=_read,
            source=_ADDRESS.removesuffix(_FILE),
            download=_download,
        ),
    ),
    embedded="digits",
    sizes=(24_345, 8_070),
)
