"""Averaged weights that are kept beside the latest ones: the best so far, and those of milestones."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from avae_lib.training.training_state import TrainingState
from avae_lib.training.weights_file import save_weights, step_of_weights

__all__ = ["BEST", "BestWeights", "milestone_file", "save_milestone"]

BEST = "best.safetensors"
"""The file in a run folder that holds the averaged weights that did best on validation images."""


def milestone_file(step: int) -> str:
    """Where in a run folder the averaged weights of a milestone are kept.

    >>> milestone_file(500)
    'milestones/000500.safetensors'
    """
    return f"milestones/{step:06d}.safetensors"


def save_milestone(state: TrainingState, run_dir: Path) -> None:
    """Keep the averaged weights of this step if it is one of ``training.milestones``."""
    if state.step in state.config.milestones:
        save_weights(state.averaged.module, state.step, run_dir, milestone_file(state.step))


class BestWeights:
    """Keeps the averaged weights with the lowest −ELBO on validation images, and their step, in ``best.safetensors``.

    The −ELBO also where penalties are trained on, since it means the same for all models and all sizes of batches; for
    a model that defines no density, the training objective.

    A run that goes on from a checkpoint may find weights of a later step there. Their row of metrics is gone then, so
    the next evaluation replaces them: the file never holds weights of an update that the run has not had for long.

    Args:
        state: where training stands.
        rows: rows of metrics up to this step.
        run_dir: folder of the run.
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
    """What is to be as low as possible, in nats."""
    return row["negative_elbo"] if "negative_elbo" in row else row["objective"]
