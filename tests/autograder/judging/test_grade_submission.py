"""A class run: one bad submission never touches another, and what is written down is complete and repeatable."""

import json
import os
import stat
from dataclasses import replace

import pytest

from autograder.batch.class_run import ClassRun
from autograder.batch.cluster import local_workers
from autograder.batch.terminal_summary import line_of, points_table
from autograder.checks.judge_component import ComponentResult, SubmissionVerdict, Verdict
from autograder.course.course import CourseError
from autograder.course.secret import CourseSecret
from autograder.feedback.class_feedback import OutsidePages
from autograder.judging.grade_submission import grade_submission
from autograder.results import CaseResult, ComponentScore, Graded, SubmissionResult
from autograder.sandbox.bubblewrap import SandboxUnavailable

UNIT = "03_vae"


def pretend(job) -> Graded:
    """Stands in for sandbox and judge: everything in order, the fate of a submission decided by its student's name."""
    student = job.student
    if student == "crasher":
        raise KeyError("unexpected\x1b[2J")
    case = CaseResult("adds", True, "", 2.0, 2.0)
    components = {"add": ComponentScore(2.0, 2.0, (case,)), "halve": ComponentScore(1.5, 3.0)}
    return Graded(SubmissionResult(student, "graded", "", ("a flag",), 5.0, components, 0.5), sha256="abc")


@pytest.fixture
def unit(course):
    return course.unit(UNIT)


@pytest.fixture
def run(course, unit, tmp_path, in_threads):
    """Grade what was handed in, and read the results back."""

    def run(grade=pretend, open_pool=in_threads, **options):
        options = {"submitted": course.submitted, "json_file": tmp_path / "results.json", **options}
        ClassRun(course, unit, **options).grade(grade, open_pool)
        return json.loads((tmp_path / "results.json").read_text())

    return run


def test_json_holds_one_object_per_submission_in_the_agreed_form(hand_in, solved, run):
    hand_in("ada", solved)
    (result,) = run()
    assert result == {
        "student": "ada",
        "status": "graded",
        "reason": "",
        "flags": ["a flag"],
        "points": 3.5,
        "max_points": 5.0,
        "components": {
            "add": {"points": 2.0, "max_points": 2.0, "cases": [{"name": "adds", "passed": True, "diagnosis": ""}]},
            "halve": {"points": 1.5, "max_points": 3.0, "cases": []},
        },
        "seconds": 0.5,
    }


def test_an_error_in_the_grader_is_a_reason_not_a_crash(hand_in, solved, run):
    for student in ("crasher", "dora"):
        hand_in(student, solved)
    crashed, graded = run()
    assert (crashed["status"], graded["status"]) == ("quarantined", "graded")
    assert "KeyError" in crashed["reason"] and crashed["reason"].isprintable()


def test_unreadable_submissions_are_quarantined_by_the_real_workers(course, hand_in, run):
    hand_in("ada", b"PK\x03\x04")
    hand_in("ben", b'{"nbformat": 3, "worksheets": []}')
    (course.submitted / "cleo" / UNIT).mkdir(parents=True)
    results = run(grade_submission, local_workers, workers=2)
    assert [result["status"] for result in results] == ["quarantined"] * 3
    reasons = [result["reason"] for result in results]
    assert all(part in reason for part, reason in zip(("zip", "format 3", "no notebook"), reasons, strict=True))
    assert [(result["points"], result["max_points"]) for result in results] == [(0, 5)] * 3


def test_a_line_per_submission_and_a_summary_are_printed(hand_in, solved, capsys, run):
    for student in ("ada", "crasher"):
        hand_in(student, solved)
    run()
    lines = capsys.readouterr().out.splitlines()
    assert sorted(line.split()[:2] for line in lines[:2]) == [["ada", "graded"], ["crasher", "quarantined"]]
    assert (
        "2 submissions" in lines[2] and "1 graded (1 flagged), 1 quarantined" in lines[2] and "slowest ada" in lines[2]
    )


