"""Settings and results of runs as text."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["in_columns", "in_plain_text", "option_values", "settings_table", "short_names"]

_WIDTH = 100  # characters of a line that still fits a terminal
_DASH = "—"


def short_names(folders: Sequence[Path]) -> tuple[str, ...]:
    """What sets folders apart: their paths below the folder that holds all of them.

    >>> short_names([Path("runs/sweeps/t1/seed=0"), Path("runs/sweeps/t1/seed=1"), Path("runs/sweeps/t2/seed=0")])
    ('t1/seed=0', 't1/seed=1', 't2/seed=0')
    """
    whole = [Path(os.path.abspath(folder)) for folder in folders]
    if not whole:
        return ()
    common = os.path.commonpath([folder.parent for folder in whole])
    return tuple(folder.relative_to(common).as_posix() for folder in whole)


def option_values(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of a stored configuration by the names of their options; of the types only that of the model.

    >>> list(option_values({"model": {"type": "avae_lib.models.vae.VAEConfig", "latent_dim": 8}}))
    [('model', 'VAEConfig'), ('model.latent-dim', 8)]
    """
    for name, value in record.items():
        if isinstance(value, dict):
            yield from option_values(value, f"{prefix}{name}.")
        elif name != "type":
            yield f"{prefix}{name}".replace("_", "-"), value
        elif prefix == "model.":
            yield "model", value.rpartition(".")[2]


def settings_table(names: Sequence[str], settings: Mapping[str, Sequence[Any]]) -> str:
    """Values of settings for several runs: a row for each setting, or for each run, whichever fits a terminal.

    If neither does, the runs are listed below each value of a setting.

    Args:
        names: names of the runs.
        settings: name of a setting → its value in each run.

    >>> print(settings_table(["slow", "fast"], {"training.learning-rate.peak": (0.001, 0.01)}))
    setting                       slow  fast
    training.learning-rate.peak  0.001  0.01
    """
    cells = {setting: [in_plain_text(value) for value in values] for setting, values in settings.items()}
    by_setting = in_columns(["setting", *names], [[setting, *values] for setting, values in cells.items()])
    by_run = in_columns(["run", *cells], [list(row) for row in zip(names, *cells.values(), strict=True)])
    fitting = (table for table in (by_setting, by_run) if _width(table) <= _WIDTH)
    return next(fitting, None) or "\n".join(_runs_by_value(names, *setting) for setting in cells.items())


def _runs_by_value(names: Sequence[str], setting: str, values: Sequence[str]) -> str:
    lines = [setting]
    for value in dict.fromkeys(values):
        runs = [name for name, has in zip(names, values, strict=True) if has == value]
        line = f"{value}: {'  '.join(runs)}"
        lines.append(
            textwrap.fill(line, _WIDTH, initial_indent="  ", subsequent_indent="      ", break_on_hyphens=False)
        )
    return "\n".join(lines)


def in_columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their longest cell, the first one on the left and the others on the right.

    >>> print(in_columns(["run", "hours"], [["first", "0.2"], ["second", "12"]]))
    run     hours
    first     0.2
    second     12
    """
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = []
    for row in (head, *rows):
        first, *others = zip(row, widths, strict=True)
        lines.append("  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]).rstrip())
    return "\n".join(lines)


def _width(table: str) -> int:
    return max(map(len, table.splitlines()))


def in_plain_text(value: Any) -> str:
    """A value of a setting as a person types it.

    >>> in_plain_text([0.9, 0.999]), in_plain_text([]), in_plain_text(None), in_plain_text("adam")
    ('0.9 0.999', 'none', '—', 'adam')
    """
    if isinstance(value, list):
        return " ".join(map(str, value)) or "none"
    return _DASH if value is None else str(value)
