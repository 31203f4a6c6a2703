"""What all benchmarks share: a table on the terminal, and a record of it with device and versions.

A benchmark prints its rows as they are measured and keeps them in ``benchmarks/results/NAME-DATE.json``:

>>> import tempfile
>>> table = Table(preset="<12", batch=">6", ms_per_update=">15.1f")
preset       batch  ms per update
>>> table.add(preset="digits-vae", batch=64, ms_per_update=3.14159)
digits-vae      64            3.1
>>> path = record("example", table.rows, folder=Path(tempfile.mkdtemp()))
recorded in ...
>>> content = json.loads(path.read_text())
>>> content["rows"], sorted(content)
([{'preset': 'digits-vae', 'batch': 64, 'ms_per_update': 3.14159}], ['command', 'date', 'device', 'load', 'rows', ...])
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shlex
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

__all__ = ["RESULTS", "ROOT", "Table", "describe_device", "installed_versions", "options_of", "record"]

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # a benchmark finds avae_lib where nothing is installed


class Table:
    """A table that prints each row as it is measured.

    Args:
        columns: for each column, the format of its values, such as ``"<24"`` for text and ``">12.2f"`` for numbers. The
            heading is the name of the column, with spaces for underscores.

    A value of None prints as a dash:

    >>> table = Table(device="<8", tflops=">10.2f")
    device      tflops
    >>> table.add(device="cpu", tflops=None)
    cpu              -
    """

    def __init__(self, **columns: str) -> None:
        self._columns = columns
        self.rows: list[dict[str, Any]] = []
        """All rows so far, with the values as they were measured."""
        self._print({name: name.replace("_", " ") for name in columns})

    def add(self, **row: Any) -> None:
        """Print a row and keep it. Values without a column are kept, but not printed."""
        self.rows.append(row)
        self._print({name: "-" if row.get(name) is None else row[name] for name in self._columns})

    def _print(self, cells: dict[str, Any]) -> None:
        formatted = [_padded(cells[name], spec) for name, spec in self._columns.items()]
        print(" ".join(formatted).rstrip(), flush=True)


def options_of(doc: str | None) -> argparse.ArgumentParser:
    """A parser whose help begins with the docstring of a benchmark, which says how to read its table.

    >>> options_of("Count something.").parse_args([])
    Namespace()
    """
    return argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)


def _padded(value: Any, spec: str) -> str:
    if not isinstance(value, str):
        return format(value, spec)
    (width,) = re.findall(r"^[<>]\d+", spec)  # numbers are formatted by all of it, headings and text by this part
    return format(value, width)


def record(
    name: str,
    rows: Sequence[dict[str, Any]],
    device: torch.device | str = "cpu",
    folder: Path = RESULTS,
    packages: Iterable[str] = (),
    **facts: Any,
) -> Path:
    """Write rows with device, versions, threads and command to ``NAME-DATE.json``, and print where.

    Args:
        name: name of the benchmark.
        rows: what was measured.
        device: where it was measured.
        folder: where the file goes; made if it is not there.
        packages: packages whose versions count beside those that always do.
        facts: anything else that belongs to the record, such as a summary of the rows.

    Returns:
        The path of the file.
    """
    now = datetime.now(UTC)
    content = {
        "rows": list(rows),
        **facts,
        "device": describe_device(device),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "versions": installed_versions(packages),
        "command": _command(),
        "date": now.isoformat(timespec="seconds"),
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{now:%Y-%m-%d-%H%M%S}.json"
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(f"recorded in {path.relative_to(ROOT) if path.is_relative_to(ROOT) else path}")
    return path


def describe_device(device: torch.device | str = "cpu") -> dict[str, Any]:
    """Name, memory in bytes and number of processors of a device.

    >>> sorted(describe_device("cpu"))
    ['memory_bytes', 'name', 'platform', 'processors', 'type']
    """
    device = torch.device(device)
    processor = {"platform": platform.platform(), "processors": os.cpu_count()}
    if device.type != "cuda":
        return {"type": device.type, "name": _processor(), "memory_bytes": _memory(), **processor}
    properties = torch.cuda.get_device_properties(device)
    return {
        "type": "cuda",
        "name": properties.name,
        "memory_bytes": properties.total_memory,
        "devices": torch.cuda.device_count(),
        "capability": f"{properties.major}.{properties.minor}",
        "multiprocessors": properties.multi_processor_count,
        "processor": _processor(),
        **processor,
    }


def installed_versions(packages: Iterable[str] = ()) -> dict[str, str | int | None]:
    """Versions of Python, PyTorch, Triton, CUDA, cuDNN and of further packages; None where there is none.

    >>> sorted(installed_versions(["tqdm"]))
    ['cuda', 'cudnn', 'python', 'torch', 'tqdm', 'triton']
    """
    found = {name: _version(name) for name in packages}
    return {
        "python": platform.python_version(),
        "torch": torch.__version__.partition("+")[0],
        "triton": _version("triton"),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if torch.backends.cudnn.is_available() else None,
        **found,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _command() -> str:
    """The command line as one would type it in the repository."""
    program = Path(sys.argv[0]).resolve()
    program = program.relative_to(ROOT) if program.is_relative_to(ROOT) else Path(program.name)
    return shlex.join(["python", str(program), *sys.argv[1:]])


def _processor() -> str:
    """The processor's model name."""
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text(encoding="utf-8").splitlines() if listing.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _memory() -> int | None:
    """The machine's memory in bytes, where the system tells."""
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
