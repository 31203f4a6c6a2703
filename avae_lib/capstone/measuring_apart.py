"""The grader's measurement of a capstone inside a sandbox: takes and returns plain JSON types."""

from __future__ import annotations

import base64
import math
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from avae_lib.capstone.measuring import Measurement, NotMeasurable, measure
from avae_lib.capstone.rebuilding import CapstoneRefused, rebuild, trained_numbers

__all__ = ["images_to_json", "measured_apart"]

_LONGEST_REASON = 300  # characters


def measured_apart(config: str, weights: str, images: dict[str, Any], samples: int, seed: int) -> dict[str, Any]:
    """Rebuild a model and measure it on several sets of images.

    Args:
        config, weights: the bytes of the two files, in base64.
        images: each set by :func:`images_to_json`.
        samples: draws for each image of the importance-weighted number.
        seed: of all draws.

    Returns:
        ``{"parameters": …, "measured": {set: {"bound": […], "importance-weighted": […]}}}`` with bits per dimension of
        each image; or ``{"refused": reason}``.

    >>> nothing = base64.b64encode(b"").decode()
    >>> measured_apart(nothing, nothing, images={}, samples=1, seed=0)
    {'refused': 'config.json: it is no JSON (Expecting value: line 1 column 1 (char 0))'}
    """
    try:
        model = rebuild(base64.b64decode(config), base64.b64decode(weights))
        measured = {
            name: _numbers(measure(model, _images(content), samples, seed=seed)) for name, content in images.items()
        }
    except CapstoneRefused as reason:
        return {"refused": str(reason)}
    except Exception as problem:  # a configuration that builds a model which cannot run
        return {"refused": f"the model cannot be measured ({type(problem).__name__}: {problem})"[:_LONGEST_REASON]}
    return {"parameters": trained_numbers(model), "measured": measured}


def images_to_json(images: UInt8[Tensor, "images channels height width"]) -> dict[str, Any]:
    """Images as their shape and their bytes in base64.

    >>> images_to_json(torch.tensor([[[[0, 255]]]], dtype=torch.uint8))
    {'shape': [1, 1, 1, 2], 'bytes': 'AP8='}
    """
    return {"shape": list(images.shape), "bytes": base64.b64encode(images.numpy().tobytes()).decode("ascii")}


def _images(content: dict[str, Any]) -> UInt8[Tensor, "images channels height width"]:
    levels = np.frombuffer(base64.b64decode(content["bytes"]), dtype=np.uint8)
    return torch.from_numpy(levels.copy()).reshape(content["shape"])


def _numbers(measurement: Measurement) -> dict[str, list[float]]:
    numbers = {name: measurement.of(name).tolist() for name in ("bound", "importance-weighted")}
    if not all(math.isfinite(value) for values in numbers.values() for value in values):
        raise NotMeasurable("the bits per dimension of some images are not finite")
    return numbers
