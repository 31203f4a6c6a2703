"""Arguments that several commands have: the run folder, a file of weights in it, and where to compute."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

__all__ = ["Device", "Run", "Weights"]

Run = Annotated[Path, tyro.conf.arg(help="Folder of the run, for example runs/digits-vae.", metavar="RUN")]
Weights = Annotated[str, tyro.conf.arg(metavar="FILE")]
Device = Annotated[str, tyro.conf.arg(metavar="DEVICE")]
