"""Notebooks built from their sources: stable, filled in, and in step."""

import base64
import shutil
from pathlib import Path

import nbformat
import pytest
from PIL import Image

from autograder.course import Course
from autograder.notebook_execution import execute, pictures_in, tidy_outputs
from autograder.notebooks import build, check_pairs, main, notebook_of, sources, write

ROOT = Path(__file__).parents[2]
ANSWER = 'nbgrader={"grade": false, "grade_id": "log_mean_exp", "locked": false, "schema_version": 3, "solution": true}'

SOLUTION = f"""\
# %% [markdown]
# # Start here
#
# About sums.

# %%
address = "https://github.com/{{{{repository}}}}/archive/{{{{branch}}}}.zip"

# %% [markdown]
# ## Sums
#
# {{{{cases of log_mean_exp}}}}
#
# ![a sum](pictures/sum.png)

# %% {ANSWER}
def log_mean_exp(x, dim):
    ### BEGIN SOLUTION
    return x.exp().mean(dim).log()
    ### END SOLUTION

# %%
1 + 1
"""
LECTURE = "# %% [markdown]\n# # Lecture\n\n# %%\nprint(1 + 1)\n"


@pytest.fixture
def course(tmp_path) -> Course:
    shutil.copy(ROOT / "course.toml", tmp_path)
    solution = tmp_path / "solutions" / "00_start_here" / "00_start_here.py"
    solution.parent.mkdir(parents=True)
    solution.write_text(SOLUTION)
    (tmp_path / "lectures").mkdir()
    (tmp_path / "lectures" / "03_vae.py").write_text(LECTURE)
    return Course.load(tmp_path)


@pytest.fixture
def lecture(course) -> Path:
    return course.root / "lectures" / "03_vae.py"


@pytest.fixture
def solution(course) -> Path:
    return course.root / "solutions" / "00_start_here" / "00_start_here.py"


def by_id(notebook):
    return {cell.id: cell for cell in notebook.cells}


def test_course_notebooks_are_in_step_with_their_sources():
    assert check_pairs(Course.load(ROOT)) == ()


def test_sources_are_lectures_and_then_solutions(course, lecture, solution):
    (solution.parent / "drawing.py").write_text("")
    assert sources(course) == (lecture, solution)


def test_building_twice_changes_nothing(course, solution):
    assert write(build(course, solution), notebook_of(solution))
    assert not write(build(course, solution), notebook_of(solution))


def test_cells_are_named_after_their_grade_id_or_their_heading(course, solution):
    assert [cell.id for cell in build(course, solution).cells] == [
        "start-here",
        "start-here-2",
        "sums",
        "log_mean_exp",
        "sums-2",
    ]


def test_a_cell_added_in_one_section_renames_none_in_another(course, solution):
    before = by_id(build(course, solution))
    solution.write_text(SOLUTION.replace("# %% [markdown]\n# ## Sums", "# %%\nx = 0\n\n# %% [markdown]\n# ## Sums"))
    after = by_id(build(course, solution))
    assert after.keys() - before.keys() == {"start-here-3"}
    assert all(after[name].source == cell.source for name, cell in before.items())


def test_nbgrader_metadata_comes_through_unchanged(course, solution):
    assert by_id(build(course, solution))["log_mean_exp"].metadata == {
        "nbgrader": {
            "grade": False,
            "grade_id": "log_mean_exp",
            "locked": False,
            "schema_version": 3,
            "solution": True,
        }
    }


def test_badge_opens_the_assignment_and_never_the_solution(course, solution):
    badge = build(course, solution).cells[0].source.splitlines()[0]
    assert f"{course.repository}/blob/{course.branch}/assignments/00_start_here/00_start_here.ipynb" in badge
    assert "solutions" not in badge


def test_badge_of_a_lecture_opens_the_lecture(course, lecture):
    assert f"{course.repository}/blob/{course.branch}/lectures/03_vae.ipynb" in build(course, lecture).cells[0].source


