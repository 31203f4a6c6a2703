"""Whether a stored state is made of the same kinds of values as one of this program."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from avae_lib.errors import InvalidInput

__all__ = ["require_same_types"]


def require_same_types(state: Any, template: Any, name: str = "") -> None:
    """Refuse a state with a value of another type than in ``template``, which has the same structure.

    Entries that only one of the two has are not looked at, nor are entries of lists, nor what is None in the template.

    Args:
        state: dictionaries, lists, tensors, numbers.
        template: a state as this program makes it. Where it has a floating-point number, any finite number will do.
        name: what the message calls the state; nothing for a whole checkpoint.

    Raises:
        InvalidInput: the message names the first value of another type.

    >>> import torch
    >>> template = {"step": 0, "seconds": 0.0, "model": {"weight": torch.zeros(2)}}
    >>> require_same_types({"step": 3, "seconds": 1, "model": {"weight": torch.ones(2)}}, template)
    >>> require_same_types({"step": 3, "seconds": 1, "model": {"weight": 7}}, template)
    Traceback (most recent call last):
    avae_lib.errors.InvalidInput: model.weight must be a Tensor, got int
    """
    if template is None:
        return
    if not _is_like(state, template):
        kind = Tensor if isinstance(template, Tensor) else type(template)
        found = state if isinstance(state, float) else type(state).__name__
        raise InvalidInput(f"{name or 'the state'} must be a {kind.__name__}, got {found}")
    if isinstance(template, Mapping):
        for key in template.keys() & state.keys():
            require_same_types(state[key], template[key], f"{name}.{key}".lstrip("."))


def _is_like(value: Any, template: Any) -> bool:
    if isinstance(template, Tensor):
        return isinstance(value, Tensor)
    if isinstance(template, Mapping):
        return isinstance(value, Mapping)
    if isinstance(template, float):
        return type(value) in (int, float) and math.isfinite(value)
    return type(value) is type(template)  # exactly: True is no number
