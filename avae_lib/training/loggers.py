"""Callbacks that send the rows of metrics to TensorBoard and to Weights & Biases.

Both continue the same log when a run resumes: rows that the run writes again do not appear twice.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import nn

from avae_lib.atomic_write import write_atomically
from avae_lib.errors import InvalidInput, UserError
from avae_lib.training.metrics import Callback
from avae_lib.training.training_config import LoggingConfig

__all__ = ["LoggingUnavailable", "loggers", "scalars"]


class LoggingUnavailable(UserError, RuntimeError):
    """A service for metrics did not start; the message says what to do."""


@contextlib.contextmanager
def loggers(config: LoggingConfig, run_dir: Path, step: int, is_leader: bool = True) -> Iterator[tuple[Callback, ...]]:
    """The loggers that a configuration asks for, closed at the end of the ``with`` block.

    Args:
        run_dir: folder of the run; what the loggers write or must remember lies in it.
        step: updates that the run has had; what was logged after it, is logged again.
        is_leader: whether this process writes; in any other there are no loggers.

    Raises:
        InvalidInput: the package of a logger is not installed.
        LoggingUnavailable: Weights & Biases did not start.

    >>> with loggers(LoggingConfig(), Path("."), step=0) as asked:
    ...     asked
    ()
    """
    with contextlib.ExitStack() as stack:
        made: list[Callback] = []
        if is_leader and config.tensorboard:
            made.append(stack.enter_context(contextlib.closing(_TensorBoard(run_dir, step))))
        if is_leader and config.wandb is not None:
            made.append(stack.enter_context(contextlib.closing(_WeightsAndBiases(config.wandb, run_dir))))
        yield tuple(made)


def scalars(row: dict[str, Any]) -> dict[str, float]:
    """The numbers of a row of metrics by names such as ``valid/bits_per_dim`` and ``train/kl_per_layer/0``.

    >>> scalars({"split": "valid", "step": 5, "seconds": 0.1, "kl": 3.0, "kl_per_layer": [2.0, 1.0]})
    {'valid/kl': 3.0, 'valid/kl_per_layer/0': 2.0, 'valid/kl_per_layer/1': 1.0, 'valid/seconds': 0.1}
    """
    named = {}
    for name, value in row.items():
        if name in ("split", "step"):
            continue
        parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
        named |= {name: value} if parts is None else {f"{name}/{part}": number for part, number in parts}
    return {f"{row['split']}/{name}": named[name] for name in sorted(named) if named[name] is not None}


class _TensorBoard:
    """Writes rows of metrics as event files into the folder ``tensorboard`` of a run.

    Args:
        run_dir: folder of the run.
        step: updates that the run has had; TensorBoard hides what an earlier call logged after it.

    Raises:
        InvalidInput: TensorBoard is not installed.
    """

    def __init__(self, run_dir: Path, step: int) -> None:
        try:
            from torch.utils.tensorboard.writer import SummaryWriter
        except ImportError as problem:
            raise _not_installed("tensorboard", "tensorboard") from problem
        self._writer = SummaryWriter(str(run_dir / "tensorboard"), purge_step=step + 1)

    def __call__(self, row: dict[str, Any], model: nn.Module) -> None:
        for name, value in scalars(row).items():
            self._writer.add_scalar(name, value, row["step"])

    def close(self) -> None:
        self._writer.close()


class _WeightsAndBiases:
    """Sends rows of metrics to a run of Weights & Biases, with the configuration of the run folder.

    The id of that run is kept in ``wandb.json``, so that a resumed training goes on there.

    Raises:
        InvalidInput: the package is not installed.
        LoggingUnavailable: it did not start.
    """

    def __init__(self, project: str, run_dir: Path) -> None:
        try:
            import wandb  # pyright: ignore[reportMissingImports]  of the extra "logging"
        except ImportError as problem:
            raise _not_installed("wandb", "wandb") from problem
        kept, config = run_dir / "wandb.json", run_dir / "config.json"
        known = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
        try:
            self._run = wandb.init(
                project=project,
                name=run_dir.resolve().name,
                dir=str(run_dir),
                id=known.get("id") if known.get("project") == project else None,
                resume="allow",
                config=json.loads(config.read_text(encoding="utf-8")) if config.exists() else None,
            )
        except Exception as problem:  # its errors share no base class over all versions
            raise LoggingUnavailable(
                f"training.logging.wandb = {project!r}: Weights & Biases did not start ({problem}); run `wandb login`, "
                "or set WANDB_MODE=offline, or leave the option out"
            ) from problem
        write_atomically(kept, json.dumps({"project": project, "id": self._run.id}) + "\n")

    def __call__(self, row: dict[str, Any], model: nn.Module) -> None:
        self._run.log(scalars(row), step=row["step"])

    def close(self) -> None:
        self._run.finish()


def _not_installed(option: str, package: str) -> InvalidInput:
    return InvalidInput(
        f"training.logging.{option} needs {package}: pip install {package} (or avae[logging]), or leave the option out"
    )
