"""Named experiments. Each can be trained as it is, or with any of its fields overridden."""

from __future__ import annotations

import dataclasses
import difflib
from dataclasses import dataclass

import torch

from avae_lib.errors import UserError
from avae_lib.observations import AnyModel
from avae_lib.presets import attentive, ladder, nvae, text, vae, vdvae, vector_quantized
from avae_lib.training.experiment import Experiment

__all__ = ["PRESETS", "PresetSummary", "UnknownPreset", "find_preset", "summary"]

_FAMILIES = (vae, vector_quantized, text, ladder, nvae, vdvae, attentive)
PRESETS = {preset.name: preset for family in _FAMILIES for preset in family.PRESETS}
"""All presets by name."""


class UnknownPreset(UserError, ValueError):
    """A name that no preset has."""

    exit_status = 2


def find_preset(name: str) -> Experiment:
    """The preset of that name.

    Raises:
        UnknownPreset: there is none; the message lists them and suggests the nearest.

    >>> find_preset("digits-vae").model.latent_dim
    8
    """
    if name not in PRESETS:
        close = difflib.get_close_matches(name, PRESETS, n=1)
        hint = f", did you mean {close[0]!r}?" if close else "."
        raise UnknownPreset(f"no preset is called {name!r}{hint} There are: {', '.join(PRESETS)}")
    return PRESETS[name]


@dataclass(frozen=True)
class PresetSummary:
    """What the list of presets shows of one preset: its data set and the size of its model.

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

    def to_json(self) -> dict[str, str | int]:
        """The fields by name, without those that are None."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not None}


def summary(preset: Experiment) -> PresetSummary:
    """The data set of a preset and the size of its model, counted on the model that it builds.

    >>> summary(find_preset("digits-attentive")).layers
    5
    """
    with torch.device("meta"):  # shapes only: the largest model is counted at once
        model: AnyModel = preset.model.build()
    parameters = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    as_published = getattr(model, "parameters_as_published", None)
    return PresetSummary(preset.name, preset.data.name, model.num_layers, parameters, as_published)
