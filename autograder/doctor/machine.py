"""Checks the machine and its Python: cores, memory, disk space, and the packages that grading needs."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from autograder.counts_and_lists import counted
from autograder.doctor.findings import Finding

__all__ = ["machine_findings"]

MEMORY_PER_WORKER = 2**30
"""Memory that a worker with its sandbox uses for a typical submission; the limit is higher."""
_SPACE = 2 * 2**30
_PACKAGES = ("torch", "numpy", "nbgrader", "nbformat", "jupyterlab", "distributed")
_INSTALL = "install what grading needs: pip install --editable '.[course]' in the course folder"


def machine_findings(folder: Path, workers: int) -> list[Finding]:
    """Findings about the machine and its Python.

    Args:
        folder: where results are written.
        workers: default number of submissions that ``course grade`` grades at the same time.
    """
    spaces = [_space("disk", folder), _space("temporary files", Path(tempfile.gettempdir()))]
    return [_machine(), _memory(workers), *spaces, *_python(), _gpu()]


def _machine() -> Finding:
    return Finding("machine", f"{platform.platform()}, {os.cpu_count()} cores")


def _memory(workers: int) -> Finding:
    memory = psutil.virtual_memory()
    fit = max(1, memory.available // MEMORY_PER_WORKER)
    said = f"{_gibibytes(memory.total)} in all, {_gibibytes(memory.available)} free; "
    said += f"{counted(workers, 'worker')} by default, about {_gibibytes(MEMORY_PER_WORKER)} each"
    return Finding("memory", said, f"course grade --workers {fit}, or free some memory" if fit < workers else "")


def _space(topic: str, folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    remedy = f"free some space: less than {_gibibytes(_SPACE)} may not last for a class" if free < _SPACE else ""
    return Finding(topic, f"{_gibibytes(free)} free in {folder}", remedy)


def _python() -> list[Finding]:
    found = {name: _version(name) for name in _PACKAGES}
    missing = [name for name, installed in found.items() if not installed]
    said = ", ".join(f"{name} {installed}" for name, installed in found.items() if installed)
    python = Finding("python", f"{platform.python_version()}, {said}")
    return [python, Finding("packages", f"missing: {', '.join(missing)}", _INSTALL)] if missing else [python]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _gpu() -> Finding:
    known = "NVIDIA, found by nvidia-smi" if shutil.which("nvidia-smi") else "none"
    return Finding("graphics card", f"{known}; grading does not use one, training does")


def _gibibytes(amount: float) -> str:
    return f"{amount / 2**30:.3g} GiB"
