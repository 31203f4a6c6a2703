"""Notebooks built from their sources: stable, filled in, and in step."""

import base64
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbconvert import HTMLExporter
from PIL import Image
from playwright.sync_api import expect

from autograder.authoring.notebook_execution import execute, pictures_in, tidy_outputs
from autograder.authoring.notebooks import build, check_pairs, main, notebook_of, sources, unrun, write
from autograder.course.course import Course

ROOT = Path(__file__).parents[3]
REPOSITORY = "somebody/course"
ANSWER = 'nbgrader={"grade": false, "grade_id": "log_mean_exp", "locked": false, "schema_version": 3, "solution": true}'

SOLUTION = f"""\
# %% [markdown]
# # Start here
#
# About sums.

# %% [markdown]
# {{{{how to keep your work}}}}

# %%
# {{{{set-up}}}}

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
FIGURES = """\
# %% [markdown]
# # Lecture

# %% fast="steps = 2"
steps = 4

# %%
from avae_lib import plotting

plotting.show(plotting.learning_curves({"loss": [1 / (step + 1) for step in range(steps)]}))

# %% tags=["build-check"]
assert steps == 4, "the caption speaks of four steps"

# %% [markdown]
# **Figure 1.** Four steps.
#
# <!-- alt: A curve that falls
# from "one" to 1/4 & no further. -->

# %% [markdown]
# ## Next

# %%
frames = [plotting.learning_curves({"loss": [1 / k, 1 / (k + 1)]}) for k in (1, 2, 3)]
plotting.slider(frames, [1, 2, 3], "k", start=1)

