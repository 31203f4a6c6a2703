"""``avae import-attentive``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional

__all__ = ["import_attentive"]


def import_attentive(
    file: Annotated[Positional[Path], tyro.conf.arg(metavar="FILE.h5")],
    preset: Annotated[str, tyro.conf.arg(metavar="PRESET")],
    names: Annotated[Path | None, tyro.conf.arg(metavar="FILE.json", help_behavior_hint="")] = None,
    run_dir: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None,
) -> None:
    """Turn weights of the authors' Deep Attentive VAE (final_model.h5) into a run folder.

    UNTESTED on a file of the authors: none was available. The layout was inferred from their program and from how
    Keras saves weights, and tested on files written in that layout. Kinds and shapes of all tensors must agree with
    the model, in the inferred order. Tensors of equal kind and shape could still be confused, so check the result:
    avae evaluate should come close to the last row of keras_trainer_log.csv, which lies beside the authors' file
    (val_loss_1 is the reconstruction term, val_loss_2 the KL, in nats per image).

    If the tensors do not agree, every one without a counterpart is printed with its shape. They can be paired in a
    JSON file of names, {"name here": "layer/weight in the file"}, given with --names; the others are matched in order.
    The run folder gets keras_names.json with all pairs.

    The model gets faithful=true: it computes what the authors' program computes. Not supported are squeeze-and-excite,
    pooled or normalised non-local blocks, more than one scale of latents, key and query widths that differ between
    encoder and decoder, and other than two nodes in a block. Needs h5py (pip install h5py).

    Args:
        file: Weights that the authors' program saved.
        preset: Preset of the model, for example cifar10-attentive-16, cifar10-nvae-like-16 or omniglot-attentive-15.
        names: JSON file that pairs weights by name.
        run_dir: Folder of the run; by default runs/FILE.
    """
    from avae_lib.errors import in_shell
    from avae_lib.models.tensor_matching import UnmatchedTensors
    from avae_lib.presets import find_preset
    from avae_lib.training.published_attentive import import_keras_file, read_names

    run_dir = run_dir or Path("runs") / file.stem
    try:
        import_keras_file(file, find_preset(preset), run_dir, None if names is None else read_names(names))
    except UnmatchedTensors as error:
        print("\n".join(error.report), file=sys.stderr)
        raise
    print(f"{run_dir} is ready; check it against keras_trainer_log.csv with: avae evaluate {in_shell(run_dir)}")
