"""What the fields of a model's configuration must hold, where several models ask for the same."""

from __future__ import annotations

from avae_lib.errors import InvalidInput

__all__ = ["require_at_least", "require_sizes"]


def require_at_least(least: int, config: object, *names: str) -> None:
    """Refuse a configuration in which a named field is less than ``least``.

    Raises:
        ValueError: names the field and what it holds.
    """
    for name in names:
        if getattr(config, name) < least:
            raise InvalidInput(f"{name} must be at least {least}, got {getattr(config, name)}")


def require_sizes(config: object, first: str, *others: str) -> None:
    """Refuse anything but one or more sizes of at least 1 in the named fields, as many in each as in the first.

    Raises:
        ValueError: names the field and what it holds.
    """
    for name in (first, *others):
        sizes = getattr(config, name)
        if not sizes or min(sizes) < 1:
            raise InvalidInput(f"{name} must be one or more sizes of at least 1, got {sizes}")
    wanted = len(getattr(config, first))
    for name in others:
        if len(getattr(config, name)) != wanted:
            raise InvalidInput(f"{name} must be as many as {first}, got {len(getattr(config, name))} for {wanted}")
