"""Every edition of the course that students get: its lecture, its assignment and its presets, run in quick form.

An edition holds the library's functions of the units that were handed back, and stubs of its own unit and later ones.
"""

import ast
import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jupytext
import nbformat
import pytest

from autograder.authoring.build_checks import without_build_checks
from autograder.authoring.notebook_execution import execute
from autograder.authoring.notebooks import build, is_lecture, notebook_of, public_notebook_of, sources
from autograder.course.course import Course
from autograder.intake.cell_code import CellCode
from avae_lib import components
from avae_lib.plotting.legibility import REQUIRED_BY
from avae_lib.presets import PRESETS
from avae_lib.recorded_cells import names_needed

ROOT = Path(__file__).parents[2]
COURSE = Course.load(ROOT)
SURROUNDINGS = {"AVAE_DATA": "", REQUIRED_BY: "1"}  # no further data sets; illegible figures fail
EMBEDDED = ("digits", "photos32")

LECTURES = [path for path in sources(COURSE) if is_lecture(COURSE, path)]
SOLUTIONS = [path for path in sources(COURSE) if not is_lecture(COURSE, path)]


def code_of(source: Path) -> list[str]:
    """The code cells of a source that people open, as they are written there."""
    cells = jupytext.reads(source.read_text(encoding="utf-8"), fmt="py:percent").cells
    return [cell.source for cell in without_build_checks(cells) if cell.cell_type == "code"]


def by_unit(paths: list[Path]):
    """One test for each source; those of one unit share a worker, and with it the edition."""
    group = pytest.mark.xdist_group
    return pytest.mark.parametrize(
        "source", [pytest.param(path, marks=group(path.stem), id=path.stem) for path in paths]
    )


@pytest.fixture(scope="session")
def installed(published_through, tmp_path_factory) -> Callable[[str], Path]:
    """A folder with the library of an edition and nothing else, installed as on Colab, by the unit's name."""

    @functools.cache
    def folder(unit: str) -> Path:
        place = tmp_path_factory.mktemp("installed")
        repository = shutil.copytree(published_through(unit), place / "repository")  # pip builds inside of it
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
        subprocess.run([*command, "--target", str(place / "library"), str(repository)], check=True)
        shutil.rmtree(repository)
        return place / "library"

    return folder


def run(notebook, folder: Path, record_property, environment=SURROUNDINGS) -> None:
    record_property("notebook_seconds", execute(notebook, folder, fast=True, environment=environment))


def texts_of(cell) -> str:
    return "".join(output.get("text", "") for output in cell.get("outputs", ()))


@by_unit(LECTURES)
def test_lecture_runs_where_only_the_library_is_and_shows_what_was_recorded(
    source, installed, tmp_path, record_property
):
    """As a student meets it on Colab who has written no function of the unit."""
    notebook, library = nbformat.read(notebook_of(source), as_version=4), installed(source.stem)
    notebook.cells.append(nbformat.v4.new_code_cell("import avae_lib\nprint(avae_lib.__file__)"))
    run(notebook, tmp_path, record_property, SURROUNDINGS | {"PYTHONPATH": str(library)})
    *cells, last = (cell for cell in notebook.cells if cell.cell_type == "code")
    assert Path(texts_of(last).strip()).is_relative_to(library)
    for cell in cells:
        if needed := names_needed(cell.source):
            said = texts_of(cell)
            assert all(name in said for name in needed if components.find(name).unit == source.stem), said
            assert said.startswith("This cell needs") and "was changed" not in said, said


NOTED_CALLS = """

import functools, json
from avae_lib import components
from IPython import get_ipython

_called = set()


def _noting(name, function):
    @functools.wraps(function)
    def noting(*args, **kwargs):
        _called.add(name)
        return function(*args, **kwargs)

    return noting


def _write(result):
    with open("calls.jsonl", "a") as file:
        print(json.dumps([result.info.raw_cell, sorted(_called)]), file=file)
    _called.clear()


for _entry in components.listing({unit!r}):
    _entry.use(_noting(_entry.name, _entry.current))
get_ipython().events.register("post_run_cell", _write)
"""


@by_unit([source for source in LECTURES if any(map(names_needed, code_of(source)))])
def test_lecture_runs_with_the_students_functions_and_names_those_that_each_cell_calls(
    source, published_through, kept_functions, tmp_path, record_property
):
    edition = shutil.copytree(published_through(source.stem), tmp_path / "course")
    functions = kept_functions(source.stem) + NOTED_CALLS.format(unit=source.stem)
    (edition / "my_components.py").write_text(functions, encoding="utf-8")
    notebook = nbformat.read(notebook_of(source), as_version=4)
    run(notebook, edition / "lectures", record_property)
    assert not [cell.source for cell in notebook.cells if "This cell needs" in texts_of(cell)]
    calls = map(json.loads, (edition / "lectures" / "calls.jsonl").read_text(encoding="utf-8").splitlines())
    unnamed = [(sorted({*called} - {*names_needed(code)}), code) for code, called in calls]
    assert not [(names, code) for names, code in unnamed if names], "the line # needs: … must name these"


@by_unit(SOLUTIONS)
def test_solution_runs_in_the_edition_of_its_unit(source, published_through, kept_functions, tmp_path, record_property):
    """The student has solved the units before: their functions are loaded, and the new ones join them."""
    unit = COURSE.unit(source.stem)
    edition = shutil.copytree(published_through(unit.name), tmp_path / "course")
    if before := COURSE.before(unit):
        (edition / "my_components.py").write_text(kept_functions(before[-1].name), encoding="utf-8")
    run(build(COURSE, source), edition / public_notebook_of(COURSE, source).parent.relative_to(ROOT), record_property)
    solved = {each.name for each in (*before, unit)}
    expected = {entry.name for entry in components.listing() if entry.unit in solved}
    assert set(components.load(edition / "my_components.py")) == expected


