"""Run folders of the Deep Attentive VAE made from the authors' files: weights that Keras has saved."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avae_lib.atomic_write import write_atomically
from avae_lib.errors import InvalidInput, UserError
from avae_lib.models.attentive import AttentiveConfig
from avae_lib.models.attentive_import import load_published_weights, require_published_model
from avae_lib.models.tensor_matching import NamedTensor
from avae_lib.training.experiment import Experiment
from avae_lib.training.runs import write_run

__all__ = ["NAMES", "KerasFileError", "import_keras_file", "read_keras_weights", "read_names"]

NAMES = "keras_names.json"
"""File in the run folder: for each weight of the model the name of the tensor that it was read from."""


class KerasFileError(UserError, ValueError):
    """A file that does not hold weights as Keras 2 saves them; the message says what is wrong with it."""


def import_keras_file(path: Path, experiment: Experiment, run_dir: Path, names: dict[str, str] | None = None) -> None:
    """Write a run folder with the weights of a published file, as if ``experiment`` had been trained.

    The model computes what the published program computes (``faithful``), whatever ``experiment`` says.

    Args:
        path: a file of Keras weights, such as the authors' ``final_model.h5``.
        experiment: whose model has the shape of those weights.
        names: see :func:`avae_lib.models.attentive_import.load_published_weights`.

    Raises:
        KerasFileError: the file holds no Keras weights, or h5py is missing.
        UnmatchedTensors: the weights are of another model.
        ValueError: the experiment is of another family, or the published program has no such model.
        RunError: there is a run in the folder, or it can't be written.

    >>> from avae_lib.presets import find_preset
    >>> import_keras_file(Path("final_model.h5"), find_preset("digits-vae"), Path("runs/published"))
    Traceback (most recent call last):
    avae_lib.errors.InvalidInput: weights of a Deep Attentive VAE need a preset of that family, got 'digits-vae'
    """
    if not isinstance(experiment.model, AttentiveConfig):
        raise InvalidInput(f"weights of a Deep Attentive VAE need a preset of that family, got {experiment.name!r}")
    config = replace(experiment.model, faithful=True)
    require_published_model(config)
    given = read_keras_weights(path)
    model = config.build()
    used = load_published_weights(model, config, given, names or {})
    source = f"weights of {path.name}, from the published program; otherwise {experiment.source}"
    write_run(replace(experiment, model=config, source=source), model, run_dir)
    write_atomically(run_dir / NAMES, json.dumps(used, indent=2) + "\n")


def read_keras_weights(path: Path) -> list[NamedTensor]:
    """The tensors that Keras 2 saved with ``save_weights`` or ``save``, in the order in which it lists them.

    Flags (tensors of truth values) are left out. Names are ``layer/weight``.

    Raises:
        KerasFileError: the file is damaged, or of another kind, or h5py is missing.
        OSError: there is no such file.

    >>> read_keras_weights(Path("no/such/final_model.h5"))
    Traceback (most recent call last):
    FileNotFoundError: [Errno 2] No such file or directory: 'no/such/final_model.h5'
    """
    with path.open("rb"):
        pass  # a missing file is not a damaged one
    try:
        import h5py
    except ImportError as problem:
        raise KerasFileError(f"{path} can be read with h5py, which is not installed: pip install h5py") from problem
    try:
        with h5py.File(path, "r") as file:
            return list(_tensors(path, file))
    except (OSError, KeyError, RuntimeError) as problem:
        raise KerasFileError(f"{path} is damaged, or no HDF5 file as Keras 2 writes it ({problem})") from problem


def read_names(path: Path) -> dict[str, str]:
    """A JSON file that pairs names of our weights with names of tensors in a Keras file.

    Raises:
        KerasFileError: the file holds anything else.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     _ = Path(folder, "names.json").write_text('{"top.constant": "variational_layer/constant:0"}')
    ...     read_names(Path(folder, "names.json"))
    {'top.constant': 'variational_layer/constant:0'}
    """
    try:
        names = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as problem:
        raise KerasFileError(f"{path} is no JSON file: {problem}") from problem
    if not isinstance(names, dict) or not all(isinstance(theirs, str) for theirs in names.values()):
        raise KerasFileError(f"{path} must hold a JSON object whose keys are our names and whose values are theirs")
    return names


def _tensors(path: Path, file: Any) -> Iterator[NamedTensor]:
    weights = file.get("model_weights", file)
    layers = _listed(weights, "layer_names")
    if not layers:
        raise KerasFileError(f"{path} holds no weights as Keras 2 saves them: it lists no layer_names")
    for layer in layers:
        for name in _listed(weights[layer], "weight_names"):
            values = weights[layer][name][()]
            if values.dtype.kind == "b":
                continue
            if values.dtype.kind != "f":
                raise KerasFileError(f"{path} must hold floating-point weights, {layer}/{name} is {values.dtype}")
            if not np.isfinite(values).all():
                raise KerasFileError(f"{path}: {layer}/{name} holds NaN or infinity; choose a file from before that")
            yield NamedTensor(f"{layer}/{name}", torch.from_numpy(np.asarray(values, dtype=np.float32)))


def _listed(group: Any, attribute: str) -> list[str]:
    """The names that an attribute lists; Keras spreads a long list over attributes with a number at the end."""
    if attribute in group.attrs:
        pieces = [attribute]
    else:
        pieces = [name for number in range(len(group.attrs)) if (name := f"{attribute}{number}") in group.attrs]
    names = [name for piece in pieces for name in group.attrs[piece]]
    return [name.decode("utf-8") if isinstance(name, bytes) else str(name) for name in names]
