"""Results that are kept: what would come out the same is not asked again, and whatever might not is."""

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from autograder.batch.class_run import ClassRun
from autograder.checks.judge_component import ComponentResult, SubmissionVerdict, Verdict
from autograder.judging.check_digests import digest_of_check
from autograder.judging.grade_submission import grade_submission

ROOT = Path(__file__).parents[3]
UNIT = "03_vae"
COMPONENTS = {"add": 2, "halve": 3}


class PretendJudge:
    """Stands in for sandboxes: notes what it is asked, and says what it is told to."""

    def __init__(self):
        self.asked = []
        self.had_losses = False
        self.flags = ()
        self.diagnosis = "off by one"

    def __call__(self, submission, checks, edition, seed_of, hidden=(), kind="bubblewrap", asked=None, attempt=0):
        names = sorted(COMPONENTS if asked is None else asked)
        self.asked.append(names)
        return SubmissionVerdict(tuple(map(self._result, names)), self.flags, 0.1, self.had_losses)

    def _result(self, name):
        points = COMPONENTS[name]
        return ComponentResult(name, 0, points, (Verdict("values", False, f"{name} is {self.diagnosis}", 0, points),))

    def asked_since(self):
        """What was asked since this was last looked at."""
        asked, self.asked = self.asked, []
        return asked


@pytest.fixture
def judge(monkeypatch):
    judge = PretendJudge()
    monkeypatch.setattr("autograder.judging.judge_submission.judge_submission", judge)
    return judge


@pytest.fixture
def checks(monkeypatch):
    """Versions of the checks, by component, to be changed."""
    versions = dict.fromkeys(COMPONENTS, "first version")
    monkeypatch.setattr("autograder.batch.result_cache.digest_of_check", versions.__getitem__)
    return versions


@pytest.fixture
def grade(course, in_threads, tmp_path, hand_in, solved, checks):
    """Grade a class of one, who has handed in; returns the result."""
    hand_in("ada", solved)

    def grade(**options):
        options = {"submitted": course.submitted, "json_file": tmp_path / "results.json", **options}
        ClassRun(course, course.unit(UNIT), **options).grade(grade_submission, in_threads)
        (result,) = json.loads((tmp_path / "results.json").read_text())
        return result

    return grade


@pytest.fixture
def kept(course):
    return course.root / ".course" / "cache" / UNIT / "ada.json"


def test_a_second_run_asks_nothing_and_says_the_same(grade, judge, course, capsys):
    first = grade()
    assert judge.asked_since() == [["add", "halve"]]
    capsys.readouterr()
    assert grade() == first
    assert judge.asked_since() == []
    line, summary, *_ = capsys.readouterr().out.splitlines()
    assert "earlier run" in line and "1 from an earlier run" in summary
    log = [json.loads(line) for line in (course.root / ".course" / "audit.jsonl").read_text().splitlines()]
    assert [entry["cached"] for entry in log] == [False, True]
    assert log[0]["seeds"] == log[1]["seeds"] and set(log[0]["seeds"]) == set(COMPONENTS)


def test_again_means_again(grade, judge):
    grade()
    grade(again=True)
    assert len(judge.asked_since()) == 2


def test_after_a_change_to_one_check_only_its_component_is_asked(grade, judge, checks):
    first = grade()
    judge.diagnosis, checks["halve"] = "twice too large", "second version"
    second = grade()
    assert judge.asked_since() == [["add", "halve"], ["halve"]]
    assert second["components"]["add"] == first["components"]["add"]
    assert second["components"]["halve"]["cases"][0]["diagnosis"] == "halve is twice too large"
    assert grade() == second and judge.asked_since() == []


def test_flags_stay_with_what_they_are_about(grade, judge, checks):
    judge.flags = ("add was not run with the other answers: it hung", "halve got more points apart", "printed a lot")
    grade()
    judge.flags, checks["halve"] = ("printed a lot",), "second version"
    assert grade()["flags"] == ["printed a lot", "add was not run with the other answers: it hung"]


def test_another_file_or_another_release_is_graded_anew(grade, judge, hand_in, solved, course):
    grade()
    solved.cells[0].source += "!"
    path = hand_in("ada", solved)
    grade()
    release = course.assignments / UNIT / f"{UNIT}.ipynb"
    release.write_text(release.read_text().replace("Sums and halves", "Halves and sums"))
    grade()
    assert judge.asked_since() == [["add", "halve"]] * 3
    os.utime(path, (1, 1))  # when a file was touched has no say
    grade()
    assert judge.asked_since() == []


