"""What a run saves: checkpoints to resume from, and the averaged weights: the latest, the best, and milestones.

Every file is written whole or not at all, and reading one executes nothing.
"""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import nn

from avae_lib.atomic_write import move_into_place, write_atomically
from avae_lib.errors import InvalidInput, UserError
from avae_lib.training.training_state import TrainingState
from avae_lib.training.weights_checksum import require_intact, with_checksum

__all__ = [
    "BEST",
    "LATEST",
    "BestWeights",
    "CheckpointError",
    "Checkpoints",
    "WeightsError",
    "has_weights",
    "is_milestone",
    "load_weights",
    "milestone_file",
    "require_whole_archive",
    "save_milestone",
    "save_weights",
    "step_of_weights",
]

_FORMAT = "avae checkpoint 1"

LATEST = "weights.safetensors"
"""Name of the file in a run folder that holds the averaged weights after the last update."""
BEST = "best.safetensors"
"""Name of the file in a run folder that holds the averaged weights with the best validation result."""


class CheckpointError(UserError, RuntimeError):
    """A checkpoint that cannot be used; the message says what to do."""


class Checkpoints:
    """The two checkpoints of a run folder: ``checkpoint.pt`` and, in case it gets damaged, ``checkpoint.previous.pt``.

    They hold only tensors and plain values.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     checkpoints = Checkpoints(Path(folder))
    ...     for step in (100, 200):
    ...         checkpoints.save({"step": step})
    ...     checkpoints.load()["step"], sorted(path.name for path in Path(folder).iterdir())
    (200, ['checkpoint.previous.pt', 'checkpoint.pt'])
    """

    def __init__(self, run_dir: Path) -> None:
        self.last = run_dir / "checkpoint.pt"
        self.previous = run_dir / "checkpoint.previous.pt"

    @property
    def exist(self) -> bool:
        """Whether the folder holds a checkpoint."""
        return self.last.exists() or self.previous.exists()

    def save(self, state: dict[str, Any]) -> None:
        """Write ``state`` as the last checkpoint; the earlier last one becomes the previous one."""
        new = self.last.with_name("checkpoint.new.pt")
        write_atomically(new, lambda file: torch.save({"format": _FORMAT, **state}, file))
        if self.last.exists():
            os.replace(self.last, self.previous)
        move_into_place(new, self.last)

    def load(self, accept: Callable[[dict[str, Any]], None] | None = None) -> dict[str, Any] | None:
        """Read the last checkpoint, or the previous one if the last is damaged or foreign; None if there is none.

        A last checkpoint that cannot be used is renamed to ``checkpoint.damaged.pt``, with a printed message.

        Args:
            accept: called with the checkpoint. If it raises RuntimeError, ValueError, LookupError, TypeError or
                AttributeError, the checkpoint belongs to another model or other data and counts as foreign.

        Raises:
            CheckpointError: there are checkpoints, but none can be used.
        """
        problems = []
        for path in (self.last, self.previous):
            if path.exists():
                try:
                    return self._use(path, accept, problems)
                except CheckpointError as problem:
                    problems.append(str(problem))
        if not problems:
            return None
        raise CheckpointError(
            f"{'; '.join(problems)}. Copy a good checkpoint to {self.last}, or delete {self.last.parent} to start again"
        )

    def _use(self, path: Path, accept: Callable[[dict[str, Any]], None] | None, problems: list[str]) -> dict[str, Any]:
        state = _read(path)
        if accept is not None:
            _offer(state, path, accept)
        if problems:
            os.replace(self.last, self.last.with_name("checkpoint.damaged.pt"))
            print(f"{problems[0]}; going back to {path.name} of step {state['step']}")
        return state


