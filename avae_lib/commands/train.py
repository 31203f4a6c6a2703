"""``avae train``."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from tyro.conf import Positional

if TYPE_CHECKING:
    from avae_lib.train_options import TrainOptions
    from avae_lib.training.experiment import Experiment

__all__ = ["train", "train_with_options"]

_WHAT = "A name from `avae presets`, or the folder of a run to continue."
_INIT_FROM = "Folder of another run: a new run begins from its weights. The model must have the same tensors."


def train(
    what: Annotated[Positional[str], tyro.conf.arg(metavar="PRESET|RUN", help=_WHAT)],
    run_dir: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None,
    init_from: Annotated[Path | None, tyro.conf.arg(metavar="RUN", help=_INIT_FROM, help_behavior_hint="")] = None,
) -> None:
    """Train a preset, or continue a run. `avae train PRESET --help` lists all settings.

    If training is stopped, by Ctrl-C or a kill, the same command continues from the last checkpoint; so does `avae
    train RUN`, with the configuration that is stored in the folder, on this machine or another. A finished run
    continues with a larger --training.steps. With --training.minutes 20 the command saves a checkpoint and stops after
    20 minutes; the same command then continues.

    A word that is the name of a preset means the preset, even if there is a folder of that name: ./NAME is the folder.
    `avae train RUN --run-dir NEW` is a new run with the configuration of the old one.

    The learning curve, the report and best.safetensors (the best weights so far) are based on validation images, which
    --data.validation takes out of the training images. Only avae evaluate looks at the test images.

    Args:
        run_dir: Folder of the run; by default runs/PRESET, or RUN itself.
    """
    given = {"--run-dir": run_dir, "--init-from": init_from}
    train_with_options(what, [word for flag, path in given.items() if path is not None for word in (flag, str(path))])


def train_with_options(what: str, options: Sequence[str]) -> None:
    """Train the preset or continue the run ``what``, with options as typed: they depend on what is trained."""
    from avae_lib.errors import in_shell
    from avae_lib.plugins import typed_imports
    from avae_lib.report import ReportUnavailable, write_report
    from avae_lib.training.distributed import is_leading_process
    from avae_lib.training.runs import train_run
    from avae_lib.training.starting_weights import StartingWeights

    asked = _asked_for(what, options)
    start = None if asked.init_from is None else StartingWeights(asked.init_from, asked.init_weights)
    train_run(asked.experiment, asked.run_dir, init_from=start)
    if not is_leading_process():
        return
    run_dir, looks, avae = asked.run_dir, "", f"avae{typed_imports()}"
    if asked.report:
        try:
            looks = f"Look at {write_report(run_dir, progress=True)}; then try"
        except ReportUnavailable as why:  # the run itself is whole
            print(f"{why}. `{avae} report {in_shell(run_dir)}` writes it afterwards, here or on another machine")
    print(f"{looks or 'Try'}: {avae} sample {in_shell(run_dir)}, {avae} evaluate {in_shell(run_dir)}")


def _asked_for(what: str, options: Sequence[str]) -> TrainOptions:
    from avae_lib.presets import find_preset
    from avae_lib.train_options import parse_train_options
    from avae_lib.training.runs import read_experiment

    if not _is_folder(what):
        return parse_train_options(find_preset(what), options)
    stored = read_experiment(what)
    asked = parse_train_options(stored, options, Path(what))
    return dataclasses.replace(asked, experiment=_on_this_machine(asked.experiment, stored, what))


def _is_folder(what: str) -> bool:
    """Whether a word names a run folder: a path, or a folder in the current one that has no name of a preset."""
    from avae_lib.presets import PRESETS, foreign_presets

    if os.sep in what or "/" in what or what in (".", ".."):
        return True
    if not Path(what).is_dir():
        return False
    if what in PRESETS or what in foreign_presets().presets:
        print(f"{what} is taken as the preset; for the folder of this name type ./{what}")
        return False
    return True


def _on_this_machine(experiment: Experiment, stored: Experiment, run: str) -> Experiment:
    """The experiment on a device that this machine has, if the stored one was another machine's."""
    from avae_lib.errors import InvalidInput
    from avae_lib.training.devices import find_device

    device = experiment.training.device
    if device != stored.training.device:
        return experiment  # chosen just now
    try:
        find_device(device)
    except InvalidInput:
        print(f"{run} was trained on {device}, which this machine does not have: continuing on {find_device('auto')}")
        return dataclasses.replace(experiment, training=dataclasses.replace(experiment.training, device="auto"))
    return experiment
