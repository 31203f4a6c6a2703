"""Cells that need functions still to be written: recorded when a lecture is built, shown until the functions exist."""

import json
import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

from autograder.authoring.notebook_execution import execute
from autograder.authoring.notebooks import check_pairs, main, notebook_of
from autograder.authoring.student_edition import write_student_edition
from autograder.course.course import Course
from avae_lib import components, recorded_cells

ROOT = Path(__file__).parents[3]
UNIT = "03_vae"
LECTURE = """\
# %% [markdown]
# # Lecture

# %% [markdown]
# {{how to keep your work}}

# %%
# {{set-up}}

# %% [markdown]
# ## Drawing

# %%
import torch

from avae_lib import plotting
from avae_lib.gaussians import reparameterize

# %%
# needs: reparameterize
z = reparameterize(torch.zeros(2), torch.zeros(2), torch.ones(2))
print("z =", z.tolist())
plotting.show(plotting.learning_curves({"loss": z.tolist()}))

# %% [markdown]
# **Figure 1.** A draw.
#
# <!-- alt: A "level" line & nothing else. -->

# %%
# needs: reparameterize
frames = [plotting.learning_curves({"loss": (k * z).tolist()}) for k in (1, 2)]
plotting.slider(frames, [1, 2], "k")

# %% [markdown]
# **Figure 2.** Two draws.
#
# <!-- alt: Two level lines. -->

# %%
# needs: reparameterize
z.sum().item()

# %%
# needs: reparameterize, negative_elbo
twice = 2 * z

# %%
print("the lecture goes on")
"""
OWN = """\
from avae_lib.components import implements


@implements("reparameterize")
def reparameterize(mean, log_std, noise):
    return mean + log_std.exp() * noise + 7
"""
MISSING = "This cell needs reparameterize, which you write in assignment 03."


