"""A checksum in files of weights: safetensors itself checks that its header is sound, but none of the numbers.

The checksum is one more entry of the file's metadata, which any reader of safetensors passes over.
"""

from __future__ import annotations

import hashlib
import io
import json
from typing import Any

from avae_lib.errors import InvalidInput

__all__ = ["require_intact", "with_checksum"]

_METADATA, _CHECKSUM = "__metadata__", "sha256"
_LENGTH = 8  # bytes at the beginning, with the length of the header; the header is padded to a multiple of it
_LONGEST_HEADER = 100_000_000  # bytes; safetensors reads no longer one
_PIECE = 2**24  # bytes that are read at a time


def with_checksum(content: bytes) -> bytes:
    """The content of a safetensors file with a checksum of its header and tensors in its metadata.

    >>> import safetensors.torch, torch
    >>> content = with_checksum(safetensors.torch.save({"weight": torch.ones(2)}, metadata={"step": "30"}))
    >>> require_intact(io.BytesIO(content))
    >>> safetensors.torch.load(content)
    {'weight': tensor([1., 1.])}
    """
    file = io.BytesIO(content)
    header = _read_header(file)
    tensors = content[file.tell() :]
    header[_METADATA] = {**header.get(_METADATA, {}), _CHECKSUM: _checksum(header, io.BytesIO(tensors))}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _LENGTH)
    return len(text).to_bytes(_LENGTH, "little") + text + tensors


def require_intact(file: io.BufferedIOBase) -> None:
    """Compare a safetensors file with its checksum. A file without one, as earlier versions wrote it, passes.

    Args:
        file: open at its beginning.

    Raises:
        InvalidInput: the checksum is of other content, or the header cannot be read.

    >>> import safetensors.torch, torch
    >>> content = with_checksum(safetensors.torch.save({"weight": torch.ones(2)}))
    >>> require_intact(io.BytesIO(content[:-1] + b"!"))
    Traceback (most recent call last):
    avae_lib.errors.InvalidInput: the checksum is wrong
    """
    header = _read_header(file)
    metadata = dict(header.get(_METADATA, {}))
    stored = metadata.pop(_CHECKSUM, None)
    if stored is not None and stored != _checksum({**header, _METADATA: metadata}, file):
        raise InvalidInput("the checksum is wrong")


def _read_header(file: io.BufferedIOBase) -> dict[str, Any]:
    length = int.from_bytes(file.read(_LENGTH), "little")
    try:
        header = json.loads(file.read(min(length, _LONGEST_HEADER)))
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or not isinstance(header.get(_METADATA, {}), dict):
        raise InvalidInput("its header cannot be read")
    return header


def _checksum(header: dict[str, Any], tensors: io.BufferedIOBase) -> str:
    """A hash of the header, whatever the order of its entries and however it is spaced, and of what follows it."""
    described = {name: entry for name, entry in header.items() if entry}  # an empty metadata is as good as none
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    while piece := tensors.read(_PIECE):
        digest.update(piece)
    return digest.hexdigest()
