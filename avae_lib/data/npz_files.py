"""Data sets in one ``.npz`` file each: the format for your own images."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avae_lib.data.image_dataset import DatasetError, ImageDataset

__all__ = ["read_npz"]

_ARRAYS = ("train", "test", "valid", "train_labels", "test_labels", "valid_labels", "bits", "version")


def read_npz(name: str, file: Path) -> ImageDataset:
    """The data set in ``file``, whose arrays are described at :func:`avae_lib.data.load`. Nothing is unpickled.

    Raises:
        DatasetError: the file cannot be read, or its arrays are missing, of the wrong type or of the wrong shape.

    >>> from tempfile import TemporaryDirectory
    >>> images = np.zeros((3, 1, 4, 4), dtype=np.uint8)
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder) / "squares.npz"
    ...     np.savez(file, train=images, test=images + 1)
    ...     squares = read_npz("squares", file)
    >>> squares.description
    '1 × 4 × 4, 1 bit per pixel'
    """
    arrays = _arrays(file)
    missing = [split for split in ("train", "test") if split not in arrays]
    if missing:
        raise DatasetError(
            f"{file} has no array {' and none '.join(missing)}; it holds {', '.join(arrays) or 'nothing of use'}. "
            "Write uint8 arrays train and test, each (N, C, H, W), with numpy.savez"
        )
    try:
        return ImageDataset(name=name, **_fields(arrays))
    except (ValueError, TypeError) as problem:
        raise DatasetError(f"{file}: {problem}") from problem


def _arrays(file: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(file, allow_pickle=False) as archive:
            return {key: archive[key] for key in _ARRAYS if key in archive}
    except (OSError, EOFError, ValueError, AttributeError, TypeError, zipfile.BadZipFile, zlib.error) as problem:
        # A single array (.npy) under the wrong name has no keys; an array of objects would need unpickling.
        raise DatasetError(
            f"{file} cannot be read as an .npz file of plain arrays ({problem}); "
            "write it again with numpy.savez, or fetch it again if it was copied or downloaded"
        ) from problem


def _fields(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    numbers = {key: array for key, array in arrays.items() if key not in ("bits", "version")}
    splits = [key for key in ("train", "test", "valid") if key in numbers]
    fields: dict[str, Any] = {"version": str(arrays["version"])} if "version" in arrays else {}
    if "bits" in arrays:
        fields["bits"] = _bits(arrays["bits"])
    elif all(_is_black_and_white(arrays[split]) for split in splits):
        numbers |= {split: (arrays[split] > 0).astype(np.uint8) for split in splits}
        fields["bits"] = 1
    return fields | {key: torch.from_numpy(array) for key, array in numbers.items()}


def _is_black_and_white(images: np.ndarray) -> bool:
    """Whether the images hold only zeros and one other level, 1 or 255."""
    if images.dtype != np.uint8 or images.ndim == 0:
        return False
    # In pieces, so that the first grey image ends the search and no mask is as large as the set.
    pieces = np.array_split(images, 1 + len(images) // 1000)
    return any(all(((piece == 0) | (piece == white)).all() for piece in pieces) for white in (1, 255))


def _bits(array: np.ndarray) -> int:
    if array.shape != () or array.dtype.kind not in "iu" or not 1 <= int(array) <= 8:
        raise ValueError(f"bits must be one whole number from 1 to 8, got {array!r}")
    return int(array)
