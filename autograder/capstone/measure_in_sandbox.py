"""Measures a model that was handed in, in a sandbox, and checks everything that comes out of it."""

from __future__ import annotations

import base64
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from autograder.plain_text import printable
from autograder.sandbox.limits import Limits
from autograder.sandbox.sandbox_kinds import SandboxKind
from autograder.sandbox.session import Session, SessionLost
from avae_lib.capstone import BUDGET, QUANTITIES
from avae_lib.capstone.measuring_apart import images_to_json, measured_apart

__all__ = ["LIMITS", "Measured", "NoNumbers", "measure_in_sandbox"]

_SETS = 2  # public and held-out images, equally many; students measure only the first
_SECONDS = 60 * BUDGET.max_measuring_minutes * _SETS
LIMITS = Limits(
    ask_seconds=_SECONDS, total_seconds=3 * _SECONDS, cpu_seconds=int(_SECONDS) + 60, memory_bytes=3 * 2**30
)
"""Waiting for a busy processor does not count against a model; after three times as long it is stopped anyway."""
_SET_UP = ("import avae_lib.capstone.measuring_apart",)
_LARGEST_BPD = 1e6


class NoNumbers(Exception):
    """There is no measurement; the message says why.

    Attributes:
        was_lost: whether a time limit or a crash caused it.
    """

    def __init__(self, reason: str, was_lost: bool = False) -> None:
        super().__init__(reason)
        self.was_lost = was_lost


@dataclass(frozen=True)
class Measured:
    """The results of measuring a model.

    Attributes:
        parameters: the number of parameters.
        bits_per_dim: the bits per dimension of each image, by set and quantity.
    """

    parameters: int
    bits_per_dim: Mapping[str, Mapping[str, Tensor]]


def measure_in_sandbox(
    config: bytes,
    weights: bytes,
    images: Mapping[str, Tensor],
    samples: int,
    seed: int,
    edition: Path,
    hidden: tuple[Path, ...],
    kind: SandboxKind,
    limits: Limits = LIMITS,
) -> Measured:
    """Rebuild a model in a sandbox and measure it there on each set of images.

    Args:
        seed: the seed for the draws. A student who knew it before training could build a model that profits from it.
        edition: the folder that holds the library.

    Raises:
        NoNumbers: the model was refused, or it took too much time or memory.
        SandboxUnavailable: this machine cannot run the sandbox.
    """
    arguments = {
        "config": base64.b64encode(config).decode("ascii"),
        "weights": base64.b64encode(weights).decode("ascii"),
        "images": {name: images_to_json(content) for name, content in images.items()},
        "samples": samples,
        "seed": seed,
    }
    deadline = time.monotonic() + limits.total_seconds
    try:
        with Session(edition, limits, deadline, hidden, kind, _SET_UP) as session:
            answer = session.call(measured_apart, arguments, "model")
    except SessionLost as loss:
        raise NoNumbers(f"the model could not be measured: {loss.reason}", was_lost=True) from None
    return _read(answer, {name: len(content) for name, content in images.items()})


def _read(answer: Any, counts: Mapping[str, int]) -> Measured:
    if isinstance(answer, dict) and isinstance(answer.get("refused"), str):
        raise NoNumbers(printable(answer["refused"], 500))
    try:
        parameters, sets = answer["parameters"], answer["measured"]
        if type(parameters) is not int or not 0 <= parameters < 2**53:
            raise ValueError
        return Measured(parameters, {name: _numbers(sets[name], count) for name, count in counts.items()})
    except (TypeError, KeyError, ValueError):
        raise NoNumbers("the sandbox did not return a measurement", was_lost=True) from None


def _numbers(content: Any, count: int) -> Mapping[str, Tensor]:
    numbers = {}
    for quantity in QUANTITIES:
        values = content[quantity]
        if not (isinstance(values, list) and len(values) == count and all(map(_is_sensible, values))):
            raise ValueError(quantity)
        numbers[quantity] = torch.tensor(values, dtype=torch.float64)
    return numbers


def _is_sensible(value: Any) -> bool:
    return type(value) is float and math.isfinite(value) and 0 < value < _LARGEST_BPD
