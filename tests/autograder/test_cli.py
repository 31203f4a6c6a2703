"""The ``course`` command: one-line errors, exit statuses a script can rely on, and the whole way once for real."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from autograder import cli, demo
from autograder.batch.class_run import ClassRun
from autograder.course.course import Course
from autograder.examples import STUDENTS, write_example_submissions
from autograder.intake.normalise import normalise
from autograder.sandbox import bubblewrap

ROOT = Path(__file__).parents[2]
UNIT = "03_vae"


@pytest.fixture
def inside(course, monkeypatch):
    """Run commands from a folder inside the course."""
    monkeypatch.chdir(course.assignments)
    return course


def complaint(capsys) -> str:
    message = capsys.readouterr().err
    assert message.startswith("course: ") and message.count("\n") == 1, message
    return message


def test_outside_a_course_it_says_where_to_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["feedback", "03"]) == 1
    assert "run this inside the course folder" in complaint(capsys)


def test_an_unknown_unit_names_those_there_are(inside, capsys):
    assert cli.main(["grade", "99"]) == 1
    assert "00_start_here" in complaint(capsys)


def test_no_workers_is_refused(inside, capsys):
    assert cli.main(["grade", "03", "--workers", "0"]) == 1
    assert "--workers must be at least 1, got 0" in complaint(capsys)


def test_a_unit_not_released_is_named_with_the_remedy(inside, capsys):
    assert cli.main(["grade", "01"]) == 1
    assert "course release 01_kl_divergence" in complaint(capsys)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["release", "99"], "00_start_here"),
        (["publish", "repository", "--through", "99"], "00_start_here"),
        (["roster", "nowhere.csv"], "nowhere.csv"),
        (["collect", "03", "nowhere.zip"], "nowhere.zip"),
        (["grade", "03", "--sandbox", "none", "--scheduler", "tcp://127.0.0.1:1"], "leave out --scheduler"),
        (["status", "99"], "00_start_here"),
        (["answers", "99"], "00_start_here"),
        (["feedback", "03"], "course grade"),
        (["report", "03"], "course grade"),
        (["similarity", "99"], "00_start_here"),
        (["extend", "ada", "03", "2", "--reason", "ill"], "no student has the id 'ada'"),
        (["regrade", "add", "ada", "99", "--reason", "why"], "00_start_here"),
        (["explain", "ada", "03", "nothing"], "nothing"),
        (["rename", "nobody", "somebody"], "nobody"),
        (["audit", "99"], "00_start_here"),
        (["audit", "00", "--workers", "0"], "--workers must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_status_1(inside, capsys, arguments, said):
    assert cli.main(arguments) == 1
    assert said in complaint(capsys)


def test_a_bug_shows_a_traceback(inside, monkeypatch):
    def broken(self, name):
        raise ValueError("too many values to unpack")

    monkeypatch.setattr(Course, "unit", broken)
    with pytest.raises(ValueError, match="too many values"):
        cli.main(["status", "03"])


def test_misuse_has_a_status_of_its_own(inside):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["grade"])
    assert stopped.value.code == 2


def test_interrupting_ends_in_one_line(inside, monkeypatch, capsys):
    def interrupted(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(ClassRun, "grade", interrupted)
    monkeypatch.setattr(cli, "require_kind", lambda kind: None)
    assert cli.main(["grade", "03"]) == 130
    assert "stopped" in complaint(capsys)


def test_without_bubblewrap_grading_names_what_is_missing(inside, monkeypatch, capsys):
    bubblewrap.require_sandbox.cache_clear()
    monkeypatch.setenv("PATH", "")
    try:
        assert cli.main(["grade", "03"]) == 1
        assert "bubblewrap" in complaint(capsys)
    finally:
        bubblewrap.require_sandbox.cache_clear()


def test_publishing_stops_by_default_at_the_first_unit_that_is_open(inside, monkeypatch, capsys):
    asked = {}
    monkeypatch.setattr(
        "autograder.releasing.publication.publish",
        lambda course, folder, edition, overwrite: asked.update(edition=edition, overwrite=overwrite) or (),
    )
    assert cli.main(["publish", "repository"]) == 0
    assert asked["edition"].through.name == "00_start_here" and asked["edition"].answers_of == ()
    assert "it has no due date in course.toml" in capsys.readouterr().out


def test_starting_does_not_load_what_only_some_commands_need():
    program = "import sys, autograder.cli; print({'torch', 'nbgrader', 'nbformat'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "set()\n"


def test_help_lists_every_command(capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main([])
    assert stopped.value.code == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("release", "publish", "grade", "feedback", "audit", "doctor"))


@pytest.fixture
def real_course(tmp_path):
    """The released assignment of unit 03 in a course folder of its own."""
    root = tmp_path / "course"
    shutil.copytree(ROOT / "assignments" / UNIT, root / "assignments" / UNIT)
    shutil.copytree(ROOT / "solutions" / UNIT / "pictures", root / "solutions" / UNIT / "pictures")
    shutil.copy(ROOT / "course.toml", root)
    return Course.load(root)


def test_the_examples_get_what_they_deserve(real_course, tmp_path):
    """The whole way: four examples, written, graded in real sandboxes, returned."""
    bubblewrap.require_sandbox()
    write_example_submissions(real_course, real_course.unit(UNIT), tmp_path / "submitted")
    options = ["--submitted", str(tmp_path / "submitted"), "--json", str(tmp_path / "results.json")]
    command = [sys.executable, "-m", "autograder.cli", "grade", UNIT, *options, "--feedback", str(tmp_path / "pages")]
    subprocess.run(command, cwd=real_course.root, check=True)
    results = {result["student"]: result for result in json.loads((tmp_path / "results.json").read_text())}
    assert {name: result["status"] for name, result in results.items()} == dict.fromkeys(STUDENTS, "graded")
    assert results["ada"]["points"] == results["ada"]["max_points"] and not results["ada"]["flags"]
    assert 0.4 < results["ben"]["points"] / results["ben"]["max_points"] < 0.8
    assert results["cleo"]["points"] == 0
    earned = {name: score["points"] for name, score in results["mallory"]["components"].items() if score["points"]}
    assert list(earned) == ["vae_training_step"]  # the one exercise that mallory did
    assert "call each other" in " ".join(results["mallory"]["flags"])
    said = [case["diagnosis"] for score in results["mallory"]["components"].values() for case in score["cases"]]
    assert any("<script>" in diagnosis for diagnosis in said)
    page = (tmp_path / "pages" / "mallory" / UNIT / f"{UNIT}.html").read_text()
    assert "<script>" not in page and "&lt;script&gt;alert" in page
    assert len(list((tmp_path / "pages").glob(f"*/{UNIT}/{UNIT}.html"))) == len(STUDENTS)


@pytest.mark.parametrize("student", STUDENTS)
def test_an_example_is_the_released_notebook_with_answers(real_course, student, tmp_path):
    write_example_submissions(real_course, real_course.unit(UNIT), tmp_path)
    release = nbformat.read(real_course.require_released(real_course.unit(UNIT)), as_version=4)
    submission = normalise((tmp_path / student / UNIT / f"{UNIT}.ipynb").read_bytes(), release)
    answered = {answer.component for answer in submission.answers if "raise NotImplementedError" not in answer.source}
    answered -= {None}  # an exercise without points
    everything = {answer.component for answer in submission.answers} - {None}
    assert answered == everything - ({"vae_training_step"} if student == "cleo" else set())
    assert bool(submission.flags) == (student in ("cleo", "mallory"))


def test_where_there_is_no_sandbox_the_demonstration_says_so_and_ends_well(course, monkeypatch, capsys):
    def unavailable():
        raise bubblewrap.SandboxUnavailable("bubblewrap is missing; choices: install it")

    monkeypatch.setattr(demo, "require_sandbox", unavailable)
    monkeypatch.chdir(course.root)
    assert demo.main() == 0
    assert capsys.readouterr().out == "Grading is not shown: bubblewrap is missing; choices: install it\n"
