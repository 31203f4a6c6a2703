"""MNIST and Fashion-MNIST, grey, as torchvision lays them out on disk."""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from torch import Tensor

from avae_lib.data.image_dataset import ImageDataset
from avae_lib.data.published_sets import Edition, PublishedSet, reading

__all__ = ["FASHION_MNIST", "MNIST"]

_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def _published(name: str, torchvision_class: str, source: str) -> PublishedSet:
    edition = Edition(
        files=_FILES,
        suffixes=("", ".gz"),
        places=(f"{torchvision_class}/raw",),
        source=source,
        read=partial(_read, name),
        download=partial(_download, torchvision_class),
    )
    return PublishedSet(name, (edition,), embedded="digits", sizes=(60_000, 10_000))


def _read(name: str, paths: Mapping[str, Path]) -> ImageDataset:
    train, train_labels, test, test_labels = (_read_idx(paths[file]) for file in _FILES)
    return ImageDataset(
        name=name,
        train=train[:, None],
        test=test[:, None],
        train_labels=train_labels.long(),
        test_labels=test_labels.long(),
    )


def _read_idx(file: Path) -> Tensor:
    """One array of bytes in the IDX format, compressed or not."""
    from torchvision.datasets.mnist import read_sn3_pascalvincent_tensor  # costs seconds: only those who ask pay

    with reading(file), tempfile.TemporaryDirectory() as elsewhere:
        content = file.read_bytes()
        unpacked = Path(elsewhere) / "unpacked"
        unpacked.write_bytes(gzip.decompress(content) if file.suffix == ".gz" else content)
        return read_sn3_pascalvincent_tensor(str(unpacked))


def _download(torchvision_class: str, folder: Path) -> None:
    import torchvision.datasets

    getattr(torchvision.datasets, torchvision_class)(folder, download=True)


MNIST = _published("mnist", "MNIST", "https://ossci-datasets.s3.amazonaws.com/mnist/")
"""Handwritten digits, 28×28, 60,000 and 10,000 (LeCun et al., 1998)."""

FASHION_MNIST = _published(
    "fashion_mnist", "FashionMNIST", "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
)
"""Pieces of clothing, 28×28, 60,000 and 10,000 (Xiao et al., 2017)."""