def _read(path: Path) -> dict[str, Any]:
    try:
        require_whole_archive(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as problem:  # PyTorch's readers raise many kinds of errors on damaged bytes
        raise CheckpointError(f"{path} is damaged or no checkpoint ({_first_sentence(problem)})") from problem
    if not isinstance(state, dict) or state.get("format") != _FORMAT:
        raise CheckpointError(f"{path} is a PyTorch file, but no checkpoint of this program ({_FORMAT!r})")
    return state


def require_whole_archive(path: Path) -> None:
    """Compare the checksums in a file of ``torch.save``, which PyTorch writes but does not check.

    Raises:
        ValueError: one of them is wrong.
        zipfile.BadZipFile: the file is cut short, or no such file.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "sevens.pt")
    ...     torch.save(torch.full((9,), 7, dtype=torch.uint8), path)
    ...     require_whole_archive(path)
    ...     _ = path.write_bytes(path.read_bytes().replace(bytes([7] * 9), bytes([7] * 8 + [6])))
    ...     require_whole_archive(path)
    Traceback (most recent call last):
    ValueError: the checksum of sevens/data/0 is wrong
    """
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"the checksum of {damaged} is wrong")


def _offer(state: dict[str, Any], path: Path, accept: Callable[[dict[str, Any]], None]) -> None:
    try:
        accept(state)
    except (RuntimeError, ValueError, LookupError, TypeError, AttributeError) as problem:
        reason = (str(problem).strip().splitlines() or [type(problem).__name__])[-1].strip()
        raise CheckpointError(f"{path} does not fit this model or data: {reason}") from problem


def _first_sentence(problem: Exception) -> str:
    lines = str(problem).strip().splitlines()
    return lines[0].split(". ")[0] if lines else type(problem).__name__


class WeightsError(UserError, RuntimeError):
    """Weights that are missing, or belong to another model; the message says what to do."""


def save_weights(model: nn.Module, step: int, run_dir: Path, name: str = LATEST) -> None:
    """Write a model's weights to a file in the run folder, with ``step``, the number of updates, and a checksum.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_weights(nn.Linear(2, 1), step=30, run_dir=Path(folder))
    ...     step_of_weights(Path(folder) / LATEST)
    30
    """
    tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in model.state_dict().items()}
    content = with_checksum(safetensors.torch.save(tensors, metadata={"step": str(step)}))
    path = run_dir / name
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, content)


def has_weights(run_dir: Path) -> bool:
    """Whether the run folder holds weights.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     before = has_weights(Path(folder))
    ...     save_weights(nn.Linear(2, 1), step=30, run_dir=Path(folder))
    ...     before, has_weights(Path(folder))
    (False, True)
    """
    return (run_dir / LATEST).exists()


