"""Data sets in the files in which they were published: found in a few places, downloaded where that is possible."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from avae_lib.atomic_write import move_into_place
from avae_lib.data.image_dataset import DatasetError, ImageDataset

__all__ = ["Edition", "PublishedSet", "data_folder", "load_published", "reading"]

_TIMEOUT_SECONDS = 15  # without it urllib would wait forever for a silent network


@dataclass(frozen=True)
class Edition:
    """One form in which a data set was published.

    >>> edition = Edition(("faces.mat",), places=("faces", "."), read=lambda paths: None, source="https://example.org")
    >>> edition.missing(Path("/a/folder/that/is/not/there"))
    {'faces': ['faces.mat'], '.': ['faces.mat']}
    """

    files: tuple[str, ...]
    """Names of the files (or folders of images), all of which are needed."""
    places: tuple[str, ...]
    """Where in a data folder they may lie, relative to it; the first is where a download puts them."""
    read: Callable[[Mapping[str, Path]], ImageDataset]
    """From names to the paths where they were found."""
    source: str
    """Where they are available."""
    suffixes: tuple[str, ...] = ("",)
    """What may follow the names."""
    download: Callable[[Path], None] | None = None
    """Puts the files into ``places[0]`` of a data folder; None if they must not be fetched automatically."""

    def missing(self, folder: Path) -> dict[str, list[str]]:
        """The names that are not there, for each place."""
        return {place: [file for file in self.files if not self._path(folder / place, file)] for place in self.places}

    def paths(self, folder: Path) -> dict[str, Path] | None:
        """Where each file is, if all of them are in one place."""
        for place, missing in self.missing(folder).items():
            if not missing:
                found = {file: self._path(folder / place, file) for file in self.files}
                return {file: path for file, path in found.items() if path is not None}
        return None

    def _path(self, place: Path, file: str) -> Path | None:
        candidates = (place / f"{file}{suffix}" for suffix in self.suffixes)
        return next((path for path in candidates if path.exists()), None)


@dataclass(frozen=True)
class PublishedSet:
    """A published data set, known by its name."""

    name: str
    editions: tuple[Edition, ...]
    """Its editions; the first one that is found is read."""
    embedded: str
    """Name of the most similar embedded set."""
    sizes: tuple[int, int] | None = None
    """Training and test images of the published set; None if its editions differ."""


def load_published(published: PublishedSet, npz_file: Path | None) -> ImageDataset:
    """The set from its files in ``$AVAE_DATA`` or the user's cache; else from a download.

    Args:
        published: which set.
        npz_file: a file that was looked for before, for the message.

    Raises:
        DatasetError: the set was not found and could not be downloaded, or a file is damaged.
    """
    folders = _folders()
    found = _read_from(published, folders)
    if found is None:
        try:
            _download(published, folders)
        except Exception as problem:  # torchvision and urllib raise many types; each of them means: no download
            raise DatasetError(_not_found(published, npz_file, folders, problem)) from problem
        found = _read_from(published, folders)
        assert found is not None, "a download that failed raises"
    return found


def data_folder() -> Path | None:
    """The folder that ``AVAE_DATA`` names, if it is set.

    >>> from unittest.mock import patch
    >>> with patch.dict(os.environ, AVAE_DATA="/data"):
    ...     data_folder().as_posix()
    '/data'
    """
    return Path(os.environ["AVAE_DATA"]).expanduser() if os.environ.get("AVAE_DATA") else None


@contextlib.contextmanager
def reading(file: Path) -> Iterator[None]:
    """Whatever goes wrong while ``file`` is read becomes a :class:`DatasetError` that names it.

    >>> with reading(Path("train.mat")):
    ...     raise KeyError("ff")
    Traceback (most recent call last):
        ...
    DatasetError: train.mat cannot be read, it is damaged or another file (...
    """
    try:
        yield
    except DatasetError:
        raise
    except Exception as problem:  # readers of foreign formats raise many types
        raise DatasetError(
            f"{file} cannot be read, it is damaged or another file ({_last_line(problem)}); "
            "delete it and fetch it again"
        ) from problem


def _folders() -> list[Path]:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "avae"
    return [folder for folder in (data_folder(), cache) if folder]


def _read_from(published: PublishedSet, folders: list[Path]) -> ImageDataset | None:
    for folder in folders:
        for edition in published.editions:
            if paths := edition.paths(folder):
                return _read(published.name, edition, paths)
    return None


def _read(name: str, edition: Edition, paths: Mapping[str, Path]) -> ImageDataset:
    try:
        return edition.read(paths)
    except ValueError as problem:
        place = next(iter(paths.values())).parent
        raise DatasetError(
            f"the files of {name} in {place} do not belong together ({problem}); delete them and fetch them again"
        ) from problem


def _download(published: PublishedSet, folders: list[Path]) -> None:
    edition, folder = published.editions[0], _first_writable(folders)
    if edition.download is None:
        raise RuntimeError("it is not offered for automatic download")
    target = folder / edition.places[0]
    print(f"{published.name} is not on this machine: trying to download it to {target}", file=sys.stderr)
    # Downloaded beside its place first, so that an interrupted download is never mistaken for the data.
    with tempfile.TemporaryDirectory(dir=folder) as beside, _impatient_sockets():
        edition.download(Path(beside))
        target.mkdir(parents=True, exist_ok=True)
        for file in edition.files:
            move_into_place(Path(beside) / edition.places[0] / file, target / file)


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


def _not_found(published: PublishedSet, npz_file: Path | None, folders: list[Path], problem: Exception) -> str:
    looked = [str(npz_file) if npz_file else f"$AVAE_DATA/{published.name}.npz (AVAE_DATA is not set)"]
    looked += [path for folder in folders for edition in published.editions for path in _looked_for(edition, folder)]
    setting = "" if data_folder() else " and set AVAE_DATA=DIR"
    ways = [_how_to_have(edition, data_folder() or Path("DIR")) + setting for edition in published.editions]
    return (
        f"{published.name} was not found, and could not be downloaded ({_last_line(problem)}).\n"
        f"  looked for: {', '.join(looked)}\n"
        f"  to have it: {'; or '.join(ways)}\n"
        f"  or use the embedded data set {published.embedded!r}, which needs no file and no network "
        "(avae presets lists models for it)"
    )


def _looked_for(edition: Edition, folder: Path) -> list[str]:
    """The first file that is missing from each place."""
    return [
        f"{folder / place / missing[0]}{edition.suffixes[-1]}" for place, missing in edition.missing(folder).items()
    ]


def _how_to_have(edition: Edition, folder: Path) -> str:
    files = ", ".join(f"{file}{edition.suffixes[-1]}" for file in edition.files)
    return f"put {files} from {edition.source} into {folder / edition.places[0]}"


def _last_line(problem: Exception) -> str:
    if isinstance(problem, KeyError) and problem.args:  # readers of archives put a sentence there, others the key alone
        missing = str(problem.args[0])
        return missing if " " in missing else f"it has no entry {missing!r}"
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    return lines[-1] if lines else type(problem).__name__
