"""Messages between the judge and a sandbox: four bytes of length, then one JSON object.

This file is mounted into the sandbox as well, so it uses the standard library alone. On the judge's side
:func:`decode` may read bytes that a student's code has written.
"""

from __future__ import annotations

import json
import math
import struct
from typing import Any

__all__ = ["HEADER", "MAX_FRAME", "MalformedFrame", "decode", "encode"]

HEADER = struct.Struct(">I")
MAX_FRAME = 4 * 2**20
"""The largest message that the judge reads by default, in bytes."""

# Bound once, so that answers can still be sent if a student's code replaces json.dumps.
_to_text = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


class MalformedFrame(ValueError):
    """The bytes that arrived are not a message; the text says why."""


def encode(message: dict[str, Any]) -> bytes:
    """Encode one message, with its length in front."""
    body = _to_text(message).encode("ascii")
    return HEADER.pack(len(body)) + body


def decode(body: bytes) -> dict[str, Any]:
    """Decode the message in a frame's body.

    Raises:
        MalformedFrame: the body is not UTF-8, not strict JSON (no NaN, no repeated keys), holds a number that is too
            large, is nested too deeply to be read, or is not an object.
    """
    try:
        message = _strict.decode(body.decode("utf-8"))
    except (ValueError, RecursionError) as problem:
        raise MalformedFrame(f"not strict JSON: {type(problem).__name__}") from None
    if not isinstance(message, dict):
        raise MalformedFrame("not a JSON object")
    return message


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _finite(digits: str) -> float:
    if math.isinf(number := float(digits)):
        raise ValueError(f"{digits} is too large to be written again")
    return number


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a key is given twice")
    return content


_strict = json.JSONDecoder(parse_float=_finite, parse_constant=_refuse, object_pairs_hook=_unrepeated)
