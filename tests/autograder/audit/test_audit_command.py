"""``course audit``: what it prints and publishes, what it keeps for next time, and that it judges side by side."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from autograder.audit import auditing
from autograder.audit.audit_processes import audited
from autograder.audit.auditing import audit_units
from autograder.audit.findings import AuditResult, ComponentAudit, Finding
from autograder.audit.kept_audits import KeptAudits
from autograder.audit.tables import long_table, markdown, short_table, summary
from autograder.checks import checks_of
from autograder.cli import main
from autograder.course.course import CourseError

ROOT = Path(__file__).parents[3]
UNIT = "03_vae"
NAMES = [check.component for check in checks_of(UNIT)]

SOUND = ComponentAudit(
    "halve",
    UNIT,
    {"values": 2, "gradients": 1},
    (
        Finding("doubled", "mistake", 0.0, "values", "doubles | instead of halving"),
        Finding("detached", "mistake", 2.0, "gradients", "no gradient arrives"),
        Finding("by_a_shift", "variant", 3.0),
        Finding("zeros of a", "empty answer", 0.0),
    ),
    sentences=5,
    shared=1,
    pairs=14,
)
FAULTS = (
    Finding("lucky", "mistake", 3.0, "values", "is lucky", "survives"),
    Finding("slow_but_right", "variant", 1.0, complaint="loses points: values: too slow"),
    Finding("nan of a", "empty answer", 1.0, complaint="earns points"),
)
UNSOUND = replace(SOUND, findings=SOUND.findings + FAULTS)


def test_short_table_groups_mistakes_by_the_case_that_kills_them():
    lines = short_table(AuditResult((SOUND,))).splitlines()
    assert lines[0] == "halve (03_vae): 2 mistakes, 1 variants, 1 empty answers"
    assert [line.split() for line in lines[1:]] == [
        ["values", "(2)", "1:", "doubled"],
        ["gradients", "(1)", "1:", "detached"],
        ["accepted", "as", "right", "1:", "by_a_shift"],
    ]


def test_long_table_shows_each_guard_with_its_points_and_sentence():
    lines = long_table(AuditResult((SOUND,))).splitlines()
    assert lines[1].split(maxsplit=2) == ["doubled", "0/3", "values: doubles | instead of halving"]
    assert lines[3].split(maxsplit=2) == ["by_a_shift", "3/3", "right, written another way"]


@pytest.mark.parametrize("table", [short_table, long_table])
def test_both_tables_name_every_fault_of_the_judge_and_its_kind(table):
    faults = [line for line in table(AuditResult((UNSOUND,))).splitlines() if "JUDGE AT FAULT" in line]
    assert [line.split(maxsplit=2)[0] for line in faults] == ["lucky", "slow_but_right", "nan"]
    assert [line.partition(", it ")[2] for line in faults] == [finding.complaint for finding in FAULTS]


def test_mistake_that_survives_is_not_among_those_that_a_case_kills():
    (line,) = (line for line in short_table(AuditResult((UNSOUND,))).splitlines() if line.startswith("  values"))
    assert line.split()[-2:] == ["1:", "doubled"]


def test_published_table_keeps_its_columns_whatever_a_sentence_holds():
    (row,) = (line for line in markdown(AuditResult((SOUND,))).splitlines() if "`doubled`" in line)
    assert row == r"| values (2) | `doubled` | doubles \| instead of halving |"


def test_summary_counts_complaints_and_what_was_proved_before():
    assert "every mistake fails the case that names it" in summary(AuditResult((SOUND,)))
    assert "3 complaints about the checks" in summary(AuditResult((SOUND, UNSOUND)))
    assert "kept from an earlier audit: 1 of 2 components" in summary(AuditResult((SOUND, SOUND), kept=1))


@pytest.fixture
def command(monkeypatch, tmp_path):
    """``course audit`` inside a copy of the course, with a given outcome in place of the audit."""
    shutil.copy(ROOT / "course.toml", tmp_path)
    monkeypatch.chdir(tmp_path)

    def run(found, *arguments):
        monkeypatch.setattr(auditing, "audit_units", lambda *_: AuditResult((found,)))
        return main(["audit", *arguments])

    return run


def test_command_ends_with_status_one_only_if_there_is_a_complaint(command, capsys):
    assert command(SOUND, "03") == 0
    assert "every mistake fails the case that names it" in capsys.readouterr().out
    assert command(UNSOUND, "03") == 1
    assert "JUDGE AT FAULT" in capsys.readouterr().out


def test_command_prints_the_long_table_only_if_asked(command, capsys):
    command(SOUND)
    assert "no gradient arrives" not in capsys.readouterr().out
    command(SOUND, "--long")
    assert "no gradient arrives" in capsys.readouterr().out


def test_command_publishes_what_is_sound_and_nothing_else(command, capsys):
    assert command(SOUND, "--publish", "table.md") == 0
    assert Path("table.md").read_text() == markdown(AuditResult((SOUND,)))
    assert command(UNSOUND, "--publish", "faults.md") == 1
    assert not Path("faults.md").exists()
    assert "a check is wrong" in capsys.readouterr().err


def test_command_asks_for_a_worker(command, capsys):
    assert command(SOUND, "--workers", "0") == 1
    assert "--workers must be at least 1, got 0" in capsys.readouterr().err


@pytest.fixture
def kept(tmp_path):
    return KeptAudits(tmp_path / ".course" / "audit")


@pytest.fixture
def judged(monkeypatch):
    """The names that were judged, in place of judging them; ``findings`` says what would be found."""

    class Judged(list):
        findings = SOUND.findings
        meanwhile = staticmethod(lambda: None)

    names = Judged()

    def audit(components, *_):
        names.extend(components)
        names.meanwhile()
        return (replace(SOUND, component=name, findings=names.findings) for name in components)

    monkeypatch.setattr(auditing, "audited", audit)
    return names


def audited_again(judged, kept, **how):
    judged.clear()
    result = audit_units([UNIT], kept, **how)
    assert [audit.component for audit in result.audits] == NAMES
    return list(judged)


def test_what_was_proved_is_not_judged_again(judged, kept):
    assert audited_again(judged, kept) == NAMES
    first = audit_units([UNIT], kept, again=True)
    assert audited_again(judged, kept) == []
    assert audit_units([UNIT], kept) == replace(first, kept=len(NAMES))


def test_everything_is_judged_again_if_asked(judged, kept):
    audit_units([UNIT], kept)
    assert audited_again(judged, kept, again=True) == NAMES


def test_only_what_has_changed_is_judged_again_in_the_order_of_the_exercises(judged, kept, monkeypatch):
    audit_units([UNIT], kept)
    monkeypatch.setattr(auditing, "fingerprint", with_another(NAMES[1]))
    assert audited_again(judged, kept) == [NAMES[1]]
    assert audited_again(judged, kept) == []


def with_another(changed):
    from autograder.audit.audit_fingerprint import fingerprint

    return lambda name: "another" if name == changed else fingerprint(name)


def test_faults_are_judged_again_each_time(judged, kept):
    judged.findings = UNSOUND.findings
    audit_units([UNIT], kept)
    assert audited_again(judged, kept) == NAMES


def test_what_was_judged_while_a_file_changed_is_not_kept(judged, kept, monkeypatch):
    judged.meanwhile = lambda: monkeypatch.setattr(auditing, "fingerprint", with_another(NAMES[0]))
    audit_units([UNIT], kept)
    assert audited_again(judged, kept) == [NAMES[0]]


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"fingerprint"', '{"audit": {"findings": 3}}', "\x00"])
def test_kept_file_that_cannot_be_read_is_as_good_as_none(judged, kept, content):
    audit_units([UNIT], kept)
    (kept.folder / f"{NAMES[2]}.json").write_text(content)
    assert audited_again(judged, kept) == [NAMES[2]]


def test_audit_of_one_component_never_stands_for_another(judged, kept):
    audit_units([UNIT], kept)
    shutil.copy(kept.folder / f"{NAMES[0]}.json", kept.folder / f"{NAMES[1]}.json")
    assert audited_again(judged, kept) == [NAMES[1]]


def test_what_happens_in_a_sandbox_is_judged_each_time(judged, kept):
    audit_units([UNIT], kept)
    assert audited_again(judged, kept, sandboxed=True) == NAMES


def test_unit_without_components_is_told_as_such(kept):
    with pytest.raises(CourseError, match="99_nothing has no component"):
        audit_units(["99_nothing"], kept)


def test_components_are_audited_side_by_side_and_come_in_their_order():
    assert list(audited(["b", "c", "a"], str.upper, workers=2)) == ["B", "C", "A"]


def test_process_that_dies_ends_the_audit_with_words():
    with pytest.raises(CourseError, match="a process of the audit died"):
        list(audited([signal.SIGKILL], signal.raise_signal, workers=1))


def test_command_proves_the_judge_and_finds_the_fault_that_is_made_afterwards(tmp_path):
    for package in ("autograder", "avae_lib"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "course.toml", tmp_path)
    first = course_audit(tmp_path, "00")
    assert (first.returncode, first.stderr) == (0, "")
    (check,) = checks_of("00_start_here")
    counts = f"{len(check.mistakes)} mistakes, {len(check.variants)} variants"
    assert f"log_mean_exp (00_start_here): {counts}" in first.stdout
    assert [path.name for path in (tmp_path / ".course" / "audit").iterdir()] == ["log_mean_exp.json"]
    guards = tmp_path / "autograder" / "checks" / "mistakes" / "log_mean_exp.py"
    guards.write_text(guards.read_text() + RIGHT_AFTER_ALL)
    second = course_audit(tmp_path, "00")
    assert second.returncode == 1
    assert "right_after_all                   5/5  JUDGE AT FAULT, it survives" in second.stdout


RIGHT_AFTER_ALL = """

@mistake("is no mistake", caught_by="values")
def right_after_all(x, dim):
    return torch.logsumexp(x, dim=dim) - math.log(x.shape[dim])
"""


def course_audit(root, *arguments):
    command = [sys.executable, "-m", "autograder.cli", "audit", *arguments]
    return subprocess.run(
        command, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True, text=True
    )