def test_no_name_of_a_folder_reaches_the_terminal_unfiltered():
    result = SubmissionResult("\x1b[31mred\nline", "graded", components={"add": ComponentScore(1, 1)})
    assert "\x1b" not in line_of(result) + points_table([result])
    assert len(line_of(result).splitlines()) == 1


def test_with_another_folder_the_course_keeps_its_gradebook_and_results(course, hand_in, solved, tmp_path, run):
    hand_in("ada", solved, tmp_path / "elsewhere")
    run(submitted=tmp_path / "elsewhere")
    left = {path.relative_to(course.root).parts[0] for path in course.root.rglob("*") if path.is_file()}
    assert left == {"course.toml", "assignments", ".course"}
    assert not (course.root / ".course" / "results").exists()


def test_the_audit_log_only_grows_and_names_hash_verdicts_and_versions(course, unit, hand_in, solved, run):
    hand_in("ada", solved)
    log = course.root / ".course" / "audit.jsonl"
    run()
    first = log.read_bytes()
    run()
    assert log.read_bytes().startswith(first) and len(log.read_bytes()) > len(first)
    entry = json.loads(first)
    assert (entry["student"], entry["unit"], entry["sha256"], entry["flags"]) == ("ada", UNIT, "abc", ["a flag"])
    assert entry["components"]["add"]["cases"][0]["passed"] is True
    assert {"python", "torch", "nbgrader"} <= set(entry["versions"])
    assert CourseSecret.of(course).key.hex() not in log.read_text()


def test_a_result_that_cannot_be_recorded_is_named_and_stops_no_other(course, unit, hand_in, solved, tmp_path, run):
    for student in ("ada", "ben"):
        hand_in(student, solved)
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "ada").touch()  # a file where ada's folder should be
    with pytest.raises(CourseError, match="these results were not recorded: ada"):
        run(lambda job: replace(pretend(job), notebook=solved), pages=OutsidePages(course, unit, tmp_path / "pages"))
    assert (tmp_path / "pages" / "ben" / UNIT / f"{UNIT}.html").exists()
    assert len(json.loads((tmp_path / "results.json").read_text())) == 2


def test_nothing_to_grade_is_an_error_that_says_where_to_put_it(course, run):
    with pytest.raises(CourseError, match="put submissions into"):
        run()
    course.submitted.mkdir()
    with pytest.raises(CourseError, match="nothing was handed in for 03_vae"):
        run()


def test_a_unit_that_is_not_released_says_how_to_release_it(course, tmp_path):
    with pytest.raises(CourseError, match="course release 01_kl_divergence"):
        ClassRun(course, course.unit("01")).grade()


def test_the_secret_is_made_once_for_its_owner_only(course):
    secret = CourseSecret.of(course)
    assert CourseSecret.of(course) == secret
    assert stat.S_IMODE((course.root / ".course" / "secret").stat().st_mode) == 0o600
    assert secret.key.hex() not in repr(secret) + secret.fingerprint


def test_seeds_repeat_for_a_regrade_and_differ_between_students_and_components(course):
    names = [(student, UNIT, name) for student in ("ada", "ben") for name in ("add", "halve")]
    names += [("ad", "a" + UNIT, "add")]  # the same letters, cut elsewhere
    seeds = [CourseSecret.of(course).seed(*name) for name in names]
    assert seeds == [CourseSecret.of(course).seed(*name) for name in names]
    assert len(set(seeds)) == len(names)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_another_course_has_other_seeds():
    assert CourseSecret(b"a" * 32).seed("ada") != CourseSecret(b"b" * 32).seed("ada")


def test_a_damaged_secret_is_an_error_not_a_new_secret(course):
    CourseSecret.of(course)
    (course.root / ".course" / "secret").write_text("abc\n")
    with pytest.raises(CourseError, match="does not contain the course secret"):
        CourseSecret.of(course)


