"""Attacks and accidents, one of each kind, each with the outcome that grading must give.

Each one is the submission that gets all points, with some answers replaced or its folder changed. Answers that are not
replaced keep their points: no answer can cost another one points.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

import nbformat
from nbformat import NotebookNode

from autograder.course.course import Course, Unit
from autograder.examples import STUDENTS, write_example_submissions

__all__ = ["ATTACKS", "Attack", "write_attack"]

_RIGHT = next(student for student, example in STUDENTS.items() if example == "right")
_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="


@dataclass(frozen=True)
class Attack:
    """What is handed in, and the outcome that grading must give.

    Attributes:
        answers: the source of each replaced cell, by component.
        change: changes the notebook and the folder that holds it.
        lost: the components that get no points; all others get all of theirs.
        flag: words that a flag must contain; empty if none is needed.
        reason: words that the reason for quarantine must contain; empty if it must be graded.
    """

    answers: Mapping[str, str] = field(default_factory=dict)
    change: Callable[[NotebookNode, Path], None] = lambda notebook, folder: None
    lost: frozenset[str] = frozenset()
    flag: str = ""
    reason: str = ""


def write_attack(course: Course, unit: Unit, name: str, student: str, submitted: Path) -> Path:
    """Write an attack as a student's submission ``submitted/<student>/<unit>/``; returns that folder."""
    attack = ATTACKS[name]
    examples = submitted.parent / "examples"
    write_example_submissions(course, unit, examples)
    notebook = nbformat.read(examples / _RIGHT / unit.name / f"{unit.name}.ipynb", as_version=4)
    for cell in notebook.cells:
        component = cell.metadata.get("nbgrader", {}).get("grade_id")
        cell.source = attack.answers.get(component, cell.source)
    folder = submitted / student / unit.name
    folder.mkdir(parents=True)
    attack.change(notebook, folder)
    (folder / f"{unit.name}.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    return folder


def _cell(name: str, arguments: str, body: str, before: str = "") -> str:
    indented = "\n".join(f"    {line}" for line in dedent(body).strip().splitlines())
    return f'{dedent(before).strip()}\n\n@implements("{name}")\ndef {name}({arguments}):\n{indented}\n'


def _bound(body: str, before: str = "") -> dict[str, str]:
    return {"importance_weighted_bound": _cell("importance_weighted_bound", "log_weights", body, before)}


def _elbo(body: str, before: str = "") -> dict[str, str]:
    return {"negative_elbo": _cell("negative_elbo", "log_likelihood, kl, beta=1.0", body, before)}


_BOUND = frozenset({"importance_weighted_bound"})
_ELBO = frozenset({"negative_elbo"})
_HONEST_BOUND = "return torch.logsumexp(log_weights, 0) - torch.tensor(float(log_weights.shape[0])).log()"

_CARRYING = """
import glob, os, pickle, types, gc
PLACES = ["/tmp/carried", "/dev/shm/carried", "/var/tmp/carried", os.path.expanduser("~/carried"), "carried"]
def carried():
    for place in PLACES:
        try: yield pickle.load(open(place, "rb"))
        except Exception: pass
def carry(value):
    for place in PLACES:
        try: pickle.dump(value, open(place, "wb"))
        except Exception: pass
    for file in glob.glob("/usr/lib/**/*.so*", recursive=True)[:40]:  # by what is in the page cache
        try: os.posix_fadvise(os.open(file, os.O_RDONLY), 0, 0, os.POSIX_FADV_DONTNEED)
        except Exception: pass
"""

_TAKING = """
from avae_lib import components
for function in [f for f in gc.get_objects() if isinstance(f, types.FunctionType) and f.__name__ == "negative_elbo"]:
    carry(function.__code__.co_code)
for entry in components.listing():
    for name in ("reference", "implementation"):
        try: carry(getattr(entry, name)(log_likelihood, kl, beta))
        except Exception: pass
return next(carried(), torch.zeros(()))
"""

_FILLING = """
import os
for number in range(100_000):
    try: os.close(os.open(f"/tmp/{number}", os.O_CREAT | os.O_WRONLY))
    except OSError: break
for _ in range(200):
    try:
        if os.fork() == 0: os._exit(0)  # a zombie, since nobody waits for it
    except OSError: break
"""

_LEASING = """
import fcntl, glob, os, sys
for file in glob.glob(sys.prefix + "/lib/python*/*.py")[:200] + [os.__file__, torch.__file__]:
    try: fcntl.fcntl(os.open(file, os.O_RDONLY), fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError: continue
    raise SystemExit("a lease was given")
"""

_GUESSING = """
rooms = sorted({"reparameterize", "bernoulli_log_likelihood", "vae_training_step"} & set(globals()))
guess = [-1.0, 0.0, 1.0, 0.5][len(rooms) % 4]
"""


def _written_beside(notebook: NotebookNode, folder: Path) -> None:
    """Move the written answer into a cell above its own, with pictures, and put a file beside the notebook."""
    place = next(i for i, cell in enumerate(notebook.cells) if _is_written(cell))
    own = notebook.cells[place]
    text = f"{own.source} THE ANSWER ABOVE ![sketch](attachment:sketch.png) ![photo](data:image/png;base64,{_PIXEL})"
    beside = nbformat.v4.new_markdown_cell(text, id="beside", attachments={"sketch.png": {"image/png": _PIXEL}})
    own.source = "*Your answer here.*"
    notebook.cells.insert(place, beside)
    (folder / "sketch.png").write_bytes(base64.b64decode(_PIXEL))


def _is_written(cell: NotebookNode) -> bool:
    return cell.cell_type == "markdown" and cell.metadata.get("nbgrader", {}).get("solution", False)


def _another_units(notebook: NotebookNode, folder: Path) -> None:
    notebook.cells = [
        nbformat.v4.new_markdown_cell("# Counting words", id="title"),
        nbformat.v4.new_code_cell("def count(words):\n    return dict.fromkeys(words, 1)", id="count"),
    ]  # fmt: skip


def _blank(notebook: NotebookNode, folder: Path) -> None:
    notebook.cells = []


def _hidden_in_metadata(notebook: NotebookNode, folder: Path) -> None:
    script = "<script>window.broken=1</script>"
    notebook.metadata |= {"title": script, "widgets": {"x": script}, "authors": [{"name": script}]}


def _timed(stamp: str) -> Callable[[NotebookNode, Path], None]:
    return lambda notebook, folder: (folder / "timestamp.txt").write_text(stamp) and None


def _linked(notebook: NotebookNode, folder: Path) -> None:
    os.symlink("/etc/hostname", folder / "extra.txt")
    os.symlink(folder / "nowhere", folder / "gone.txt")


ATTACKS: Mapping[str, Attack] = {
    "carries what it sees into the next room": Attack(_elbo(_TAKING, _CARRYING), lost=_ELBO),
    "two answers that only call each other": Attack(
        {
            **_elbo("return -importance_weighted_bound(torch.stack([log_likelihood, kl.sum(1)])).mean()"),
            **_bound("return -negative_elbo(log_weights[0], log_weights[1:].T)"),
        },
        lost=_ELBO | _BOUND,
        flag="call each other",
    ),
    "one guess per room": Attack(_bound("return torch.full(log_weights.shape[1:], guess)", _GUESSING), lost=_BOUND),
    "leases of files that others read": Attack(_bound(_HONEST_BOUND, _LEASING)),
    "a script in an exception's text": Attack(
        _bound('raise ValueError("<script>window.broken=1</script> [x](javascript:1) \\x1b[2J\\u202e https://evil.invalid")'),
        lost=_BOUND,
    ),
    "ends the process with 200": Attack(_bound("import os\nos._exit(200)"), lost=_BOUND, flag="was lost"),
    "a number of 4000 digits": Attack(_bound(_HONEST_BOUND, f"LARGE = 0x{'f' * 4_000}")),
    "zombies, and as many files as there can be": Attack(_bound(_HONEST_BOUND, _FILLING)),
    "a constant": Attack(_bound("return torch.zeros(log_weights.shape[1:])"), lost=_BOUND),
    "one of its arguments": Attack(_bound("return log_weights[0]"), lost=_BOUND),
    "a sign": Attack(_elbo("return torch.sign(log_likelihood.sum())"), lost=_ELBO),
    "a package that is not here": Attack(_bound(_HONEST_BOUND, "import google.colab"), flag="No module named 'google"),
    "scripts in the notebook's metadata": Attack(change=_hidden_in_metadata),
    "a written answer beside its cell, with pictures": Attack(change=_written_beside, flag="cell"),
    "another course's notebook": Attack(change=_another_units, reason="notebook"),
    "an empty notebook": Attack(change=_blank, reason="notebook"),
    "a time of handing in with a zone": Attack(change=_timed("2026-03-01 10:00:00 CEST")),
    "a time of handing in that is still to come": Attack(change=_timed("2199-01-01 00:00:00 UTC"), flag="2199"),
    "links beside the notebook": Attack(change=_linked),
}  # fmt: skip
"""One attack or accident of each kind, by what it does."""
