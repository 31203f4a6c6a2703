"""Shows recorded results for cells of a lecture that need functions which the student has not written yet.

Such a cell begins with a line like ``# needs: top_down_step, bottleneck_block``. Once all of these components are
available, the student's own or the library's, it runs like any other cell. Until then, one line names the missing
functions, followed by what the cell printed and drew when the notebook was built. These records are part of the
library, in ``data/records/lectures``.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from avae_lib import components

__all__ = ["OUTPUTS", "digest_of", "names_needed", "show_recorded", "stand_in", "watch"]

OUTPUTS = "outputs.json"
"""The file of a lecture's records: the digest of a cell's code → its name and its outputs, pictures by file name."""

_NEEDS = re.compile(r"\s*# needs: (\w+(?:, \w+)*)[ \t]*(?:\n|$)")
_FOLDER = "data/records/lectures"


def names_needed(code: str) -> tuple[str, ...]:
    """The components that the first line of a cell names.

    >>> names_needed("# needs: top_down_step, bottleneck_block\\nstream, z, kl = top_down_step(*inputs)")
    ('top_down_step', 'bottleneck_block')
    >>> names_needed("x = 1")
    ()
    """
    found = _NEEDS.match(code)
    return tuple(found[1].split(", ")) if found else ()


def digest_of(code: str) -> str:
    """The key under which a cell's record is stored: a digest of its code without spaces at the ends of lines.

    >>> digest_of("x = 1  ") == digest_of("x = 1")
    True
    """
    lines = "\n".join(line.rstrip() for line in code.strip().splitlines())
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def watch() -> None:
    """Make cells of this notebook show recorded results while their components are missing. Does nothing elsewhere.

    >>> watch()  # outside Jupyter nothing happens
    """
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is not None and stand_in not in shell.input_transformers_cleanup:
        shell.input_transformers_cleanup.append(stand_in)


def stand_in(lines: list[str]) -> list[str]:
    """The lines that IPython runs instead of a cell's: the same, unless the cell needs a missing component.

    A cell that lacks nothing runs as it stands:

    >>> stand_in(["x = 1\\n"])
    ['x = 1\\n']
    """
    code = "".join(lines)
    missing = [name for name in names_needed(code) if not components.is_available(name)]
    if not missing:
        return lines
    # An import statement would leave a name behind in the student's notebook.
    return [f"__import__({__name__!r}, fromlist=['']).show_recorded({digest_of(code)!r}, {missing!r})\n"]


stand_in.has_side_effects = True  # so that IPython calls it when a cell runs, and not while one is being typed


def show_recorded(digest: str, missing: Sequence[str]) -> None:
    """Name the functions that a cell lacks, and show what it printed and drew when the notebook was built.

    Args:
        digest: of the cell's code, as :func:`digest_of` returns it.
        missing: names of the components that it lacks.

    >>> show_recorded(digest_of("x = 1"), missing=["top_down_step"])
    This cell needs top_down_step, which you write in assignment 05. Its code was changed, so ...
    """
    folder, outputs = _record(digest)
    units = sorted({components.find(name).unit.split("_")[0] for name in missing})
    written = f"which you write in assignment{'s' * (len(units) > 1)} {_listed(units)}"
    print(f"This cell needs {_listed(missing)}, {written}.{_what_follows(outputs)}")
    for output in outputs or ():
        if "text" in output:
            print(output["text"])
        else:
            from avae_lib.plotting.notebook import show_picture

            show_picture(folder.joinpath(output["picture"]).read_bytes(), output["width"], output["alt"])


def _what_follows(outputs: Sequence[Any] | None) -> str:
    if outputs is None:
        return " Its code was changed, so there is no recorded result."
    return " Below is the recorded result." if outputs else ""


def _record(digest: str) -> tuple[Traversable, list[dict[str, Any]] | None]:
    """The folder of the lecture that a cell belongs to, and the cell's outputs; None where no lecture has the cell."""
    lectures = files("avae_lib").joinpath(_FOLDER)
    for folder in lectures.iterdir() if lectures.is_dir() else ():
        recorded = json.loads(folder.joinpath(OUTPUTS).read_text(encoding="utf-8"))
        if digest in recorded:
            return folder, recorded[digest]["outputs"]
    return lectures, None


def _listed(words: Sequence[str]) -> str:
    """
    >>> _listed(["a", "b", "c"])
    'a, b and c'
    """
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last
