"""A notebook in which nothing of the unit can be recognised is refused; one that lost its labels is graded."""

import copy
import json
from pathlib import Path

import nbformat
import pytest

from autograder.intake.normalise import Quarantined, normalise

ASSIGNMENTS = sorted((Path(__file__).parents[3] / "assignments").glob("*/*.ipynb"))
LECTURES = sorted((Path(__file__).parents[3] / "lectures").glob("*.ipynb"))


def encoded(notebook) -> bytes:
    return json.dumps(notebook).encode()


def without_labels(notebook):
    bare = copy.deepcopy(notebook)
    for cell in bare.cells:
        cell.metadata = {}
        del cell["id"]
    return bare


def notebook_of(*cells):
    return nbformat.v4.new_notebook(cells=[make(source) for make, source in cells])


CODE, TEXT = nbformat.v4.new_code_cell, nbformat.v4.new_markdown_cell

BLANK = {
    "no cells": notebook_of(),
    "one empty cell": notebook_of((CODE, "")),
    "white space": notebook_of((CODE, "  \n"), (TEXT, "\n")),
}


@pytest.mark.parametrize("name", BLANK)
def test_a_blank_notebook_is_refused_as_blank(name, release):
    with pytest.raises(Quarantined, match=r"the notebook is blank.*ask for"):
        normalise(encoded(BLANK[name]), release)


def test_another_courses_notebook_is_refused_by_its_beginning(release):
    foreign = notebook_of(
        (TEXT, "# Homework 3: sorting\n\nSort a list."), (CODE, "def bubble_sort(x): return sorted(x)")
    )
    with pytest.raises(Quarantined, match=r"begins with '# Homework 3: sorting'.*add, halve, question_1"):
        normalise(encoded(foreign), release)


@pytest.mark.parametrize("path", [*ASSIGNMENTS, *LECTURES], ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_of_all_notebooks_only_the_units_own_is_graded_without_labels(path):
    handed_in = encoded(without_labels(nbformat.read(path, as_version=4)))
    for other in ASSIGNMENTS:
        release = nbformat.read(other, as_version=4)
        if other == path:
            assert normalise(handed_in, release).notebook.cells
        else:
            with pytest.raises(Quarantined, match="not the notebook of this unit"):
                normalise(handed_in, release)


STILL_THIS_UNIT = {
    "only the functions, without marks": (
        [(CODE, "def add(a, b): return a + b"), (CODE, "def halve(a): return a / 2")],
        {"add": "def add(a, b): return a + b"},
    ),
    "one function of two": ([(CODE, "import torch"), (CODE, "def halve(a): return a / 2")], {}),
    "only the text of an exercise": ([(TEXT, "## Exercise 2: halve a tensor"), (CODE, "half = lambda a: a / 2")], {}),
    "the text of an exercise with words added": ([(TEXT, "## Exercise 1: add two tensors\n\n" + "I did. " * 50)], {}),
}


@pytest.mark.parametrize("name", STILL_THIS_UNIT)
def test_a_notebook_in_which_something_is_recognised_is_graded(name, release):
    cells, answers = STILL_THIS_UNIT[name]
    submission = normalise(encoded(notebook_of(*cells)), release)
    found = {answer.grade_id: answer.source for answer in submission.answers}
    assert all(found[grade_id].startswith(source) for grade_id, source in answers.items())


def test_labels_that_every_unit_has_prove_nothing(release):
    cells = [cell for cell in release.cells if cell.id in ("setup", "question_1")]
    other = notebook_of((TEXT, "# Another unit"))
    other.cells += cells
    with pytest.raises(Quarantined, match="begins with '# Another unit'"):
        normalise(encoded(other), release)


def test_a_beginning_that_would_harm_a_terminal_is_shown_harmlessly(release):
    with pytest.raises(Quarantined) as refused:
        normalise(encoded(notebook_of((TEXT, "\x1b]0;title\x07" + "x" * 10_000))), release)
    assert "\x1b" not in str(refused.value) and len(str(refused.value)) < 400
