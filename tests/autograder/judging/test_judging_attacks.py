"""Every attack among the examples, graded as a class: none gets more than on its merits, none costs anything else."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from autograder.course.course import Course
from autograder.examples.attacks import ATTACKS, write_attack
from autograder.sandbox import bubblewrap

ROOT = Path(__file__).parents[3]
UNIT = "03_vae"
FOLDERS = {name: name if "'" not in name else name.replace("'", "") for name in ATTACKS}
BRACKETS = "kim [resit]"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What ``course grade`` makes of all attacks, one student each, and of one in a folder with brackets."""
    bubblewrap.require_sandbox()
    root = tmp_path_factory.mktemp("attacks") / "course"
    shutil.copytree(ROOT / "assignments" / UNIT, root / "assignments" / UNIT)
    shutil.copytree(ROOT / "solutions" / UNIT / "pictures", root / "solutions" / UNIT / "pictures")
    shutil.copy(ROOT / "course.toml", root)
    course = Course.load(root)
    for name, folder in FOLDERS.items():
        write_attack(course, course.unit(UNIT), name, folder, root / "submitted")
    write_attack(course, course.unit(UNIT), "a constant", BRACKETS, root / "submitted")
    command = [sys.executable, "-m", "autograder.cli", "grade", UNIT, "--json", str(root / "results.json")]
    said = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    assert all(line.isprintable() for line in said.stdout.splitlines())
    results = {result["student"]: result for result in json.loads((root / "results.json").read_text())}
    yield {"course": course, "results": results}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_gets_what_it_deserves(results, name):
    attack, result = ATTACKS[name], results["results"][FOLDERS[name]]
    if attack.reason:
        assert (result["status"], result["points"]) == ("quarantined", 0)
        assert attack.reason in result["reason"]
        return
    assert result["status"] == "graded", result["reason"]
    earned = {name for name, score in result["components"].items() if score["points"] == score["max_points"]}
    nothing = {name for name, score in result["components"].items() if score["points"] == 0}
    assert nothing == attack.lost, result
    assert earned == result["components"].keys() - attack.lost
    assert attack.flag in " ".join(result["flags"]), result["flags"]


def test_every_word_on_record_is_one_line_of_printable_signs(results):
    for result in results["results"].values():
        said = [case["diagnosis"] for score in result["components"].values() for case in score["cases"]]
        assert all(text.isprintable() for text in [*said, *result["flags"], result["reason"]])


def test_reports_of_a_class_of_attackers_come_to_an_end(results):
    for command in ("feedback", "report", "similarity"):
        subprocess.run([sys.executable, "-m", "autograder.cli", command, UNIT], cwd=results["course"].root, check=True)


def test_brackets_in_a_folders_name_make_no_difference(results):
    plain, bracketed = (results["results"][name] for name in ("a constant", BRACKETS))
    assert (bracketed["status"], bracketed["points"]) == (plain["status"], plain["points"])
