"""``avae train``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional

__all__ = ["train", "train_with_options"]


def train(
    preset: Annotated[Positional[str], tyro.conf.arg(metavar="PRESET", help="A name from `avae presets`.")],
    run_dir: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None,
) -> None:
    """Train a preset, or continue its run. `avae train PRESET --help` lists all settings.

    If training is stopped, by Ctrl-C or a kill, the same command continues from the last checkpoint. A finished run
    continues with a larger --training.steps. With --training.minutes 20 the command saves a checkpoint and stops after
    20 minutes; the same command then continues.

    The learning curve, the report and best.safetensors (the best weights so far) are based on validation images, which
    --data.validation takes out of the training images. Only avae evaluate looks at the test images.

    Args:
        run_dir: Folder of the run; by default runs/PRESET.
    """
    train_with_options(preset, [] if run_dir is None else ["--run-dir", str(run_dir)])


def train_with_options(name: str, options: Sequence[str]) -> None:
    """Train the preset ``name`` with options as typed: which ones there are depends on the preset."""
    from avae_lib.presets import find_preset
    from avae_lib.report import write_report
    from avae_lib.train_options import parse_train_options
    from avae_lib.training.distributed import is_leading_process
    from avae_lib.training.runs import train_run

    experiment, run_dir = parse_train_options(find_preset(name), options)
    train_run(experiment, run_dir)
    if not is_leading_process():
        return
    report = write_report(run_dir, progress=True)
    print(f"Look at {report}; then try: avae sample {run_dir}, avae evaluate {run_dir}")
