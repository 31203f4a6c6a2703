"""Written answers reach whoever grades them, wherever in the notebook they stand; what is not used is flagged."""

import copy
import json

import nbformat
import pytest

from autograder.gradebook.gradebook_writer import shown_notebook
from autograder.intake.files_beside import flags_of_files_beside
from autograder.intake.normalise import normalise
from autograder.results import Graded, SubmissionResult

STUB = "*Your answer here.*"
QUESTION = "## Question 1\n\nWhy do sums commute, and differences not? Two sentences. (3 points)"
SECOND = "## Question 2\n\nWhat would change with matrices? One sentence. (2 points)"
LAST = "## Handing in\n\nSave the notebook and hand it in."
ANSWER = "Because addition does not care which term comes first."


def written_cell(name, points):
    label = {"grade_id": name, "schema_version": 3, "grade": True, "solution": True, "locked": False, "points": points}
    return nbformat.v4.new_markdown_cell(STUB, id=name, metadata={"nbgrader": label})


def text(source, name=None, **attached):
    cell = nbformat.v4.new_markdown_cell(source)
    cell.attachments = attached
    if name:
        cell.id = name
    return cell


def code(source):
    return nbformat.v4.new_code_cell(source)


def raw(source):
    return nbformat.v4.new_raw_cell(source)


@pytest.fixture
def release(release):
    """The small unit with one question behind its text, and a text below."""
    release.cells[-1:] = [text(QUESTION, "question-1"), written_cell("question_1", 3), text(LAST, "last")]
    return release


@pytest.fixture
def two_questions(release):
    release.cells[-1:] = [text(SECOND, "question-2"), written_cell("question_2", 2), text(LAST, "last")]
    return release


def place_of(notebook, name):
    return next(index for index, cell in enumerate(notebook.cells) if cell.get("id") == name)


def insert(place, *cells, below="question_1"):
    """Cells of the student's own, so many places below the cell of a question."""

    def change(notebook):
        start = place_of(notebook, below) + place
        notebook.cells[start:start] = copy.deepcopy(cells)

    return change


def write(source, name="question_1", **changes):
    def change(notebook):
        notebook.cells[place_of(notebook, name)].update(source=source, **changes)

    return change


def delete(*names):
    def change(notebook):
        for name in names:
            del notebook.cells[place_of(notebook, name)]

    return change


def without_labels(notebook):
    for cell in notebook.cells:
        cell.metadata = {}
        del cell["id"]


def handed_in(release, *changes):
    notebook = copy.deepcopy(release)
    for change in changes:
        change(notebook)
    return normalise(json.dumps(notebook).encode(), release)


def answers_of(submission):
    return {answer.grade_id: answer.source for answer in submission.written}


FOUND = {
    "in its own cell": ([write(ANSWER)], None),
    "below the stub in its own cell": ([write(f"{STUB}\n\n{ANSWER}")], None),
    "in a cell above the stub": ([insert(0, text(ANSWER))], "was in a text cell above its own"),
    "in a cell below the stub": ([insert(1, text(ANSWER))], "was in a text cell below its own"),
    "in a raw cell below": ([insert(1, raw(ANSWER))], "was in a text cell below its own"),
    "its own cell turned raw": ([write(ANSWER, cell_type="raw")], "changed to another cell type"),
    "its own cell turned into code": ([write(ANSWER, cell_type="code")], "changed to another cell type"),
    "in a comment below": ([insert(1, code(f"# {ANSWER}"))], "was in a code cell below its own"),
    "in a string below": ([insert(1, code(f'"""{ANSWER}"""'))], "was in a code cell below its own"),
    "printed below": ([insert(1, code(f'print("{ANSWER}")'))], "was in a code cell below its own"),
    "in a code cell as it is": ([insert(1, code(ANSWER))], "was in a code cell below its own"),
    "in a comment on code": ([insert(1, code(f"x = 1  # {ANSWER}"))], "was in a code cell below its own"),
    "in a cell of markdown by magic": ([insert(1, code(f"%%markdown\n{ANSWER}"))], "a code cell below its own"),
    "behind our text of the question": ([write(f"{QUESTION}\n\n{ANSWER}", "question-1")], "our text of the question"),
    "on the last line of our text": ([write(f"{QUESTION} {ANSWER}", "question-1")], "our text of the question"),
    "in place of our text": ([write(ANSWER, "question-1")], "our text of the question"),
    "below the heading of our text": ([write(f"## Question 1\n\n{ANSWER}", "question-1")], "our text of the question"),
    "over our text, whose id is lost": ([delete("question-1"), insert(0, text(ANSWER))], "above its own"),
    "above our text of what comes next": ([write(f"{ANSWER}\n\n{LAST}", "last")], "our text of the question"),
    "where its cell was deleted": ([insert(1, text(ANSWER)), delete("question_1")], "found by its place"),
    "where all labels are lost": ([write(ANSWER), without_labels], "found by its place"),
    "under another label": (
        [write(ANSWER), lambda notebook: notebook.cells[-2].metadata.nbgrader.update(grade_id="essay")],
        "",
    ),
    "at the top of the notebook": ([insert(0, text(ANSWER), below="title")], "elsewhere in the notebook"),
    "in a comment at the end": ([lambda notebook: notebook.cells.append(code(f"# {ANSWER}"))], "elsewhere"),
    "behind our text of an exercise": (
        [write(f"## Exercise 1: add two tensors\n\n{ANSWER}", "exercise_1")],
        "elsewhere in the notebook",
    ),
}


