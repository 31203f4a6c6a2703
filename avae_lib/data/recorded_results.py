"""Results of runs too long for a notebook, kept with the library so that notebooks can show them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["learner_curves", "recorded", "recorded_faces"]


def recorded(name: str) -> dict[str, Any]:
    """The record that ``experiments/NAME`` wrote: what it measured, as its README describes.

    Raises:
        ValueError: there is no such record.
    """
    folder = files("avae_lib").joinpath("data/records")
    file = folder.joinpath(f"{name}.json")
    if not file.is_file():
        known = sorted(entry.name.removesuffix(".json") for entry in folder.iterdir())
        raise ValueError(f"no record is called {name!r}; there are {', '.join(known)}")
    return json.loads(file.read_text(encoding="utf-8"))


def recorded_faces() -> tuple[list[float], Float[Tensor, "rows columns 1 height width"]]:
    """The faces that the model of ``experiments/frey_faces`` decodes: z₂ of each row, and images in [0, 1]."""
    record = recorded("frey_faces")
    levels = torch.frombuffer(bytearray(base64.b64decode(record["faces"])), dtype=torch.uint8)
    shape = (len(record["z2"]), len(record["z1"]), 1, *record["height_and_width"])
    return record["z2"], levels.reshape(shape) / 255


def learner_curves(record: Mapping[str, Any]) -> dict[str, dict[str, dict[str, list[list[float]]]]]:
    """The record of ``experiments/three_learners`` as it is drawn: title → learner → split → log p(x) of each seed."""
    return {
        f"{size} training images": {
            name: {split: [seed[split] for seed in result["seeds"]] for split in ("train", "test")}
            for name, result in learners.items()
        }
        for size, learners in record["runs"].items()
    }