def test_repository_is_set_in_course_toml_alone(course, solution):
    toml = course.root / "course.toml"
    toml.write_text(toml.read_text().replace(course.repository, "somebody/else"))
    text = nbformat.writes(build(Course.load(course.root), solution))
    assert "somebody/else/archive/main.zip" in text and "somebody/else/blob/main" in text
    assert course.repository not in text


def test_table_of_cases_lists_the_points_of_the_check(course, solution):
    rows = [line for line in by_id(build(course, solution))["sums"].source.splitlines() if line.startswith("| ")]
    assert rows[0] == "| what is checked | points |"
    assert sum(int(row.split("|")[2]) for row in rows[1:]) == 5


def test_pictures_travel_inside_the_notebook_at_the_size_they_are_shown(course, solution):
    (solution.parent / "pictures").mkdir()
    picture = solution.parent / "pictures" / "sum.png"
    Image.new("L", (300, 20)).save(picture)
    text = by_id(build(course, solution))["sums"].source
    assert f'src="data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()}"' in text
    assert 'alt="a sum" width="200"' in text


def test_an_edited_source_is_out_of_step(course, solution, lecture):
    lecture.unlink()
    write(build(course, solution), notebook_of(solution))
    assert check_pairs(course) == ()
    solution.write_text(SOLUTION.replace("About sums", "On sums"))
    assert check_pairs(course) == ("solutions/00_start_here/00_start_here.ipynb differs from its source",)


def test_an_edited_notebook_is_out_of_step(course, solution, lecture):
    lecture.unlink()
    notebook = build(course, solution)
    notebook.cells[1].source += "\nprint()"
    write(notebook, notebook_of(solution))
    assert len(check_pairs(course)) == 1


def test_a_lecture_that_was_not_executed_is_out_of_step(course, solution, lecture):
    for source in (solution, lecture):
        write(build(course, source), notebook_of(source))
    assert check_pairs(course) == ("lectures/03_vae.ipynb holds cells that were not executed",)


def test_lectures_are_kept_with_outputs_and_solutions_without(course, solution, lecture, monkeypatch):
    monkeypatch.chdir(course.root)
    solution.write_text("# %% [markdown]\n# # Start here\n\n# %%\nprint(1 + 1)\n")
    main(execute=True)
    assert check_pairs(course) == ()
    kept = nbformat.read(notebook_of(lecture), 4).cells[1]
    assert kept.outputs[0].text == "2\n" and kept.execution_count == 1
    assert nbformat.read(notebook_of(solution), 4).cells[1].outputs == []
    before = notebook_of(lecture).read_bytes()
    lecture.write_text(LECTURE + "\n# %% [markdown]\n# The sum is two.\n")
    main()
    assert nbformat.read(notebook_of(lecture), 4).cells[1].outputs == kept.outputs, "unchanged cells keep outputs"
    assert notebook_of(lecture).read_bytes() != before


def code_notebook(*cells, **metadata):
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell, metadata=metadata) for cell in cells])


def test_execution_draws_inline_sets_fast_mode_and_goes_on_after_errors(tmp_path, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    draw = "import os, sys, matplotlib.pyplot as plt\nplt.plot([1, 2]); plt.show()"
    speak = "print(os.environ['AVAE_FAST'], os.environ['COLOUR']); print('noise', file=sys.stderr)"
    notebook = code_notebook(draw, "1 / 0", speak, tags=["picture-line"])
    seconds = execute(notebook, tmp_path, fast=True, allow_errors=True, environment={"COLOUR": "blue"})
    assert seconds > 0
    assert pictures_in(notebook)["line"].startswith(b"\x89PNG")
    assert notebook.cells[1].outputs[0].ename == "ZeroDivisionError"
    assert [output.text for output in tidy_outputs(notebook).cells[2].outputs] == ["1 blue\n"]
    assert all("execution" not in cell.metadata for cell in notebook.cells)
