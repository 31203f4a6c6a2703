"""``metrics.jsonl``: the course of a run, one JSON object per line."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from avae_lib.atomic_write import write_atomically

__all__ = ["MetricsFile"]


class MetricsFile:
    """Rows of a run in the order of their steps.

    Every row has ``split`` (``"train"``: mean over the updates since the row before; ``"valid"``: validation images
    under the averaged weights; ``"test"``, in older runs without validation images: test images), ``step`` (finished
    updates), ``negative_elbo``, ``log_likelihood``, ``kl`` (nats per image), ``kl_per_layer`` (top first),
    ``bits_per_dim`` and ``seconds`` of training so far. Training rows add ``loss`` (nats per image, KL weighted by
    ``beta``), ``beta``, ``learning_rate``, ``gradient_norm`` (before clipping), ``skipped`` (updates left out so far)
    and ``skip_rate`` (share of the last 200 that were). What is not finite is null.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, row: dict[str, Any]) -> None:
        """Add one row, at once and whole."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(_finite(row), allow_nan=False) + "\n")

    def rows(self) -> list[dict[str, Any]]:
        """All rows; a line that a killed run left unfinished is passed over."""
        if not self.path.exists():
            return []
        parsed = [_parse(line) for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines()]
        return [row for row in parsed if row is not None]

    def keep_through(self, step: int) -> None:
        """Drop what lies after ``step``: a run resumed from there will write it again."""
        if self.path.exists():
            kept = [json.dumps(row) + "\n" for row in self.rows() if row["step"] <= step]
            write_atomically(self.path, "".join(kept))


def _parse(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except json.JSONDecodeError:
        return None
    return row if isinstance(row, dict) and isinstance(row.get("step"), int) else None


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
