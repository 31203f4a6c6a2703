"""The Fréchet distance between samples and test images, where the network it looks through is at hand."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from avae_lib.errors import InvalidInput, UserError
from avae_lib.evaluation.evaluation_mode import measuring

__all__ = [
    "FrechetDistance",
    "FrechetDistanceUnavailable",
    "frechet_distance",
    "inception_weights",
    "require_enough_images",
]

_WEIGHTS = "weights-inception-2015-12-05-6726825d.pth"
_SOURCE = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{_WEIGHTS}"


class FrechetDistanceUnavailable(UserError, RuntimeError):
    """What the distance needs is not on this machine; the message says what, and where it can be had."""


@dataclass(frozen=True)
class FrechetDistance:
    """FID (Heusel et al., 2017) between samples of a model and test images; lower is better."""

    value: float
    images: int
    """How many of each; the distance falls with that number, so compare only equal ones (Chong & Forsyth, 2020)."""

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> FrechetDistance:
        """The inverse of ``dataclasses.asdict``, also after a trip through a file."""
        return cls(float("nan") if record["value"] is None else record["value"], record["images"])

    def text(self) -> str:
        """The number as a line of plain text."""
        return f"FID of {self.images} samples and as many images: {self.value:.2f}"


def inception_weights() -> Path:
    """The file with the weights of the network that FID is defined by, as far as it is there; nothing is downloaded.

    Raises:
        FrechetDistanceUnavailable: torchmetrics, torch-fidelity or the file is missing.
    """
    for module, package in (("torchmetrics", "torchmetrics"), ("torch_fidelity", "torch-fidelity")):
        if importlib.util.find_spec(module) is None:
            raise FrechetDistanceUnavailable(f"FID needs {package}, which is not installed: pip install {package}")
    path = Path(torch.hub.get_dir()) / "checkpoints" / _WEIGHTS
    if not path.is_file():
        raise FrechetDistanceUnavailable(
            f"FID needs the weights of its network as {path}: download them from {_SOURCE}"
        )
    return path


def frechet_distance(
    model: nn.Module,
    images: UInt8[Tensor, "examples channels height width"],
    count: int,
    network: nn.Module | None = None,
    rows: int = 256,
    seed: int = 0,
) -> FrechetDistance:
    """The distance between ``count`` samples and the first ``count`` of the images.

    Args:
        images: test images as the model sees them.
        network: from uint8 images ``(batch, 3, height, width)``, 0 … 255, to features ``(batch, dims)``; None for the
            published Inception network.
        rows: most images at once.
        seed: of the samples.

    Raises:
        FrechetDistanceUnavailable: something that it needs is not on this machine.
        ValueError: fewer than ``count`` images, or ``count`` below 2.
    """
    require_enough_images(images, count)
    if network is None:
        inception_weights()
    from torchmetrics.image.fid import FrechetInceptionDistance

    device = next(model.parameters()).device
    distance = FrechetInceptionDistance(feature=2048 if network is None else network).to(device)
    with measuring(model, seed):
        for batch in images[:count].split(rows):
            distance.update(_as_photographs(batch.to(device), model.bits), real=True)
            distance.update(_as_photographs(model.sample(len(batch)), model.bits), real=False)
        return FrechetDistance(distance.compute().item(), count)


def require_enough_images(images: UInt8[Tensor, "examples channels height width"], count: int) -> None:
    """Refuse a number of images to compare with that there are not.

    Raises:
        ValueError: fewer than ``count`` images, or ``count`` below 2; or no images but sentences.
    """
    if images.ndim != 4:
        raise InvalidInput(f"the Fréchet distance compares images (N, C, H, W), got shape {tuple(images.shape)}")
    if not 2 <= count <= len(images):
        raise InvalidInput(f"count must be between 2 and the {len(images)} images to compare with, got {count}")


def _as_photographs(images: Tensor, bits: int) -> Tensor:
    """The images with three channels and levels 0 … 255, as the network wants them."""
    levels = (images.float() * (255 / (2**bits - 1))).round().to(torch.uint8)
    return levels.expand(-1, 3, -1, -1) if levels.shape[1] == 1 else levels
