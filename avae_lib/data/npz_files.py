"""Data sets in one ``.npz`` file each: the format for people's own images."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from avae_lib.data.image_dataset import DatasetError, ImageDataset

__all__ = ["read_npz"]

_ARRAYS = ("train", "test", "valid", "train_labels", "test_labels", "bits")


def read_npz(name: str, file: Path) -> ImageDataset:
    """The data set in ``file``, whose arrays are described at :func:`avae_lib.data.load`. Nothing is unpickled.

    Raises:
        DatasetError: the file cannot be read, or its arrays are not what they should be.
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


def _fields(arrays: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor | int]:
    fields = {key: torch.from_numpy(array) for key, array in arrays.items() if key != "bits"}
    if "bits" in arrays:
        return fields | {"bits": _bits(arrays["bits"])}
    is_black_and_white = all(
        arrays[split].max(initial=0) <= 1 for split in ("train", "test", "valid") if split in arrays
    )
    return fields | {"bits": 1 if is_black_and_white else 8}


def _bits(array: np.ndarray) -> int:
    if array.shape != () or array.dtype.kind not in "iu" or not 1 <= int(array) <= 8:
        raise ValueError(f"bits must be one whole number from 1 to 8, got {array!r}")
    return int(array)
