"""One component judged once more: what was asked, expected and got, and where that differs from the record."""

import json
import shutil
from pathlib import Path

import nbformat
import pytest

from autograder.batch.class_run import ClassRun
from autograder.course.course import Course, CourseError
from autograder.judging.explain_answer import explain
from autograder.reports.explanation import chosen_case, explanation_json, explanation_text, unlike_the_record

ROOT = Path(__file__).parents[3]
UNIT, COMPONENT = "00_start_here", "log_mean_exp"
RIGHT = "return torch.logsumexp(x, dim) - math.log(x.shape[dim])"
SUM = "return torch.logsumexp(x, dim)"
LAST_ONLY = "return torch.logsumexp(x, -1) - math.log(x.shape[-1])"
RAISING = 'raise ValueError("\\x1b[31m" + "no" * 300)'


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """A course in which a right, a wrong and a raising answer have been graded, in the sandbox."""
    root = tmp_path_factory.mktemp("explained") / "course"
    shutil.copytree(ROOT / "assignments" / UNIT, root / "assignments" / UNIT)
    shutil.copy(ROOT / "course.toml", root)
    course = Course.load(root)
    for student, code in {"ada": RIGHT, "ben": SUM, "cleo": RAISING, "dora": LAST_ONLY}.items():
        hand_in(course, student, code)
    (course.submitted / "dan" / UNIT).mkdir(parents=True)
    ClassRun(course, course.unit(UNIT), workers=1).grade()
    return course


def hand_in(course, student, code):
    notebook = nbformat.read(course.assignments / UNIT / f"{UNIT}.ipynb", as_version=4)
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("grade_id") == COMPONENT:
            cell.source = "import math\n" + cell.source.replace("raise NotImplementedError", code)
    path = course.submitted / student / UNIT / f"{UNIT}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


def explained(course, student):
    return explain(course, course.unit(UNIT), student, COMPONENT, "bubblewrap")


@pytest.fixture(scope="module")
def wrong(graded):
    return explained(graded, "ben")


def test_the_same_comes_out_as_when_it_was_graded(graded, wrong):
    assert unlike_the_record(graded, wrong) == ()
    assert 0 <= wrong.points < wrong.max_points
    right = explained(graded, "ada")
    assert right.points == right.max_points and unlike_the_record(graded, right) == ()
    assert all(case.verdict.passed and case.asked for case in right.cases)


def test_each_request_shows_its_input_the_right_numbers_and_those_that_came(wrong):
    [first, *_] = wrong.cases
    one = first.asked[0]
    x = one.probe.request.inputs["x"]
    expected, got = (seen.outputs["result"].array for seen in (one.probe.expected, one.shown))
    assert not first.verdict.passed and expected.shape == got.shape and not expected.allclose(got)
    text = explanation_text(chosen_case(wrong, first.trial.name), ())
    for piece in (
        "x = ",
        f"{x.flatten()[0].item():.6g}",
        f"{expected.flatten()[0].item():.6g}",
        f"{got.flatten()[0].item():.6g}",
    ):
        assert piece in text
    assert f"{first.trial.rtol:g} × |expected|" in text and first.verdict.diagnosis in " ".join(text.split())


def test_inputs_are_those_of_grading_each_time(graded, wrong):
    again = explained(graded, "ben")
    for before, after in zip(wrong.cases, again.cases, strict=True):
        for one, other in zip(before.asked, after.asked, strict=True):
            assert one.probe.request.to_json() == other.probe.request.to_json()


def test_what_a_student_raises_is_one_line_of_printable_signs(graded):
    text = explanation_text(explained(graded, "cleo"), ())
    assert "raised ValueError" in text and "\x1b" not in text
    assert all(len(line) < 600 for line in text.splitlines())


def test_of_several_requests_those_that_differ_come_first(graded):
    explanation = explained(graded, "dora")
    mixed = [
        case
        for case in explanation.cases
        if len(
            {
                asked["agrees"]
                for asked in explanation_json(chosen_case(explanation, case.trial.name), ())["cases"][0]["asked"]
            }
        )
        > 1
    ]
    assert mixed
    text = explanation_text(chosen_case(explanation, mixed[0].trial.name), ())
    assert 0 < text.index("differs") < text.index("agrees")


def test_a_program_gets_all_of_it(wrong):
    content = json.loads(json.dumps(explanation_json(wrong, ("so",))))
    assert content["differs_from_record"] == ["so"] and len(content["cases"]) == len(wrong.cases)
    asked = content["cases"][0]["asked"][0]
    assert set(asked) == {"inputs", "expected", "got", "raised", "agrees"} and asked["agrees"] is False


def test_a_file_that_was_handed_in_since_is_named_as_another(graded):
    hand_in(graded, "ben", RIGHT)
    said = unlike_the_record(graded, explained(graded, "ben"))
    hand_in(graded, "ben", SUM)
    assert any(sentence.startswith("recorded for “") and "failed" in sentence for sentence in said)
    assert any("has changed since it was graded" in sentence for sentence in said)


def test_other_versions_are_named(graded, wrong, monkeypatch):
    monkeypatch.setattr("autograder.reports.explanation.versions_here", lambda: {"torch": "99.0"})
    [sentence] = unlike_the_record(graded, wrong)
    assert sentence.startswith("graded with torch ") and sentence.endswith("judged again with 99.0")


def test_a_case_is_named_by_a_part_that_no_other_has(wrong):
    names = [case.trial.name for case in wrong.cases]
    assert [case.trial.name for case in chosen_case(wrong, names[1]).cases] == [names[1]]
    with pytest.raises(CourseError, match="matches several cases"):
        chosen_case(wrong, "")
    with pytest.raises(CourseError, match="no case"):
        chosen_case(wrong, "xyzzy")


@pytest.mark.parametrize(
    "student, component, words",
    [
        ("nobody", COMPONENT, "handed in nothing"),
        ("dan", COMPONENT, "quarantined.*there is no notebook"),
        ("ada", "kl_gaussian", "has no component 'kl_gaussian': use one of"),
    ],
)
def test_what_cannot_be_explained_is_said_in_words(graded, student, component, words):
    with pytest.raises(CourseError, match=words):
        explain(graded, graded.unit(UNIT), student, component, "bubblewrap")


def test_a_capstone_has_no_components(graded):
    with pytest.raises(CourseError, match="capstone"):
        explain(graded, graded.unit("08"), "ada", "budget", "bubblewrap")
