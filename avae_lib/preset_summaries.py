"""What the list of presets shows of each of them, recorded in a file, so that `avae presets` need not build the models.

``python -m avae_lib.preset_recording`` writes the file; a test compares it with the models.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

__all__ = ["FILE", "PresetSummary", "recorded_summaries", "to_text"]

FILE = "preset_summaries.json"
"""Name of the file, within the library."""


@dataclass(frozen=True)
class PresetSummary:
    """What the list of presets shows of one preset: its data set, the size of its model, and the memory it needs.

    >>> PresetSummary("digits-vae", "digits", layers=1, parameters=123).to_json()
    {'name': 'digits-vae', 'dataset': 'digits', 'layers': 1, 'parameters': 123}
    """

    name: str
    dataset: str
    layers: int
    """Number of stochastic layers."""
    parameters: int
    """Number of trainable numbers in the model."""
    parameters_as_published: int | None = None
    """Trainable numbers as the authors of the model count them; None where they count all of them, as we do."""
    source: str | None = None
    """Source of the settings."""
    memory: dict[str, int] | None = None
    """Expected memory of training on one device, in bytes: ``total`` and its parts (see
    :class:`avae_lib.training.memory.Memory`); None if it is not known."""
    one_80_gb_gpu: str | None = None
    """Options of ``avae train`` with which it fits one GPU with 80 GB: none if it fits as it is; None if not known."""

    def to_json(self) -> dict[str, Any]:
        """The fields by name, without those that are None."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not None}


def recorded_summaries() -> tuple[PresetSummary, ...]:
    """The summaries of all presets of the library, as they were recorded.

    >>> {entry.name: entry.layers for entry in recorded_summaries()}["digits-attentive"]
    5
    """
    content = files("avae_lib").joinpath(FILE).read_text(encoding="utf-8")
    return tuple(PresetSummary(**entry) for entry in json.loads(content))


def to_text(summaries: Iterable[PresetSummary]) -> str:
    """The content of the file for these summaries.

    >>> print(to_text([PresetSummary("digits-vae", "digits", layers=1, parameters=123)]))
    [
     {
      "name": "digits-vae",
      "dataset": "digits",
      "layers": 1,
      "parameters": 123
     }
    ]
    """
    return json.dumps([entry.to_json() for entry in summaries], indent=1, ensure_ascii=False) + "\n"
