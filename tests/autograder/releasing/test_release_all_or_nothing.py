"""A release that fails or is killed leaves the earlier one as it was; one after grading keeps what was given."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import nbformat
import pytest
from nbgrader.apps.api import NbGraderAPI
from traitlets.config import Config

from autograder import cli
from autograder.authoring import notebooks
from autograder.authoring.notebooks import grade_id_of
from autograder.course.course import Course, CourseError
from autograder.gradebook.open_gradebook import opened_gradebook
from autograder.nbgrader_bridge.nbgrader_config import configure
from autograder.releasing import moving_files
from autograder.releasing import release as releasing
from autograder.releasing.publication import publish
from autograder.releasing.release import release
from autograder.releasing.units_to_publish import Edition
from avae_lib.errors import one_line

ROOT = Path(__file__).parents[3]
UNIT = "00_start_here"
POINTS = '"points": 5, '


@pytest.fixture
def course(tmp_path, blank_gradebook) -> Course:
    """Unit 00 of this course, released."""
    for name in (f"solutions/{UNIT}", f"assignments/{UNIT}"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("course.toml", "nbgrader_config.py", "pyproject.toml", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "avae_lib/checking/public", tmp_path / "avae_lib/checking/public")
    shutil.copy(blank_gradebook, tmp_path / "gradebook.db")
    return Course.load(tmp_path)


@pytest.fixture
def source(course) -> Path:
    return course.solutions / UNIT / f"{UNIT}.py"


def files_of(course) -> dict[str, bytes]:
    """Everything below assignments/ and all that a release writes elsewhere, but the gradebook."""
    folders = [course.assignments, course.solutions, course.root / "avae_lib"]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file() and path.suffix != ".py"]
    return {str(path.relative_to(course.root)): path.read_bytes() for path in files}


def released(course):
    return nbformat.read(course.released_notebook(course.unit(UNIT)), as_version=4)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def copy_check_cell(source: Path) -> None:
    text = source.read_text(encoding="utf-8")
    start = text.index('# %% nbgrader={"grade": true')
    stop = text.index("# %%", start + 5)
    source.write_text(text[:stop] + text[start:stop] + text[stop:], encoding="utf-8")


def empty_solution(source: Path) -> None:
    text = source.read_text(encoding="utf-8")
    start = text.index("### BEGIN SOLUTION\n") + len("### BEGIN SOLUTION\n")
    source.write_text(text[:start] + text[text.index("    ### END SOLUTION", start) :], encoding="utf-8")


MISTAKES = {
    "duplicate id": (copy_check_cell, "check_log_mean_exp is the grade_id of 2 cells"),
    "no points": (lambda source: edit(source, POINTS, ""), "check_log_mean_exp is graded but has no points"),
    "other points": (lambda source: edit(source, POINTS, '"points": 7, '), "check_log_mean_exp is worth 7 points"),
    "empty solution": (empty_solution, "log_mean_exp has an empty solution"),
    "id with a blank": (
        lambda source: edit(source, '"check_log_mean_exp"', '"check log_mean_exp"'),
        "has the grade_id 'check log_mean_exp'",
    ),
    "another id": (
        lambda source: edit(source, '"check_log_mean_exp"', '"test_log_mean_exp"'),
        "log_mean_exp has no check cell",
    ),
    "text cell": (
        lambda source: edit(source, '# %% nbgrader={"grade": true', '# %% [markdown] nbgrader={"grade": true'),
        "check_log_mean_exp is a text cell with points but without an answer",
    ),
    "broken label": (
        lambda source: edit(source, POINTS, '"points": 5,, '),
        "has a label that is not JSON",
    ),
    "another check": (
        lambda source: edit(source, 'check("log_mean_exp")', 'check("log_mean")'),
        "check_log_mean_exp must contain check",
    ),
    "stray file": (
        lambda source: (source.parent / "answers.txt").write_text("42"),
        "answers.txt would be released",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_release_that_fails_names_the_cell_and_changes_nothing(name, course, source, monkeypatch, capsys):
    make, sentence = MISTAKES[name]
    make(source)
    before = files_of(course)
    monkeypatch.chdir(course.root)
    assert cli.main(["release", "00"]) == 1
    said = capsys.readouterr().err
    assert sentence in said and "Traceback" not in said and said.count("\n") == 1
    assert files_of(course) == before
    assert not list(course.records.glob("release-*"))


def test_several_mistakes_are_said_at_once(course, source):
    edit(source, POINTS, "")
    empty_solution(source)
    with pytest.raises(CourseError, match=r"solutions/00_start_here/00_start_here\.py has 2 mistakes") as refusal:
        release(course, [course.unit("00")])
    assert "check_log_mean_exp is graded but has no points" in str(refusal.value)
    _, first, second = str(refusal.value).splitlines()
    assert one_line(refusal.value).endswith(f"has 2 mistakes: {first.strip()}; {second.strip()}")


def test_when_one_of_several_units_fails_none_is_replaced(course, source):
    shutil.copytree(ROOT / "solutions/01_kl_divergence", course.solutions / "01_kl_divergence")
    edit(source, "# # Unit 00: Start here", "# # Unit 00: Begin here")
    edit(course.solutions / "01_kl_divergence/01_kl_divergence.py", '"points"', '"point"')
    before = files_of(course)
    with pytest.raises(CourseError, match="has no points"):
        release(course, [course.unit("00"), course.unit("01")])
    assert files_of(course) == before


def in_child(action) -> int:
    """Run something in a process of its own; returns the signal that ended it, 0 if none did."""
    child = os.fork()
    if child == 0:
        try:
            action()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed_at(moment: str, course) -> None:
    """Release unit 00 and be killed at a step of it."""

    def die(*_, **__):
        os.kill(os.getpid(), signal.SIGKILL)

    moved = []

    def move(draft, place):
        if moment == f"before {place.suffix} {len(moved)}":
            die()
        moved.append(moving_files.move(draft, place))
        if moment == "after the last" and place == course.released_notebook(course.unit(UNIT)):
            die()

    if moment == "generating":
        releasing._require_nothing_else = die
    releasing.move = move
    release(course, [course.unit(UNIT)])


@pytest.mark.parametrize(
    "moment", ["generating", "before .json 0", "before .ipynb 1", "before .ipynb 2", "after the last"]
)
def test_a_release_that_is_killed_leaves_the_old_or_the_new_notebook_and_goes_well_the_next_time(
    moment, course, source
):
    place = course.released_notebook(course.unit(UNIT))
    old = place.read_bytes()
    edit(source, "# # Unit 00: Start here", "# # Unit 00: Begin here")
    (course.root / "avae_lib/checking/public" / f"{UNIT}.json").unlink()
    assert in_child(lambda: killed_at(moment, course)) == -signal.SIGKILL
    new = place.read_bytes()
    assert (new == old) == (moment != "after the last")
    assert {path.name for path in course.assignments.rglob("*") if path.is_file()} == {f"{UNIT}.ipynb"}
    release(course, [course.unit(UNIT)])
    assert "Begin here" in place.read_text(encoding="utf-8")
    assert not list(course.records.glob("release-*"))


def test_data_for_students_come_and_go_with_the_release(course, source):
    data, place = source.parent / "data", course.assignments / UNIT / "data"
    (data / ".ipynb_checkpoints").mkdir(parents=True)
    (data / ".ipynb_checkpoints" / "solved-checkpoint.ipynb").write_text("{}")
    (data / "numbers.csv").write_text("1,2\n")
    release(course, [course.unit(UNIT)])
    assert [path.name for path in place.rglob("*")] == ["numbers.csv"]
    shutil.rmtree(data)
    release(course, [course.unit(UNIT)])
    assert not place.exists() and course.released_notebook(course.unit(UNIT)).exists()


# A course in which students have been graded


def grade_by_hand(course) -> None:
    """Two students in the gradebook, one of them with points by hand."""
    with opened_gradebook(course) as gradebook:
        for student in ("ada", "ben"):
            gradebook.update_or_create_student(student)
            gradebook.update_or_create_submission(UNIT, student)
            gradebook.find_grade("check_log_mean_exp", UNIT, UNIT, student).auto_score = 4.0
        question = gradebook.find_grade("question_1", UNIT, UNIT, "ada")
        question.manual_score, question.needs_manual_grade = 2.5, False
        gradebook.find_comment("question_1", UNIT, UNIT, "ada").manual_comment = "Well put."
        gradebook.db.commit()


@pytest.fixture
def graded(course) -> Course:
    release(course, [course.unit(UNIT)])
    grade_by_hand(course)
    return course


def rename_question(source: Path) -> None:
    edit(source, '"grade_id": "question_1"', '"grade_id": "question_2"')


def test_a_release_with_other_cells_after_grading_is_refused_with_names_and_choices(
    graded, source, monkeypatch, capsys
):
    rename_question(source)
    before = files_of(graded)
    monkeypatch.chdir(graded.root)
    assert cli.main(["release", "00"]) == 1
    said = capsys.readouterr().err
    for part in (
        "2 students have been graded in 00_start_here",
        "removed: question_1",
        "new: question_2",
        "(1 given by hand)",
    ):
        assert part in said
    assert "course release 00 --force" in said and "course grade 00" in said and said.count("\n") == 1
    assert files_of(graded) == before
    with opened_gradebook(graded) as gradebook:
        assert gradebook.find_grade("question_1", UNIT, UNIT, "ada").manual_score == 2.5


def test_a_typo_mended_after_grading_keeps_every_grade(graded, source):
    edit(source, "# # Unit 00: Start here", "# # Unit 00: Begin here")
    release(graded, [graded.unit(UNIT)])
    assert "Begin here" in released(graded).cells[0].source
    with opened_gradebook(graded) as gradebook:
        assert gradebook.find_grade("question_1", UNIT, UNIT, "ada").manual_score == 2.5
        assert gradebook.find_grade("check_log_mean_exp", UNIT, UNIT, "ben").auto_score == 4.0


def test_with_force_cells_that_stay_keep_their_grades_and_new_ones_wait(graded, source, monkeypatch):
    rename_question(source)
    monkeypatch.chdir(graded.root)
    assert cli.main(["release", "00", "--force"]) == 0
    assert {grade_id_of(cell) for cell in released(graded).cells} >= {"question_2", "check_log_mean_exp"}
    with opened_gradebook(graded) as gradebook:
        notebook = gradebook.find_submission_notebook(UNIT, UNIT, "ada")
        scores = {grade.name: (grade.score, grade.needs_manual_grade) for grade in notebook.grades}
        assert scores == {"check_log_mean_exp": (4.0, False), "question_2": (0.0, True)}
        assert {comment.name for comment in notebook.comments} == {"log_mean_exp", "question_2"}
        assert gradebook.find_submission_notebook(UNIT, UNIT, "ben").score == 4.0
    log = [json.loads(line) for line in (graded.records / "audit.jsonl").read_text(encoding="utf-8").splitlines()]
    removed = [entry for entry in log if entry.get("event") == "cell removed"]
    assert {(entry["student"], entry["question"]) for entry in removed} == {("ada", "question_1")}
    assert {entry.get("points") for entry in removed} == {None, 2.5} and "Well put." in str(removed)
    release(graded, [graded.unit(UNIT)])  # nothing differs any more


def test_a_locked_cell_more_or_less_is_no_reason_to_refuse(graded, source):
    edit(source, '"grade_id": "setup"', '"grade_id": "set_up"')
    release(graded, [graded.unit(UNIT)])
    with opened_gradebook(graded) as gradebook:
        assert "set_up" in {cell.name for cell in gradebook.find_notebook(UNIT, UNIT).source_cells}
        assert gradebook.find_grade("question_1", UNIT, UNIT, "ada").manual_score == 2.5


def test_a_gradebook_that_cannot_be_used_is_named_and_the_release_stays(graded, source):
    graded.gradebook.write_bytes(b"no database at all, but long enough to be read as one" * 100)
    edit(source, "# # Unit 00: Start here", "# # Unit 00: Begin here")
    before = files_of(graded)
    with pytest.raises(CourseError, match=r"gradebook\.db cannot be used"):
        release(graded, [graded.unit(UNIT)])
    assert files_of(graded) == before


# nbgrader's own command


def generate(course) -> dict:
    return NbGraderAPI(config=configure(Config(), course.root)).generate_assignment(UNIT)


@pytest.mark.parametrize("name", ["duplicate id", "no points", "other points", "empty solution"])
def test_nbgraders_own_command_refuses_the_same_and_leaves_the_earlier_release(name, course, source):
    make, sentence = MISTAKES[name]
    make(source)
    notebooks.write(notebooks.unrun(course, source), source.with_suffix(".ipynb"))
    before = files_of(course)
    result = generate(course)
    assert not result["success"] and sentence in result["log"] + result.get("error", "")
    assert files_of(course) == before


def test_nbgraders_own_command_names_the_cells_that_differ_after_grading(graded, source):
    rename_question(source)
    notebooks.write(notebooks.unrun(graded, source), source.with_suffix(".ipynb"))
    before = files_of(graded)
    result = generate(graded)
    assert not result["success"] and "removed: question_1" in result["log"] + result.get("error", "")
    assert files_of(graded) == before


def test_nbgraders_own_command_makes_the_same_release(course):
    before = files_of(course)
    assert generate(course)["success"]
    assert files_of(course) == before


# What is tracked stays as it is


def git(course, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "commit.gpgsign=false"]
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=course.root, capture_output=True, text=True, check=True).stdout


def test_releasing_building_and_publishing_twice_leaves_a_clean_clone_clean(
    course, source, tmp_path_factory, monkeypatch
):
    git(course, "init", "--quiet")
    git(course, "add", "--all")
    git(course, "commit", "--quiet", "--message", "all")
    monkeypatch.chdir(course.root)
    for _ in range(2):
        release(course, [course.unit(UNIT)])
        assert notebooks.main((source,)) == 0
        publish(course, tmp_path_factory.mktemp("students") / "repository", Edition(course.unit(UNIT), ()))
        assert git(course, "status", "--porcelain") == ""
