"""``avae import-openai``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional

from avae_lib.errors import InvalidInput, in_shell

__all__ = ["import_openai"]


def import_openai(
    file: Annotated[Positional[Path], tyro.conf.arg(metavar="FILE.th")],
    preset: Annotated[str | None, tyro.conf.arg(metavar="PRESET", help_behavior_hint="")] = None,
    hparams: Annotated[Path | None, tyro.conf.arg(metavar="FILE.json", help_behavior_hint="")] = None,
    data: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = None,
    run_dir: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None,
) -> None:
    """Turn a checkpoint of OpenAI's Very Deep VAE code into a run folder, for avae evaluate and avae sample.

    Say which model the weights belong to, with --preset or with --hparams.

    Args:
        file: The checkpoint, with weights or averaged weights.
        preset: Preset of the model, for example cifar10-vdvae.
        hparams: JSON file with the hyper-parameters of the model under their released names: width, zdim, image_size,
            enc_blocks, dec_blocks, …
        data: With --hparams: data set to evaluate on; by default the one that the file names.
        run_dir: Folder of the run; by default runs/FILE.
    """
    from avae_lib.presets import find_preset
    from avae_lib.training.released_vdvae import experiment_of_hparams, import_checkpoint

    if preset is not None and hparams is None:
        experiment = find_preset(preset)
    elif hparams is not None and preset is None:
        experiment = experiment_of_hparams(hparams, data)
    else:
        raise InvalidInput("say which model the weights are of: either --preset NAME or --hparams FILE.json")
    run_dir = run_dir or Path("runs") / file.stem
    import_checkpoint(file, experiment, run_dir, preset)
    print(f"{run_dir} is ready; try: avae sample {in_shell(run_dir)}, avae evaluate {in_shell(run_dir)}")
