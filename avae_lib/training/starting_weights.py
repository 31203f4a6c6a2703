"""A new run that begins from the weights of another one, and its record of where they came from.

* ``start.safetensors``: a copy of the weights that the run began from, so that it never needs the other run again
* ``started_from.json``: where they came from, see :class:`StartRecord`
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import nn

from avae_lib.atomic_write import write_atomically
from avae_lib.errors import InvalidInput, UserError
from avae_lib.training.checkpoints import LATEST, Checkpoints, WeightsError, step_of_weights
from avae_lib.training.typed_records import DamagedRecord, read_record
from avae_lib.training.weights_checksum import require_intact

__all__ = ["OtherModel", "StartRecord", "StartingWeights", "keep_starting_weights", "load_starting_weights"]

_WEIGHTS, _RECORD = "start.safetensors", "started_from.json"
_MOST_NAMED = 3  # differences that an error lists


class OtherModel(UserError, ValueError):
    """Weights of a model that differs from the one they are for; the message names the differences."""


@dataclass(frozen=True)
class StartingWeights:
    """The weights of a run from which a new one begins: ``run_dir``, and the name of a file in it."""

    run_dir: Path
    weights: str = LATEST


@dataclass(frozen=True)
class StartRecord:
    """Where the weights came from that a run began from.

    >>> record = StartRecord("/runs/digits-vae", "digits-vae", "best.safetensors", step=900, sha256="0f3c")
    >>> print(record.text())
    best.safetensors of /runs/digits-vae (digits-vae), after 900 updates
    """

    run: str
    """Folder of the other run."""
    name: str
    """Name of its experiment."""
    weights: str
    """File of weights in that folder."""
    step: int | None
    """Updates that they had had; None if the file does not say."""
    sha256: str
    """Hash of the file."""
    differing: str = ""
    """Fields in which the models' configurations differ, in words."""

    @staticmethod
    def file(run_dir: Path) -> Path:
        """Where the record is in a run folder."""
        return run_dir / _RECORD

    @classmethod
    def read(cls, run_dir: Path) -> StartRecord | None:
        """The record in a run folder; None if the run began from fresh weights.

        Raises:
            WeightsError: the record is damaged; the message says what to do.
        """
        path = run_dir / _RECORD
        if not path.exists():
            return None
        try:
            return read_record(cls, path)
        except DamagedRecord as problem:
            raise WeightsError(f"{path} is damaged ({problem}): {_what_to_do(run_dir)}") from problem

    def is_of(self, start: StartingWeights) -> bool:
        """Whether these are the weights that ``start`` names."""
        return (self.run, self.weights) == (str(start.run_dir.resolve()), start.weights)

    def text(self) -> str:
        """The record in words."""
        updates = "" if self.step is None else f", after {self.step:,} updates"
        differing = f"; {self.differing}" if self.differing else ""
        return f"{self.weights} of {self.run} ({self.name}){updates}{differing}"


def _what_to_do(run_dir: Path) -> str:
    if Checkpoints(run_dir).exist:
        return "the run itself is whole; delete this file, which only tells where it began, and leave --init-from out"
    return "nothing has been trained yet; delete this file, and name the weights to begin from by --init-from again"


