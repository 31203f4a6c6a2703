"""The configuration that names a data set."""

from __future__ import annotations

from dataclasses import dataclass

from avae_lib.data.binarization import Binarization
from avae_lib.data.image_dataset import ImageDataset
from avae_lib.data.loading import load

__all__ = ["DataConfig"]


@dataclass(frozen=True)
class DataConfig:
    """Which images to train on, and what a model sees of them."""

    name: str = "digits"
    """Name of the data set: digits (embedded), mnist, fashion_mnist, or NAME for a file $AVAE_DATA/NAME.npz."""
    binarize: Binarization = "none"
    """Grey pixels as they are (none), drawn black or white anew in each batch (dynamic), or cut at half (threshold)."""

    def load(self) -> ImageDataset:
        """The data set, to be seen in the configured way; errors as for :func:`avae_lib.data.load`."""
        return load(self.name).binarized(self.binarize)
