"""The Fréchet distance between samples and test images, if the weights of its network are on this machine."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Num, UInt8
from torch import Tensor, nn

from avae_lib.errors import InvalidInput, UserError
from avae_lib.evaluation.evaluation_mode import measuring
from avae_lib.observations import AnyModel

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
    """Something that the distance needs is missing on this machine; the message says what, and how to get it."""


@dataclass(frozen=True)
class FrechetDistance:
    """FID (Heusel et al., 2017) between samples of a model and test images; lower is better.

    >>> print(FrechetDistance(value=12.5, images=5000).text())
    FID of 5000 samples and as many images: 12.50
    """

    value: float
    images: int
    """Number of samples, and of test images. The distance falls with it, so compare only equal numbers (Chong &
    Forsyth, 2020)."""

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> FrechetDistance:
        """The inverse of ``dataclasses.asdict``; the record may have been written to a file and read back."""
        return cls(float("nan") if record["value"] is None else record["value"], record["images"])

    def text(self) -> str:
        """The number as a line of plain text."""
        return f"FID of {self.images} samples and as many images: {self.value:.2f}"


def inception_weights() -> Path:
    """The file with the weights of the Inception network that defines FID. Nothing is downloaded.

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
    model: AnyModel,
    images: UInt8[Tensor, "examples channels height width"],
    count: int,
    network: nn.Module | None = None,
    rows: int = 256,
    seed: int = 0,
) -> FrechetDistance:
    """The distance between ``count`` samples and the first ``count`` of the images.

    Args:
        images: test images as the model sees them.
        count: number of samples and of test images.
        network: maps uint8 images ``(batch, 3, height, width)``, 0 … 255, to features ``(batch, dims)``; None for the
            published Inception network.
        rows: largest number of images that are processed at once.
        seed: seed for the samples.

    Raises:
        FrechetDistanceUnavailable: a package or the weights of the network are missing.
        ValueError: fewer than ``count`` images, or ``count`` below 2.

    Any network can replace the published one. The features here are mean colours:

    >>> from avae_lib.models.vae import VAEConfig
    >>> class MeanColour(nn.Module):
    ...     num_features = 3
    ...
    ...     def forward(self, x):
    ...         return x.float().mean(dim=(2, 3))
    >>> model = VAEConfig(hidden_sizes=(16,), latent_dim=2).build()
    >>> images = torch.randint(2, (20, 1, 8, 8), dtype=torch.uint8)
    >>> distance = frechet_distance(model, images, count=20, network=MeanColour())
    >>> distance.images, distance.value >= 0
    (20, True)
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


def require_enough_images(images: Num[Tensor, "examples *shape"], count: int) -> None:
    """Raise unless there are ``count`` images to compare with.

    Raises:
        ValueError: there are fewer than ``count`` images, ``count`` is below 2, or the examples are sentences.

    >>> require_enough_images(torch.zeros(10, 1, 8, 8, dtype=torch.uint8), count=50)
    Traceback (most recent call last):
        ...
    InvalidInput: count must be between 2 and the 10 images to compare with, got 50
    """
    if images.ndim != 4:
        raise InvalidInput(f"the Fréchet distance compares images (N, C, H, W), got shape {tuple(images.shape)}")
    if not 2 <= count <= len(images):
        raise InvalidInput(f"count must be between 2 and the {len(images)} images to compare with, got {count}")


def _as_photographs(images: Tensor, bits: int) -> Tensor:
    """The images with three channels and levels 0 … 255, the input of the network."""
    levels = (images.float() * (255 / (2**bits - 1))).round().to(torch.uint8)
    return levels.expand(-1, 3, -1, -1) if levels.shape[1] == 1 else levels
