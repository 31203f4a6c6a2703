"""How much room the files of a run take at most, and whether the disk has it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from avae_lib.errors import InvalidInput, in_shell
from avae_lib.training.memory import Memory, size_in_words
from avae_lib.training.training_config import TrainingConfig

__all__ = ["DiskSpace", "expected_disk_space", "require_enough_disk_space"]

_BESIDE_TENSORS = 2**20  # bytes of a checkpoint for the order of the data, random states and names
_PAGES = 2**22  # bytes of report, pictures and records
_ROW, _LAYER_IN_ROW = 600, 24  # bytes of a row of metrics, and of each layer in it


@dataclass(frozen=True)
class DiskSpace:
    """Room that a run takes on its disk at the fullest moment, in bytes.

    >>> print(DiskSpace(checkpoints=3 * 2**30, weights=2**30, milestones=0, metrics=2**20))
    at most 4.00 GiB on disk (checkpoints 3.00 GiB, weights 1.00 GiB, milestones 0.0 MiB, metrics 1.0 MiB)
    """

    checkpoints: int
    """Two checkpoints, and a third while it is written."""
    weights: int
    """The latest and the best averaged weights, and one of them a second time while it is written."""
    milestones: int
    """Averaged weights that are kept for good."""
    metrics: int
    """Rows of metrics, pictures and the report; logs for other programs are not counted."""

    @property
    def total(self) -> int:
        """The sum of all."""
        return self.checkpoints + self.weights + self.milestones + self.metrics

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {size_in_words(size)}" for name, size in vars(self).items())
        return f"at most {size_in_words(self.total)} on disk ({parts})"


def expected_disk_space(config: TrainingConfig, memory: Memory, layers: int) -> DiskSpace:
    """The room that a whole run takes at most.

    Args:
        config: how the model is trained.
        memory: what training holds in memory, of which a checkpoint keeps weights, average and optimizer state.
        layers: number of stochastic layers; a row of metrics has a number for each.

    A milestone of 4,000 bytes after each of ten updates, of which three are kept:

    >>> from avae_lib.training.training_config import LoggingConfig
    >>> memory = Memory(4000, 4000, 8000, 4000, 12000, images=0, activations=None)
    >>> config = TrainingConfig(steps=10, logging=LoggingConfig(milestone_every=1, milestones_kept=3))
    >>> expected_disk_space(config, memory, layers=1).milestones
    16000
    """
    logging = config.logging
    checkpoint = memory.weights + memory.average + memory.optimizer + _BESIDE_TENSORS
    rows = config.steps // logging.metrics_every + config.steps // logging.evaluate_every + 2
    return DiskSpace(
        checkpoints=3 * checkpoint,
        weights=3 * memory.average,
        milestones=_most_milestones(config) * memory.average,
        metrics=rows * (_ROW + _LAYER_IN_ROW * layers) + _PAGES,
    )


def _most_milestones(config: TrainingConfig) -> int:
    logging = config.logging
    regular = config.steps // logging.milestone_every if logging.milestone_every else 0
    if logging.milestones_kept is not None and regular > logging.milestones_kept:
        regular = logging.milestones_kept + 1  # one more until the oldest is removed
    return regular + sum(step <= config.steps for step in logging.milestones)


def require_enough_disk_space(config: TrainingConfig, space: DiskSpace, run_dir: Path) -> None:
    """Refuse a run whose files may not fit on the disk. What the folder holds already is part of them.

    Raises:
        InvalidInput: there is too little room; the message says how much is free, and what to do.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     require_enough_disk_space(TrainingConfig(), DiskSpace(10**18, 0, 0, 0), Path(folder))
    Traceback (most recent call last):
    avae_lib.errors.InvalidInput: the run in ... may take at most ... on disk (...), but the disk has room for ...
    """
    if not config.disk_check:
        return
    held = sum(file.stat().st_size for file in run_dir.rglob("*") if file.is_file())
    room = shutil.disk_usage(run_dir).free + held
    if space.total <= room:
        return
    fewer = "keep fewer milestones (--training.logging.milestones-kept 3), " if space.milestones else ""
    raise InvalidInput(
        f"the run in {in_shell(run_dir)} may take {space}, but the disk has room for {size_in_words(room)}: free some "
        f"space there, {fewer}or choose another disk with --run-dir; --training.no-disk-check trains regardless"
    )
