"""What students are told to run before they hand in works on a notebook in which exercises are still unsolved."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from autograder.authoring.notebooks import sources
from autograder.course.course import Course

ROOT = Path(__file__).parents[2]
UNIT = "00_start_here"
README = "autograder/templates/student_repository/README.md.j2"


def advised(text: str) -> list[str]:
    """The commands with nbconvert in a text."""
    return re.findall(r"jupyter nbconvert[^\n`]*", text)


def run(command: str, folder: Path) -> subprocess.CompletedProcess:
    words = command.split()
    assert words[:2] == ["jupyter", "nbconvert"]
    return subprocess.run(
        [sys.executable, "-m", "nbconvert", *words[2:]], cwd=folder, capture_output=True, text=True, timeout=300
    )


def test_each_advice_to_run_a_whole_notebook_goes_on_after_an_unsolved_exercise():
    texts = [(ROOT / README).read_text(encoding="utf-8")]
    texts += [path.read_text(encoding="utf-8") for path in (*sources(Course.load(ROOT)), ROOT / "README.md")]
    commands = [command for text in texts for command in advised(text)]
    assert len(commands) >= 2 and all("--allow-errors" in command for command in commands if "--execute" in command)


@pytest.mark.parametrize("is_solved", [False, True], ids=["unsolved", "solved"])
def test_the_advised_command_runs_unit_00_to_its_end(published_through, answer_cells, tmp_path, is_solved):
    folder = published_through(UNIT) / "assignments" / UNIT
    notebook = nbformat.read(folder / f"{UNIT}.ipynb", as_version=4)
    if is_solved:
        by_id = {cell.id: cell for cell in notebook.cells}
        by_id["log_mean_exp"].source = answer_cells(UNIT)["log_mean_exp"]
    place = tmp_path / "assignments" / UNIT
    place.mkdir(parents=True)
    (tmp_path / "avae_lib").symlink_to(published_through(UNIT) / "avae_lib")
    nbformat.write(notebook, place / f"{UNIT}.ipynb")
    (command,) = set(advised((ROOT / "solutions" / UNIT / f"{UNIT}.py").read_text(encoding="utf-8")))
    done = run(command, place)
    assert done.returncode == 0, done.stderr
    ran = [cell for cell in nbformat.read(place / f"{UNIT}.ipynb", as_version=4).cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in ran if cell.source.strip())
    failed = [output.ename for cell in ran for output in cell.outputs if output.output_type == "error"]
    assert ("CheckFailed" in failed) == (not is_solved)
    if not is_solved:
        assert run(command.replace("--allow-errors", ""), place).returncode != 0


def test_the_published_readme_gives_the_same_advice(published):
    assert set(advised((published / "README.md").read_text(encoding="utf-8"))) == set(
        advised((ROOT / "solutions" / UNIT / f"{UNIT}.py").read_text(encoding="utf-8"))
    )
