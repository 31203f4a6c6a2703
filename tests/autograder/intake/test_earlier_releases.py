"""A notebook of an earlier release is known as one, and nobody is accused of what the course has changed since."""

import copy

import nbformat
import pytest
from nbgrader.utils import compute_checksum

from autograder.intake.normalise import normalise


def as_released(notebook):
    """With the checksums that nbgrader writes when it releases."""
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        label = cell.metadata.get("nbgrader", {})
        if label.get("grade") or label.get("solution") or label.get("locked"):
            label["checksum"] = compute_checksum(cell)
    return notebook


def called(notebook, name):
    return next(cell for cell in notebook.cells if cell.id == name)


@pytest.fixture
def handed_in(release, solved):
    """The solved notebook on the release of before; ``change`` is what the course changes in it since."""

    def flags(change, tamper=lambda notebook: None):
        theirs, today = as_released(release), copy.deepcopy(release)
        for ours, answer in zip(theirs.cells, solved.cells, strict=True):
            if ours.metadata.get("nbgrader", {}).get("solution"):
                ours.source = answer.source
        change(today)
        tamper(theirs)
        return normalise(nbformat.writes(theirs).encode(), as_released(today)).flags

    return flags


def test_changed_points_flag_nobody(handed_in):
    def change(notebook):
        called(notebook, "check_add").metadata.nbgrader.points = 5
        called(notebook, "question_1").metadata.nbgrader.points = 6

    assert handed_in(change) == ()


def test_changed_cells_are_one_flag_that_accuses_nobody(handed_in):
    def change(notebook):
        called(notebook, "check_add").source = 'check("add", seed=2)'
        called(notebook, "setup").source += "\nimport math"

    (flag,) = handed_in(change)
    assert flag == "the notebook is from an earlier release: 2 cells replaced with the current version"


def test_points_that_a_student_claims_and_cells_that_a_student_edits_are_flagged_all_the_same(handed_in):
    def tamper(notebook):
        called(notebook, "check_add").metadata.nbgrader.points = 500
        called(notebook, "question_1").metadata.nbgrader.points = 500
        called(notebook, "check_halve").source = "pass"

    said = "\n".join(handed_in(lambda notebook: None, tamper))
    assert "check cell 'check_add' states 500 points; it is worth 2" in said
    assert "'question_1' states 500 points; it is worth 3" in said
    assert "check cell 'check_halve' was edited" in said and "earlier release" not in said
