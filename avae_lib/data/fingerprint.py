"""Whether a data set still holds what a run was trained on: hashes of its splits, kept in ``data.json`` in the folder.

A hash is of the stored values, so it is the same on every machine, and the same for an array that is mapped, compressed
or in memory. Of a split larger than 256 MiB it is of the shape and of 1,024 images at equal distances.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from avae_lib.atomic_write import write_atomically
from avae_lib.data.image_dataset import DatasetError
from avae_lib.data.loading import Dataset

__all__ = ["OtherData", "changed_splits", "fingerprint", "keep_fingerprint", "read_fingerprint", "require_same_data"]

_FILE = "data.json"
_SPLITS = ("train", "valid", "test")
_LARGE = 2**28  # bytes
_ROWS = 1024  # of a larger array


class OtherData(DatasetError):
    """The data set of a run has changed under its name; the message says which splits, and what to do."""


def fingerprint(dataset: Dataset) -> dict[str, str]:
    """A hash of each split with its labels, by the name of the split; binarisation and flips do not matter.

    >>> from avae_lib.data.loading import load
    >>> whole, held_out = fingerprint(load("digits")), fingerprint(load("digits", validation=150))
    >>> list(held_out), held_out["test"] == whole["test"], held_out["train"] == whole["train"]
    (['train', 'valid', 'test'], True, False)
    """
    found = {}
    for split in _SPLITS:
        arrays = [getattr(dataset, split), getattr(dataset, f"{split}_labels", None)]
        if arrays[0] is not None:
            found[split] = _hash([array for array in arrays if array is not None])
    return found


def keep_fingerprint(dataset: Dataset, run_dir: Path) -> None:
    """Write the fingerprint of a data set into the folder of a run that begins.

    >>> import tempfile
    >>> from avae_lib.data.loading import load
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     keep_fingerprint(load("digits"), Path(folder))
    ...     changed_splits(load("digits"), Path(folder)), changed_splits(load("sprites"), Path(folder))
    ((), ('train', 'test'))
    """
    write_atomically(run_dir / _FILE, json.dumps(fingerprint(dataset), indent=2) + "\n")


def read_fingerprint(run_dir: Path) -> dict[str, str]:
    """The fingerprint in a run folder; empty for a run that has none, as one of an earlier version.

    >>> read_fingerprint(Path("no/such/run"))
    {}
    """
    try:
        stored = json.loads((run_dir / _FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) else {}


def changed_splits(dataset: Dataset, run_dir: Path) -> tuple[str, ...]:
    """Splits that hold something else than when the run began; none for a run without a fingerprint.

    >>> from avae_lib.data.loading import load
    >>> changed_splits(load("digits"), Path("no/such/run"))
    ()
    """
    stored = read_fingerprint(run_dir)
    if not stored:
        return ()
    now = fingerprint(dataset)
    return tuple(split for split in _SPLITS if stored.get(split) != now.get(split))


def require_same_data(dataset: Dataset, run_dir: Path) -> None:
    """Refuse to continue a run with other data than it began with.

    Raises:
        OtherData: a split has changed.

    >>> import tempfile
    >>> from avae_lib.data.loading import load
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     keep_fingerprint(load("digits"), Path(folder))
    ...     require_same_data(load("digits"), Path(folder))
    """
    changed = changed_splits(dataset, run_dir)
    if changed:
        raise OtherData(
            f"{run_dir} was trained on another edition of {dataset.name}: {', '.join(changed)} now with other "
            "examples or labels. Bring the earlier data back to continue it, or choose another run folder; a new "
            f"run can begin from its weights with --init-from {run_dir}"
        )


def _hash(arrays: list[Tensor]) -> str:
    found = hashlib.sha256()
    for array in arrays:
        rows = array if array.nbytes <= _LARGE else array[_spread(len(array))]
        # Labels come in many integer types, pixels in one: neither the type nor the order of bytes is content.
        values = rows.numpy() if rows.dtype == torch.uint8 else rows.numpy().astype("<i8")
        found.update(f"{tuple(array.shape)}".encode())
        found.update(np.ascontiguousarray(values).data)
    return found.hexdigest()


def _spread(length: int) -> Tensor:
    rows = min(_ROWS, length)
    return torch.arange(rows) * length // rows
