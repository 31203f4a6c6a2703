"""Recognises weights that came with the library."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping

import safetensors.torch
import torch

from avae_lib.data import recorded_model, recorded_model_names

__all__ = ["library_model"]


def library_model(weights: bytes) -> str | None:
    """The name of the recorded model that has these weights; None if no model has.

    Recorded models are stored in float16, so weights count as the same if they agree after rounding to float16.

    Args:
        weights: a file whose model has been rebuilt and measured, so its header is known to be valid.
    """
    return _library().get(_digest(safetensors.torch.load(weights)))


@functools.cache
def _library() -> Mapping[str, str]:
    return {_digest(recorded_model(name).state_dict()): name for name in recorded_model_names()}


def _digest(state: Mapping[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(state):
        values = state[name].half() if state[name].is_floating_point() else state[name]
        digest.update(name.encode() + values.contiguous().numpy().tobytes())
    return digest.hexdigest()