# %% [markdown]
# **Figure 2.** The later, the flatter.
#
# <!-- alt: A falling line. -->
"""


@pytest.fixture
def course(tmp_path) -> Course:
    facts = re.sub("(?m)^repository.*\n", "", (ROOT / "course.toml").read_text())
    (tmp_path / "course.toml").write_text(f'repository = "{REPOSITORY}"\n{facts}')
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
        "set-up",
        "set-up-2",
        "sums",
        "log_mean_exp",
        "sums-2",
    ]


def test_a_cell_added_in_one_section_renames_none_in_another(course, solution):
    before = by_id(build(course, solution))
    solution.write_text(SOLUTION.replace("# %% [markdown]\n# ## Sums", "# %%\nx = 0\n\n# %% [markdown]\n# ## Sums"))
    after = by_id(build(course, solution))
    assert after.keys() - before.keys() == {"set-up-3"}
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
    toml.write_text(toml.read_text().replace(course.repository, "else/where"))
    text = nbformat.writes(build(Course.load(course.root), solution))
    assert "else/where/archive/main.zip" in text and "else/where/blob/main" in text
    assert course.repository not in text


def test_without_a_repository_there_is_no_badge_and_set_up_says_what_is_missing(course, lecture, solution):
    (course.root / "course.toml").write_text(
        re.sub("(?m)^repository.*\n", "", (course.root / "course.toml").read_text())
    )
    homeless = Course.load(course.root)
    text = "".join(nbformat.writes(build(homeless, source)) for source in (lecture, solution))
    assert "github" not in text and "badge" not in text and "pip" not in text
    assert build(homeless, lecture).cells[0].source == "# Lecture"
    assert "does not say yet where to install it from" in by_id(build(homeless, solution))["set-up-2"].source


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
    assert check_pairs(course) == (
        "solutions/00_start_here/00_start_here.ipynb differs from its source (build it again)",
    )


def test_an_edited_notebook_is_out_of_step(course, solution, lecture):
    lecture.unlink()
    notebook = build(course, solution)
    notebook.cells[2].source += "\nprint()"
    write(notebook, notebook_of(solution))
    assert len(check_pairs(course)) == 1


def test_a_lecture_that_was_not_executed_is_out_of_step(course, solution, lecture):
    for source in (solution, lecture):
        write(build(course, source), notebook_of(source))
    assert check_pairs(course) == (
        "lectures/03_vae.ipynb contains cells that were not executed (build it with --execute)",
    )


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


@pytest.fixture(scope="module")
def with_figures(tmp_path_factory):
    """A course whose lecture shows a figure and a slider, built and run."""
    root = tmp_path_factory.mktemp("figures")
    shutil.copy(ROOT / "course.toml", root)
    for folder in ("lectures", "solutions"):
        (root / folder).mkdir()
    (root / "lectures" / "03_vae.py").write_text(FIGURES)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        assert main(execute=True) == 0
    return Course.load(root)


@pytest.fixture
def figures(with_figures, tmp_path, monkeypatch):
    """The course with figures, to be changed."""
    root = shutil.copytree(with_figures.root, tmp_path / "figures")
    monkeypatch.chdir(root)
    return Course.load(root)


def source_of(course):
    return course.root / "lectures" / "03_vae.py"


def edit(course, old, new):
    text = source_of(course).read_text()
    assert old in text
    source_of(course).write_text(text.replace(old, new))


def stored(course):
    return nbformat.read(notebook_of(source_of(course)), 4)


def test_build_checks_are_run_and_not_written(figures):
    assert check_pairs(figures) == ()
    notebook = stored(figures)
    assert not any("assert" in cell.source or "build-check" in cell.metadata.get("tags", []) for cell in notebook.cells)
    assert [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"] == [1, 2, 3]
    ids = list(by_id(notebook))
    edit(figures, "# %% tags", '# %% tags=["build-check"]\nassert steps > 3\n\n# %% tags')
    assert list(by_id(build(figures, source_of(figures)))) == ids, "a check must not rename cells"


def test_a_notebook_whose_check_fails_is_not_written_and_says_why(figures, capsys):
    edit(figures, "steps = 4", "steps = 5")
    before = notebook_of(source_of(figures)).read_bytes()
    assert main(execute=True) == 1
    assert "the caption speaks of four steps" in capsys.readouterr().err
    assert notebook_of(source_of(figures)).read_bytes() == before


def test_a_notebook_with_a_figure_that_cannot_be_read_is_not_written(figures, capsys):
    edit(figures, "range(steps)]}))", "range(steps)]}, size=(9, 3)))")
    assert main(execute=True) == 1
    assert "a figure may be 700 pixels wide" in capsys.readouterr().err


@pytest.mark.parametrize("change", [("== 4", "> 3"), ("1 / (step + 1)", "1 / (step + 2)")], ids=["check", "code"])
def test_code_or_checks_that_changed_and_were_not_run_are_out_of_step(figures, change):
    edit(figures, *change)
    assert "have changed since it was run" in check_pairs(figures)[0]
    assert main() == 0
    assert "have changed since it was run" in check_pairs(figures)[0], "building without running must not hide it"


def test_a_release_does_not_hide_code_that_was_not_run(course, solution, lecture):
    lecture.unlink()
    write(build(course, solution), notebook_of(solution))
    solution.write_text(SOLUTION.replace("1 + 1", "2 + 2"))
    write(unrun(course, solution), notebook_of(solution))
    assert "have changed since it was run" in check_pairs(course)[0]


def test_words_that_changed_need_no_run(figures):
    edit(figures, "no further", "not further")
    assert "descriptions differ" in check_pairs(figures)[0]
    edit(figures, "The later", "The longer")
    assert main() == 0
    assert check_pairs(figures) == ()
    assert "not further" in nbformat.writes(stored(figures))


def test_another_repository_needs_no_run(figures):
    set_up = "# %% [markdown]\n# {{how to keep your work}}\n\n# %%\n# {{set-up}}\n\n# %% fast"
    edit(figures, "# %% fast", set_up)
    assert main(execute=True) == 0
    toml = figures.root / "course.toml"
    toml.write_text(f'repository = "{REPOSITORY}"\n{toml.read_text()}')
    course = Course.find()
    assert "differs from its source" in check_pairs(course)[0]
    assert main() == 0
    assert check_pairs(course) == ()
    assert REPOSITORY in stored(course).cells[2].source and stored(course).cells[2].outputs


def test_captions_are_shown_without_the_description_which_stands_in_the_picture(with_figures):
    notebook = stored(with_figures)
    assert [cell.source for cell in notebook.cells if cell.source.startswith("**Figure")] == [
        "**Figure 1.** Four steps.",
        "**Figure 2.** The later, the flatter.",
    ]
    outputs = [output.data["text/html"] for cell in notebook.cells for output in cell.get("outputs", [])]
    alts = ["A curve that falls from &quot;one&quot; to 1/4 &amp; no further.", "A falling line."]
    assert [re.findall('<img alt="(.*?)"', output) for output in outputs] == [[alt] for alt in alts]


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("# <!-- alt: A falling line. -->", "#", "figure 2 has no description"),
        (
            "# # Lecture",
            "# **Figure 0.** Nothing.\n#\n# <!-- alt: Nothing. -->",
            "figure 0 has no code cell above its caption",
        ),
    ],
)
def test_captions_that_lack_something_are_named(figures, old, new, wanted):
    edit(figures, old, new)
    with pytest.raises(ValueError, match=wanted):
        build(figures, source_of(figures))


def test_fast_code_is_added_while_a_notebook_is_run_fast(figures, tmp_path):
    notebook = build(figures, source_of(figures))
    notebook.cells[2].source += "\nprint(steps, 'steps')"
    before = [cell.source for cell in notebook.cells]
    for fast, steps in ((True, 2), (False, 4)):
        execute(notebook, tmp_path, fast=fast)
        assert notebook.cells[2].outputs[-1].text == f"{steps} steps\n"
        assert [cell.source for cell in notebook.cells] == before


@pytest.mark.parametrize("template", ["lab", "classic"])
def test_every_picture_of_a_page_is_described_and_fits_it(with_figures, chromium, template):
    """As JupyterLab, nbviewer and the course's site show a lecture."""
    page = chromium.new_page(viewport={"width": 1000, "height": 800})
    page.route("**", lambda route: route.abort())
    page.set_content(HTMLExporter(template_name=template).from_notebook_node(stored(with_figures))[0])
    pictures = page.locator(".jp-OutputArea img, .output img")
    expect(pictures).to_have_count(2)
    expect(pictures.nth(0)).to_have_attribute("alt", 'A curve that falls from "one" to 1/4 & no further.')
    expect(pictures.nth(1)).to_have_attribute("alt", "A falling line. Shown: k = 2.")
    assert all(picture.bounding_box()["width"] <= 700 for picture in pictures.all())
    page.close()


