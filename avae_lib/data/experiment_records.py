"""Records of experiments for lectures: the recorded one, or a new one after running the experiment again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from avae_lib.data.recorded_results import recorded

__all__ = ["experiment_record"]

_AGAIN = "RUN_EXPERIMENTS"


def experiment_record(name: str) -> dict[str, Any]:
    """The results that ``experiments/NAME`` measured, from the record in the library.

    With ``RUN_EXPERIMENTS=1`` in the environment the experiment runs first and writes a new record. That takes minutes
    to hours, as its README says, and needs a copy of the whole course: an installed library has no experiments.

    Raises:
        ValueError: there is no such record; or ``RUN_EXPERIMENTS`` is 1 and there is no such experiment.
        subprocess.CalledProcessError: the experiment failed.

    >>> experiment_record("autoencoder_codes")["results"].keys()
    dict_keys(['2', '10'])
    """
    if os.environ.get(_AGAIN) == "1":
        _run(name)
    return recorded(name)


def _run(name: str) -> None:
    course = Path(__file__).parents[2]
    program = course / "experiments" / name / "run.py"
    if not program.is_file():
        raise ValueError(
            f"{_AGAIN}=1 asks to run {name!r} again, and there is no {program}: open the notebook in a copy of the "
            f"course, or unset {_AGAIN}"
        )
    subprocess.run([sys.executable, str(program)], check=True, cwd=course)
