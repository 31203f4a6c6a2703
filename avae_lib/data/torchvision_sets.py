"""MNIST and Fashion-MNIST as torchvision lays them out on disk, or through its download."""

from __future__ import annotations

import contextlib
import gzip
import os
import socket
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from avae_lib.data.image_dataset import DatasetError, ImageDataset
from avae_lib.data.loading import EMBEDDED, data_folder

__all__ = ["load_torchvision_set"]

_CLASSES = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}
_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
_TIMEOUT_SECONDS = 15  # urllib itself would wait for a silent network without end


def load_torchvision_set(name: str, npz_file: Path | None) -> ImageDataset:
    """``mnist`` or ``fashion_mnist`` from files in torchvision's layout, compressed or not; else from a download.

    Args:
        name: which of the two.
        npz_file: where it was looked for already, for the message.

    Raises:
        DatasetError: not found and not to be had, or a file is damaged.
    """
    folders = _folders()
    for folder in folders:
        if not _missing(name, folder):
            return _read(name, folder)
    try:
        _download(name, folders)
    except Exception as problem:  # torchvision and urllib raise what they please; all of it means: no download
        raise DatasetError(_not_found(name, npz_file, folders, problem)) from problem
    return _read(name, _first_writable(folders))


def _folders() -> list[Path]:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "avae"
    return [folder for folder in (data_folder(), cache) if folder]


def _raw(name: str, folder: Path) -> Path:
    return folder / _CLASSES[name] / "raw"


def _missing(name: str, folder: Path) -> list[str]:
    raw = _raw(name, folder)
    return [file for file in _FILES if not (raw / file).exists() and not (raw / f"{file}.gz").exists()]


def _read(name: str, folder: Path) -> ImageDataset:
    import torchvision.datasets  # costs seconds: only those who ask pay

    reader = getattr(torchvision.datasets, _CLASSES[name])
    # A copy, because the folder may be read-only, and because a file half unpacked there would pass for whole.
    with tempfile.TemporaryDirectory() as copy:
        try:
            _unpack(_raw(name, folder), _raw(name, Path(copy)))
            train, test = reader(copy, train=True), reader(copy, train=False)
            return ImageDataset(
                name=name,
                train=train.data[:, None],
                test=test.data[:, None],
                train_labels=train.targets,
                test_labels=test.targets,
            )
        except (OSError, EOFError, ValueError, TypeError, AssertionError, RuntimeError, zlib.error) as problem:
            raise DatasetError(
                f"the files of {name} in {_raw(name, folder)} are damaged ({problem}); delete them and fetch them again"
            ) from problem


def _unpack(source: Path, destination: Path) -> None:
    destination.mkdir(parents=True)
    for file in _FILES:
        plain = source / file
        content = plain.read_bytes() if plain.exists() else gzip.decompress((source / f"{file}.gz").read_bytes())
        (destination / file).write_bytes(content)


def _download(name: str, folders: list[Path]) -> None:
    import torchvision.datasets

    folder = _first_writable(folders)
    print(f"{name} is not on this machine: trying to download it to {_raw(name, folder)}", file=sys.stderr)
    # Beside its place first: what an interrupted download leaves behind must not be taken for the data.
    with tempfile.TemporaryDirectory(dir=folder) as beside, _impatient_sockets():
        getattr(torchvision.datasets, _CLASSES[name])(beside, download=True)
        _raw(name, folder).mkdir(parents=True, exist_ok=True)
        for file in _FILES:
            os.replace(_raw(name, Path(beside)) / file, _raw(name, folder) / file)


def _first_writable(folders: list[Path]) -> Path:
    for folder in folders[:-1]:
        if os.access(folder, os.W_OK):
            return folder
    folders[-1].mkdir(parents=True, exist_ok=True)
    return folders[-1]


@contextlib.contextmanager
def _impatient_sockets() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _not_found(name: str, npz_file: Path | None, folders: list[Path], problem: Exception) -> str:
    import torchvision.datasets

    source = getattr(torchvision.datasets, _CLASSES[name]).mirrors[0]
    looked = [str(npz_file) if npz_file else f"$AVAE_DATA/{name}.npz (AVAE_DATA is not set)"]
    looked += [f"{_raw(name, folder) / _missing(name, folder)[0]}.gz" for folder in folders]
    target = _raw(name, data_folder() or Path("DIR"))
    setting = "" if data_folder() else " and set AVAE_DATA=DIR"
    return (
        f"{name} was not found, and the download failed ({_first_line(problem)}).\n"
        f"  looked for: {', '.join(looked)}\n"
        f"  to have it: put {', '.join(f'{file}.gz' for file in _FILES)} from {source} into {target}{setting}\n"
        f"  or use the embedded data set {EMBEDDED[0]!r}, which needs no file and no network: avae train digits-vae"
    )


def _first_line(problem: Exception) -> str:
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    return lines[-1] if lines else type(problem).__name__