@pytest.mark.parametrize("where", FOUND)
def test_an_answer_is_shown_wherever_it_stands_and_a_flag_says_where(where, release):
    changes, flag = FOUND[where]
    submission = handed_in(release, *changes)
    assert ANSWER in answers_of(submission)["question_1"]
    assert submission.flags == () if flag is None else any(flag in given for given in submission.flags)
    nbformat.validate(submission.notebook)


@pytest.mark.parametrize("where", FOUND)
def test_an_answer_that_is_found_waits_for_a_person(where, release):
    """nbgrader gives no points to a cell whose text is that of the stub, and asks nobody."""
    submission = handed_in(release, *FOUND[where][0])
    shown = shown_notebook(Graded(SubmissionResult("ada", "graded"), submission.notebook))
    cell = shown.cells[place_of(shown, "question_1")]
    assert cell.source != STUB and ANSWER in cell.source


UNANSWERED = {
    "nothing was written": [],
    "white space was added": [write(f"{STUB}\n \n")],
    "the stub is there twice": [insert(1, text(STUB))],
    "a text of ours is there twice": [insert(1, text(LAST))],
    "a line between": [insert(1, text("---"))],
    "code that says nothing": [insert(1, code("x = torch.zeros(3)"))],
    "a typing error in our text was mended": [write(QUESTION.replace("Why", "Wherefore"), "question-1")],
}


@pytest.mark.parametrize("what", UNANSWERED)
def test_no_response_stays_no_response(what, release):
    submission = handed_in(release, *UNANSWERED[what])
    assert answers_of(submission)["question_1"] == STUB
    assert submission.written[0].unedited


def test_the_parts_of_an_answer_come_in_their_order(release):
    cells = [insert(1, text("Third."), code("# Fourth, and this is why"), raw("Fifth.")), insert(0, text("First."))]
    submission = handed_in(release, write("Second."), *cells)
    source = answers_of(submission)["question_1"]
    places = [source.index(part) for part in ("First.", "Second.", "Third.", "# Fourth", "Fifth.")]
    assert places == sorted(places)
    (flag,) = submission.flags
    assert "continues in a text cell above its own, 2 text cells below its own, a code cell below its own" in flag


def test_of_an_answer_that_is_there_twice_both_versions_are_shown(release):
    def double(notebook):
        place = place_of(notebook, "question_1")
        other = copy.deepcopy(notebook.cells[place])
        other.update(id="double", source="Another version.")
        notebook.cells.insert(place, other)

    submission = handed_in(release, write(ANSWER), double)
    assert answers_of(submission)["question_1"] == f"Another version.\n\n{ANSWER}"
    assert any("occurred 2 times" in flag for flag in submission.flags)


def test_code_that_runs_for_an_exercise_is_no_written_answer(release):
    own = code('@implements("add")\ndef add(a, b):\n    # the sum of both of them\n    return a + b')
    submission = handed_in(release, insert(1, own))
    assert answers_of(submission)["question_1"] == STUB


def test_scratch_code_beside_an_answer_is_left_out(release):
    submission = handed_in(release, write(ANSWER), insert(1, code("print('scratch')")))
    assert answers_of(submission)["question_1"] == ANSWER
    assert submission.flags == ("1 code cell of the student's own, not run",)