def keep_starting_weights(
    start: StartingWeights, name: str, model: nn.Module, differing: Mapping[str, tuple[Any, Any]], run_dir: Path
) -> None:
    """Copy the weights of another run into a run folder, and record where they come from.

    Args:
        name: name of the other run's experiment.
        model: the model that the weights are for; it stays as it is.
        differing: fields in which the configurations of the two models differ, each with (there, here).
        run_dir: folder of the new run.

    Raises:
        WeightsError: the file is missing or damaged.
        OtherModel: the model has other tensors than the file. Other differences are recorded, and no obstacle: one may
            fine-tune a model under another objective.

    >>> import tempfile
    >>> from avae_lib.training.checkpoints import save_weights
    >>> with tempfile.TemporaryDirectory() as old, tempfile.TemporaryDirectory() as new:
    ...     save_weights(nn.Linear(2, 1), step=30, run_dir=Path(old))
    ...     keep_starting_weights(StartingWeights(Path(old)), "lines", nn.Linear(2, 1), {}, Path(new))
    ...     StartRecord.read(Path(new)).step, sorted(file.name for file in Path(new).iterdir())
    (30, ['start.safetensors', 'started_from.json'])
    """
    path = start.run_dir / start.weights
    if not path.is_file():
        there = ", ".join(sorted(file.name for file in start.run_dir.glob("*.safetensors"))) or "no weights"
        raise WeightsError(f"{start.run_dir} has no {start.weights} to begin from: it holds {there}")
    content = path.read_bytes()
    _require_same_tensors(_tensors(content, path), model, path, differing)
    record = StartRecord(
        run=str(start.run_dir.resolve()),
        name=name,
        weights=start.weights,
        step=step_of_weights(path),
        sha256=hashlib.sha256(content).hexdigest(),
        differing="; ".join(_in_words(differing)),
    )
    run_dir.mkdir(parents=True, exist_ok=True)
    write_atomically(run_dir / _WEIGHTS, content)  # the record comes last: it says that the weights are there
    write_atomically(run_dir / _RECORD, json.dumps(dataclasses.asdict(record), indent=2) + "\n")


def load_starting_weights(model: nn.Module, run_dir: Path) -> nn.Module:
    """The model with the weights that the run in a folder began from; unchanged if it began from fresh ones.

    Raises:
        WeightsError: the weights are not those that the record tells of.
        OtherModel: the model has other tensors.

    >>> model = nn.Linear(2, 1)
    >>> load_starting_weights(model, Path("no/such/run")) is model
    True
    """
    record = StartRecord.read(run_dir)
    if record is None:
        return model
    path = run_dir / _WEIGHTS
    content = path.read_bytes() if path.exists() else b""
    if hashlib.sha256(content).hexdigest() != record.sha256:
        raise WeightsError(
            f"{path} is missing or not what {run_dir / _RECORD} tells of: delete {run_dir} and start again"
        )
    tensors = _tensors(content, path)
    try:
        _require_same_tensors(tensors, model, path, {})
    except OtherModel as problem:
        raise OtherModel(f"{problem}, or delete {run_dir / _RECORD} to begin from fresh weights") from None
    model.load_state_dict(tensors)
    return model


def _tensors(content: bytes, path: Path) -> dict[str, Any]:
    try:
        require_intact(io.BytesIO(content))
        return safetensors.torch.load(content)
    except (safetensors.SafetensorError, InvalidInput) as problem:
        raise WeightsError(f"{path} is damaged ({problem}): choose other weights with --init-weights") from problem


def _require_same_tensors(
    there: Mapping[str, Any], model: nn.Module, path: Path, differing: Mapping[str, tuple[Any, Any]]
) -> None:
    shapes = {key: tuple(tensor.shape) for key, tensor in there.items()}
    wanted = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    if shapes == wanted:
        return
    differences = itertools.chain(_in_words(differing), _differences(shapes, wanted))
    named = list(itertools.islice(differences, _MOST_NAMED))
    raise OtherModel(
        f"{path} is of another model: {'; '.join(named)}. Weights are never loaded in part: give the new run the "
        "same model options"
    )


def _in_words(differing: Mapping[str, tuple[Any, Any]]) -> list[str]:
    return [f"{name} is {there!r} there and {here!r} here" for name, (there, here) in differing.items()]


def _differences(there: Mapping[str, tuple[int, ...]], here: Mapping[str, tuple[int, ...]]) -> Iterator[str]:
    for key, shape in here.items():
        if key not in there:
            yield f"the tensor {key} is missing there"
        elif there[key] != shape:
            yield f"the tensor {key} is {there[key]} there and {shape} here"
    yield from (f"the tensor {key} is only there" for key in there if key not in here)
