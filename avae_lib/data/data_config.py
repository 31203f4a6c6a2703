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
    """Which images or sentences to train on, and what a model sees of them."""

    name: str = "digits"
    """Name of the data set: digits, photos32 and sentences (embedded), mnist, mnist_static, fashion_mnist, omniglot,
    freyfaces, cifar10, imagenet32, imagenet64, or NAME for a file $AVAE_DATA/NAME.npz."""
    binarize: Binarization = "none"
    """Grey pixels as they are (none), drawn black or white anew in each batch (dynamic), or cut at half (threshold)."""
    flip_horizontal: bool = False
    """Half of all training images, drawn anew each time, have left and right exchanged."""
    flip_vertical: bool = False
    """Half of all training images, drawn anew each time, have up and down exchanged."""
    validation: int = 0
    """Training images that are held out, to draw the learning curve and to choose by; the test images are for the end.
    A data set that has validation examples of its own (mnist_static, freyfaces, sentences, NAME.npz with an array
    valid) uses all of those instead. photos32 has up to 500, from a band of the photographs that no training crop
    touches."""
    labels: bool = False
    """The model gets the class of each image, as conditional models require; digits, mnist, fashion_mnist and cifar10
    have labels."""

    def load(self) -> Dataset:
        """The data set, to be seen in the configured way; errors as for :func:`avae_lib.data.load`.

        Raises:
            DatasetError: also if ``labels`` is set and the data set has none.
            ValueError: binarisation, flips or labels are asked for, and the data set is of sentences.
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
