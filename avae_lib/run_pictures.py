"""Pictures of what a trained model does with images: samples, reconstructions, and what each depth of latents holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jaxtyping import UInt8
from torch import Tensor, nn

from avae_lib import plotting
from avae_lib.evaluation import measuring

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["depth_rows", "kept_depths", "temperature_rows", "write_reconstructions", "write_samples"]

_MOST_ROWS = 7


def temperature_rows(
    model: nn.Module, temperatures: Sequence[float] = (0.5, 0.7, 0.85, 1.0), count: int = 16, seed: int = 0
) -> dict[str, UInt8[Tensor, "count channels height width"]]:
    """Samples at several temperatures, ``{"temperature 0.5": images, …}``, all from the same noise."""
    rows = {}
    for temperature in temperatures:
        with measuring(model, seed):
            rows[f"temperature {temperature:g}"] = model.sample(count, temperature).cpu()
    return rows


def depth_rows(
    model: nn.Module, images: UInt8[Tensor, "count channels height width"], seed: int = 0
) -> dict[str, UInt8[Tensor, "count channels height width"]]:
    """Images, and what is left of them when ever fewer layers keep their latents and the others are drawn anew.

    Labelled rows, from the data over reconstructions to samples that know nothing of it.
    """
    device = next(model.parameters()).device
    rows = {"data": images.cpu()}
    for keep in kept_depths(model.num_layers):
        with measuring(model, seed):
            rows[_depth_label(keep, model.num_layers)] = model.reconstruct(images.to(device), keep).cpu()
    return rows


def kept_depths(num_layers: int) -> tuple[int, ...]:
    """How many top layers are kept in each row: from all to none, at most seven rows, evenly spread."""
    count = min(num_layers + 1, _MOST_ROWS)
    return tuple(round(num_layers * (1 - row / (count - 1))) for row in range(count))


def write_samples(model: nn.Module, path: Path, count: int = 64, temperature: float = 1.0, seed: int = 0) -> Path:
    """Write images drawn from the prior as one PNG; returns its path."""
    with measuring(model, seed):
        images = model.sample(count, temperature).cpu()
    return _write(plotting.image_grid(images, model.bits, title=f"samples at temperature {temperature:g}"), path)


def write_reconstructions(
    model: nn.Module,
    images: UInt8[Tensor, "examples channels height width"],
    path: Path,
    seed: int = 0,
    count: int = 12,
) -> Path:
    """Write the first ``count`` images and their :func:`depth_rows` as one PNG; returns its path."""
    return _write(plotting.image_rows(depth_rows(model, images[:count], seed), model.bits), path)


def _depth_label(keep: int, num_layers: int) -> str:
    if keep == num_layers:
        return "reconstruction" if num_layers == 1 else f"all {num_layers} layers"
    if keep == 0:
        return "no layer kept"
    return "top layer kept" if keep == 1 else f"top {keep} layers kept"


def _write(figure: Figure, path: Path) -> Path:
    path.write_bytes(plotting.png_bytes(figure))
    return path
