"""All families of models of this library by the names of their configurations, which JSON can store.

A family is a module of :mod:`avae_lib.models` with a frozen dataclass that builds a model. All of them are found here.
"""

from __future__ import annotations

import dataclasses
import importlib
import math
import pkgutil
from collections.abc import Iterator, Mapping
from typing import Any, get_type_hints

from avae_lib import models
from avae_lib.errors import InvalidInput
from avae_lib.field_types import require_type, shown

__all__ = ["FAMILIES", "config_from_record", "config_to_record"]


def _configurations() -> Iterator[type]:
    """The configurations of all modules beside this one."""
    for found in pkgutil.iter_modules(models.__path__, f"{models.__name__}."):
        if found.name != __name__:
            members = vars(importlib.import_module(found.name)).values()
            own = [kind for kind in members if isinstance(kind, type) and kind.__module__ == found.name]
            yield from filter(_is_configuration, own)


def _is_configuration(kind: type) -> bool:
    return dataclasses.is_dataclass(kind) and hasattr(kind, "build")


FAMILIES: Mapping[str, type] = {
    kind.__name__: kind for kind in sorted(_configurations(), key=lambda kind: kind.__name__)
}
"""The configuration of each family, by its name in alphabetical order."""


def config_to_record(config: Any) -> dict[str, Any]:
    """A configuration as JSON types: the name of its family, and its fields.

    >>> from avae_lib.models.vae import VAEConfig
    >>> config_to_record(VAEConfig(latent_dim=2))["fields"]["latent_dim"]
    2

    Raises:
        ValueError: its class is no family of this library.
    """
    name = type(config).__name__
    if FAMILIES.get(name) is not type(config):
        raise InvalidInput(f"config must be of a family of this library ({', '.join(FAMILIES)}), got {name}")
    return {"family": name, "fields": dataclasses.asdict(config)}


def config_from_record(record: Any) -> Any:
    """The inverse of :func:`config_to_record`. Whatever the record holds, a configuration comes of it or a ValueError.

    Fields that are left out have their defaults. No network is built.

    >>> config_from_record({"family": "VAEConfig", "fields": {"latent_dim": 2}}).latent_dim
    2

    Raises:
        ValueError: the family is unknown, or it does not take a field or its value; the message names the field.
    """
    if not isinstance(record, Mapping) or set(record) != {"family", "fields"}:
        raise InvalidInput('a configuration is an object with the two entries "family" and "fields"')
    family, fields = record["family"], record["fields"]
    kind = FAMILIES.get(family) if isinstance(family, str) else None
    if kind is None:
        raise InvalidInput(f"family must be one of {', '.join(FAMILIES)}, got {shown(family)}")
    if not isinstance(fields, Mapping):
        raise InvalidInput("fields must be an object with the fields of the configuration")
    known = get_type_hints(kind)
    unknown = sorted(set(fields) - known.keys())
    if unknown:
        raise InvalidInput(f"{family} has no field {shown(unknown[0])}")
    values = {name: _value(f"{family}.{name}", value, known[name]) for name, value in fields.items()}
    try:
        return kind(**values)
    except (ValueError, ArithmeticError) as problem:
        raise InvalidInput(f"{family}: {problem}") from None


def _value(name: str, value: Any, wanted: Any) -> Any:
    """A field's value, lists made tuples; refused if it is not of the annotated type, or infinite."""
    value = tuple(value) if isinstance(value, list) else value
    require_type(name, value, wanted)
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidInput(f"{name} must be finite, got {value}")
    return float(value) if wanted is float else value
