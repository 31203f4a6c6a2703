"""What reaches students: assignments that hold their exercises and no answer, and a repository built around them."""

import ast
import dataclasses
import shutil
import tomllib
from pathlib import Path

import nbformat
import pytest

from autograder import cli
from autograder.authoring.build_checks import RECORD
from autograder.authoring.notebooks import build
from autograder.course.course import Course, CourseError
from autograder.releasing import publication
from autograder.releasing import release as releasing
from autograder.releasing.leaks import answers, leaks
from autograder.releasing.publication import publish
from autograder.releasing.published_files import RECORD as PUBLISHED
from autograder.releasing.release import release, require_points_of_checks, source_of, units_with_solutions
from autograder.releasing.units_to_publish import Edition
from avae_lib import components

ROOT = Path(__file__).parents[3]
UNIT = "03_vae"
EARLIER = ["00_start_here", "01_kl_divergence", "02_mean_field"]


def copy_of_course(folder: Path) -> Course:
    for name in ("course.toml", "pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for name in ("solutions", "lectures"):
        if (ROOT / name).exists():
            shutil.copytree(ROOT / name, folder / name)
    return Course.load(folder)


@pytest.fixture(scope="module")
def course(tmp_path_factory) -> Course:
    """A copy of the course with every unit released."""
    course = copy_of_course(tmp_path_factory.mktemp("course"))
    release(course)
    return course


@pytest.fixture
def fresh_course(course, tmp_path) -> Course:
    """A copy of the course with nothing released; the gradebook comes along, as nbgrader takes seconds to make one."""
    shutil.copy(course.gradebook, tmp_path)
    return copy_of_course(tmp_path)


@pytest.fixture(scope="module")
def published(course, tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("students") / "repository"
    publish(course, place, through(course, UNIT))
    return place


def through(course, name: str) -> Edition:
    """The edition for students who have reached a unit, all earlier ones handed back."""
    return Edition(course.unit(name), course.before(course.unit(name)))


def notebook(course, unit=UNIT):
    return nbformat.read(course.assignments / unit / f"{unit}.ipynb", as_version=4)


def code_cells(course, unit):
    return {cell.id: cell for cell in notebook(course, unit).cells if cell.cell_type == "code"}


def test_nothing_but_notebooks_reaches_the_assignments(course):
    files = {path.relative_to(course.assignments) for path in course.assignments.rglob("*") if path.is_file()}
    assert files == {Path(unit.name, f"{unit.name}.ipynb") for unit in units_with_solutions(course)}


def test_the_assignments_of_this_repository_are_what_a_release_makes(course):
    for unit in units_with_solutions(course):
        path = Path("assignments", unit.name, f"{unit.name}.ipynb")
        assert (ROOT / path).read_text() == (course.root / path).read_text(), f"run: course release {unit.name}"


def test_no_answer_can_be_read_in_the_assignments(course):
    assert leaks(course, course.assignments) == ()


def test_no_answer_can_be_read_in_the_published_repository(course, published):
    assert leaks(course, published, EARLIER) == ()


def test_search_knows_an_answer_for_every_component_and_question(course):
    known = " ".join(answer.name for answer in answers(course))
    solved = {unit.name for unit in units_with_solutions(course)}
    for entry in components.listing():
        assert f"library's body of {entry.name}" in known
        assert f"solution of {entry.name} " in known or entry.unit not in solved
    assert "solution of question_1 (03_vae)" in known


REWRAPPED = """
def f():
    if True:
        return (mean  # written another way
            + torch.exp(log_std) * noise)
"""


@pytest.mark.parametrize(
    "text",
    ["def f(mean, log_std, noise):\n    return mean + log_std.exp() * noise\n", REWRAPPED],
    ids=["solution", "body"],
)
def test_search_finds_a_planted_function(course, tmp_path, text):
    (tmp_path / "planted.py").write_text(text)
    assert leaks(course, tmp_path)


def test_search_finds_a_planted_rubric(course, tmp_path):
    rubric = next(answer.text for answer in answers(course) if "question_1 (03_vae)" in answer.name)
    (tmp_path / "planted.md").write_text(f"Psst:\n\n{rubric}\n")
    assert leaks(course, tmp_path) == ("planted.md contains the solution of question_1 (03_vae)",)


def test_search_finds_an_answer_in_cells_and_outputs_of_a_notebook(course, tmp_path):
    answer = "return mean + log_std.exp() * noise"
    printed = nbformat.v4.new_output("stream", text=f"{answer}\n")
    cells = {
        "source": nbformat.v4.new_code_cell(f"def f(mean, log_std, noise):\n    {answer}"),
        "output": nbformat.v4.new_code_cell("1", outputs=[printed]),
    }
    for name, cell in cells.items():
        nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / f"{name}.ipynb")
    assert {finding.split()[0] for finding in leaks(course, tmp_path)} == {"source.ipynb", "output.ipynb"}


@pytest.mark.parametrize("unit", ["00_start_here", UNIT])
def test_answer_cells_are_stubs_that_run_and_say_they_are_not_written(course, unit):
    for entry in components.listing(unit):
        cell = code_cells(course, unit)[entry.name]
        namespace = {"implements": lambda name: lambda function: function}
        exec(compile(cell.source, entry.name, "exec"), namespace)
        with pytest.raises(NotImplementedError):
            namespace[entry.name](*[None] * len(entry.signature.parameters))
        assert ast.get_docstring(ast.parse(cell.source).body[0]), "the docstring is the contract"


UNGRADED = {"own_vae"}  # an exercise for its own sake


@pytest.mark.parametrize("unit", ["00_start_here", UNIT])
def test_every_component_has_its_exercise_in_order_with_the_check_right_after(course, unit):
    graded = [cell for cell in notebook(course, unit).cells if "nbgrader" in cell.metadata]
    names = [cell.id for cell in graded if cell.id not in UNGRADED]
    expected = [name for entry in components.listing(unit) for name in (entry.name, f"check_{entry.name}")]
    assert names == ["setup", *expected, "question_1"]
    for cell in graded:
        if cell.id.startswith("check_"):
            assert cell.source == f'check("{cell.id.removeprefix("check_")}")'
            assert cell.metadata.editable is False and cell.metadata.deletable is False


def test_set_up_cell_is_the_same_everywhere_and_locked(course):
    cells = [code_cells(course, unit.name)["setup"] for unit in units_with_solutions(course)]
    assert len({cell.source for cell in cells}) == 1
    assert all(cell.metadata.nbgrader.locked and cell.metadata.editable is False for cell in cells)


def test_assignments_have_no_outputs_and_no_facts_of_a_machine(course):
    for unit in units_with_solutions(course):
        released = notebook(course, unit.name)
        assert all(not cell.outputs and cell.execution_count is None for cell in code_cells(course, unit.name).values())
        assert set(released.metadata) <= {"kernelspec", "language_info", RECORD}
        assert released.metadata.language_info == {"name": "python"}


def test_written_question_keeps_its_points_and_loses_model_answer_and_rubric(course):
    (question,) = (cell for cell in notebook(course).cells if cell.id == "question_1")
    assert question.metadata.nbgrader.points > 0 and question.metadata.nbgrader.solution
    assert "Rubric" not in question.source and len(question.source) < 40


def test_releasing_again_changes_no_byte(course):
    path = course.assignments / UNIT / f"{UNIT}.ipynb"
    before = path.read_bytes()
    release(course, [course.unit(UNIT)])
    assert path.read_bytes() == before


def test_a_release_writes_the_public_cases_of_its_unit_alone(fresh_course):
    public = fresh_course.root / "avae_lib" / "checking" / "public"
    public.mkdir(parents=True)
    for unit in ("00_start_here", "01_kl_divergence"):
        (public / f"{unit}.json").write_text("{}", encoding="utf-8")
    release(fresh_course, [fresh_course.unit("00")])
    sizes = {path.name: path.stat().st_size for path in public.iterdir()}
    assert sizes.keys() == {"00_start_here.json", "01_kl_divergence.json"}
    assert sizes["00_start_here.json"] > sizes["01_kl_divergence.json"] == 2


def test_points_that_disagree_with_the_checks_stop_the_release(course, monkeypatch):
    unit = course.unit(UNIT)
    wrong = build(course, source_of(course, unit))
    next(cell for cell in wrong.cells if cell.id == "check_negative_elbo").metadata.nbgrader.points += 1
    monkeypatch.setattr(releasing, "unrun", lambda *_: wrong)
    with pytest.raises(CourseError, match="check_negative_elbo is worth 6 points, but the cases of its check 5"):
        release(course, [unit])


def test_an_exercise_without_its_check_cell_stops_the_release(course):
    unit = course.unit(UNIT)
    incomplete = build(course, source_of(course, unit))
    incomplete.cells = [cell for cell in incomplete.cells if cell.id != "check_reparameterize"]
    with pytest.raises(CourseError, match="reparameterize has no check cell"):
        require_points_of_checks(incomplete, unit)


def test_a_stray_file_beside_the_solution_stops_the_release(fresh_course):
    course, unit = fresh_course, fresh_course.unit("00")
    (source_of(course, unit).parent / "model_answers.txt").write_text("42")
    with pytest.raises(CourseError, match=r"model_answers\.txt"):
        release(course, [unit])
    assert not (course.assignments / unit.name).exists()


def test_a_solution_outside_its_region_stops_the_release(fresh_course):
    course, unit = fresh_course, fresh_course.unit("00")
    source = source_of(course, unit)
    copied = "    largest = x.amax(dim=dim, keepdim=True)\n    return (x - largest).exp().mean(dim=dim).log() + largest"
    source.write_text(source.read_text() + f"\n# %%\ndef f(x, dim):\n{copied}.squeeze(dim)\n")
    with pytest.raises(CourseError, match="log_mean_exp"):
        release(course, [unit])
    assert not (course.assignments / unit.name).exists()


def test_a_unit_without_a_solution_is_named(fresh_course):
    shutil.rmtree(fresh_course.solutions / UNIT)
    with pytest.raises(CourseError, match=f"{UNIT} has no solution"):
        release(fresh_course, [fresh_course.unit(UNIT)])


def test_published_repository_holds_what_students_need_and_no_more(published):
    names = {path.name for path in published.iterdir()}
    wanted = {
        "README.md",
        "LICENSE",
        ".gitignore",
        "course.toml",
        "pyproject.toml",
        "avae_lib",
        "assignments",
        PUBLISHED,
    }
    assert wanted <= names <= wanted | {"lectures"}
    assert not list(published.rglob("*.py")) or all("avae_lib" in path.parts for path in published.rglob("*.py"))


def test_published_project_needs_the_core_of_ours_and_nothing_else(published):
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    theirs = tomllib.loads((published / "pyproject.toml").read_text())
    assert theirs["project"]["dependencies"] == ours["dependencies"]
    assert theirs["project"]["requires-python"] == ours["requires-python"]
    assert "optional-dependencies" not in theirs["project"]
    assert theirs["tool"]["setuptools"]["packages"]["find"]["include"] == ["avae_lib*"]


def test_published_readme_links_only_to_files_that_exist(published):
    readme = (published / "README.md").read_text()
    links = [part.split(")")[0] for part in readme.split("](")[1:]]
    local = [link for link in links if not link.startswith("https://")]
    assert local and all((published / link).exists() for link in local)
    assert "{{" not in readme and "{%" not in readme


def test_publishing_again_replaces_what_was_published_and_leaves_the_rest(course, tmp_path):
    place = tmp_path / "repository"
    publish(course, place, through(course, UNIT))
    (place / ".git").mkdir()
    (place / "avae_lib" / "own_file.py").write_text("")
    assert publish(course, place, through(course, "00")) == ()
    assert (place / ".git").exists() and (place / "avae_lib" / "own_file.py").exists()
    assert not (place / "assignments" / UNIT).exists() and (place / "assignments" / "00_start_here").exists()


@pytest.mark.parametrize("occupied", ["notes.txt", "solutions/secret.py"])
def test_publishing_into_an_occupied_folder_is_refused(course, tmp_path, occupied):
    (tmp_path / occupied).parent.mkdir(exist_ok=True)
    (tmp_path / occupied).write_text("")
    if occupied.startswith("solutions"):
        shutil.copy(ROOT / "course.toml", tmp_path)
    with pytest.raises(CourseError, match="contains other files"):
        publish(course, tmp_path, through(course, UNIT))


def test_publishing_what_is_not_released_is_refused(fresh_course, tmp_path):
    with pytest.raises(CourseError, match="course release"):
        publish(fresh_course, tmp_path / "repository", through(fresh_course, UNIT))


def test_answers_in_what_is_published_are_named_and_nothing_is_left(course, tmp_path, monkeypatch):
    monkeypatch.setattr(publication, "leaks", lambda *_: ("avae_lib/x.py contains the solution of y",))
    with pytest.raises(CourseError, match="contains the solution of y"):
        publish(course, tmp_path / "repository", through(course, "00"))
    assert not any((tmp_path / "repository" / folder).exists() for folder in ("avae_lib", "lectures", "assignments"))


def test_publishing_without_a_repository_leaves_links_to_colab_out_and_asks_for_it(
    course, tmp_path, monkeypatch, capsys
):
    assert course.repository is None
    monkeypatch.chdir(course.root)
    assert cli.main(["publish", str(tmp_path / "repository"), "--through", "00"]) == 0
    assert "course.toml names no repository" in capsys.readouterr().err
    readme = (tmp_path / "repository" / "README.md").read_text()
    assert "colab" not in readme.lower() and "[notebook](assignments/00_start_here/00_start_here.ipynb)" in readme


def test_repository_of_course_toml_stands_in_badges_set_up_cells_and_links(fresh_course, tmp_path, monkeypatch, capsys):
    toml = fresh_course.root / "course.toml"
    toml.write_text(f'repository = "ada/students"\n{toml.read_text()}')
    course = Course.load(fresh_course.root)
    monkeypatch.chdir(course.root)
    (unit,) = release(course, [course.unit("00")])
    assert cli.main(["publish", str(tmp_path / "repository"), "--through", "00"]) == 0
    assert capsys.readouterr().err == ""
    address = "https://colab.research.google.com/github/ada/students/blob/main/assignments/00_start_here/"
    assert address in unit.read_text() and address in (tmp_path / "repository" / "README.md").read_text()
    assert "https://github.com/ada/students/archive/main.zip" in unit.read_text()


def test_notebooks_built_for_another_repository_are_not_published(fresh_course, tmp_path):
    course = fresh_course
    release(course, [course.unit("00")])
    elsewhere = dataclasses.replace(course, repository="ada/students")
    with pytest.raises(
        CourseError, match=r"00_start_here\.ipynb installs the library from no repository.*ada/students"
    ):
        publish(elsewhere, tmp_path / "repository", through(elsewhere, "00"))


def test_code_for_fast_runs_stays_in_a_released_notebook(fresh_course):
    course, unit = fresh_course, fresh_course.unit("00")
    source = source_of(course, unit)
    source.write_text(source.read_text() + '\n# %% fast="steps = 2"\nsteps = 100\n')
    (path,) = release(course, [unit])
    (cell,) = (cell for cell in nbformat.read(path, as_version=4).cells if "steps" in cell.source)
    assert cell.source == "steps = 100" and cell.metadata.fast == "steps = 2"


def test_build_checks_reach_no_student(fresh_course):
    course, unit = fresh_course, fresh_course.unit("00")
    source = source_of(course, unit)
    assert "build-check" in source.read_text()
    (path,) = release(course, [unit])
    assert "build-check" not in path.read_text() and "assert" not in path.read_text()
