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
    """All that has to be known to train a model."""

    name: str
    """Name of the preset that it started from."""
    source: str
    """Where its numbers come from."""
    data: DataConfig
    """The images."""
    model: ModelConfig
    """The model."""
    training: TrainingConfig
    """How it is trained."""

    def build_model(self) -> nn.Module:
        """The model with the initial weights that ``training.seed`` decides."""
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            torch.manual_seed(self.training.seed)
            return self.model.build()


_PACKAGE = "avae_lib."


class ConfigError(UserError, ValueError):
    """A stored configuration that no object can be made of; the message names the place."""


def to_json(config: Any) -> Any:
    """A nested frozen dataclass as dictionaries, lists and plain values; ``type`` is the class of each dataclass."""
    if dataclasses.is_dataclass(config):
        fields = {field.name: to_json(getattr(config, field.name)) for field in dataclasses.fields(config)}
        return {"type": f"{type(config).__module__}.{type(config).__qualname__}", **fields}
    return [to_json(entry) for entry in config] if isinstance(config, tuple) else config


def from_json(record: Any) -> Any:
    """The inverse of :func:`to_json`. Only dataclasses of this library are built; lists become tuples.

    A training configuration of the time before there were groups is read as one of today
    (:mod:`avae_lib.training.older_configs`).

    Raises:
        ConfigError: a class does not exist, or does not take the stored fields.
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
    """Fields in which two configurations differ, by their dotted names: (before, now)."""
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
