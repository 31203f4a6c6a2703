"""Pickles of arrays, read without running code that may be hidden in them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

__all__ = ["read_plain_pickle"]

_ALLOWED = {
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}


def read_plain_pickle(file: Path) -> dict[str, Any]:
    """A dictionary of arrays, numbers, texts and lists of them, with keys as texts.

    A pickle is a program. This reader lets it build numpy arrays and Python's own plain values and nothing else.
    Pickles of Python 2, in which both CIFAR-10 and ImageNet were published, are understood.

    Raises:
        pickle.UnpicklingError: the file asks for anything else, is damaged, or does not hold a dictionary.

    A pickle that would call a function is refused:

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder) / "batch"
    ...     _ = file.write_bytes(pickle.dumps({"labels": [3, 1]}))
    ...     read_plain_pickle(file)
    {'labels': [3, 1]}
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder) / "batch"
    ...     _ = file.write_bytes(pickle.dumps({"labels": print}))
    ...     read_plain_pickle(file)
    Traceback (most recent call last):
        ...
    UnpicklingError: it asks for builtins.print, which no plain data needs
    """
    with file.open("rb") as stream:
        content = _PlainUnpickler(stream, encoding="latin1").load()
    if not isinstance(content, dict):
        raise pickle.UnpicklingError(f"wanted a dictionary, got a {type(content).__name__}")
    return {key.decode() if isinstance(key, bytes) else key: value for key, value in content.items()}


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no plain data needs")
        return super().find_class(module, name)
