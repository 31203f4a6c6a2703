"""An experiment: the configurations of its data, model and training, and how they are stored as JSON."""

from __future__ import annotations

import dataclasses
import importlib
import json
from dataclasses import dataclass
from typing import Any, Protocol, get_type_hints

import torch
from torch import nn

from avae_lib.data import DataConfig
from avae_lib.errors import UserError
from avae_lib.field_types import require_type
from avae_lib.plugins import PluginError, class_of_plugin
from avae_lib.training.older_configs import in_groups, is_flat
from avae_lib.training.training_config import TrainingConfig

__all__ = [
    "ConfigError",
    "Experiment",
    "ModelConfig",
    "differing_fields",
    "from_json",
    "require_readable",
    "to_json",
]


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
        """Build the model, with initial weights drawn with ``training.seed``.

        Raises:
            ConfigError: its tensors are too large for any memory.
        """
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            torch.manual_seed(self.training.seed)
            try:
                return self.model.build()
            except (RuntimeError, MemoryError, TypeError) as problem:
                if isinstance(problem, UserError) or not _is_about_size(problem):
                    raise
                said = (str(problem).splitlines() or ["out of memory"])[0]
                raise ConfigError(
                    f"the model of {self.name} is too large for this machine ({said}): choose smaller sizes for it"
                ) from problem


def _is_about_size(problem: Exception) -> bool:
    """PyTorch says in no other way that a tensor is larger than the memory, or than numbers of 64 bits can count."""
    signs = ("allocate memory", "out of memory", "overflow")
    return isinstance(problem, MemoryError) or any(sign in str(problem).lower() for sign in signs)


_PACKAGE = "avae_lib."


class ConfigError(UserError, ValueError):
    """A configuration that cannot be stored, or a stored one that cannot be built; the message names the place."""


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
    """The inverse of :func:`to_json`. Only dataclasses of this library and of plugins are built; lists become tuples.

    Training configurations that were stored before they had groups are translated
    (:mod:`avae_lib.training.older_configs`).

    Raises:
        ConfigError: a class does not exist, or does not take the stored fields. For a class of this library each field
            must be of its annotated type.

    >>> config = TrainingConfig(steps=10)
    >>> from_json(to_json(config)) == config
    True
    >>> from_json({"type": "os.system"})
    Traceback (most recent call last):
    avae_lib.training.experiment.ConfigError: os.system belongs to the package os, which is not registered ...
    """
    if isinstance(record, list):
        return tuple(from_json(entry) for entry in record)
    if not isinstance(record, dict):
        return record
    kind = _dataclass_named(record.get("type"))
    try:
        if kind is TrainingConfig and is_flat(record):
            record = in_groups(record)
        fields = {name: from_json(value) for name, value in record.items() if name != "type"}
        if kind.__module__.startswith(_PACKAGE):  # annotations of other packages may be of any kind
            _require_annotated_types(kind, fields)
        return kind(**fields)
    except ConfigError:
        raise
    except Exception as problem:  # code of other packages may raise anything
        raise ConfigError(f"{record['type']} cannot be built from its stored fields: {problem}") from problem


def _require_annotated_types(kind: type, fields: dict[str, Any]) -> None:
    for name, wanted in get_type_hints(kind).items():
        if name in fields and wanted is not ModelConfig:  # a model is whatever can be built
            require_type(name, fields[name], wanted)


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


def require_readable(config: Any, name: str = "experiment") -> None:
    """Raise unless :func:`from_json` makes the same configuration of what :func:`to_json` stores.

    Args:
        config: a configuration, with those that it contains.
        name: what the message calls it.

    Raises:
        ConfigError: it could not be read back; the message names the field and says why.

    >>> require_readable(TrainingConfig())
    >>> require_readable([300, 100], "sizes")
    Traceback (most recent call last):
    avae_lib.training.experiment.ConfigError: sizes cannot be stored: [300, 100] would be read as (300, 100)
    """
    if not dataclasses.is_dataclass(config):
        _require_same(name, config, _read_back(name, config))
        return
    _require_storable_class(name, type(config))
    for field in dataclasses.fields(config):
        require_readable(getattr(config, field.name), f"{name}.{field.name}")
    _require_same(name, config, _read_back(name, config))


def _require_storable_class(name: str, kind: type) -> None:
    try:
        found = _dataclass_named(f"{kind.__module__}.{kind.__qualname__}")
    except ConfigError as problem:
        raise ConfigError(f"{name} cannot be stored: {problem}") from problem
    if found is not kind:
        raise ConfigError(f"{name} cannot be stored: {kind.__qualname__} must be the class of this name in its module")
    if not kind.__dataclass_params__.frozen:  # pyright: ignore[reportAttributeAccessIssue]
        raise ConfigError(f"{name} cannot be stored: {kind.__qualname__} must be a frozen dataclass")


def _read_back(name: str, config: Any) -> Any:
    try:
        return from_json(json.loads(json.dumps(to_json(config))))
    except ConfigError as problem:
        raise ConfigError(f"{name} cannot be stored: {problem}") from problem
    except (TypeError, ValueError, RecursionError):
        raise ConfigError(
            f"{name} cannot be stored: fields must be numbers, texts, None, tuples of them or frozen dataclasses, "
            f"got {type(config).__name__}"
        ) from None


def _require_same(name: str, config: Any, read: Any) -> None:
    if type(config) is not type(read) or config != read:
        raise ConfigError(f"{name} cannot be stored: {config!r} would be read as {read!r}")


def _dataclass_named(dotted: Any) -> type:
    # The restriction keeps a foreign file from calling whatever is importable.
    if not isinstance(dotted, str) or "." not in dotted:
        raise ConfigError(
            f"every configuration must have a type, such as {_PACKAGE}models.vae.VAEConfig, got {dotted!r}"
        )
    kind = _class_of_library(dotted) if dotted.startswith(_PACKAGE) else _class_of_plugin(dotted)
    if not dataclasses.is_dataclass(kind):
        raise ConfigError(f"{dotted} is no configuration")
    return kind


def _class_of_library(dotted: str) -> type:
    module, _, name = dotted.rpartition(".")
    try:
        kind = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as problem:
        raise ConfigError(f"this version of the library has no {dotted}") from problem
    if not (isinstance(kind, type) and kind.__module__.startswith(_PACKAGE)):
        raise ConfigError(f"{dotted} is no configuration")
    return kind


def _class_of_plugin(dotted: str) -> type:
    try:
        return class_of_plugin(dotted)
    except PluginError as problem:
        raise ConfigError(str(problem)) from problem
