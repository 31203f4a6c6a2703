"""``course doctor``: what is missing is found and comes with what mends it; walls that do not hold are noticed."""

import dataclasses
from pathlib import Path

import psutil
import pytest

from autograder import cli, doctor
from autograder.course.secret import CourseSecret
from autograder.doctor import formgrader, probes, sandboxes
from autograder.doctor.course_folder import course_findings
from autograder.doctor.findings import Finding, printed
from autograder.doctor.machine import MEMORY_PER_WORKER, machine_findings
from autograder.doctor.probes import probe_findings
from autograder.doctor.sandboxes import bubblewrap_findings, container_findings
from autograder.sandbox import bubblewrap, container_image
from autograder.sandbox.cgroups import NoGroup
from autograder.sandbox.unconfined import launch_unconfined


def by_topic(findings) -> dict[str, Finding]:
    return {finding.topic: finding for finding in findings}


@pytest.fixture
def nothing_installed(monkeypatch):
    """No program is found: neither bubblewrap nor a runtime of containers."""
    cached = (bubblewrap.require_sandbox, container_image.container_runtime, container_image.require_image)
    for found in cached:
        found.cache_clear()
    monkeypatch.setenv("PATH", "")
    yield
    for found in cached:
        found.cache_clear()


def test_machine_that_can_grade_is_said_to_have_tried_it(course, monkeypatch, capsys):
    monkeypatch.chdir(course.root)
    assert cli.main(["doctor"]) == 0
    said = capsys.readouterr().out
    for topic in ("bubblewrap", "starts", "container", "walls", "memory bytes", "formgrader", "secret", "torch"):
        assert topic in said
    assert "This machine can grade." in said and "NOT" not in said.replace("NOT filtered", "")


