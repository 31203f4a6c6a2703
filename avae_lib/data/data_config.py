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
    """Name of the data set: digits and photos32 (embedded), mnist, mnist_static, fashion_mnist, omniglot,
    freyfaces, cifar10, imagenet32, imagenet64, or NAME for a file $AVAE_DATA/NAME.npz."""
    binarize: Binarization = "none"
    """Grey pixels as they are (none), drawn black or white anew in each batch (dynamic), or cut at half (threshold)."""
    flip_horizontal: bool = False
    """Half of all training images, drawn anew each time, have left and right exchanged."""
    flip_vertical: bool = False
    """Half of all training images, drawn anew each time, have up and down exchanged."""

    def load(self) -> ImageDataset:
        """The data set, to be seen in the configured way; errors as for :func:`avae_lib.data.load`."""
        return load(self.name).binarized(self.binarize).flipped(self.flip_horizontal, self.flip_vertical)
