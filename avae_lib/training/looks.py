"""How often the held-out examples of a run were looked at: a number chosen after many looks is too good.

Every evaluation during training is a row of ``metrics.jsonl``. Every later one, by ``avae evaluate`` or for a report,
is a line of ``looks.jsonl`` in the run folder.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from avae_lib.atomic_write import append_line
from avae_lib.training.metrics import MetricsFile

__all__ = ["Looks", "note_look"]

_NAME = "looks.jsonl"


@dataclass(frozen=True)
class Looks:
    """Numbers of evaluations of a run on its validation and its test examples.

    >>> Looks(valid=20, test=1).text("image")
    'validation images 20 times; test images once'
    """

    valid: int
    test: int

    @classmethod
    def count(cls, run_dir: Path) -> Looks:
        """The looks at the examples of a run, during training and after it."""
        rows = MetricsFile(run_dir / "metrics.jsonl").rows()
        splits = [row.get("split") for row in rows] + _noted(run_dir / _NAME)
        return cls(splits.count("valid"), splits.count("test"))

    def text(self, example: str) -> str:
        """Both numbers in words; of a data set without validation examples only the other one."""
        valid = f"validation {example}s {_times(self.valid)}; " if self.valid else ""
        return f"{valid}test {example}s {_times(self.test)}"


def note_look(run_dir: Path, split: str, by: str) -> None:
    """Note that somebody has looked at held-out examples of a run; if that cannot be written, a line says so.

    Args:
        split: "valid" or "test".
        by: what looked, for example ``"avae evaluate"``.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     note_look(Path(folder), "test", by="avae evaluate")
    ...     Looks.count(Path(folder))
    Looks(valid=0, test=1)
    """
    line = {"split": split, "by": by, "time": datetime.now(UTC).isoformat(timespec="seconds")}
    path = run_dir / _NAME
    try:
        append_line(path, json.dumps(line))
    except OSError as problem:  # the result is worth more than the count
        print(f"{path} cannot be written ({problem.strerror}): this look is not counted", file=sys.stderr)


def _noted(path: Path) -> list[str]:
    if not path.exists():
        return []
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            found.append(json.loads(line)["split"])
        except (ValueError, KeyError, TypeError, RecursionError):
            continue  # a line that a kill or a full disk left unfinished
    return found


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count:,} times")
