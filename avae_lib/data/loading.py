"""Data sets by name: from arrays in ``$AVAE_DATA``, embedded in the library, from published files, or downloaded."""

from __future__ import annotations

import difflib
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from avae_lib.data.cifar10 import CIFAR10
from avae_lib.data.digits import load_digits
from avae_lib.data.frey_faces import FREY_FACES
from avae_lib.data.image_arrays import holds_arrays, read_folder, read_npz
from avae_lib.data.image_dataset import DatasetError, ImageDataset, Split
from avae_lib.data.imagenet import IMAGENET32, IMAGENET64
from avae_lib.data.mnist_files import FASHION_MNIST, MNIST
from avae_lib.data.omniglot import OMNIGLOT
from avae_lib.data.photos import load_photos32
from avae_lib.data.published_sets import data_folder, load_published
from avae_lib.data.sentences import SentenceDataset, load_sentences
from avae_lib.data.sprites import load_sprites
from avae_lib.data.static_mnist import MNIST_STATIC

__all__ = ["EMBEDDED", "NAMES", "Dataset", "load", "published_training_images", "split_to_look_at"]

_EMBEDDED = {"digits": load_digits, "photos32": load_photos32, "sprites": load_sprites, "sentences": load_sentences}
_PUBLISHED = {
    published.name: published
    for published in (MNIST, FASHION_MNIST, MNIST_STATIC, OMNIGLOT, FREY_FACES, CIFAR10, IMAGENET32, IMAGENET64)
}

EMBEDDED = tuple(_EMBEDDED)
"""Names of the data sets that need neither files nor a network."""

NAMES = (*_EMBEDDED, *_PUBLISHED)
"""Names of all known data sets; any other name stands for arrays in ``$AVAE_DATA``."""


Dataset = ImageDataset | SentenceDataset
"""A data set that models are trained and evaluated on."""


def load(name: str, validation: int = 0) -> Dataset:
    """A data set by name, in memory or mapped.

    >>> digits = load("digits", validation=150)
    >>> len(digits.train), len(digits.valid), len(digits.test)
    (1350, 150, 297)

    ``$AVAE_DATA/NAME.npz`` comes first, whatever the name: uint8 arrays ``train``, ``test`` and perhaps ``valid``,
    each ``(N, C, H, W)``; perhaps ``train_labels``, ``test_labels``, ``valid_labels``; perhaps the number ``bits``
    (without it 8, or 1 if there is nothing but black and white); perhaps the text ``version``. Other arrays are named
    in a note, not used. Images that are larger than memory lie in a folder ``$AVAE_DATA/NAME`` with the same arrays as
    files ``train.npy``, ``test.npy``, ``bits.npy``, …, which are mapped and not read
    (:func:`avae_lib.data.image_arrays.read_folder`). Then come the embedded sets; for the others in ``NAMES`` the files
    in which they were published, in ``$AVAE_DATA`` or the user's cache, and after those a download.

    Args:
        name: one of ``NAMES``, or that of a file.
        validation: how many training images to hold out as ``valid``. They are chosen at random, always the same ones;
            of photos32 they come from a band of the photographs that no training crop touches. A set that has
            validation examples of its own (mnist_static, freyfaces, sentences, a file with ``valid``) keeps those
            instead.

    Raises:
        DatasetError: no such set is known or found, its file is damaged, or it has too few images to hold some out.
    """
    if validation and name == "photos32" and not _has_file(name):
        return load_photos32(validation)
    dataset = _load_whole(name)
    return _holding_out(dataset, validation) if validation and dataset.valid is None else dataset


def split_to_look_at(dataset: Dataset) -> Split:
    """The split for pictures and reports, which are no final result: validation, or test where the set has no other.

    >>> split_to_look_at(load("digits", validation=150)), split_to_look_at(load("digits"))
    ('valid', 'test')
    """
    return "test" if dataset.valid is None else "valid"


