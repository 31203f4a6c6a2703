"""MNIST binarised once and for all: the set behind most published likelihoods of black-and-white digits.

H. Larochelle, I. Murray, "The Neural Autoregressive Distribution Estimator", AISTATS 2011; the pixels were drawn as
in Salakhutdinov and Murray (2008). 50,000 images for training, 10,000 for validation, 10,000 for test.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from avae_lib.data.image_dataset import ImageDataset
from avae_lib.data.published_sets import Edition, PublishedSet, reading

__all__ = ["MNIST_STATIC"]

_SOURCE = "http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/"
_FILES = {split: f"binarized_mnist_{split}.amat" for split in ("train", "valid", "test")}
_SIDE = 28


def _read(paths: Mapping[str, Path]) -> ImageDataset:
    train, valid, test = (_read_amat(paths[file]) for file in _FILES.values())
    return ImageDataset(name="mnist_static", bits=1, train=train, valid=valid, test=test)


def _read_amat(file: Path) -> UInt8[Tensor, "examples 1 28 28"]:
    """Text with one image in each line: 784 times 0 or 1, with blanks between."""
    with reading(file):
        text = np.frombuffer(file.read_bytes(), np.uint8)
        digits = text[text > ord(" ")] - ord("0")
        lines = np.count_nonzero(text == ord("\n")) + (text[-1] != ord("\n"))
        if digits.max() > 1 or len(digits) != lines * _SIDE**2:
            raise ValueError(f"wanted lines of {_SIDE**2} zeros and ones, got {len(digits)} digits in {lines} lines")
        return torch.from_numpy(digits).reshape(-1, 1, _SIDE, _SIDE)


def _download(folder: Path) -> None:
    from torchvision.datasets.utils import download_url

    for file in _FILES.values():
        download_url(_SOURCE + file, folder / "mnist_static", file)


MNIST_STATIC = PublishedSet(
    name="mnist_static",
    editions=(
        Edition(
            files=tuple(_FILES.values()), places=("mnist_static", "."), read=_read, source=_SOURCE, download=_download
        ),
    ),
    embedded="digits",
    sizes=(50_000, 10_000),
)
