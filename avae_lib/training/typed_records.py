"""Small records of a run, read back from JSON: what is damaged or of another kind than its field is refused."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from avae_lib.errors import InvalidInput, UserError
from avae_lib.field_types import require_type

__all__ = ["DamagedRecord", "read_record"]

T = TypeVar("T")


class DamagedRecord(UserError, ValueError):
    """A record that is no JSON, or whose entries are not those of its class; the message says what is wrong."""


def read_record(kind: type[T], path: Path) -> T:
    """Read a dataclass of numbers, text, None and other such dataclasses from a JSON file.

    Raises:
        DamagedRecord: the file holds something else.

    >>> import tempfile
    >>> Result = dataclasses.make_dataclass("Result", [("step", int), ("loss", float | None)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "result.json")
    ...     _ = path.write_text('{"step": 3, "loss": null}')
    ...     print(read_record(Result, path))
    ...     _ = path.write_text('{"step": "three", "loss": null}')
    ...     read_record(Result, path)
    Traceback (most recent call last):
    avae_lib.training.typed_records.DamagedRecord: step must be int, got 'three'
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as problem:
        raise DamagedRecord(f"it is no JSON: {str(problem)[:80]}") from problem
    return _made(kind, record)


def _made(kind: type[Any], record: Any) -> Any:
    fields = dataclasses.fields(kind)
    needed = {field.name for field in fields if field.default is dataclasses.MISSING}
    if not isinstance(record, dict) or not needed <= record.keys() <= {field.name for field in fields}:
        raise DamagedRecord(f"it does not have the entries {', '.join(sorted(needed))}")
    hints = get_type_hints(kind)
    return kind(**{name: _value(name, value, hints[name]) for name, value in record.items()})


def _value(name: str, value: Any, kind: Any) -> Any:
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _made(kind, value)
    try:
        require_type(name, value, kind)
    except InvalidInput as problem:
        raise DamagedRecord(str(problem)) from problem
    if value in (math.inf, -math.inf):  # a configuration may hold them, a measurement not
        raise DamagedRecord(f"{name} must be finite, got {value}")
    kinds = get_args(kind) or (kind,)
    return float(value) if type(value) is int and int not in kinds else value