def code_notebook(*cells, **metadata):
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell, metadata=metadata) for cell in cells])


def test_execution_draws_inline_and_goes_on_after_errors(tmp_path, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    draw = "import os, sys, matplotlib.pyplot as plt\nplt.plot([1, 2]); plt.show()"
    speak = "print(os.environ['COLOUR']); print('noise', file=sys.stderr)"
    notebook = code_notebook(draw, "1 / 0", speak, tags=["picture-line"])
    seconds = execute(notebook, tmp_path, allow_errors=True, environment={"COLOUR": "blue"})
    assert seconds > 0
    assert pictures_in(notebook)["line"].startswith(b"\x89PNG")
    assert notebook.cells[1].outputs[0].ename == "ZeroDivisionError"
    assert [output.text for output in tidy_outputs(notebook).cells[2].outputs] == ["blue\n"]
    assert all("execution" not in cell.metadata for cell in notebook.cells)


def test_pictures_are_found_as_images_and_in_html(tmp_path):
    draw = "from avae_lib import plotting; plotting.slider([plotting.vae_network()] * 2, [1, 2], 'k')"
    notebook = code_notebook(draw, tags=["picture-network"])
    execute(notebook, tmp_path)
    assert pictures_in(notebook)["network"].startswith(b"\x89PNG")


def test_outside_a_course_the_program_says_so_in_one_line(tmp_path):
    command = [sys.executable, "-m", "autograder.authoring.notebooks"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 1
    assert done.stderr == f"notebooks: no course.toml in {tmp_path} or above it: run this inside the course folder\n"
