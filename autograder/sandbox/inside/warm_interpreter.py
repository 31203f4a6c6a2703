"""A warm interpreter: it imports everything that notebooks need, then forks a process for each notebook.

A forked process behaves like a newly started one and has its own random numbers. The arguments name further modules to
import. This file is mounted into the sandbox.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import random
import sys
from pathlib import Path

import cells
import forking
import numpy
import torch

__all__: list[str] = []

_LARGE_PAGE, _COLLAPSE = 2**21, 25  # MADV_COLLAPSE


def main() -> None:
    control = forking.take_orders_from_judge()
    torch.set_num_threads(1)
    workshop = cells.Workshop()
    for name in sys.argv[1:]:
        with contextlib.suppress(BaseException):  # the cell that imports it will report the error
            importlib.import_module(name)
    _warm_up()

    def work(limits: dict[str, int]) -> None:
        random.seed()
        numpy.random.seed()
        torch.default_generator.seed()
        cells.work(workshop, limits)

    forking.serve(control, work)


def _warm_up() -> None:
    """Observe one function, so that everything a first call imports is imported before forking."""
    number = torch.ones(2)
    request = cells.records.Request("", {"number": number}, gradients=("number",), seed=0)
    cells.harnesses.observe(lambda number: 2 * number, request).to_json()
    gc.collect()
    gc.freeze()  # without this, the next collection would copy every shared page
    _gather_into_large_pages()


def _gather_into_large_pages() -> None:
    """Move most memory into pages of 2 MB: forking copies the list of pages, which is then 500 times shorter.

    If the kernel cannot do that, nothing changes.
    """
    madvise = ctypes.CDLL(None).madvise
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, rights, _, _, file, *_ = line.split()
        first, last = (int(place, 16) for place in span.split("-"))
        if rights.startswith("rw") and file == "0" and last - first >= _LARGE_PAGE:
            madvise(ctypes.c_void_p(first), ctypes.c_size_t(last - first), _COLLAPSE)


if __name__ == "__main__":
    main()
