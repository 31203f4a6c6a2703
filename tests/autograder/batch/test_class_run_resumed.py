"""A run that is killed, at any moment, loses nothing: run again, it ends as if nobody had disturbed it."""

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

from autograder.sandbox.bubblewrap import require_sandbox

ROOT = Path(__file__).parents[3]
UNIT = "00_start_here"
KILLS = 3
RIGHT = "largest = x.amax(dim, keepdim=True)\n    return (x - largest).exp().mean(dim).log() + largest.squeeze(dim)"
ANSWERS = {
    "ada": RIGHT,
    "ben": "return x.exp().mean(dim).log()",
    "cleo": "return x.logsumexp(dim)",
    "dora": "raise ValueError('not now')",
    "eve": None,
}
TABLES = {
    "points": "SELECT s.student_id, b.name, g.auto_score, g.manual_score FROM grade g "
    "JOIN submitted_notebook n ON g.notebook_id = n.id JOIN submitted_assignment s ON n.assignment_id = s.id "
    "JOIN base_cell b ON g.cell_id = b.id",
    "comments": "SELECT s.student_id, b.name, c.auto_comment FROM comment c "
    "JOIN submitted_notebook n ON c.notebook_id = n.id JOIN submitted_assignment s ON n.assignment_id = s.id "
    "JOIN base_cell b ON c.cell_id = b.id",
    "students": "SELECT id FROM student",
}


@pytest.fixture
def new_course(tmp_path):
    """Makes a course with five submissions; all that are made have one secret."""

    def made(name: str) -> Path:
        root = tmp_path / name
        shutil.copytree(ROOT / "assignments" / UNIT, root / "assignments" / UNIT)
        shutil.copy(ROOT / "course.toml", root)
        (root / ".course").mkdir(mode=0o700)
        (root / ".course" / "secret").write_text("5e" * 32 + "\n")
        for student, body in ANSWERS.items():
            hand_in(root, student, body)
        return root

    return made


def hand_in(root: Path, student: str, body: str | None) -> None:
    notebook = nbformat.read(ROOT / "assignments" / UNIT / f"{UNIT}.ipynb", as_version=4)
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("grade_id") == "log_mean_exp" and body:
            definition = '@implements("log_mean_exp")\ndef log_mean_exp(x, dim):\n    '
            cell.source = definition + body
    path = root / "submitted" / student / UNIT / f"{UNIT}.ipynb"
    path.parent.mkdir(parents=True)
    nbformat.write(notebook, path)


def started(root: Path) -> subprocess.Popen:
    options = ["--workers", "2", "--json", "results.json", "--feedback", "pages"]
    command = [sys.executable, "-m", "autograder.cli", "grade", UNIT, *options]
    path = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=root, env=path, stdout=subprocess.DEVNULL, start_new_session=True)


def left_behind(root: Path) -> dict[str, object]:
    """All that a run leaves for people to see, without times."""
    with sqlite3.connect(root / "gradebook.db") as database:
        tables = {name: sorted(map(str, database.execute(query))) for name, query in TABLES.items()}
    results = json.loads((root / "results.json").read_text())
    kept = [json.loads(path.read_text()) for path in sorted((root / ".course" / "results" / UNIT).glob("*.json"))]
    for result in (*results, *kept):
        del result["seconds"]
    pages = {path.relative_to(root): path.read_text() for path in sorted((root / "pages").rglob("*.html"))}
    notebooks = {path.relative_to(root): path.read_text() for path in sorted((root / "autograded").rglob("*.ipynb"))}
    return {**tables, "results": results, "kept": kept, "pages": pages, "notebooks": notebooks}


def test_killed_at_random_moments_a_run_ends_like_one_that_was_not(new_course):
    require_sandbox()
    seed = random.SystemRandom().randrange(10**6)
    print(f"the moments are drawn from seed {seed}")
    draw = random.Random(seed)
    undisturbed, disturbed = new_course("undisturbed"), new_course("disturbed")
    begin = time.monotonic()
    assert started(undisturbed).wait() == 0
    duration = time.monotonic() - begin
    for _ in range(KILLS):
        run = started(disturbed)
        try:
            run.wait(timeout=duration * draw.uniform(0.2, 1.0))
        except subprocess.TimeoutExpired:
            run.send_signal(signal.SIGKILL)
            run.wait()
    assert started(disturbed).wait() == 0
    assert left_behind(disturbed) == left_behind(undisturbed)
    log = [json.loads(line) for line in (disturbed / ".course" / "audit.jsonl").read_text().splitlines()]
    assert {entry["student"] for entry in log} == set(ANSWERS)
    graded = [entry["student"] for entry in log if not entry["cached"]]
    assert len(graded) == len(set(graded)), "somebody whose result was recorded was graded once more"
