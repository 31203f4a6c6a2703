"""Recorded results of runs that take too long for a notebook."""

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

    >>> list(recorded("frey_faces"))
    ['updates', 'test_bound_nats', 'test_kl_nats', 'processor_minutes', 'z1', 'z2', 'height_and_width', 'faces']
    """
    folder = files("avae_lib").joinpath("data/records")
    file = folder.joinpath(f"{name}.json")
    if not file.is_file():
        known = sorted(entry.name.removesuffix(".json") for entry in folder.iterdir() if entry.name.endswith(".json"))
        raise ValueError(f"no record is called {name!r}; there are {', '.join(known)}")
    return json.loads(file.read_text(encoding="utf-8"))


def recorded_faces() -> tuple[list[float], Float[Tensor, "rows columns 1 height width"]]:
    """Faces decoded by the model of ``experiments/frey_faces``: z₂ of each row, and images in [0, 1].

    >>> z2, faces = recorded_faces()
    >>> len(z2), faces.shape, bool(faces.max() <= 1)
    (4, torch.Size([4, 14, 1, 28, 20]), True)
    """
    record = recorded("frey_faces")
    levels = torch.frombuffer(bytearray(base64.b64decode(record["faces"])), dtype=torch.uint8)
    shape = (len(record["z2"]), len(record["z1"]), 1, *record["height_and_width"])
    return record["z2"], levels.reshape(shape) / 255


def learner_curves(record: Mapping[str, Any]) -> dict[str, dict[str, dict[str, list[list[float]]]]]:
    """The record of ``experiments/three_learners`` for plotting: title → learner → split → log p(x) of each seed.

    >>> curves = learner_curves(recorded("three_learners"))
    >>> list(curves), list(curves["100 training images"])
    (['100 training images', '1000 training images'], ['AEVB', 'wake-sleep', 'Monte Carlo EM'])
    """
    return {
        f"{size} training images": {
            name: {split: [seed[split] for seed in result["seeds"]] for split in ("train", "test")}
            for name, result in learners.items()
        }
        for size, learners in record["runs"].items()
    }


def last_bits_per_dim(arm: Mapping[str, Any]) -> list[float]:
    """The final bound of each run in one arm of an ablation, in bits/dim, one for each seed.

    It is the bound on test images if the run is over, else the last one on validation images. Runs that diverged or
    have not been evaluated are left out.

    >>> curve = {"step": [40, 80], "bits_per_dim": [5.5, 5.1]}
    >>> running = {"diverged": False, "test": None, "curve": curve}
    >>> tested, diverged = {**running, "test": {"bits_per_dim": 5.2}}, {**running, "diverged": True}
    >>> last_bits_per_dim({"runs": [running, tested, diverged]})
    [5.1, 5.2]
    """
    runs = [run for run in arm["runs"] if not run["diverged"] and run["curve"]["bits_per_dim"]]
    return [run["test"]["bits_per_dim"] if run["test"] else run["curve"]["bits_per_dim"][-1] for run in runs]