def test_machine_without_any_sandbox_cannot_grade_and_says_what_to_install(
    nothing_installed, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "apt install bubblewrap" in said and "install Docker" in said and "--sandbox none" in said
    assert "cannot grade" in said


def test_a_course_without_a_repository_is_asked_for_one(course):
    finding = by_topic(course_findings(dataclasses.replace(course, repository=None)))["repository"]
    assert "no Colab badges" in finding.said and 'repository = "OWNER/NAME"' in finding.remedy
    named = by_topic(course_findings(dataclasses.replace(course, repository="ada/course")))["repository"]
    assert named == Finding("repository", "ada/course, branch main")


def test_walls_and_limits_hold_when_tried(tmp_path):
    (tmp_path / "course.toml").touch()
    findings = probe_findings("bubblewrap", [tmp_path])
    assert [finding.topic for finding in findings] == ["walls", "memory", "processes", "output"]
    assert [finding.remedy for finding in findings] == [""] * 4


def test_walls_and_limits_hold_without_control_groups(monkeypatch):
    def no_group(limits):
        raise NoGroup("none here")

    monkeypatch.setattr(probes, "new_group", no_group)
    findings = by_topic(probe_findings("bubblewrap"))
    assert "watchdog" in findings["memory"].said and "watchdog" in findings["processes"].said
    assert not any(finding.remedy for finding in findings.values())


def test_probes_notice_walls_that_are_not_there(tmp_path, monkeypatch):
    def open_field(program, mounts, scratch_bytes, python_path, hidden, joining):
        return launch_unconfined(program[1:], mounts, python_path, probes.DEFAULT_LIMITS)

    (tmp_path / "course.toml").touch()
    monkeypatch.setattr(probes, "launch", open_field)
    walls = by_topic(probe_findings("bubblewrap", [tmp_path]))["walls"]
    assert "DO NOT HOLD" in walls.said and "sees the course" in walls.said and walls.remedy


@pytest.mark.parametrize(
    ("outcome", "is_noticed"),
    [(probes._Outcome("survived\n", "", False), True), (probes._Outcome("", "", True), False)],
)
def test_probes_notice_limits_that_are_not_kept(monkeypatch, outcome, is_noticed):
    monkeypatch.setattr(probes, "_tried", lambda *_, **__: outcome)
    findings = by_topic(probe_findings("bubblewrap"))
    assert bool(findings["memory"].remedy) == bool(findings["processes"].remedy) == is_noticed
    assert bool(findings["output"].remedy) == is_noticed


def test_machine_on_which_walls_do_not_hold_is_not_said_to_grade(course, monkeypatch, capsys):
    monkeypatch.chdir(course.root)
    monkeypatch.setattr(doctor, "probe_findings", lambda *_: [Finding("walls", "DO NOT HOLD", "report this")])
    assert cli.main(["doctor"]) == 1
    assert "cannot grade" in capsys.readouterr().out


def test_kernel_that_forbids_user_namespaces_comes_with_the_setting(tmp_path, monkeypatch):
    (tmp_path / "off").write_text("0\n")
    monkeypatch.setattr("autograder.doctor.sandboxes._SETTINGS", {str(tmp_path / "off"): "0"})
    finding = by_topic(bubblewrap_findings())["user namespaces"]
    assert "forbidden by" in finding.said and "sysctl" in finding.remedy and finding.remedy.count("off=1") == 1


def test_container_is_only_missed_where_there_is_no_other_sandbox(nothing_installed):
    (needed,) = container_findings(is_needed=True)
    (spare,) = container_findings(is_needed=False)
    assert "docker is not installed" in needed.remedy and not spare.remedy


@pytest.mark.parametrize("answer", ['{{"MemTotal": {}}}', '{{"host": {{"memTotal": {}}}}}'])
def test_machine_of_containers_with_little_memory_is_noticed(tmp_path, monkeypatch, answer):
    monkeypatch.setattr(sandboxes, "require_image", lambda: None)
    monkeypatch.setattr(sandboxes, "container_runtime", lambda: str(tmp_path / "docker"))
    for memory, is_little in ((2**31, True), (2**34, False)):
        (tmp_path / "docker").write_text(f"#!/bin/sh\necho '{answer.format(memory)}'\n")
        (tmp_path / "docker").chmod(0o755)
        found = by_topic(container_findings(is_needed=True))
        assert bool(found["memory of containers"].remedy) == is_little
        assert "docker" in found["container"].said


def test_more_workers_than_memory_holds_are_noticed(tmp_path):
    fit = psutil.virtual_memory().available // MEMORY_PER_WORKER
    assert by_topic(machine_findings(tmp_path, 1))["memory"].remedy == ""
    assert "--workers" in by_topic(machine_findings(tmp_path, 2 * fit + 100))["memory"].remedy


def test_submissions_that_wait_come_with_the_command_that_grades_them(course, hand_in, solved):
    for student in ("ada", "bob"):
        hand_in(student, solved)
    results = course.root / ".course/results/03_vae"
    results.mkdir(parents=True)
    (results / "ada.json").write_text("{}")
    finding = by_topic(course_findings(course))["handed in"]
    assert finding.said == "03_vae: 2 handed in, 1 graded" and finding.remedy == "course grade 03"
    (results / "bob.json").write_text("{}")
    assert by_topic(course_findings(course))["handed in"].remedy == ""


def test_looking_at_a_course_makes_nothing_in_it(course):
    before = sorted(course.root.rglob("*"))
    course_findings(course)
    assert sorted(course.root.rglob("*")) == before


def test_secret_that_others_may_read_is_noticed_and_not_shown(course):
    key = CourseSecret.of(course).key.hex()
    path = course.root / ".course/secret"
    finding = by_topic(course_findings(course))["secret"]
    assert not finding.remedy and key[:12] not in finding.said
    path.chmod(0o644)
    assert by_topic(course_findings(course))["secret"].remedy == f"chmod 600 {path}"
    path.write_text("damaged")
    assert "backup" in by_topic(course_findings(course))["secret"].remedy


def test_gradebook_that_cannot_be_read_is_noticed(course, blank_gradebook):
    course.gradebook.write_bytes(blank_gradebook.read_bytes())
    course.gradebook.chmod(0o644)
    assert by_topic(course_findings(course))["gradebook"].remedy == f"chmod o= {course.gradebook}"
    course.gradebook.chmod(0o640)
    assert by_topic(course_findings(course))["gradebook"] == Finding("gradebook", "0 students")
    course.gradebook.write_bytes(b"no database at all, but long enough to be read as one" * 100)
    assert "backup" in by_topic(course_findings(course))["gradebook"].remedy


@pytest.mark.parametrize(("found", "is_missed"), [([Path("static/MathJax.js")], False), ([], True)])
def test_formgrader_without_its_formula_script_is_noticed(monkeypatch, found, is_missed):
    monkeypatch.setattr(formgrader, "files", lambda package: found)
    assert bool(by_topic(formgrader.people_findings())["formula script"].remedy) == is_missed


def test_what_is_missing_is_marked_and_followed_by_what_mends_it():
    said = printed("Title", [Finding("one", "is well"), Finding("another", "is not", "do this")])
    assert said.splitlines() == ["Title", "    one      is well", "  ! another  is not", "             → do this"]
