"""One experiment derived from another: only what differs is written down."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

__all__ = ["derive"]

Config = TypeVar("Config")


def derive(parent: Config, **changes: Any) -> Config:
    """A copy of a configuration in which some fields are changed.

    Args:
        parent: a frozen dataclass, such as an :class:`~avae_lib.training.experiment.Experiment`. It stays as it is.
        changes: values of fields. For a field that holds a configuration itself, a dictionary changes single fields
            of it, at any depth; any other value takes its place as a whole.

    Raises:
        TypeError: the configuration has no field of that name.
        ValueError: the configuration refuses the value.

    >>> from avae_lib.presets.attentive import DIGITS_ATTENTIVE
    >>> local = derive(DIGITS_ATTENTIVE, name="local-twin", model={"conditioning": "local"})
    >>> local.model.conditioning, local.model.layers == DIGITS_ATTENTIVE.model.layers
    ('local', True)
    """
    values = {}
    for name, change in changes.items():
        before = getattr(parent, name, None)
        if isinstance(change, Mapping) and dataclasses.is_dataclass(before):
            change = derive(before, **change)
        values[name] = change
    return dataclasses.replace(parent, **values)  # pyright: ignore[reportArgumentType]  Config is a dataclass
