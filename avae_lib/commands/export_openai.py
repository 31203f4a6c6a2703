"""``avae export-openai``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional

from avae_lib.commands.run_argument import Run, Weights

__all__ = ["export_openai"]


def export_openai(
    run: Positional[Run],
    file: Annotated[Positional[Path], tyro.conf.arg(metavar="FILE.th")],
    weights: Weights = "weights.safetensors",
) -> None:
    """Write the weights of a Very Deep VAE for OpenAI's code, with its hyper-parameters beside them.

    The released code saves two files, PATH-model.th with the weights and PATH-model-ema.th with their average. A run
    keeps the average, so FILE.th is the second: the released code reads it with its option restore_ema_path, and to go
    on training from it also with restore_path. FILE.json gets the hyper-parameters under their released names; avae
    import-openai FILE.th --hparams FILE.json gives back the same weights, bit for bit.

    Models that the released code cannot run are refused: images with other than 3 channels of 8 bits, other
    likelihoods, latents in groups, learned upsampling, or decoder blocks without a residual block.

    Args:
        file: File to write the weights to. It must not exist yet.
        weights: Which of the run's weights to write: weights.safetensors (the average after the last update),
            best.safetensors, milestones/000500.safetensors, …
    """
    from avae_lib.errors import in_shell
    from avae_lib.training.released_vdvae import export_checkpoint

    hparams = export_checkpoint(run, file, weights)
    print(f"{file} holds the weights, {hparams} the hyper-parameters")
    if "dataset" not in json.loads(hparams.read_text(encoding="utf-8")):
        print(
            "The released code has no data set with these pixels: add one to its set_up_data with shift = -127.5 and "
            "scale = 1 / 127.5. To read the files here: avae import-openai "
            f"{in_shell(file)} --hparams {in_shell(hparams)} --data NAME"
        )
