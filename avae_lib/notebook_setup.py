"""The first cell of a notebook: loads the student's functions, and describes the machine."""

from __future__ import annotations

import platform
import shutil
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import TypeVar

import torch

from avae_lib import components, my_components_file, recorded_cells
from avae_lib.training.devices import use_one_thread

__all__ = ["choose", "keep_runs_on_drive", "machine", "ready"]

_SIDE = 1024  # rows of the matrices whose product is timed: large enough for arithmetic to dominate

_WHERE_ON_COLAB = "; if you have some, mount your Drive or upload my_components.py, and run this cell again"

T = TypeVar("T")


def choose(here: T, colab: T) -> T:
    """``colab`` on Google Colab, which has a network and often a GPU; otherwise ``here``.

    >>> choose("digits", colab="mnist")
    'digits'
    """
    return colab if "google.colab" in sys.modules else here


def keep_runs_on_drive(wanted: bool) -> Path:
    """The folder that training runs are to be kept in; prints one line that says where it is.

    On Colab, files in the current folder are deleted when the machine is taken away. With ``wanted`` the student's
    Google Drive is mounted there (Colab asks for permission first) and the runs are kept in its folder ``avae/runs``,
    so that training resumes from the last checkpoint after a disconnect. Where Drive cannot be mounted, and outside
    Colab, runs are kept on this machine: in the folder ``runs`` beside ``avae_lib`` in a copy of the course, else in
    the current folder.
    """
    if "google.colab" not in sys.modules:
        folder = my_components_file.kept_file().with_name("runs")
        print(f"Runs are kept in {folder}")
        return folder
    trouble = _trouble_with_drive() if wanted else "asked for with keep_runs_on_drive(True)"
    if not trouble:
        folder = my_components_file.DRIVE / "avae" / "runs"
        print(f"Runs are kept in {folder}, and training resumes from the last checkpoint after a disconnect")
        return folder
    print(f"Runs are kept in {Path('runs').resolve()} until Colab takes this machine away (Drive: {trouble})")
    return Path("runs")


def _trouble_with_drive() -> str:
    """Mount the student's Drive unless it is mounted; the reason why it could not be, else nothing."""
    if my_components_file.DRIVE.is_dir():
        return ""
    try:
        from google.colab import drive  # pyright: ignore[reportMissingImports]  only on Colab

        drive.mount(str(my_components_file.DRIVE.parent))
    except Exception as error:  # permission refused, a lost connection: Colab has a type of its own for each
        return " ".join(f"{type(error).__name__}: {error}".split())
    return "" if my_components_file.DRIVE.is_dir() else f"{my_components_file.DRIVE} is missing after mounting"


def ready() -> str:
    """Load the functions that the student saved in earlier units; returns one line that says which.

    If their file cannot be run, the line says why, and the notebook works without them. From this call on, cells of
    the notebook that need a function not written yet show their recorded results (:mod:`avae_lib.recorded_cells`). The
    notebook computes on one processor thread, which is fastest for the small networks of the course, unless another
    number was chosen (:func:`avae_lib.training.devices.use_one_thread`).

    >>> ready().startswith("Ready: PyTorch")
    True
    """
    recorded_cells.watch()
    use_one_thread()
    saved = _brought_along(my_components_file.kept_file())
    begin = f"Ready: PyTorch {torch.__version__} on {_device_name()}"
    try:
        names = components.load(saved)
    except my_components_file.KeptFileError as error:
        return f"{begin}; {error}"
    if names:
        return f"{begin}; your own {', '.join(names)} from {saved}"
    return f"{begin}; no functions of yours yet{choose('', colab=_WHERE_ON_COLAB)}"


def _brought_along(saved: Path) -> Path:
    """The file to load functions from. A file that was uploaded to the current folder is first copied to Drive."""
    uploaded = Path(saved.name)
    if saved.exists() or not uploaded.exists():
        return saved
    try:
        saved.parent.mkdir(exist_ok=True)
        shutil.copy(uploaded, saved)
    except OSError:  # a Drive that is full or cannot be written
        return uploaded
    return saved


def machine() -> str:
    """Versions, device and speed of this machine, in one line.

    >>> machine().startswith("Python 3.")
    True
    """
    versions = [f"Python {platform.python_version()}"]
    versions += [f"{name} {metadata.version(name)}" for name in ("torch", "torchvision", "numpy")]
    billions = _multiplications_per_second() / 1e9
    return f"{', '.join(versions)}; {_device_name()}: {billions:.0f} billion multiplications a second"


def _device_name() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"the CPU (threads: {torch.get_num_threads()})"


def _multiplications_per_second(repeats: int = 5) -> float:
    """Speed of single-precision matrix products, the best of a few."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    matrix = torch.randn(_SIDE, _SIDE, device=device)
    return _SIDE**3 / min(_seconds_of_product(matrix) for _ in range(repeats))


def _seconds_of_product(matrix: torch.Tensor) -> float:
    started = time.perf_counter()
    (matrix @ matrix)[0, 0].item()  # reading one entry waits for the GPU
    return time.perf_counter() - started
