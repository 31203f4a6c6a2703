"""What a reader of the notebooks meets: cells of moderate length, numbered captions, pictures that are described."""

import ast
import re
import statistics
import tomllib
from pathlib import Path

import jupytext
import nbformat
import pytest
from nbconvert import HTMLExporter

from autograder.authoring.build_checks import is_build_check
from autograder.authoring.notebook_captions import CAPTION
from autograder.authoring.notebooks import build, grade_id_of, is_lecture, notebook_of, public_notebook_of, sources
from autograder.course.course import Course

COURSE = Course.load(Path(__file__).parents[2])
LONGEST_CELL, USUAL_CELL = 18, 12  # lines that are not blank
LONGEST_STRETCH = 250  # words without anything else to look at
PLUMBING = ("caption=", "alt=", "AVAE_FAST", "sys.modules", "os.environ")
SHOWING = {"show", "slider", "latent_pad"}

every_source = pytest.mark.parametrize(
    "source", sources(COURSE), ids=lambda path: f"{path.parent.parent.name}-{path.stem}"
)
every_lecture = pytest.mark.parametrize(
    "source", [path for path in sources(COURSE) if is_lecture(COURSE, path)], ids=lambda path: path.stem
)


def cells_of(source):
    return jupytext.reads(source.read_text(encoding="utf-8"), fmt="py:percent").cells


def teaching_cells(source):
    """Code cells that are neither graded, nor set-up, nor checks of the build."""
    return [
        cell
        for cell in cells_of(source)
        if cell.cell_type == "code"
        and not is_build_check(cell)
        and not grade_id_of(cell)
        and cell.source.strip() != "# {{set-up}}"
    ]


def lines(cell):
    return sum(bool(line.strip()) for line in cell.source.splitlines())


def calls(cell):
    """The names that a code cell calls, each as often as it does."""
    functions = [node.func for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Call)]
    return [getattr(function, "attr", getattr(function, "id", "")) for function in functions]


def figures_of(cell):
    return sum(name in SHOWING for name in calls(cell)) if cell.cell_type == "code" else 0


@every_source
def test_teaching_cells_are_short_and_hold_no_plumbing(source):
    for cell in teaching_cells(source):
        assert lines(cell) <= LONGEST_CELL, cell.source
        assert not any(word in cell.source for word in PLUMBING), cell.source


@every_lecture
def test_the_usual_cell_has_about_ten_lines(source):
    assert statistics.median(map(lines, teaching_cells(source))) <= USUAL_CELL


@every_lecture
def test_every_figure_has_a_caption_and_captions_are_numbered_in_order(source):
    kinds = []
    for cell in cells_of(source):
        kinds += ["figure"] * figures_of(cell)
        kinds += ["caption"] * bool(cell.cell_type == "markdown" and CAPTION.match(cell.source))
    assert kinds == ["figure", "caption"] * (len(kinds) // 2)
    captions = [CAPTION.match(cell.source) for cell in cells_of(source) if cell.cell_type == "markdown"]
    numbers = [int(caption[1]) for caption in captions if caption]
    assert numbers == list(range(1, len(kinds) // 2 + 1))


@every_source
def test_every_figure_is_checked_when_it_is_built(source):
    """A figure that comes without a check may contradict its caption, and nobody would know."""
    unchecked = None
    for cell in cells_of(source):
        if is_build_check(cell):
            assert "assert" in cell.source
            unchecked = None
        elif figures_of(cell):
            assert unchecked is None, unchecked
            unchecked = cell.source
    assert unchecked is None, unchecked


FOLDED = re.compile("<details>.*?</details>", re.DOTALL)
RELIEF = re.compile(r"\$\$.*?\$\$|```.*?```|^\|[^\n]*|!\[[^\n]*?\]\([^\n]*?\)|<img [^>]*>", re.DOTALL | re.MULTILINE)


def stretches(cells):
    """The numbers of words between things to look at: figures, tables, displayed equations, printed numbers.

    Folded answers, answers that students are to write, and the text about set-up are not counted.
    """
    words = 0
    for cell in cells:
        if cell.cell_type == "code":
            if {*SHOWING, "print", "check"} & set(calls(cell)):
                yield words
                words = 0
            continue
        passed_over = grade_id_of(cell) or cell.source.startswith("## Set-up")
        first, *others = RELIEF.split("" if passed_over else FOLDED.sub("", cell.source))
        words += len(first.split())
        for text in others:
            yield words
            words = len(text.split())
    yield words


def test_stretches_end_at_what_can_be_looked_at():
    text = "one two\n\n$$x = 1$$\nthree <details>not counted</details>\n\n| a | b |\n|---|---|\nfour"
    cells = [
        nbformat.v4.new_markdown_cell(text),
        nbformat.v4.new_code_cell("x = 1"),
        nbformat.v4.new_markdown_cell("five"),
        nbformat.v4.new_code_cell("print(x)"),
        nbformat.v4.new_markdown_cell("six"),
    ]
    assert [words for words in stretches(cells) if words] == [2, 1, 2, 1]


@every_source
def test_no_stretch_of_words_is_long(source):
    assert max(stretches(build(COURSE, source).cells)) <= LONGEST_STRETCH


@every_source
def test_every_picture_of_the_page_is_described_and_fits_it(source, chromium):
    """The notebook that students open, as a web page: lectures with their figures, assignments with their pictures."""
    notebook = nbformat.read(public_notebook_of(COURSE, source), as_version=4)
    page = chromium.new_page(viewport={"width": 1000, "height": 800})
    page.route("**", lambda route: route.abort())
    page.set_content(HTMLExporter().from_notebook_node(notebook)[0])
    page.evaluate("document.querySelectorAll('details').forEach((folded) => { folded.open = true; })")
    shown = page.locator("img, canvas[role=img]").all()  # the image beside a draggable plane is drawn on a canvas
    expected = sum(figures_of(cell) for cell in cells_of(source)) if is_lecture(COURSE, source) else 1
    assert len(shown) >= expected
    for picture in shown:
        alt = picture.get_attribute("alt") or picture.get_attribute("aria-label")
        assert alt and "No description" not in alt and "automatic description" not in alt
        assert 0 < picture.bounding_box()["width"] <= 700
    page.close()


@every_lecture
def test_a_cell_shows_at_most_one_figure(source):
    for cell in nbformat.read(notebook_of(source), as_version=4).cells:
        assert (
            sum("<img alt=" in output.get("data", {}).get("text/html", "") for output in cell.get("outputs", [])) <= 1
        )


def test_unit_00_names_packages_of_the_grading_machine_that_the_library_needs():
    """Only those are sure to be there: what else is installed differs from machine to machine."""
    text = (COURSE.solutions / "00_start_here" / "00_start_here.py").read_text(encoding="utf-8")
    listed = re.search(r"standard library, (.*?) and (\w+)\. ", text)
    named = [*listed[1].split(", "), listed[2]]
    project = tomllib.loads((COURSE.root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {re.split(r"[^\w-]", requirement)[0] for requirement in project["dependencies"]}
    assert {name.lower().replace("pytorch", "torch") for name in named} <= needed
    assert "pandas" in text and "pandas" not in needed
