"""Data sets of one's own: arrays of images and labels in one ``.npz`` file, or in a folder of ``.npy`` files."""

from __future__ import annotations

import sys
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avae_lib.data.image_dataset import DatasetError, ImageDataset
from avae_lib.data.mapped_arrays import OBJECTS, map_npy, map_npz_member

__all__ = ["holds_arrays", "read_folder", "read_npz"]

_SPLITS = ("train", "test", "valid")
_ARRAYS = (*_SPLITS, *(f"{split}_labels" for split in _SPLITS), "bits", "version")
_LARGE = 2**30  # bytes; a smaller file is read into memory as a whole, and its checksums with it
_UNREADABLE = (OSError, EOFError, ValueError, OverflowError, MemoryError)
"""What a damaged array raises; the last two where its header claims an impossible size."""
_PIECE = 1000  # images that are looked at together


def read_npz(name: str, file: Path) -> ImageDataset:
    """The data set in ``file``, whose arrays are described at :func:`avae_lib.data.load`. Nothing is unpickled.

    The splits of a file of more than 1 GiB that is not compressed are mapped, not read.

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
    try:
        with np.load(file, allow_pickle=False) as archive:
            large = file.stat().st_size > _LARGE
            mapped = {key: map_npz_member(file, key) for key in _SPLITS if large and key in archive}
            mapped = {key: array for key, array in mapped.items() if array is not None}
            arrays = {key: archive[key] for key in _ARRAYS if key in archive and key not in mapped}
            names = list(archive)
    except (*_UNREADABLE, AttributeError, TypeError, zipfile.BadZipFile, zlib.error) as problem:
        # A single array (.npy) under the wrong name has no keys; an array of objects would need unpickling.
        raise DatasetError(
            f"{file} cannot be read as an .npz file of plain arrays ({_reason(problem)}); "
            "write it again with numpy.savez, or fetch it again if it was copied or downloaded"
        ) from problem
    return _dataset(name, file, arrays | mapped, names, is_mapped=bool(mapped))


def read_folder(name: str, folder: Path) -> ImageDataset:
    """The data set in a folder of arrays: ``train.npy``, ``test.npy`` and so on, with the names of an ``.npz`` file.

    The splits are mapped, not read, so they may be larger than memory. Leave the files as they are while a run uses
    them. ``numpy.lib.format.open_memmap`` writes such a file piece by piece.

    Raises:
        DatasetError: a file cannot be read, or arrays are missing, of the wrong type or of the wrong shape.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     for split in ("train", "test"):
    ...         np.save(Path(folder) / f"{split}.npy", np.full((3, 1, 4, 4), 200, dtype=np.uint8))
    ...     squares = read_folder("squares", Path(folder))
    >>> squares.description, squares.mapped
    ('1 × 4 × 4, 8 bits per pixel', True)
    """
    arrays = {key: _read(folder / f"{key}.npy") for key in _ARRAYS if (folder / f"{key}.npy").exists()}
    return _dataset(name, folder, arrays, [file.name for file in sorted(folder.iterdir())], is_mapped=True)


def holds_arrays(folder: Path) -> bool:
    """Whether a folder holds at least one of the arrays that :func:`read_folder` knows.

    >>> holds_arrays(Path("no/such/folder"))
    False
    """
    return any((folder / f"{key}.npy").exists() for key in _ARRAYS)


def _read(file: Path) -> np.ndarray:
    try:
        return map_npy(file) if file.stem in _SPLITS else np.load(file, allow_pickle=False)
    except _UNREADABLE as problem:
        raise DatasetError(
            f"{file} cannot be read as an .npy file of plain numbers ({_reason(problem)}); write it again with "
            "numpy.save, or fetch it again if it was copied or downloaded"
        ) from problem


def _reason(problem: Exception) -> str:
    """What NumPy says of a file; but unpickling, which it proposes, would run whatever the file says."""
    text = str(problem)
    if "Object arrays" in text:
        return OBJECTS
    return "it is a file of another kind" if "pickle" in text else text


def _dataset(
    name: str, place: Path, arrays: Mapping[str, np.ndarray], names: list[str], is_mapped: bool
) -> ImageDataset:
    missing = [split for split in ("train", "test") if split not in arrays]
    if missing:
        raise DatasetError(
            f"{place} has no array {' and none '.join(missing)}; it holds {', '.join(names[:10]) or 'nothing'}. "
            f"Write uint8 arrays train and test, each (N, C, H, W), with {_how_to_save(place)}"
        )
    unknown = [key for key in names if key.removesuffix(".npy") not in _ARRAYS and _is_array(place, key)]
    if unknown:
        note = f"note: {place} has arrays that nothing uses: {', '.join(unknown[:10])}; known are {', '.join(_ARRAYS)}"
        print(note, file=sys.stderr)
    try:
        for split in _SPLITS:
            if split in arrays:
                _require_images(split, arrays[split])
        return ImageDataset(name=name, mapped=is_mapped, **_fields(arrays, place, is_mapped))
    except (ValueError, TypeError) as problem:
        raise DatasetError(f"{place}: {problem}") from problem


def _is_array(place: Path, name: str) -> bool:
    return name.endswith(".npy") or not place.is_dir()


def _how_to_save(place: Path) -> str:
    return f'numpy.save("{place / "train.npy"}", …)' if place.is_dir() else "numpy.savez"


def _require_images(split: str, array: np.ndarray) -> None:
    """Refuse what is often saved in place of uint8 images ``(N, C, H, W)``, and say how to convert it."""
    shape = array.shape
    if array.size == 0:
        remedy = "save some, or leave valid out" if split == "valid" else "save some"
        raise ValueError(f"{split} must hold at least one image, (N, C, H, W), got shape {shape}: {remedy}")
    if array.dtype != np.uint8:
        raise ValueError(f"{split} must be uint8 pixels, got {array.dtype}: {_how_to_convert(array)}")
    if array.ndim == 3:
        raise ValueError(
            f"{split} must be (N, C, H, W), got shape {shape}: if these are grey images, save {split}[:, None]"
        )
    if array.ndim == 4 and shape[3] in (1, 3) and shape[1] not in (1, 3):
        raise ValueError(
            f"{split} must be (N, C, H, W), got shape {shape} with channels last: save {split}.transpose(0, 3, 1, 2)"
        )


def _how_to_convert(array: np.ndarray) -> str:
    if array.dtype.kind == "f" and array.size and float(array[:_PIECE].max()) <= 1:
        return "scale them to whole levels, for example (255 * images).round().astype(numpy.uint8)"
    if array.dtype.kind in "iufb":
        return "if all values are whole numbers from 0 to 255, save images.astype(numpy.uint8)"
    return "save the pixels themselves, as whole numbers from 0 to 255"


def _fields(arrays: Mapping[str, np.ndarray], place: Path, is_mapped: bool) -> dict[str, Any]:
    numbers = {key: array for key, array in arrays.items() if key not in ("bits", "version")}
    splits = [key for key in _SPLITS if key in numbers]
    fields: dict[str, Any] = {"version": str(arrays["version"])} if "version" in arrays else {}
    if "bits" in arrays:
        fields["bits"] = _bits(arrays["bits"])
    elif white := _white_level([arrays[split] for split in splits]):
        fields["bits"] = 1
        if white > 1:
            _require_small(is_mapped)
            numbers |= {split: (arrays[split] > 0).astype(np.uint8) for split in splits}
    else:
        _require_all_eight_bits(arrays["train"], place)
    return fields | {key: torch.from_numpy(array) for key, array in numbers.items()}


def _require_small(is_mapped: bool) -> None:
    if is_mapped:
        raise ValueError(
            "black and white images of this size must have the levels 0 and 1, got 0 and 255: save (images > 0).astype("
            "numpy.uint8), or add an array bits with the value 8 to model them as grey images"
        )


def _white_level(splits: list[np.ndarray]) -> int | None:
    """1 or 255 if the images hold only zeros and this level, else None."""
    for white in (1, 255):
        # The first grey piece ends the search, and no mask is as large as the set.
        if all(((piece == 0) | (piece == white)).all() for images in splits for piece in _pieces(images)):
            return white
    return None


def _require_all_eight_bits(images: np.ndarray, place: Path) -> None:
    """Refuse images that use only the lowest levels and do not say of how many bits they are."""
    brightest = 0
    for piece in _pieces(images):
        brightest = max(brightest, int(piece.max(initial=0)))
        if brightest >= 2**5:
            return
    bits = max(1, brightest.bit_length())
    how = f'numpy.save("{place / "bits.npy"}", {bits})' if place.is_dir() else f"numpy.savez(…, bits={bits})"
    raise ValueError(
        f"the brightest pixel of train is {brightest}, as in images of {bits} bit{'s' * (bits != 1)}: add the number, "
        f"{how}, or 8 if the images are that dark"
    )


def _pieces(images: np.ndarray) -> Iterator[np.ndarray]:
    return (images[start : start + _PIECE] for start in range(0, len(images), _PIECE))


def _bits(array: np.ndarray) -> int:
    if array.shape != () or array.dtype.kind not in "iu" or not 1 <= int(array) <= 8:
        raise ValueError(f"bits must be one whole number from 1 to 8, got {array!r}")
    return int(array)