@pytest.mark.parametrize("part", ["digest_of_library", "digest_of_judging"])
def test_another_version_of_library_or_grader_grades_anew(grade, judge, monkeypatch, part):
    grade()
    monkeypatch.setattr(f"autograder.batch.result_cache.{part}", lambda: "another")
    grade()
    assert len(judge.asked_since()) == 2


def test_where_time_or_a_crash_had_a_say_another_run_gets_another_chance(grade, judge):
    judge.had_losses = True
    grade()
    judge.had_losses = False
    grade()
    grade()
    assert len(judge.asked_since()) == 2


def test_one_secret_per_course_so_another_secret_grades_anew(grade, judge, course):
    grade()
    (course.root / ".course" / "secret").write_text("ab" * 32)
    grade()
    assert judge.asked_since() == [["add", "halve"]] * 2


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"null", b'{"result": {}}', b"\xff\xfe", b"[" * 10**6])
def test_a_damaged_file_counts_as_none_and_is_replaced(grade, judge, kept, damage):
    first = grade()
    whole = kept.read_bytes()
    kept.write_bytes(damage)
    again = grade()
    assert len(judge.asked_since()) == 2
    assert {**again, "seconds": 0} == {**first, "seconds": 0}
    assert json.loads(kept.read_bytes())["judged_by"] == json.loads(whole)["judged_by"]


def test_results_are_for_their_owner_only_and_one_file_per_student(grade, judge, hand_in, solved, kept):
    grade()
    solved.cells[0].source += "!"
    hand_in("ada", solved)
    grade()
    assert [path.name for path in kept.parent.iterdir()] == ["ada.json"]
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600 and stat.S_IMODE(kept.parent.stat().st_mode) == 0o700


OF_VAE = ["reparameterize", "bernoulli_log_likelihood", "negative_elbo"]


@pytest.fixture
def digests_after(tmp_path):
    """Digests of the checks, and of judging, once a text in a file of the grader is replaced by another."""

    def after(file="", old="", new=""):
        shutil.copytree(ROOT / "autograder", tmp_path / "autograder", ignore=shutil.ignore_patterns("__pycache__"))
        if file:
            path = tmp_path / "autograder" / file
            assert old in path.read_text()
            path.write_text(path.read_text().replace(old, new, 1))
        program = "import autograder.judging.check_digests as c; import json; print(json.dumps([c.digest_of_judging(), "
        program += f"*map(c.digest_of_check, {OF_VAE})]))"
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
        command = [sys.executable, "-P", "-c", program]
        said = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
        shutil.rmtree(tmp_path / "autograder")
        return json.loads(said.stdout)

    return after


@pytest.mark.parametrize(
    ("file", "old", "new", "changed"),
    [
        ("checks/reparameterize.py", "rtol=1e-4", "rtol=1e-3", ["reparameterize"]),
        ("checks/reparameterize.py", '"""Unit 03:', '"""The third unit:', []),
        ("checks/reparameterize.py", "# reparameterize(", "# reparametrize(", []),
        ("checks/mistakes/reparameterize.py", "@mistake(", "@mistake('Look. ' ", ["reparameterize"]),
        ("checks/variants/reparameterize.py", "import", "import os, ", []),
        ("checks/random_inputs.py", "return scale * torch", "return 1 * scale * torch", OF_VAE),
        ("checks/case.py", "probes = tuple", "probes = list", ["judging"]),
        ("sandbox/inside/cells.py", '"""', '"""Here: ', ["judging"]),
        ("intake/normalise.py", '"""', '"""Here: ', ["judging"]),
        ("cli.py", '"""', '"""Here: ', []),
    ],
)
def test_a_change_to_the_sources_counts_where_it_has_a_say(digests_after, file, old, new, changed):
    names = ["judging", *OF_VAE]
    before, after = digests_after(), digests_after(file, old, new)
    assert [name for name, *pair in zip(names, before, after, strict=True) if pair[0] != pair[1]] == changed


def test_every_check_is_found_in_the_sources():
    from autograder.checks import all_checks

    unknown = digest_of_check("no component")
    digests = [digest_of_check(check.component) for check in all_checks()]
    assert len(set(digests)) == len(digests) and unknown not in digests
