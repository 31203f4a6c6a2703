"""An experiment: the configurations of its data, model and training, and how they are stored as JSON."""

from __future__ import annotations

import dataclasses
import importlib
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn

from avae_lib.data import DataConfig
from avae_lib.errors import UserError
from avae_lib.training.older_configs import in_groups, is_flat
from avae_lib.training.training_config import TrainingConfig

__all__ = ["ConfigError", "Experiment", "ModelConfig", "differing_fields", "from_json", "to_json"]


class ModelConfig(Protocol):
    """A frozen dataclass that builds a model."""

    def build(self) -> nn.Module:
        """A model with fresh weights."""
        ...


@dataclass(frozen=True)
class Experiment:
    """Everything needed to train a model: its data, its architecture and how it is trained.

    >>> from avae_lib.presets import find_preset
    >>> preset = find_preset("digits-vae")
    >>> preset.data.name, preset.build_model().num_layers, preset.training.steps
    ('digits', 1, 2000)
    """

    name: str
    """Name of the preset it is derived from."""
    source: str
    """Source of the settings."""
    data: DataConfig
    """The data set, and how it is prepared."""
    model: ModelConfig
    """The architecture."""
    training: TrainingConfig
    """How it is trained."""

    def build_model(self) -> nn.Module:
        """Build the model, with initial weights drawn with ``training.seed``."""
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            torch.manual_seed(self.training.seed)
            return self.model.build()


_PACKAGE = "avae_lib."


class ConfigError(UserError, ValueError):
    """A stored configuration that cannot be built; the message names the place."""


def to_json(config: Any) -> Any:
    """A nested frozen dataclass as dictionaries, lists and plain values; ``type`` names the class of each dataclass.

    >>> from avae_lib.training.training_config import PenaltiesConfig
    >>> to_json(PenaltiesConfig(l2=0.1))
    {'type': 'avae_lib.training.training_config.PenaltiesConfig', 'l2': 0.1, 'spectral': 0.0}
    """
    if dataclasses.is_dataclass(config):
        fields = {field.name: to_json(getattr(config, field.name)) for field in dataclasses.fields(config)}
        return {"type": f"{type(config).__module__}.{type(config).__qualname__}", **fields}
    return [to_json(entry) for entry in config] if isinstance(config, tuple) else config


def from_json(record: Any) -> Any:
    """The inverse of :func:`to_json`. Only dataclasses of this library are built; lists become tuples.

    Training configurations that were stored before they had groups are translated
    (:mod:`avae_lib.training.older_configs`).

    Raises:
        ConfigError: a class does not exist, or does not take the stored fields.

    >>> config = TrainingConfig(steps=10)
    >>> from_json(to_json(config)) == config
    True
    >>> from_json({"type": "os.system"})
    Traceback (most recent call last):
    avae_lib.training.experiment.ConfigError: every configuration must have a type within avae_lib, got 'os.system'
    """
    if isinstance(record, list):
        return tuple(from_json(entry) for entry in record)
    if not isinstance(record, dict):
        return record
    kind = _dataclass_named(record.get("type"))
    if kind is TrainingConfig and is_flat(record):
        record = in_groups(record)
    fields = {name: from_json(value) for name, value in record.items() if name != "type"}
    try:
        return kind(**fields)
    except (TypeError, ValueError) as problem:
        raise ConfigError(f"{record['type']} cannot be built from its stored fields: {problem}") from problem


def differing_fields(before: Any, now: Any, prefix: str = "") -> dict[str, tuple[Any, Any]]:
    """Fields in which two configurations differ, by their dotted names, with both values: (before, now).

    >>> from avae_lib.training.training_config import PenaltiesConfig
    >>> differing_fields(TrainingConfig(), TrainingConfig(penalties=PenaltiesConfig(l2=0.1)))
    {'penalties.l2': (0.0, 0.1)}
    """
    if type(before) is not type(now) or not dataclasses.is_dataclass(before):
        return {} if before == now else {prefix: (before, now)}
    differing = {}
    for field in dataclasses.fields(before):
        dotted = f"{prefix}.{field.name}" if prefix else field.name
        differing |= differing_fields(getattr(before, field.name), getattr(now, field.name), dotted)
    return differing


def _dataclass_named(dotted: Any) -> type:
    # The restriction keeps a foreign file from calling whatever is importable.
    if not isinstance(dotted, str) or not dotted.startswith(_PACKAGE):
        raise ConfigError(f"every configuration must have a type within {_PACKAGE[:-1]}, got {dotted!r}")
    module, _, name = dotted.rpartition(".")
    try:
        kind = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as problem:
        raise ConfigError(f"this version of the library has no {dotted}") from problem
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        raise ConfigError(f"{dotted} is no configuration")
    return kind
