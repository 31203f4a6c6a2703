"""Arrays that stay in their file: the system reads a page when it is used, and may forget it again."""

from __future__ import annotations

import math
import mmap
import os
import sys
import zipfile
from pathlib import Path
from typing import BinaryIO

import numpy as np

__all__ = ["OBJECTS", "map_npy", "map_npz_member"]

OBJECTS = (
    "it holds Python objects, as an array made of images of several sizes does: make them equal in size and save one "
    "array of numbers, numpy.stack(images)"
)
"""What is wrong with a file that only unpickling could read, which runs whatever the file says."""

_NO_RESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0)


def map_npy(file: Path) -> np.ndarray:
    """The array of a ``.npy`` file, mapped and not read.

    The array may be written to: a changed page is a copy in memory, and the file stays as it is.

    Raises:
        ValueError: the file is no ``.npy`` file, is shorter than its array, or holds one of Python objects or in
            Fortran's order.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     np.save(Path(folder) / "squares.npy", np.arange(5) ** 2)
    ...     squares = map_npy(Path(folder) / "squares.npy")
    ...     squares[0] = 7
    ...     squares.tolist(), np.load(Path(folder) / "squares.npy").tolist()
    ([7, 1, 4, 9, 16], [0, 1, 4, 9, 16])
    """
    with file.open("rb") as opened:
        return _map(opened, start=0)


def map_npz_member(file: Path, name: str) -> np.ndarray | None:
    """One array of an ``.npz`` file, mapped as by :func:`map_npy`; None if it is compressed.

    Raises:
        ValueError, OSError, zipfile.BadZipFile: the file is damaged, or of another kind.
        KeyError: it has no such array.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     np.savez(Path(folder) / "numbers.npz", one_two_three=np.array([1, 2, 3]))
    ...     map_npz_member(Path(folder) / "numbers.npz", "one_two_three").tolist()
    [1, 2, 3]
    """
    with zipfile.ZipFile(file) as archive:
        member = archive.getinfo(f"{name}.npy")
    if member.compress_type != zipfile.ZIP_STORED:
        return None
    with file.open("rb") as opened:
        # Of the member's own header, only the lengths of the two fields at its end vary.
        opened.seek(member.header_offset + 26)
        lengths = opened.read(4)
        variable = int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little")
        return _map(opened, start=member.header_offset + 30 + variable)


def _map(opened: BinaryIO, start: int) -> np.ndarray:
    opened.seek(start)
    version = np.lib.format.read_magic(opened)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, is_in_fortrans_order, dtype = read_header(opened)
    if dtype.hasobject:
        raise ValueError(OBJECTS)
    if is_in_fortrans_order:
        raise ValueError("it must hold plain numbers in C order: save numpy.ascontiguousarray(…)")
    # Private pages without reserved memory: the map may be larger than memory, though it can be written to.
    size, there = math.prod(shape) * dtype.itemsize, os.fstat(opened.fileno()).st_size - opened.tell()
    if min(shape, default=0) < 0 or size > there:
        raise ValueError(f"an array of shape {shape} needs {size:,} bytes, but the file has {there:,} for it")
    pages = mmap.mmap(opened.fileno(), 0, flags=mmap.MAP_PRIVATE | _NO_RESERVE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    return np.frombuffer(pages, dtype, count=math.prod(shape), offset=opened.tell()).reshape(shape)
