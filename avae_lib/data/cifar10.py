"""CIFAR-10: colour photographs of ten kinds of things, 32×32, 50,000 and 10,000 (A. Krizhevsky, 2009)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from avae_lib.data.image_dataset import ImageDataset
from avae_lib.data.plain_pickles import read_plain_pickle
from avae_lib.data.published_sets import Edition, PublishedSet, reading

__all__ = ["CIFAR10"]

_TRAIN = tuple(f"data_batch_{number}" for number in range(1, 6))
_TEST = "test_batch"
_PUBLISHED_IMAGES_OF_A_FILE = 10_000


def _read(paths: Mapping[str, Path]) -> ImageDataset:
    batches = [_read_batch(paths[file]) for file in _TRAIN]
    test, test_labels = _read_batch(paths[_TEST])
    return ImageDataset(
        name="cifar10",
        train=torch.cat([images for images, _ in batches]),
        test=test,
        train_labels=torch.cat([labels for _, labels in batches]),
        test_labels=test_labels,
    )


def _read_batch(file: Path) -> tuple[Tensor, Tensor]:
    """Images ``(N, 3, 32, 32)`` and labels; the pickle holds each image as a row of bytes, channel by channel."""
    with reading(file):
        batch = read_plain_pickle(file)
        images = torch.from_numpy(np.array(batch["data"])).reshape(-1, 3, 32, 32)
        if len(images) == _PUBLISHED_IMAGES_OF_A_FILE:
            _require_published_bytes(file)
        return images, torch.tensor(batch["labels"])


def _require_published_bytes(file: Path) -> None:
    from torchvision.datasets import CIFAR10  # costs seconds: only those who ask pay

    wanted = dict(CIFAR10.train_list + CIFAR10.test_list)[file.name]
    got = hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
    if got != wanted:
        raise ValueError(f"its MD5 sum is {got}, that of the published file is {wanted}")


def _download(folder: Path) -> None:
    from torchvision.datasets import CIFAR10

    CIFAR10(folder, download=True)


CIFAR10 = PublishedSet(
    name="cifar10",
    editions=(
        Edition(
            files=(*_TRAIN, _TEST),
            places=("cifar-10-batches-py", "."),
            read=_read,
            source="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz (unpacked)",
            download=_download,
        ),
    ),
    embedded="photos32",
    sizes=(50_000, 10_000),
)
