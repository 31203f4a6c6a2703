"""The public cases of `check`: stored in step with the checks, and left alone where only the machine differs."""

import json
import re
import shutil

import pytest
import torch

from autograder.authoring.public_cases import FOLDER, write_public_cases
from autograder.checks import all_checks
from avae_lib.checking.error_advice import ADVICE
from avae_lib.checking.records import Recorded, Request

UNITS = tuple(dict.fromkeys(check.unit for check in all_checks()))


@pytest.fixture
def made(tmp_path):
    """The public cases of unit 00 as this machine makes them, in a file which a test may change."""
    return write_public_cases("00_start_here", tmp_path)


def rewritten(path, change):
    """Change each array of a stored file by ``change(place, numbers)``, and return the text of the whole."""

    def walk(content, place=()):
        if isinstance(content, dict) and set(content) == {"dtype", "shape", "data"}:
            request = Request("", {"x": change(place, Recorded.from_json(as_recorded(content)).array)})
            return request.to_json()["inputs"]["x"]["array"]
        if isinstance(content, dict):
            return {name: walk(value, (*place, name)) for name, value in content.items()}
        if isinstance(content, list):
            return [walk(value, (*place, number)) for number, value in enumerate(content)]
        return content

    content = walk(json.loads(path.read_text(encoding="utf-8")))
    path.write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")
    return path.read_text(encoding="utf-8")


def as_recorded(array):
    return {"kind": "tensor", "type_name": "", "array": array}


def test_every_unit_with_checks_has_public_cases_and_no_other():
    assert {path.name for path in FOLDER.iterdir()} == {f"{unit}.json" for unit in UNITS}


def without_wrong_numbers(trial):
    """The trial with no more of a mistake than its sentence and where it shows: its numbers may be all rounding."""
    probes = [
        probe | {"mistakes": [(sentence, shown is not None) for sentence, shown in probe["mistakes"]]}
        for probe in trial["probes"]
    ]
    return trial | {"probes": probes}


@pytest.mark.parametrize("unit", UNITS)
def test_stored_public_cases_are_in_step_with_the_checks(unit, tmp_path):
    shutil.copy(FOLDER / f"{unit}.json", tmp_path)
    before = json.loads((tmp_path / f"{unit}.json").read_text(encoding="utf-8"))
    after = json.loads(write_public_cases(unit, tmp_path).read_text(encoding="utf-8"))
    assert list(before) == list(after)
    old, new = ({name: list(map(without_wrong_numbers, cases[name])) for name in cases} for cases in (before, after))
    assert not [name for name in new if old[name] != new[name]], f"course release {unit} writes them again"


def test_numbers_that_differ_in_their_last_digits_stay_as_they_are_stored(made):
    here = made.read_text(encoding="utf-8")
    elsewhere = rewritten(made, lambda place, x: x * (1 + 1e-6) if x.dtype is torch.float32 else x)
    assert elsewhere != here
    assert write_public_cases("00_start_here", made.parent).read_text(encoding="utf-8") == elsewhere


def test_double_precision_may_lose_what_a_processor_or_a_draw_in_float32_costs(tmp_path):
    path = write_public_cases("01_kl_divergence", tmp_path)
    here = path.read_text(encoding="utf-8")
    digits = {"request": 1e-7, "expected": 1e-11}

    def change(place, x):
        return x * (1 + digits.get(next((part for part in place if part in digits), ""), 0.0))

    arrays = rewritten(path, lambda place, x: change(place, x) if x.dtype is torch.float64 else x)
    elsewhere = re.sub(
        r'\{"plain":(-?0\.\d+)\}', lambda found: f'{{"plain":{float(found[1]) * (1 + 1e-15)!r}}}', arrays
    )
    assert here != arrays != elsewhere
    path.write_text(elsewhere, encoding="utf-8")
    assert write_public_cases("01_kl_divergence", tmp_path).read_text(encoding="utf-8") == elsewhere


@pytest.mark.parametrize("part", ["request", "expected", "mistakes"])
def test_numbers_that_differ_by_more_are_written_anew(part, made):
    here = made.read_text(encoding="utf-8")
    assert rewritten(made, lambda place, x: x * 1.01 if part in place and x.is_floating_point() else x) != here
    assert write_public_cases("00_start_here", made.parent).read_text(encoding="utf-8") == here


def test_words_of_stored_errors_are_ours_and_need_not_be_this_version_s(made, monkeypatch):
    here = made.read_text(encoding="utf-8")
    assert ADVICE["Dimension out of range"] in here
    assert "expected to be in range" not in here
    monkeypatch.setattr("autograder.authoring.public_cases.advice_on", lambda error: "")
    assert write_public_cases("00_start_here", made.parent).read_text(encoding="utf-8") == here


def test_only_the_file_of_the_unit_is_touched(made):
    other = made.with_name("01_kl_divergence.json")
    other.write_text("{}", encoding="utf-8")
    write_public_cases("00_start_here", made.parent)
    assert other.read_text(encoding="utf-8") == "{}"
    assert {path.name for path in made.parent.iterdir()} == {made.name, other.name}