_IMAGENET_IMAGES = 1_281_167  # one edition has 18 fewer


def published_training_images(name: str) -> int | None:
    """Number of training images of a published set, images to hold out included, found without reading it.

    None for another set, and where a file in ``$AVAE_DATA`` has taken the place of the published one.

    >>> published_training_images("cifar10"), published_training_images("digits")
    (50000, None)
    """
    if name not in _PUBLISHED or _has_file(name):
        return None
    sizes = _PUBLISHED[name].sizes
    return sizes[0] if sizes else _IMAGENET_IMAGES


def _load_whole(name: str) -> Dataset:
    if Path(name).name != name or name in ("", ".", ".."):
        raise DatasetError(f"a data set has a plain name such as {NAMES[0]!r}, got {name!r}")
    file = _npz_file(name)
    if file is not None and _has_file(name):
        return _with_sizes_unless_published(_read_arrays(name, file))
    if name in _EMBEDDED:
        return _EMBEDDED[name]()
    if name in _PUBLISHED:
        return load_published(_PUBLISHED[name], file)
    raise DatasetError(_unknown(name, file))


def _read_arrays(name: str, file: Path) -> ImageDataset:
    return read_npz(name, file) if file.exists() else read_folder(name, file.with_suffix(""))


def _with_sizes_unless_published(dataset: ImageDataset) -> ImageDataset:
    """If a file has the name of a published set but another number of images, its version says how many."""
    sizes = (len(dataset.train), len(dataset.test))
    if dataset.version or dataset.name not in _PUBLISHED or sizes == _PUBLISHED[dataset.name].sizes:
        return dataset
    return replace(dataset, version=f"{sizes[0]:,} + {sizes[1]:,} images")


def _holding_out(dataset: ImageDataset, count: int) -> ImageDataset:
    """The set with ``count`` of its training images as validation images; changes the training images in place."""
    train, labels, kept = dataset.train, dataset.train_labels, len(dataset.train) - count
    if count < 0 or kept < 1:
        raise DatasetError(
            f"data.validation must leave some of the {len(train):,} training images of {dataset.name}, got {count}"
        )
    # RandomState's stream is frozen by NumPy's policy, so the same images are held out everywhere and always.
    chosen = torch.from_numpy(np.random.RandomState(0).permutation(len(train))[:count])
    valid, valid_labels = train[chosen], None if labels is None else labels[chosen]
    # The last images move into the gaps: a copy of the others would double the 16 GB of ImageNet at 64×64.
    gaps = chosen[chosen < kept].sort().values
    moved = torch.tensor(sorted(set(range(kept, len(train))) - set(chosen.tolist())), dtype=torch.long)
    train[gaps] = train[moved]
    if labels is not None:
        labels[gaps] = labels[moved]
        labels = labels[:kept]
    return replace(dataset, train=train[:kept], train_labels=labels, valid=valid, valid_labels=valid_labels)


def _has_file(name: str) -> bool:
    file = _npz_file(name)
    return file is not None and (file.exists() or holds_arrays(file.with_suffix("")))


def _npz_file(name: str) -> Path | None:
    folder = data_folder()
    return folder / f"{name}.npz" if folder else None


def _unknown(name: str, file: Path | None) -> str:
    looked = f"{file} does not exist" if file else "AVAE_DATA is not set"
    if file and file.with_suffix("").is_dir():
        looked = f"the folder {file.with_suffix('')} holds no train.npy"
    close = difflib.get_close_matches(name, NAMES, n=1)
    hint = f", did you mean {close[0]!r}?" if close else "."
    return (
        f"no data set is called {name!r} ({looked}){hint} Known by name are {', '.join(NAMES)}; for images of your "
        f"own set AVAE_DATA to a folder with {name}.npz, or a folder {name} with train.npy and test.npy "
        "(uint8 arrays train and test, each (N, C, H, W)). "
        f"Embedded, with no file needed: {', '.join(EMBEDDED)}."
    )
