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

__all__ = ["last_bits_per_dim", "learner_curves", "recorded", "recorded_faces"]


def recorded(name: str) -> dict[str, Any]:
    """The record that ``experiments/NAME`` wrote: what it measured, as its README describes.

    Raises:
        ValueError: there is no such record.
    """
    folder = files("avae_lib").joinpath("data/records")
    file = folder.joinpath(f"{name}.json")
    if not file.is_file():
        known = sorted(entry.name.removesuffix(".json") for entry in folder.iterdir() if entry.name.endswith(".json"))
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


def last_bits_per_dim(arm: Mapping[str, Any]) -> list[float]:
    """The bound at which each run of an ablation's arm arrived, bits/dim, one for each seed.

    That of the test images where the run is over, else the last one of the validation images. Seeds whose run diverged
    or has not been evaluated yet are left out.

    >>> curve = {"step": [40, 80], "bits_per_dim": [5.5, 5.1]}
    >>> running = {"diverged": False, "test": None, "curve": curve}
    >>> tested, diverged = {**running, "test": {"bits_per_dim": 5.2}}, {**running, "diverged": True}
    >>> last_bits_per_dim({"runs": [running, tested, diverged]})
    [5.1, 5.2]
    """
    runs = [run for run in arm["runs"] if not run["diverged"] and run["curve"]["bits_per_dim"]]
    return [run["test"]["bits_per_dim"] if run["test"] else run["curve"]["bits_per_dim"][-1] for run in runs]
