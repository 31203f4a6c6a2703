"""The configuration that names a data set."""

from __future__ import annotations

from dataclasses import dataclass

from avae_lib.data.binarization import Binarization
from avae_lib.data.loading import Dataset, load
from avae_lib.data.sentences import SentenceDataset
from avae_lib.errors import InvalidInput

__all__ = ["DataConfig"]


@dataclass(frozen=True)
class DataConfig:
    """Which images or sentences to train on, and what a model sees of them.

    >>> digits = DataConfig("digits", binarize="threshold", validation=200).load()
    >>> len(digits.train), len(digits.valid), digits.description
    (1300, 200, '1 × 8 × 8, 1 bit per pixel, binarised at half')
    """

    name: str = "digits"
    """Name of the data set: digits, photos32, sprites and sentences (embedded), mnist, mnist_static, fashion_mnist,
    omniglot, freyfaces, cifar10, imagenet32, imagenet64, or NAME for a file $AVAE_DATA/NAME.npz or a folder
    $AVAE_DATA/NAME of arrays train.npy, test.npy, …, which may be larger than memory. The arrays train and test are
    required, valid is not: images in uint8, (N, C, H, W), grey images with C = 1. train_labels, test_labels and
    valid_labels are classes 0, 1, …, one whole number for each image, for data.labels. bits, one number, tells that
    pixels are 0 … 2**bits - 1: numpy.savez(…, bits=4), or numpy.save("NAME/bits.npy", 4); without it 8, or 1 for black
    and white."""
    binarize: Binarization = "none"
    """How a model sees grey pixels: unchanged (none), drawn black or white in each batch (dynamic), or black below and
    white above half (threshold)."""
    flip_horizontal: bool = False
    """Mirror each training image with probability 1/2 in each batch, left to right."""
    flip_vertical: bool = False
    """Mirror each training image with probability 1/2 in each batch, top to bottom."""
    validation: int = 0
    """Number of training images to hold out for validation: learning curves and choices between models use them, and
    test images are used only at the end. A data set with validation examples of its own (mnist_static, freyfaces,
    sentences, NAME.npz with an array valid) uses all of those instead. photos32 has up to 500, from a band of the
    photographs that no training crop touches."""
    labels: bool = False
    """Give the model the class of each image, as conditional models require; digits, sprites, mnist, fashion_mnist
    and cifar10 have labels, and so has a set of your own with an array train_labels, and one for each other split."""

    def load(self) -> Dataset:
        """The data set with the configured binarisation, flips and labels.

        Raises:
            DatasetError: as for :func:`avae_lib.data.load`, or ``labels`` is set and the data set has none.
            ValueError: an option for images is set for a data set of sentences.
        """
        dataset = load(self.name, self.validation)
        if isinstance(dataset, SentenceDataset):
            self._require_no_options_of_images()
            return dataset
        dataset = dataset.binarized(self.binarize).flipped(self.flip_horizontal, self.flip_vertical)
        return dataset.labelled() if self.labels else dataset

    def _require_no_options_of_images(self) -> None:
        for name in ("binarize", "flip_horizontal", "flip_vertical", "labels"):
            if getattr(self, name) != getattr(DataConfig(), name):
                raise InvalidInput(f"data.{name} is for images, got {getattr(self, name)!r} for {self.name}")