def step_of_weights(path: Path) -> int | None:
    """Number of updates that the weights in a file have had; None if the file is missing or damaged.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_weights(nn.Linear(2, 1), step=30, run_dir=Path(folder))
    ...     step_of_weights(Path(folder) / LATEST), step_of_weights(Path(folder) / BEST)
    (30, None)
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return int(file.metadata()["step"])
    except (safetensors.SafetensorError, OSError, KeyError, TypeError, ValueError):
        return None


def load_weights(model: nn.Module, run_dir: Path, name: str = LATEST) -> nn.Module:
    """Load the weights in a file of the run folder into a model, and return the model.

    Raises:
        WeightsError: the file is missing, damaged, or of another model.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     load_weights(nn.Linear(2, 1), Path(folder))
    Traceback (most recent call last):
    avae_lib.training.checkpoints.WeightsError: ... holds no weights.safetensors yet: train it first (...)
    """
    path = run_dir / name
    if not path.is_file():
        there = sorted(str(file.relative_to(run_dir)) for file in run_dir.rglob("*.safetensors"))
        appears = " (weights appear with the first checkpoint)" if name == LATEST else ""
        instead = f"it holds {', '.join(there)}" if there else "train it first"
        raise WeightsError(f"{run_dir} holds no {name} yet: {instead}{appears}")
    try:
        with path.open("rb") as file:
            require_intact(file)
        model.load_state_dict(safetensors.torch.load_file(path))
    except (safetensors.SafetensorError, RuntimeError, OSError, InvalidInput) as problem:
        reason = str(problem).strip().splitlines()[-1].strip()
        raise WeightsError(f"{path} is damaged or of another model ({reason}); {_instead(name)}") from problem
    return model


def _instead(name: str) -> str:
    if name == LATEST:
        return "the same `avae train` as before writes it again"
    return "put back a copy, or choose other weights of the run with --weights"


def milestone_file(step: int) -> str:
    """Name of the file in a run folder that holds the averaged weights of a milestone.

    >>> milestone_file(500)
    'milestones/000500.safetensors'
    """
    return f"milestones/{step:06d}.safetensors"


def is_milestone(state: TrainingState) -> bool:
    """Whether ``training.logging`` asks to keep the averaged weights of this step.

    >>> from avae_lib.presets import find_preset
    >>> preset = find_preset("digits-vae")
    >>> is_milestone(TrainingState(preset.build_model(), preset.data.load(), preset.training, torch.device("cpu")))
    False
    """
    logging = state.config.logging
    is_regular = logging.milestone_every > 0 and state.step % logging.milestone_every == 0
    return is_regular or state.step in logging.milestones


def save_milestone(state: TrainingState, run_dir: Path) -> None:
    """Keep the averaged weights of this step if ``training.logging`` asks for it.

    That is a step among its ``milestones``, or a multiple of its ``milestone_every``; of the multiples only the newest
    ``milestones_kept`` stay.

    >>> import tempfile
    >>> from avae_lib.presets import find_preset
    >>> from avae_lib.training.training_config import LoggingConfig, TrainingConfig
    >>> experiment = find_preset("digits-vae")
    >>> logging = LoggingConfig(milestones=(500,), milestone_every=250, milestones_kept=1)
    >>> config = TrainingConfig(logging=logging)
    >>> state = TrainingState(experiment.build_model(), experiment.data.load(), config, torch.device("cpu"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for state.step in (250, 500, 501, 750, 1000):
    ...         save_milestone(state, Path(folder))
    ...     sorted(path.name for path in Path(folder, "milestones").iterdir())
    ['000500.safetensors', '001000.safetensors']
    """
    logging = state.config.logging
    if not is_milestone(state):
        return
    save_weights(state.averaged.module, state.step, run_dir, milestone_file(state.step))
    if logging.milestones_kept is not None:
        _remove_old_milestones(state, run_dir, logging.milestones_kept)


def _remove_old_milestones(state: TrainingState, run_dir: Path, kept: int) -> None:
    """Remove the regular milestones up to this step, but for the newest ones and those that are listed."""
    every, listed = state.config.logging.milestone_every, state.config.logging.milestones
    regular = [step for step in range(every, state.step + 1, every) if step not in listed]
    for step in regular[:-kept]:
        (run_dir / milestone_file(step)).unlink(missing_ok=True)


class BestWeights:
    """Keeps the averaged weights with the lowest negative ELBO on validation images in ``best.safetensors``.

    The negative ELBO decides even if the training objective has penalties, because it means the same for all models
    and batch sizes. For a model that defines no density, the training objective decides.

    A run that resumes from a checkpoint may find weights of a later step in the file. Their row of metrics has been
    dropped, so the next evaluation replaces them.

    Args:
        state: the state of training.
        rows: rows of metrics up to the present step.
        run_dir: folder of the run.

    >>> import tempfile
    >>> from avae_lib.presets import find_preset
    >>> preset = find_preset("digits-vae")
    >>> state = TrainingState(preset.build_model(), preset.data.load(), preset.training, torch.device("cpu"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     best = BestWeights(state, rows=[], run_dir=Path(folder))
    ...     for state.step, nats in ((100, 25.0), (200, 24.0), (300, 26.0)):
    ...         best.offer({"negative_elbo": nats})
    ...     step_of_weights(Path(folder) / BEST)
    200
    """

    def __init__(self, state: TrainingState, rows: Iterable[Mapping[str, Any]], run_dir: Path) -> None:
        self._state, self._run_dir = state, run_dir
        kept = step_of_weights(run_dir / BEST)
        found = [_value(row) for row in rows if row.get("split") == "valid" and row["step"] == kept]
        self._lowest = found[0] if found else math.inf

    def offer(self, row: Mapping[str, Any]) -> None:
        """Keep the present weights if their row of metrics on validation images is the best so far."""
        if _value(row) < self._lowest:
            self._lowest = _value(row)
            save_weights(self._state.averaged.module, self._state.step, self._run_dir, BEST)


def _value(row: Mapping[str, Any]) -> float:
    """The quantity to minimise, in nats; infinite where the row has none."""
    value = row.get("negative_elbo", row.get("objective"))
    return math.inf if value is None else value
