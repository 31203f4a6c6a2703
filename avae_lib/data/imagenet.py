"""ImageNet reduced to 32×32 or 64×64, in its two editions, whose numbers are not comparable with one another.

* "batches": P. Chrabaszcz, I. Loshchilov, F. Hutter, "A Downsampled Variant of ImageNet", 2017, from image-net.org:
  ``train_data_batch_1 … 10`` and ``val_data``, as ``.npz`` or as pickles; 1,281,167 and 50,000 images.
* "PNG": A. van den Oord, N. Kalchbrenner, K. Kavukcuoglu, "Pixel Recurrent Neural Networks", 2016: folders of PNG
  files, 1,281,149 and 49,999 images, reduced by another filter. It came first, and is no longer on that site.

Validation images are the test split, as in all publications. At 64×64 the training images take 15.7 GB: they are read
batch by batch into memory that is reserved once.
"""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from avae_lib.data.image_dataset import DatasetError, ImageDataset
from avae_lib.data.plain_pickles import read_plain_pickle
from avae_lib.data.published_sets import Edition, PublishedSet, reading

__all__ = ["IMAGENET32", "IMAGENET64"]

_TRAIN = tuple(f"train_data_batch_{number}" for number in range(1, 11))
_VALID = "val_data"


def _read_batches(name: str, side: int, paths: Mapping[str, Path]) -> ImageDataset:
    train, train_labels = _join_batches([paths[file] for file in _TRAIN], side)
    test, test_labels = _join_batches([paths[_VALID]], side)
    return ImageDataset(
        name=name,
        version=f"batches, {len(train):,} + {len(test):,} images",
        train=train,
        test=test,
        train_labels=train_labels,
        test_labels=test_labels,
    )


def _join_batches(files: Sequence[Path], side: int) -> tuple[Tensor, Tensor]:
    """All images and labels, counted from 0, of several files, with one file at a time in memory besides."""
    capacity = sum(_bytes_of_images(file) // (3 * side**2) for file in files)
    images, labels, filled = np.empty((capacity, 3, side, side), np.uint8), [], 0
    for file in files:
        with reading(file):
            batch = _read_batch(file, side)
            images[filled : filled + len(batch["data"])] = batch["data"].reshape(-1, 3, side, side)
            labels.append(torch.as_tensor(np.asarray(batch["labels"])).long() - 1)
            filled += len(batch["data"])
    return torch.from_numpy(images[:filled]), torch.cat(labels)


def _bytes_of_images(file: Path) -> int:
    """At least as many as the images take: a pickle's size, or that of the array in an archive."""
    with reading(file):
        if file.suffix != ".npz":
            return file.stat().st_size
        with zipfile.ZipFile(file) as archive:
            return archive.getinfo("data.npy").file_size


def _read_batch(file: Path, side: int) -> Mapping[str, np.ndarray]:
    if file.suffix == ".npz":
        with np.load(file, allow_pickle=False) as archive:
            batch = {key: archive[key] for key in ("data", "labels")}
    else:
        batch = read_plain_pickle(file)
    data = batch["data"]
    if data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != 3 * side**2:
        raise ValueError(f"wanted uint8 rows of {3 * side**2} values, got {data.dtype} of shape {data.shape}")
    return batch


def _read_folders(name: str, side: int, paths: Mapping[str, Path]) -> ImageDataset:
    train, test = (_read_pngs(folder, side) for folder in paths.values())
    return ImageDataset(name=name, version=f"PNG, {len(train):,} + {len(test):,} images", train=train, test=test)


def _read_pngs(folder: Path, side: int) -> UInt8[Tensor, "examples 3 side side"]:
    """All PNG files of a folder, in the order of their names."""
    from PIL import Image

    files = sorted(folder.glob("*.png"))
    if not files:
        raise DatasetError(f"{folder} holds no PNG files; unpack the archive there again")
    print(f"reading {len(files):,} images from {folder}", file=sys.stderr)
    images = np.empty((len(files), 3, side, side), np.uint8)
    for image, file in zip(images, files, strict=True):
        with reading(file), Image.open(file) as picture:
            if picture.size != (side, side):
                raise ValueError(f"wanted {side}×{side} pixels, got {picture.size}")
            image[:] = np.asarray(picture.convert("RGB")).transpose(2, 0, 1)
    return torch.from_numpy(images)


def _published(side: int) -> PublishedSet:
    name = f"imagenet{side}"
    batches = Edition(
        files=(*_TRAIN, _VALID),
        suffixes=("", ".npz"),
        places=(name,),
        read=partial(_read_batches, name, side),
        source="https://image-net.org/download-images.php (after registration)",
    )
    folders = Edition(
        files=(f"train_{side}x{side}", f"valid_{side}x{side}"),
        places=(name, "."),
        read=partial(_read_folders, name, side),
        source=f"the archives train_{side}x{side}.tar and valid_{side}x{side}.tar",
    )
    return PublishedSet(name, (batches, folders), embedded="photos32")


IMAGENET32 = _published(32)
IMAGENET64 = _published(64)