def test_text_that_belongs_to_no_question_is_named_where_the_question_has_an_answer(release):
    notes = insert(1, text("My notes on exercise 1: mind the order of the terms."), below="check_add")
    submission = handed_in(release, write(ANSWER), notes)
    assert answers_of(submission)["question_1"] == ANSWER
    (flag,) = submission.flags
    assert "was not used (1 in all): 'My notes on exercise 1" in flag


def test_another_release_of_our_texts_is_not_taken_for_an_answer(release):
    older = QUESTION.replace("Two sentences.", "Answer in two or three sentences, and give an example.")
    submission = handed_in(release, write(ANSWER), write(older, "question-1"), write(LAST + " Bye.", "title"))
    assert answers_of(submission)["question_1"] == ANSWER


BETWEEN = {
    "both have answers": (("One.", "Two."), ("One.\n\nBetween.", "Two.")),
    "only the first has one": (("One.", STUB), ("One.", "Between.")),
    "only the second has one": ((STUB, "Two."), ("Between.", "Two.")),
    "none has one": ((STUB, STUB), ("Between.", STUB)),
}


@pytest.mark.parametrize("case", BETWEEN)
def test_text_between_two_questions_goes_to_one_of_them_and_is_flagged(case, two_questions):
    (first, second), expected = BETWEEN[case]
    changes = [write(first), write(second, "question_2"), delete("question-2"), insert(1, text("Between."))]
    submission = handed_in(two_questions, *changes)
    assert tuple(answers_of(submission).values()) == expected
    assert any("text between two questions was taken" in flag for flag in submission.flags)


def test_a_line_between_two_questions_is_no_text(two_questions):
    submission = handed_in(two_questions, write("One."), delete("question-2"), insert(1, text("---")))
    assert answers_of(submission) == {"question_1": "One.", "question_2": STUB}
    assert submission.flags == ()


def test_text_on_either_side_of_the_second_questions_text_goes_to_the_nearer_question(two_questions):
    changes = [insert(1, text("More on one.")), insert(0, text("More on two."), below="question_2")]
    submission = handed_in(two_questions, *changes)
    assert answers_of(submission) == {"question_1": "More on one.", "question_2": "More on two."}


def test_text_typed_into_the_second_questions_text_is_its_answer(two_questions):
    submission = handed_in(two_questions, write(f"{SECOND}\n\nThey would not.", "question-2"))
    assert answers_of(submission) == {"question_1": STUB, "question_2": "They would not."}


def test_a_code_answer_between_lines_of_back_ticks_in_a_text_is_judged(release):
    fenced = "Here is my code:\n\n```python\ndef add(a, b):\n    return a + b\n```\n\nIt adds."
    submission = handed_in(release, insert(1, text(fenced), below="exercise_1"))
    add = submission.answers[0].source
    assert add == 'def add(a, b):\n    return a + b\n\nimplements("add")(add)'
    assert any("was in a text cell, between lines of ```" in flag for flag in submission.flags)


def test_our_example_of_code_in_a_text_is_no_answer(release):
    release.cells[0].source = '# How\n\n```python\n@implements("add")\ndef add(a, b):\n    ...\n```'
    assert handed_in(release).answers[0].unedited


def test_a_text_of_100_000_characters_is_cut_and_flagged(release):
    submission = handed_in(release, write("Word. " * 17_000))
    assert answers_of(submission)["question_1"].endswith("(the rest is not shown)")
    assert "was cut: it has 101,999 characters, and only the first 18,000 are shown" in submission.flags[0]


def test_files_beside_the_notebook_are_named(tmp_path):
    for name in ("a.ipynb", "answer.pdf", "derivation.jpg", "timestamp.txt", ".DS_Store", "my_components.py"):
        (tmp_path / name).touch()
    (tmp_path / "figures").mkdir()
    (flag,) = flags_of_files_beside(tmp_path)
    assert flag.endswith("are not graded (answer.pdf, derivation.jpg, figures/): please check")
    assert flags_of_files_beside(tmp_path, used=("answer.pdf", "derivation.jpg", "figures")) == ()


def test_of_many_files_the_first_are_named_and_the_others_counted(tmp_path):
    for number in range(40):
        (tmp_path / f"photo \x1b{number:02}.jpg").touch()
    (flag,) = flags_of_files_beside(tmp_path)
    assert "photo ·00.jpg" in flag and flag.endswith("and 35 more): please check")