def test_a_result_survives_being_written_down():
    result = pretend_result()
    assert SubmissionResult.from_record(json.loads(json.dumps(result.to_record()))) == result


def pretend_result() -> SubmissionResult:
    cases = (CaseResult("adds", False, "a sign is wrong", 0.0, 2.0),)
    return SubmissionResult("ada", "graded", "", ("f",), 2.0, {"add": ComponentScore(0.0, 2.0, cases)}, 1.25)


def test_a_run_that_is_broken_off_leaves_no_results_of_an_earlier_one(hand_in, solved, tmp_path, run):
    hand_in("ada", solved)
    run()

    def broken_off(job):
        raise CourseError("the sandbox does not start")

    with pytest.raises(CourseError):
        run(broken_off)
    assert not (tmp_path / "results.json").exists()


class PretendJudge:
    """Stands in for sandboxes and judge: keeps what it was given and answers with a hostile verdict."""

    def __init__(self):
        self.seeds, self.hidden = [], []

    def __call__(self, submission, checks, edition, seed_of, hidden=(), kind="bubblewrap", asked=None, attempt=0):
        self.seeds.append(seed_of("add"))
        self.hidden.append(hidden)
        case = Verdict("adds", False, "a\x1b[31m\u202ered\nline" + "x" * 10_000, 0, 2)
        return SubmissionVerdict((ComponentResult("add", 0, 2, (case,)),), ("\x1b]0;flag\x07\n",), 0.1)


@pytest.fixture
def judge(monkeypatch):
    judge = PretendJudge()
    monkeypatch.setattr("autograder.judging.judge_submission.judge_submission", judge)
    return judge


def test_nothing_from_the_sandbox_reaches_a_result_unfiltered(hand_in, solved, judge, run):
    hand_in("ada", solved)
    (result,) = run(grade_submission)
    (case,) = result["components"]["add"]["cases"]
    assert all(text.isprintable() and len(text) <= 600 for text in (case["diagnosis"], *result["flags"]))


def test_inputs_repeat_for_the_same_file_and_differ_after_handing_in_again(hand_in, solved, judge, run):
    hand_in("ada", solved)
    for _ in range(2):
        run(grade_submission, again=True)
    solved.cells[0].source += "!"
    hand_in("ada", solved)
    run(grade_submission)
    first, again, handed_in_again = judge.seeds
    assert first == again != handed_in_again


def test_a_sandbox_that_fails_to_start_once_does_not_end_the_run(hand_in, solved, judge, monkeypatch, run):
    trouble = [SandboxUnavailable("no memory for a moment")]

    def stumbling(*args, **kwargs):
        if trouble:
            raise trouble.pop()
        return judge(*args, **kwargs)

    monkeypatch.setattr("autograder.judging.judge_submission.judge_submission", stumbling)
    monkeypatch.setattr("autograder.judging.grade_submission._SECONDS_TO_RECOVER", 0.0)
    hand_in("ada", solved)
    (result,) = run(grade_submission)
    assert result["status"] == "graded"


def test_folders_of_submissions_and_results_are_hidden_from_the_sandbox(
    course, unit, hand_in, solved, tmp_path, judge, run
):
    hand_in("ada", solved, tmp_path / "elsewhere")
    pages = OutsidePages(course, unit, tmp_path / "pages")
    run(grade_submission, submitted=tmp_path / "elsewhere", pages=pages)
    wanted = {course.root, tmp_path / "elsewhere", tmp_path / "results.json", tmp_path / "pages"}
    assert set(judge.hidden[0]) == wanted


def test_a_time_of_handing_in_that_cannot_be_read_is_a_flag(hand_in, solved, judge, run):
    os.mkfifo(hand_in("ada", solved).with_name("timestamp.txt"))
    (result,) = run(grade_submission)
    assert result["status"] == "graded"
    assert "timestamp.txt is not a regular file but a named pipe" in result["flags"][0]
