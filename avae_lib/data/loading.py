"""Where data sets are looked for: ``$AVAE_DATA/NAME.npz``, embedded ones, the published files, a download."""

from __future__ import annotations

import difflib
from dataclasses import replace
from pathlib import Path

from avae_lib.data.cifar10 import CIFAR10
from avae_lib.data.digits import load_digits
from avae_lib.data.frey_faces import FREY_FACES
from avae_lib.data.image_dataset import DatasetError, ImageDataset
from avae_lib.data.imagenet import IMAGENET32, IMAGENET64
from avae_lib.data.mnist_files import FASHION_MNIST, MNIST
from avae_lib.data.npz_files import read_npz
from avae_lib.data.omniglot import OMNIGLOT
from avae_lib.data.photos import load_photos32
from avae_lib.data.published_sets import data_folder, load_published
from avae_lib.data.static_mnist import MNIST_STATIC

__all__ = ["EMBEDDED", "NAMES", "load"]

_EMBEDDED = {"digits": load_digits, "photos32": load_photos32}
_PUBLISHED = {
    published.name: published
    for published in (MNIST, FASHION_MNIST, MNIST_STATIC, OMNIGLOT, FREY_FACES, CIFAR10, IMAGENET32, IMAGENET64)
}

EMBEDDED = tuple(_EMBEDDED)
"""Sets that need neither files nor a network."""

NAMES = (*_EMBEDDED, *_PUBLISHED)
"""Sets known by name; any other name stands for a file ``$AVAE_DATA/NAME.npz``."""


def load(name: str) -> ImageDataset:
    """A data set by name, all of it in memory.

    ``$AVAE_DATA/NAME.npz`` comes first, whatever the name: uint8 arrays ``train``, ``test`` and perhaps ``valid``,
    each ``(N, C, H, W)``; perhaps ``train_labels``, ``test_labels``; perhaps the number ``bits`` (without it 8, or 1
    if there is nothing but black and white); perhaps the text ``version``. Then come the embedded sets; for the others
    in ``NAMES`` the files in which they were published, in ``$AVAE_DATA`` or the user's cache, and after those a
    download.

    Raises:
        DatasetError: no such set is known or found, or its file is damaged.
    """
    if Path(name).name != name or name in ("", ".", ".."):
        raise DatasetError(f"a data set has a plain name such as {NAMES[0]!r}, got {name!r}")
    file = _npz_file(name)
    if file is not None and file.exists():
        return _with_sizes_unless_published(read_npz(name, file))
    if name in _EMBEDDED:
        return _EMBEDDED[name]()
    if name in _PUBLISHED:
        return load_published(_PUBLISHED[name], file)
    raise DatasetError(_unknown(name, file))


def _with_sizes_unless_published(dataset: ImageDataset) -> ImageDataset:
    """A set under a well-known name, but with other numbers of images, says how many: its results are its own."""
    sizes = (len(dataset.train), len(dataset.test))
    if dataset.version or dataset.name not in _PUBLISHED or sizes == _PUBLISHED[dataset.name].sizes:
        return dataset
    return replace(dataset, version=f"{sizes[0]:,} + {sizes[1]:,} images")


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
        f"{' and '.join(map(repr, EMBEDDED))} are embedded and need no file."
    )