@pytest.mark.parametrize("source", LECTURES, ids=lambda path: path.stem)
def test_cells_that_are_recorded_name_components_of_their_unit_and_stay_as_they_are(source):
    own = {entry.name for entry in components.listing(source.stem)}
    for cell in build(COURSE, source).cells:
        needed = names_needed(cell.source) if cell.cell_type == "code" else ()
        assert set(needed) <= own, cell.source
        assert not (needed and "fast" in cell.metadata), "numbers that quick tests change belong into another cell"
        assert "# needs:" not in cell.source.removeprefix("# needs:"), "the line must be the cell's first"


@pytest.mark.parametrize("source", LECTURES, ids=lambda path: path.stem)
def test_a_cell_names_what_the_cells_need_whose_results_it_uses(source):
    """Students have written some functions and not others: a cell must not run into names that were never made."""
    assert lines_to_be_completed(code_of(source)) == []


def lines_to_be_completed(codes: list[str]) -> list[str]:
    """What the lines ``# needs: …`` lack because a cell uses a name that a cell above makes which needs more."""
    made_with: dict[str, set[str]] = {}  # name → components that the cell needs which made it last
    lacking = []
    for code in codes:
        needed, cell = set(names_needed(code)), CellCode(code)
        for name in sorted(cell.needs & made_with.keys()):
            if more := made_with[name] - needed:
                lacking.append(f"{', '.join(sorted(more))}, because it uses {name}: {code}")
        made_with |= dict.fromkeys(cell.defines, needed)
    return lacking


def test_lines_that_lack_a_component_are_found():
    codes = ["# needs: a, b\nx = 1", "y = 2", "# needs: a\nz = x + y", "print(x)", "x = 3", "print(x + y)"]
    assert [line.partition(":")[0] for line in lines_to_be_completed(codes)] == [
        "b, because it uses x",
        "a, b, because it uses x",
    ]


FIRST_TRAINED = {
    "03_vae": ("digits-vae",),
    "04_richer_models": (
        "digits-iwae",
        "digits-beta-vae",
        "digits-beta-tcvae",
        "digits-info-vae",
        "digits-wae",
        "digits-conditional-vae",
        "digits-vampprior",
        "digits-planar-flow",
        "digits-iaf",
        "photos32-vq-vae",
        "photos32-vq-vae-2",
    ),
    "05_hierarchical_vae": ("digits-ladder", "digits-plain", "digits-biva", "digits-nvae", "photos32-vdvae"),
    "06_attentive_vae": (
        "digits-attentive-plain",
        "digits-local-plain",
        "photos32-attentive-plain",
        "digits-attentive",
    ),
}
"""Presets that students can train with their own functions from a unit on, whatever that unit's notebooks use."""


def presets_used(unit: str) -> set[str]:
    """Names of presets in the code of a unit's lecture and solution."""
    codes = [code for source in (*LECTURES, *SOLUTIONS) if source.stem == unit for code in code_of(source)]
    return {
        node.value
        for code in codes
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Constant) and node.value in PRESETS
    }


def unit_and_preset() -> list:
    pairs = [(unit.name, name) for unit in COURSE.units for name in sorted(presets_used(unit.name))]
    solved = {source.stem for source in SOLUTIONS}
    pairs += [(unit, name) for unit, names in FIRST_TRAINED.items() if unit in solved for name in names]
    chosen = [(unit, name) for unit, name in dict.fromkeys(pairs) if PRESETS[name].data.name in EMBEDDED]
    return [pytest.param(*pair, marks=pytest.mark.xdist_group(pair[0])) for pair in chosen]


COMMANDS = """
import sys
from avae_lib import cli, components
from avae_lib.data import ImageDataset

name = sys.argv[1]
components.load("my_components.py")
whole, labels_of_whole = ImageDataset.pixels, ImageDataset.labels

def few_labels(dataset, split):
    labels = labels_of_whole(dataset, split)
    return labels if labels is None or split == "train" else labels[:16]

ImageDataset.pixels = lambda dataset, split, count=None: whole(dataset, split, 16)  # enough to see that it works
ImageDataset.labels = few_labels
short = ["--training.steps", "2", "--training.batch-size", "4"]
small = [*short, "--training.logging.metrics-every", "1", "--training.logging.evaluation-images", "4"]
for command in (
    ["train", name, *small],
    ["evaluate", f"runs/{name}", "--importance-samples", "2"],
    ["sample", f"runs/{name}", "--count", "4"],
):
    if status := cli.main(command):
        sys.exit(f"{' '.join(command)} ended with status {status}")
"""


@pytest.mark.parametrize(("unit", "name"), unit_and_preset())
def test_preset_is_trained_evaluated_and_sampled_while_later_units_are_unwritten(
    unit, name, published_through, kept_functions, tmp_path
):
    (tmp_path / "my_components.py").write_text(kept_functions(unit), encoding="utf-8")
    finished = subprocess.run(
        [sys.executable, "-c", COMMANDS, name],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(published_through(unit)), "AVAE_DATA": ""},
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
    written = {path.name for path in (tmp_path / "runs" / name).iterdir()}
    assert {"report.html", "evaluation.json", "samples.png", "reconstructions.png"} <= written
