"""The argument that names a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

__all__ = ["Run"]

Run = Annotated[Path, tyro.conf.arg(help="Folder of the run, for example runs/digits-vae.", metavar="RUN")]
