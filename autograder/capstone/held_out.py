"""Draws held-out images for capstones; only the course's secret decides which images these are.

* For photos32, crops of the test band of both photographs, each moved by up to 15 pixels from a public test crop in
  both directions, half of them mirrored. No loader gives out crops at these positions, and some reach rows that
  none does.
* For other sets, test images beyond those that claims are about.
* Or the images in a file of the course's own, which no student has.

The photographs themselves are in scikit-learn: a student who cuts crops from them can train on the whole band. Only
a private file prevents that; ``SECURITY.md`` says how much it gains.
"""

from __future__ import annotations

import io
import itertools
import math
import zipfile
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from autograder.course.course import CourseError
from avae_lib.capstone import BUDGET, Budget, findings, measure, public_images
from avae_lib.data import load, recorded, recorded_model
from avae_lib.evaluation import Estimate

__all__ = ["HeldOut", "draw_held_out", "private_held_out"]

COUNT = BUDGET.public_images
"""Held-out images of photos32, one near each public test image. With fewer, a model that is very bad on some public
images would gain or lose by whether these are among the parents: a gamble for any number."""
_SIDE, _STRIDE, _LARGEST_MOVE = 32, 16, 15
_BAND = slice(384, 512)


@dataclass(frozen=True)
class HeldOut:
    """Held-out images, and how they relate to the public test images.

    Attributes:
        images: uint8, ``(N, C, H, W)``.
        parents: for each image, the index of the public test image that it was moved from; None for other sets.
        is_private: whether they come from the course's own file; the baseline then measures how hard they are.
    """

    images: Tensor
    parents: Tensor | None = None
    is_private: bool = False

    def estimate(self, public: Tensor, held_out: Tensor, quantity: str, samples: int) -> Estimate:
        """What the held-out images say about the mean over the public test images, in bits per dimension.

        The difference between an image and its parent varies much less than images do. Private images have no parents;
        the baseline's own numbers stand for how much harder they are than the public ones.

        Args:
            public, held_out: bits per dimension of each image.
            samples: draws that these numbers rest on.
        """
        if self.is_private:
            return self.beside_baseline(held_out, quantity, samples)
        if self.parents is not None:
            return _moved(float(public.mean()), held_out - public[self.parents])
        here, elsewhere = Estimate.over(public), Estimate.over(held_out)
        return Estimate(elsewhere.mean, math.hypot(here.standard_error, elsewhere.standard_error))

    def beside_baseline(self, held_out: Tensor, quantity: str, samples: int) -> Estimate:
        """What a model has on the public images if it is as far from the baseline there as on these.

        Both are measured on the same images, so it does not matter how hard the drawn ones are.
        """
        before = _baseline_on(self, samples)[quantity]
        return _moved(findings.baseline(quantity).mean, held_out - before)


def draw_held_out(seed: int, budget: Budget = BUDGET, count: int = COUNT) -> HeldOut:
    """Held-out images of the budget's data set, drawn from a seed.

    Raises:
        CourseError: the set has no test images beyond the public ones.
    """
    generator = np.random.default_rng(seed)
    if budget.data_set == "photos32":
        return _moved_crops(generator, count)
    beyond = load(budget.data_set).test[budget.public_images :]
    if len(beyond) < 2:
        raise CourseError(f"{budget.data_set} has no test images beyond the {budget.public_images} public ones")
    chosen = torch.from_numpy(generator.permutation(len(beyond))[:count])
    return HeldOut(beyond[chosen])


def private_held_out(content: bytes, budget: Budget = BUDGET) -> HeldOut:
    """The images in a private file, ``.npz`` with one uint8 array ``images``, ``(N, C, H, W)``. Nothing is unpickled.

    Raises:
        CourseError: the file is of another form.
    """
    wanted = tuple(public_images(budget).shape[1:])
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            images = archive["images"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as problem:
        raise CourseError(f"the private images cannot be read ({problem}): numpy.savez(file, images=…)") from None
    if images.dtype != np.uint8 or images.shape[1:] != wanted or not 2 <= len(images) <= COUNT:
        raise CourseError(
            f"the private images must be uint8 (N, {', '.join(map(str, wanted))}), 2 to {COUNT} of them, which is "
            f"what there is time to measure, got {images.dtype} {images.shape}"
        )
    return HeldOut(torch.from_numpy(images), is_private=True)


def _moved_crops(generator: np.random.Generator, count: int) -> HeldOut:
    from sklearn.datasets import load_sample_images

    bands = [photograph[:, _BAND] for photograph in load_sample_images().images]
    corners = _public_corners(bands)
    parents = generator.permutation(len(corners))[:count]
    crops = [_crop_near(bands, corners[parent], generator) for parent in parents]
    return HeldOut(torch.from_numpy(np.stack(crops)), torch.from_numpy(parents))


def _public_corners(bands: list[np.ndarray]) -> list[tuple[int, int, int]]:
    """Photograph, row and column of each public test crop, in the order in which they are given out."""
    of_photograph = [range(0, size - _SIDE + 1, _STRIDE) for size in bands[0].shape[:2]]
    corners = list(itertools.product(range(len(bands)), *of_photograph))
    return [corners[index] for index in np.random.RandomState(0).permutation(len(corners))]


def _crop_near(bands: list[np.ndarray], corner: tuple[int, int, int], generator: np.random.Generator) -> np.ndarray:
    photograph, *place = corner
    band = bands[photograph]
    row, column = (_moved_corner(start, size, generator) for start, size in zip(place, band.shape[:2], strict=True))
    crop = band[row : row + _SIDE, column : column + _SIDE].transpose(2, 0, 1)
    return np.ascontiguousarray(crop[:, :, ::-1] if generator.integers(2) else crop)


def _moved_corner(start: int, size: int, generator: np.random.Generator) -> int:
    """Another corner near a public one, within the band and off the grid of the public ones."""
    places = [start + move for move in range(-_LARGEST_MOVE, _LARGEST_MOVE + 1) if move]
    return int(generator.choice([place for place in places if 0 <= place <= size - _SIDE]))


def _moved(mean: float, differences: Tensor) -> Estimate:
    elsewhere = Estimate.over(differences)
    return Estimate(mean + elsewhere.mean, elsewhere.standard_error)


_baselines: dict[tuple[bytes, int], dict[str, Tensor]] = {}


def _baseline_on(held_out: HeldOut, samples: int) -> dict[str, Tensor]:
    """The baseline's numbers on held-out images; measured once in the life of this process."""
    key = held_out.images.numpy().tobytes(), samples
    if key not in _baselines:
        measured = measure(recorded_model(recorded("capstone_baseline")["model"]), held_out.images, samples)
        _baselines[key] = {quantity: measured.of(quantity) for quantity in ("bound", "importance-weighted")}
    return _baselines[key]
