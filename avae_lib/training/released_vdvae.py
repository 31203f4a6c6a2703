"""Files of the released Very Deep VAE, a checkpoint and its hyper-parameters, turned into run folders and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from avae_lib.atomic_write import write_atomically
from avae_lib.data import DataConfig
from avae_lib.errors import InvalidInput, UserError
from avae_lib.models.families import config_from_record
from avae_lib.models.vdvae import VDVAEConfig
from avae_lib.models.vdvae_export import released_hparams, to_openai
from avae_lib.models.vdvae_import import config_fields, load_released_weights
from avae_lib.training.checkpoints import LATEST, require_whole_archive
from avae_lib.training.experiment import Experiment
from avae_lib.training.runs import load_run, write_run
from avae_lib.training.training_config import TrainingConfig

__all__ = ["ReleasedFileError", "experiment_of_hparams", "export_checkpoint", "import_checkpoint"]

_BEGIN_OF_ARCHIVE = b"PK"


class ReleasedFileError(UserError, ValueError):
    """A file that is not what the released code writes; the message says what is wrong with it."""


def import_checkpoint(path: Path, experiment: Experiment, run_dir: Path, preset: str | None = None) -> None:
    """Write a run folder with the weights of a released checkpoint, as if ``experiment`` had been trained.

    Args:
        path: a file that the released code saved, with weights or averaged weights.
        experiment: whose model has the shape of those weights.
        preset: name of the preset that it is, for messages; None if hyper-parameters describe it.

    Raises:
        ReleasedFileError: the file can't be read, or holds anything but tensors by name.
        ValueError: the weights are of another model.
        RunError: there is a run in the folder, or it can't be written.

    >>> from avae_lib.presets import find_preset
    >>> import_checkpoint(Path("iter-1000-model-ema.th"), find_preset("digits-vae"), Path("runs/released"))
    Traceback (most recent call last):
    avae_lib.errors.InvalidInput: weights of a Very Deep VAE need a preset of that family, got 'digits-vae'
    """
    if not isinstance(experiment.model, VDVAEConfig):
        raise InvalidInput(f"weights of a Very Deep VAE need a preset of that family, got {experiment.name!r}")
    weights = _read_weights(path)
    model = experiment.build_model()
    load_released_weights(model, weights, preset)
    source = f"weights of {path.name}, from the released code; otherwise {experiment.source}"
    write_run(replace(experiment, source=source), model, run_dir)


def experiment_of_hparams(path: Path, data: str | None = None) -> Experiment:
    """An experiment with the model that a JSON file of released hyper-parameters describes.

    Args:
        data: name of the data set; without it the ``dataset`` of the hyper-parameters.

    Raises:
        ReleasedFileError: the file is no JSON object.
        ValueError: the hyper-parameters describe no model, or no data set is named.

    >>> from tempfile import TemporaryDirectory
    >>> hparams = {"width": 8, "zdim": 2, "dataset": "cifar10"}
    >>> hparams |= {"enc_blocks": "32x1,32d32,1x1", "dec_blocks": "1x1,32m1,32x1"}
    >>> with TemporaryDirectory() as folder:
    ...     _ = Path(folder, "small.json").write_text(json.dumps(hparams), encoding="utf-8")
    ...     experiment = experiment_of_hparams(Path(folder, "small.json"))
    >>> experiment.name, experiment.data.name, experiment.model.latent_channels
    ('small', 'cifar10', 2)
    """
    try:
        hparams = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as problem:
        raise ReleasedFileError(f"{path} is no JSON file: {problem}") from problem
    if not isinstance(hparams, dict):
        raise ReleasedFileError(f"{path} must hold a JSON object of hyper-parameters, got a {type(hparams).__name__}")
    model = config_from_record({"family": VDVAEConfig.__name__, "fields": config_fields(hparams)})
    data = data or hparams.get("dataset")
    if data is None:
        raise InvalidInput(f"{path} names no dataset: say with --data on which images the model is to be evaluated")
    return Experiment(path.stem, f"hyper-parameters of {path.name}", DataConfig(data), model, TrainingConfig())


def export_checkpoint(run_dir: Path, path: Path, weights: str = LATEST) -> Path:
    """Write the weights of a run as the released code saves them, and beside them its hyper-parameters.

    Args:
        run_dir: a run of a Very Deep VAE.
        path: file for the weights, in a folder that is made if need be; the hyper-parameters go into the file of the
            same name that ends in ``.json``.
        weights: which of the run's weights, a file in ``run_dir``.

    Returns:
        The file of hyper-parameters, which :func:`experiment_of_hparams` reads.

    Raises:
        ValueError: the run is of another family, or the released code could not run its model.
        ReleasedFileError: one of the two files exists already.
        RunError, WeightsError: there is no such run, or it has no such weights.

    >>> from tempfile import TemporaryDirectory
    >>> config = VDVAEConfig((3, 8, 8), enc_blocks="8x1,8d8,1x1", dec_blocks="1x1,8m1", width=8, mixtures=2)
    >>> small = Experiment("small", "an example", DataConfig("photos32"), config, TrainingConfig())
    >>> with TemporaryDirectory() as folder:
    ...     write_run(small, config.build(), Path(folder, "run"))
    ...     hparams = export_checkpoint(Path(folder, "run"), Path(folder, "small-ema.th"))
    ...     hparams.name, json.loads(hparams.read_text())["num_mixtures"]
    ('small-ema.json', 2)
    """
    model, experiment = load_run(run_dir, weights=weights)
    config = experiment.model
    if not isinstance(config, VDVAEConfig):
        raise InvalidInput(f"{run_dir} must hold a Very Deep VAE for OpenAI's code, got {experiment.name!r}")
    hparams_file = path.with_suffix(".json")
    existing = [str(file) for file in (path, hparams_file) if file.exists()]
    if existing or path == hparams_file:
        problem = (
            f"{' and '.join(existing)} exist{'s' * (len(existing) == 1)} already"
            if existing
            else f"{path} ends in .json"
        )
        raise ReleasedFileError(f"{problem}: choose another file for the weights, for example vdvae-model-ema.th")
    state_dict = to_openai(model, config)
    content = json.dumps(released_hparams(config), indent=2, ensure_ascii=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda file: torch.save(state_dict, file))
    write_atomically(hparams_file, content)
    return hparams_file


def _read_weights(path: Path) -> dict[str, Tensor]:
    with path.open("rb") as file:
        is_archive = file.read(len(_BEGIN_OF_ARCHIVE)) == _BEGIN_OF_ARCHIVE
    try:
        if is_archive:  # PyTorch before 1.6 wrote none
            require_whole_archive(path)
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as problem:  # of bytes that are no weights, PyTorch's readers raise what they please
        raise ReleasedFileError(
            f"{path} is damaged, cut short, or holds something other than weights, and was not executed: copy it "
            "again from where it comes from"
        ) from problem
    is_state_dict = isinstance(weights, Mapping) and all(
        isinstance(name, str) and isinstance(weight, Tensor) for name, weight in weights.items()
    )
    if not is_state_dict or not weights:
        raise ReleasedFileError(
            f"{path} must hold tensors by their names (a state_dict) and nothing else, got a {type(weights).__name__}"
        )
    return dict(weights)