@pytest.fixture(scope="module")
def course(tmp_path_factory) -> Course:
    """A course whose lecture was built here, where every function is there."""
    root = tmp_path_factory.mktemp("course")
    shutil.copy(ROOT / "course.toml", root)
    for folder in ("lectures", "solutions", "avae_lib"):
        (root / folder).mkdir()
    (root / "lectures" / f"{UNIT}.py").write_text(LECTURE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        assert main(execute=True) == 0
    return Course.load(root)


def records_of(course):
    return course.root / "avae_lib" / "data" / "records" / "lectures" / UNIT


def lecture_of(course):
    return course.lectures / f"{UNIT}.py"


def built(course):
    return nbformat.read(notebook_of(lecture_of(course)), as_version=4)


@pytest.fixture
def edition(course, tmp_path) -> Path:
    """The course as students have it: nobody has written a function yet."""
    package = write_student_edition(tmp_path, [])
    shutil.rmtree(package / "data" / "records" / "lectures", ignore_errors=True)
    shutil.copytree(records_of(course).parent, package / "data" / "records" / "lectures")
    (tmp_path / "lectures").mkdir()
    return tmp_path / "lectures"


def outputs_of(notebook):
    """What each cell but the set-up cell shows: a list of texts and descriptions of pictures."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code" and "ready()" not in cell.source]
    return [[said for output in cell.outputs for said in shown(output)] for cell in cells]


def shown(output):
    page = output.get("data", {}).get("text/html")
    if page:
        return re.findall('<img alt="(.*?)"', page)
    return (output.get("text") or output.data["text/plain"]).splitlines()


def test_where_every_function_is_there_nothing_changes(course):
    notebook = built(course)
    pictures = [["z = [1.0, 1.0]", "A &quot;level&quot; line &amp; nothing else."], ["Two level lines."]]
    assert outputs_of(notebook) == [[], *pictures, ["2.0"], [], ["the lecture goes on"]]
    assert "<script>" in notebook.cells[7].outputs[0].data["text/html"]
    assert check_pairs(course) == ()


def test_missing_functions_are_named_in_one_line_and_the_recorded_result_is_shown(course, edition):
    notebook = built(course)
    execute(notebook, edition)
    recorded = f"{MISSING} Below is the recorded result."
    assert outputs_of(notebook) == [
        [],
        [recorded, "z = [1.0, 1.0]", "A &quot;level&quot; line &amp; nothing else."],
        [recorded, "Two level lines."],
        [recorded, "2.0"],
        ["This cell needs reparameterize and negative_elbo, which you write in assignment 03."],
        ["the lecture goes on"],
    ]


def test_the_students_own_function_runs_as_soon_as_it_is_there(course, edition):
    (edition.parent / "my_components.py").write_text(OWN)
    notebook = built(course)
    execute(notebook, edition)
    _, first, _, third, fourth, _ = outputs_of(notebook)
    assert first[0] == "z = [8.0, 8.0]" and third == ["16.0"]
    assert fourth == ["This cell needs negative_elbo, which you write in assignment 03."], "only what is missing"


def test_a_cell_that_was_changed_has_no_recorded_result(course, edition):
    notebook = built(course)
    notebook.cells[5].source += "\nprint('mine')"
    execute(notebook, edition)
    assert outputs_of(notebook)[1] == [f"{MISSING} Its code was changed, so there is no recorded result."]


def test_a_cell_without_the_line_fails_as_any_other(course, edition):
    notebook = built(course)
    notebook.cells[5].source = notebook.cells[5].source.removeprefix("# needs: reparameterize\n")
    with pytest.raises(CellExecutionError, match=r"NotImplementedError.*reparameterize is written in unit 03_vae"):
        execute(notebook, edition)


def test_set_up_may_run_twice(course, edition):
    notebook = built(course)
    notebook.cells[3].source = "print(ready())"
    execute(notebook, edition)
    assert outputs_of(notebook)[1].count("z = [1.0, 1.0]") == 1


def test_records_are_small_pictures_and_text(course):
    files = {path.name: path.stat().st_size for path in records_of(course).iterdir()}
    assert set(files) == {"outputs.json", "drawing-3.png", "drawing-5.png"}
    assert sum(files.values()) < 100_000
    recorded = json.loads((records_of(course) / "outputs.json").read_text())
    assert [cell["cell"] for cell in recorded.values()] == [f"drawing-{number}" for number in (3, 5, 7, 8)]


@pytest.fixture
def changed(course, tmp_path, monkeypatch):
    """The course, to be changed."""
    root = shutil.copytree(course.root, tmp_path / "changed")
    monkeypatch.chdir(root)
    return Course.load(root)


@pytest.mark.parametrize("change", ["edit", "delete", "add"])
def test_records_that_are_not_those_of_the_notebook_are_out_of_step(changed, change):
    picture = records_of(changed) / "drawing-3.png"
    if change == "edit":
        picture.write_bytes(picture.read_bytes()[:-1])
    elif change == "delete":
        picture.unlink()
    else:
        shutil.copy(picture, picture.with_name("left-over.png"))
    assert check_pairs(changed) == (
        f"lectures/{UNIT}.ipynb and the recorded outputs of its cells differ (build it again)",
    )
    assert main() == 0 and check_pairs(changed) == ()


def test_words_that_changed_reach_the_records_without_a_run(changed):
    lecture = lecture_of(changed)
    lecture.write_text(LECTURE.replace("Two level lines", "Two flat lines"))
    assert main() == 0
    recorded = json.loads((records_of(changed) / "outputs.json").read_text())
    assert "Two flat lines." in [output.get("alt") for cell in recorded.values() for output in cell["outputs"]]


def test_a_lecture_without_such_cells_has_no_records(changed):
    lecture_of(changed).write_text(LECTURE.replace("# needs:", "# uses:"))
    assert main() == 0
    assert not records_of(changed).exists()


def test_the_code_that_takes_a_cells_place_names_its_digest_and_what_is_missing(monkeypatch):
    monkeypatch.setattr(components, "is_available", lambda name: name == "reparameterize")
    lines = ["# needs: reparameterize, negative_elbo\n", "x = 1\n"]
    (line,) = recorded_cells.stand_in(lines)
    assert "['negative_elbo']" in line and repr(recorded_cells.digest_of("".join(lines))) in line
    assert recorded_cells.stand_in(["# needs: reparameterize\n", "x = 1\n"]) == ["# needs: reparameterize\n", "x = 1\n"]


def test_outside_a_notebook_nothing_is_watched(monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    recorded_cells.watch()


@pytest.mark.parametrize("code", ["x = 1\n# needs: a", "# needs a", "#needs: a", "# needs: a and b", "# needs:"])
def test_other_comments_are_no_needs(code):
    assert recorded_cells.names_needed(code) == ()


def test_units_of_missing_functions_are_named_each_once(capsys):
    recorded_cells.show_recorded("no such cell", ["reparameterize", "negative_elbo", "kl_categorical"])
    assert "reparameterize, negative_elbo and kl_categorical, which you write in assignments 01 and 03" in (
        capsys.readouterr().out
    )
