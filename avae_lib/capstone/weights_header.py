"""Reads the header of a ``.safetensors`` file with limits before anything is loaded, and JSON strictly by the standard.

The files may come from strangers: any bytes give either a table of tensors or a :class:`MalformedFile`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["MalformedFile", "StoredTensor", "read_header", "strict_json"]

_LENGTH_BYTES = 8
_LARGEST_HEADER = 2**20  # bytes
_MOST_TENSORS = 20_000
_MOST_DIMENSIONS = 8
_LONGEST_NUMBER = 17  # digits
_SIZES = {"F16": 2, "F32": 4, "I64": 8}
_LONGEST_NAME = 200  # characters


class MalformedFile(ValueError):
    """The content of a file does not fit its name; the message says why."""


@dataclass(frozen=True)
class StoredTensor:
    """Type and shape of one tensor, from the header.

    >>> StoredTensor("F16", (2, 3)).is_float, StoredTensor("I64", ()).is_float
    (True, False)
    """

    dtype: str
    """F16, F32 or I64."""
    shape: tuple[int, ...]

    @property
    def is_float(self) -> bool:
        return self.dtype != "I64"


def strict_json(data: bytes) -> Any:
    """Read JSON by the standard: no repeated key, no NaN or infinity, no overlong number, no deep nesting.

    >>> strict_json(b'{"layers": 5}')
    {'layers': 5}

    Raises:
        MalformedFile: the text breaks one of these rules or is no JSON.
    """
    try:
        return _DECODER.decode(data.decode("utf-8"))
    except RecursionError:
        raise MalformedFile("its JSON is nested too deeply") from None
    except UnicodeDecodeError:
        raise MalformedFile("it is not UTF-8 text") from None
    except MalformedFile:
        raise
    except ValueError as problem:
        raise MalformedFile(f"it is no JSON ({str(problem)[:80]})") from None


def read_header(data: bytes) -> Mapping[str, StoredTensor]:
    """The tensors in a ``.safetensors`` file, by name. Every byte of the file belongs to one of them.

    >>> import safetensors.torch, torch
    >>> read_header(safetensors.torch.save({"weight": torch.zeros(2, 3)}))
    {'weight': StoredTensor(dtype='F32', shape=(2, 3))}

    Raises:
        MalformedFile: it is no such file, is cut off, lies about itself, or holds another type than float32, float16
            and int64.
    """
    length = int.from_bytes(data[:_LENGTH_BYTES], "little")
    if len(data) < _LENGTH_BYTES:
        raise MalformedFile("it is too short to be a .safetensors file")
    if data[_LENGTH_BYTES : _LENGTH_BYTES + 1] != b"{":
        raise MalformedFile("it is no .safetensors file (write it with safetensors or capstone.hand_in)")
    if length > _LARGEST_HEADER:
        raise MalformedFile(f"its header claims {length:,} bytes, more than {_LARGEST_HEADER:,}")
    if _LENGTH_BYTES + length > len(data):
        raise MalformedFile("it ends before its header does: the file is cut off")
    header = strict_json(data[_LENGTH_BYTES : _LENGTH_BYTES + length])
    return _tensors(header, len(data) - _LENGTH_BYTES - length)


def _tensors(header: Any, content_bytes: int) -> Mapping[str, StoredTensor]:
    if not isinstance(header, dict):
        raise MalformedFile("its header is no JSON object")
    _require_texts(header.get("__metadata__", {}))
    entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
    if not 1 <= len(entries) <= _MOST_TENSORS:
        raise MalformedFile(f"it holds {len(entries)} tensors, not 1 to {_MOST_TENSORS:,}")
    tensors, spans = {}, []
    for name, entry in entries.items():
        tensors[name], span = _tensor(name, entry)
        spans.append(span)
    _require_whole(spans, content_bytes)
    return tensors


def _require_texts(metadata: Any) -> None:
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise MalformedFile("its metadata is no table of texts")


def _tensor(name: str, entry: Any) -> tuple[StoredTensor, tuple[int, int]]:
    """One tensor, and where its bytes lie."""
    if len(name) > _LONGEST_NAME or not name.isascii() or not name.isprintable():
        raise MalformedFile("a tensor has a name that no part of a model has")
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise MalformedFile(f"the header's entry for {name} is not of the standard's form")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _SIZES:
        raise MalformedFile(f"{name} is of type {str(dtype)[:20]}: weights must be float32 or float16")
    if not (_are_counts(shape) and len(shape) <= _MOST_DIMENSIONS and _are_counts(offsets) and len(offsets) == 2):
        raise MalformedFile(f"the header's entry for {name} is not of the standard's form")
    if offsets[1] - offsets[0] != _SIZES[dtype] * math.prod(shape):
        raise MalformedFile(f"the header says that {name} has shape {tuple(shape)}, which its bytes do not fill")
    return StoredTensor(dtype, tuple(shape)), (offsets[0], offsets[1])


def _are_counts(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and value >= 0 for value in values)


def _require_whole(spans: list[tuple[int, int]], content_bytes: int) -> None:
    """Refuse tensors that overlap, leave gaps, or reach beyond the file; and bytes that belong to none."""
    end = 0
    for start, stop in sorted(spans):
        if start != end:
            raise MalformedFile("its tensors overlap or leave gaps")
        end = stop
    if end > content_bytes:
        raise MalformedFile(
            f"its header promises {end:,} bytes of numbers, and {content_bytes:,} are there: it is cut off"
        )
    if end < content_bytes:
        raise MalformedFile(f"{content_bytes - end:,} bytes at its end belong to no tensor")


def _whole_number(digits: str) -> int:
    if len(digits) > _LONGEST_NUMBER:
        raise MalformedFile(f"it holds a number of {len(digits)} digits")
    return int(digits)


def _decimal(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value) or len(digits) > 40:
        raise MalformedFile("it holds a number that is no finite float")
    return value


def _no_constant(name: str) -> None:
    raise MalformedFile(f"it holds {name}, which is no JSON")


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise MalformedFile("its JSON gives a key twice")
    return content


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unrepeated, parse_int=_whole_number, parse_float=_decimal, parse_constant=_no_constant
)
