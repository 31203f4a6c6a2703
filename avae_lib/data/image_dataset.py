"""A set of images, in memory or mapped."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from jaxtyping import Int, Integer, UInt8
from torch import Generator, Tensor

from avae_lib.data.augmentation import RandomFlips
from avae_lib.data.binarization import Binarization, binarize
from avae_lib.errors import InvalidInput, UserError
from avae_lib.observations import Pixels

__all__ = ["DatasetError", "ImageDataset", "Split"]

Split = Literal["train", "valid", "test"]

_HELD_OUT_SEED = 0  # every evaluation of a dynamically binarised set sees the same draw of it


class DatasetError(UserError, RuntimeError):
    """A data set is missing, or its file cannot be used; the message says what to do."""


@dataclass(frozen=True)
class ImageDataset:
    """Images as uint8 tensors ``(N, C, H, W)`` with values 0 … 2**bits − 1, split for training and test.

    Raises:
        ValueError: a split is not uint8 ``(N, C, H, W)``, is empty, holds values that do not fit in ``bits``, or
            has images of another shape than the training split; labels do not match their images.

    >>> grey = torch.arange(8, dtype=torch.uint8).reshape(2, 1, 2, 2)
    >>> mine = ImageDataset("mine", train=grey, test=grey, bits=3)
    >>> mine.description
    '1 × 2 × 2, 3 bits per pixel'
    >>> mine.binarized("threshold").pixels("train")[1]
    tensor([[[1, 1],
             [1, 1]]], dtype=torch.uint8)
    """

    name: str
    train: UInt8[Tensor, "train_examples channels height width"]
    test: UInt8[Tensor, "test_examples channels height width"]
    bits: int = 8
    """Bits of a stored grey value."""
    valid: UInt8[Tensor, "valid_examples channels height width"] | None = None
    train_labels: Integer[Tensor, " train_examples"] | None = None
    test_labels: Integer[Tensor, " test_examples"] | None = None
    valid_labels: Integer[Tensor, " valid_examples"] | None = None
    gives_labels: bool = False
    """Whether a model gets the labels together with the images."""
    binarize: Binarization = "none"
    """How a model sees the stored grey values."""
    flips: RandomFlips = field(default_factory=RandomFlips)
    """How training images are mirrored in batches; held-out images never are."""
    version: str = ""
    """Edition of the set, if results on its editions cannot be compared."""
    mapped: bool = False
    """Whether the splits are mapped from files, of which parts are read when they are used."""

    def __post_init__(self) -> None:
        for split in ("train", "test", "valid"):
            if getattr(self, split) is not None:
                self._require_images(split)
        for split in ("train", "test", "valid"):
            self._require_one_label_each(split)
        if self.gives_labels:
            self._require_labels()

    @property
    def title(self) -> str:
        """Name and version, for tables of results."""
        return f"{self.name} ({self.version})" if self.version else self.name

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one image."""
        channels, height, width = self.train.shape[1:]
        return channels, height, width

    @property
    def model_bits(self) -> int:
        """Bits of a pixel as a model sees it: 1 once binarised."""
        return self.bits if self.binarize == "none" else 1

    @property
    def description(self) -> str:
        """Size and bits of the images as models see them, and how they were binarised."""
        shape, bits = " × ".join(map(str, self.image_shape)), self.model_bits
        seen = {"none": "", "dynamic": ", binarised anew in each batch", "threshold": ", binarised at half"}
        return f"{shape}, {bits} bit{'s' * (bits != 1)} per pixel{seen[self.binarize]}"

    @property
    def observed(self) -> Pixels:
        """The kind of images that a model of this set observes."""
        return Pixels(self.image_shape, self.model_bits)

    def binarized(self, mode: Binarization) -> ImageDataset:
        """The same images, binarised in the given mode when a model sees them."""
        return replace(self, binarize=mode)

    def flipped(self, horizontal: bool = False, vertical: bool = False) -> ImageDataset:
        """The same images, with training images mirrored at random in the given directions."""
        return replace(self, flips=RandomFlips(horizontal, vertical))

    def labelled(self) -> ImageDataset:
        """The same images, given to models together with their labels.

        Raises:
            DatasetError: the set has no labels.
        """
        return replace(self, gives_labels=True)

    def labels(self, split: Split) -> Int[Tensor, " examples"] | None:
        """The labels of one split if models get them, else None."""
        return getattr(self, f"{split}_labels").long() if self.gives_labels else None

    def pixels(self, split: Split, count: int | None = None) -> UInt8[Tensor, "examples channels height width"]:
        """The first ``count`` images of a split (None for all) as models see them, without flips.

        Values are 0 … 2**model_bits − 1. Dynamic binarisation draws the same pixels in every call.

        Raises:
            ValueError: the set has no such split.
        """
        images = getattr(self, split)
        if images is None:
            raise InvalidInput(f"{self.name} has no {split!r} split")
        noise = torch.Generator().manual_seed(_HELD_OUT_SEED)
        return binarize(images[:count], self.binarize, self.bits, noise)

    def examples(self, split: Split, count: int | None = None) -> UInt8[Tensor, "examples channels height width"]:
        """The same as :meth:`pixels`; data sets of images and of sentences share this name."""
        return self.pixels(split, count)

    def as_batch(
        self, images: UInt8[Tensor, "batch channels height width"], pixel_noise: Generator, flip_noise: Generator
    ) -> UInt8[Tensor, "batch channels height width"]:
        """Stored training images as models see them in a batch: flipped and binarised with fresh noise."""
        return binarize(self.flips(images, flip_noise), self.binarize, self.bits, pixel_noise)

    def _require_images(self, split: str) -> None:
        images = getattr(self, split)
        if images.dtype != torch.uint8:
            got = str(images.dtype).removeprefix("torch.")
            raise InvalidInput(f"{split} must be uint8 with values 0 … {2**self.bits - 1}, got {got}")
        if images.ndim != 4 or 0 in images.shape:
            raise InvalidInput(f"{split} must be (N, C, H, W) with nothing empty, got shape {tuple(images.shape)}")
        if images.shape[1:] != self.train.shape[1:]:
            raise InvalidInput(
                f"{split} must hold images like train, {self.image_shape}, got {tuple(images.shape[1:])}"
            )
        brightest = images.max().item() if self.bits < 8 else 0
        if brightest >= 2**self.bits:
            raise InvalidInput(f"{split} must hold values below 2**bits = {2**self.bits}, got {brightest}")

    def _require_one_label_each(self, split: str) -> None:
        images, labels = getattr(self, split), getattr(self, f"{split}_labels")
        if labels is not None and images is None:
            raise InvalidInput(f"{split}_labels are given, but {self.name} has no {split!r} split")
        if labels is not None and labels.shape != images.shape[:1]:
            raise InvalidInput(
                f"{split}_labels must be one label for each of the {len(images)} images of {split}, "
                f"got shape {tuple(labels.shape)}"
            )

    def _require_labels(self) -> None:
        splits = [split for split in ("train", "test", "valid") if getattr(self, split) is not None]
        without = [split for split in splits if getattr(self, f"{split}_labels") is None]
        if without:
            *others, last = without
            listed = f"{', '.join(others)} and {last}" if others else last
            arrays = ", ".join(f"{split}_labels" for split in without)
            raise DatasetError(
                f"{self.name} has no labels of its {listed} images: set data.labels to false, choose a data set with "
                f"labels, such as digits, mnist or cifar10, or add to a set of your own: {arrays}, each with one whole "
                "number for each image"
            )
