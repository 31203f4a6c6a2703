"""Where data sets are looked for: ``$AVAE_DATA/NAME.npz``, torchvision's layout, a download; digits are embedded."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from avae_lib.data.image_dataset import DatasetError, ImageDataset

__all__ = ["EMBEDDED", "NAMES", "data_folder", "load"]

EMBEDDED = ("digits",)
"""Sets that need neither files nor a network."""

NAMES = ("digits", "mnist", "fashion_mnist")
"""Sets known by name; any other name stands for a file ``$AVAE_DATA/NAME.npz``."""


def load(name: str) -> ImageDataset:
    """A data set by name, all of it in memory.

    ``$AVAE_DATA/NAME.npz`` comes first, whatever the name: uint8 arrays ``train``, ``test`` and perhaps ``valid``,
    each ``(N, C, H, W)``; perhaps ``train_labels``, ``test_labels``; perhaps the number ``bits`` (without it 8,
    or 1 if no value exceeds 1). Then come the embedded ``digits``; for ``mnist`` and ``fashion_mnist`` the files
    as torchvision lays them out, in ``$AVAE_DATA`` or the user's cache, and after those a download.

    Raises:
        DatasetError: no such set is known or found, or its file is damaged.
    """
    if Path(name).name != name or name in ("", ".", ".."):
        raise DatasetError(f"a data set has a plain name such as {NAMES[0]!r}, got {name!r}")
    file = _npz_file(name)
    if file is not None and file.exists():
        from avae_lib.data.npz_files import read_npz

        return read_npz(name, file)
    if name == "digits":
        from avae_lib.data.digits import load_digits

        return load_digits()
    if name in NAMES:
        from avae_lib.data.torchvision_sets import load_torchvision_set

        return load_torchvision_set(name, file)
    raise DatasetError(_unknown(name, file))


def data_folder() -> Path | None:
    """The folder that ``AVAE_DATA`` names, if it is set."""
    return Path(os.environ["AVAE_DATA"]).expanduser() if os.environ.get("AVAE_DATA") else None


def _npz_file(name: str) -> Path | None:
    folder = data_folder()
    return folder / f"{name}.npz" if folder else None


def _unknown(name: str, file: Path | None) -> str:
    looked = f"{file} does not exist" if file else "AVAE_DATA is not set"
    close = difflib.get_close_matches(name, NAMES, n=1)
    hint = f", did you mean {close[0]!r}?" if close else "."
    return (
        f"no data set is called {name!r} ({looked}){hint} Known by name are {', '.join(NAMES)}; for images of your "
        f"own set AVAE_DATA to a folder with {name}.npz (uint8 arrays train and test, each (N, C, H, W)). "
        f"{EMBEDDED[0]!r} is embedded and needs no file."
    )
