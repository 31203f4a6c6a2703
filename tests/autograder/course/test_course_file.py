"""``course.toml``: what is wrong is said at once, each with its line, and what was probably meant."""

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder import cli
from autograder.course.course import Course, CourseError
from autograder.course.course_file import KEYS, folder_problems, read_course_file
from autograder.doctor import course_folder

ROOT = Path(__file__).parents[3]
OURS = (ROOT / "course.toml").read_text(encoding="utf-8")
LATE_POLICY = "[late_policy]\npoints_lost_per_day_percent = 10\ndays_accepted = 5\nmissing = 'zero'\n"
SMALL = """\
title = "Small"
branch = "main"
time_zone = "Europe/Berlin"

[[units]]
name = "00_first"
title = "First"
weight = 40

[[units]]
name = "01_second"
title = "Second"
weight = 60
"""


@pytest.fixture
def read(tmp_path):
    def reading(text: str | bytes):
        path = tmp_path / "course.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
        return read_course_file(path)

    return reading


@pytest.fixture
def said(read):
    """The errors in a text, one string each."""
    return lambda text: [str(problem) for problem in read(text).errors]


def test_the_course_of_this_repository_has_nothing_to_complain_of():
    file = read_course_file(ROOT / "course.toml")
    assert file.errors == file.warnings == tuple(folder_problems(ROOT, file.facts)) == ()


def test_every_problem_is_said_at_once_with_its_line(said):
    text = SMALL.replace("weight = 40", 'weight = "40"\ndeu = 2027-03-12T23:59:00').replace("Berlin", "Berln")
    zone, weight, due = said(text)
    assert zone.startswith("line 3: time_zone") and "did you mean Europe/Berlin" in zone
    assert weight == 'line 8: weight in the unit 00_first must be a percentage, 0 to 100, got "40"'
    assert due == "line 9: deu is not known in the unit 00_first: did you mean due?"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('title = "Small"', "", "title is missing at the top"),
        ('title = "Small"', "title = 5", "title at the top must be text in quotes, got 5"),
        ('title = "Small"', 'title = ""', "title at the top must be text in quotes"),
        ('branch = "main"', "branch = true", "must be the name of a branch in quotes, got true"),
        ('branch = "main"', 'branch = "main"\nrepository = "https://github.com/a/b"', "OWNER/NAME"),
        ('branch = "main"', 'branch = "main"\nlate_policy = 5', "late_policy at the top must be a table"),
        (
            'branch = "main"',
            'branch = "main"\ncolour = "red"',
            "colour is not known at the top; the keys here are",
        ),
        ('branch = "main"', 'branch = "main"\ndue = 2027-03-12T23:59:00', "it belongs below [units]"),
        ('"Europe/Berlin"', '"CEST"', "time_zone at the top must be the name of a time zone"),
        ('"Europe/Berlin"', '"europe/berlin "', "did you mean Europe/Berlin"),
        ('"Europe/Berlin"', "1", "time_zone at the top must be the name of a time zone"),
        ("weight = 60", "weight = nan", "got nan"),
        ("weight = 60", "weight = -1", "got -1"),
        ("weight = 60", "weight = true", "got true"),
        ("weight = 60", "weigth = 60", "weigth is not known in the unit 01_second: did you mean weight?"),
        ("weight = 60", "weight = 60\ndue = 2027-03-12", "due in the unit 01_second must be a date with a time"),
        ("weight = 60", 'weight = 60\ndue = "2027-03-12T23:59:00"', "without quotes"),
        ("weight = 60", "weight = 60\ndue = 23:59:00", "must be a date with a time"),
        ("weight = 60", 'weight = 60\ncanvas_id = "4711"', 'whole number above 0, without quotes, got "4711"'),
        ("weight = 60", 'weight = 60\nkind = "essay"', '"components" or "capstone", got "essay"'),
        ('"01_second"', '"../second"', "name in the unit ../second must be a folder name"),
        ('"01_second"', '"00_first"', "name '00_first' is used by two units, as in line 6"),
    ],
)
def test_one_mistake_gets_one_sentence_that_names_key_place_and_line(said, old, new, expected):
    assert SMALL.count(old) == 1
    problems = [problem for problem in said(SMALL.replace(old, new)) if "weight is missing" not in problem]
    assert len(problems) == 1 and expected in problems[0]
    assert problems[0].startswith("line ") or "missing at the top" in problems[0]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("percent = 10", "percent = 101", "points_lost_per_day_percent in [late_policy] must be a number, 0 to 100"),
        ("percent = 10", "percent = '10'", "must be a number, 0 to 100"),
        ("accepted = 5", "accepted = -1", "days_accepted in [late_policy] must be a number of days, 0 or more"),
        ("accepted = 5", "accepted = inf", "got inf"),
        ("'zero'", "'nothing'", '"zero" or "blank", got "nothing"'),
        ("days_accepted", "day_accepted", "did you mean days_accepted?"),
        ("missing = 'zero'", "roster = 'x.csv'", "it belongs at the top, above the first [table]"),
    ],
)
def test_late_policy_is_looked_at_key_by_key(said, old, new, expected):
    assert said(SMALL + LATE_POLICY) == []
    (problem,) = said(SMALL + LATE_POLICY.replace(old, new))
    assert expected in problem and problem.startswith("line ")


def test_two_units_cannot_share_a_column_of_canvas(said):
    text = SMALL.replace("weight = 40", "weight = 40\ncanvas_id = 7").replace(
        "weight = 60", "weight = 60\ncanvas_id = 7"
    )
    assert said(text) == ["line 15: canvas_id 7 is used by two units, as in line 9; give each its own"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SMALL.replace("weight = 60", "weight = "), "line 13: this is not valid TOML: invalid value"),
        (SMALL.replace('"Second"', '"Second'), "line 12: this is not valid TOML: "),
        (SMALL.replace("weight = 60", "title = 'Again'"), "this is not valid TOML: cannot overwrite a value"),
        (SMALL.replace("[[units]]", "[units]"), "line 5: [units] must be [[units]]"),
        (SMALL.replace("[[units]]", "[units]", 1), "line 5: [units] must be [[units]]"),
        (SMALL.encode("utf-16"), "not UTF-8"),
    ],
)
def test_what_is_not_toml_gets_one_sentence(said, text, expected):
    (problem,) = said(text)
    assert expected in problem and "\n" not in problem


def test_a_mark_of_byte_order_is_no_mistake(read):
    assert read(b"\xef\xbb\xbf" + SMALL.encode()).errors == ()


def test_an_empty_file_lacks_what_a_course_needs(said):
    assert [problem.split()[0] for problem in said("")] == ["title", "branch", "units"]


def test_weights_that_do_not_make_up_the_whole_grade_are_a_warning(read):
    file = read(SMALL.replace("weight = 60", "weight = 50.5"))
    assert file.errors == () and "add up to 90.5, not 100" in str(file.warnings[0])
    assert read(SMALL.replace("40", "33.3").replace("60", "66.7")).warnings == ()


@given(content=st.text(max_size=60) | st.binary(max_size=60))
def test_no_file_ends_in_a_traceback(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    assert read_course_file(path).errors


@pytest.mark.parametrize("wrong", ["true", "[1]", "{ a = 1 }", "1979-05-27", '"\\u0000"', "[[]]", "[{}]"])
def test_a_value_of_any_type_under_any_key_ends_in_sentences(said, wrong):
    for table, keys in KEYS.items():
        for key in keys:
            head = "" if not table else "[[units]]\n" if table == "units" else f"[{table}]\n"
            for problem in said(f"{head}{key} = {wrong}\n"):
                assert "\n" not in problem and len(problem) < 400


def folders(root: Path, *names: str) -> None:
    for name in names:
        (root / "solutions" / name).mkdir(parents=True)
        (root / "solutions" / name / f"{name}.py").touch()


def test_units_without_files_and_files_without_a_unit_are_warnings(tmp_path, read):
    folders(tmp_path, "00_first", "01_secnod")
    facts = read(SMALL).facts
    said = [str(problem) for problem in folder_problems(tmp_path, facts)]
    assert said == [
        "the unit 01_second has no lecture, no assignment and no solution in this folder: did you mean 01_secnod?",
        "solutions/01_secnod belongs to no unit: list it under [[units]], or move it away",
    ]
    (tmp_path / "lectures").mkdir()
    (tmp_path / "lectures" / "01_second.py").touch()
    assert len(list(folder_problems(tmp_path, facts))) == 1


def test_private_images_that_are_not_there_are_a_warning(read, tmp_path):
    text = f'{SMALL}[capstone]\nprivate_images = "private.npz"\n'
    (problem,) = folder_problems(tmp_path, read(text).facts)
    assert "private.npz" in str(problem)
    (tmp_path / "private.npz").touch()
    assert not list(folder_problems(tmp_path, read(text).facts))


def test_a_course_with_mistakes_is_refused_with_all_of_them(tmp_path):
    (tmp_path / "course.toml").write_text(SMALL.replace("Berlin", "Berln").replace("= 60", "= 600"))
    with pytest.raises(CourseError) as refusal:
        Course.load(tmp_path)
    (said,) = str(refusal.value).splitlines()
    first, zone, weight = re.split(r" \(\d\) ", said)
    assert first == f"{tmp_path / 'course.toml'} has 2 mistakes:"
    assert zone.startswith("line 3:") and weight.startswith("line 13:")


def test_dates_are_read_in_the_zone_of_the_course_unless_they_state_their_own(tmp_path):
    text = SMALL.replace("weight = 40", "weight = 40\ndue = 2027-07-01T12:00:00")
    (tmp_path / "course.toml").write_text(text.replace("weight = 60", "weight = 60\ndue = 2027-07-01T12:00:00Z"))
    first, second = Course.load(tmp_path).units
    assert (first.due, second.due) == (datetime(2027, 7, 1, 10, tzinfo=UTC), datetime(2027, 7, 1, 12, tzinfo=UTC))


def test_a_number_that_two_units_share_names_neither(tmp_path):
    (tmp_path / "course.toml").write_text(SMALL.replace("01_second", "00_second"))
    course = Course.load(tmp_path)
    with pytest.raises(CourseError, match="'00' could be 00_first or 00_second: write the whole name"):
        course.unit("00")
    assert course.unit("00_second").title == "Second"


@pytest.fixture
def mistaken(tmp_path, monkeypatch):
    """A course with two mistakes in its course.toml, in which commands run."""
    (tmp_path / "course.toml").write_text(OURS.replace('"UTC"', '"Europe/Berln"').replace("weight = 10", "wieght = 10"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_command_says_them_and_ends(mistaken, capsys):
    assert cli.main(["grade", "03"]) == 1
    said = capsys.readouterr().err
    assert "3 mistakes" in said and "did you mean Europe/Berlin" in said and "did you mean weight" in said


def test_doctor_shows_all_that_is_wrong_and_does_not_say_there_is_no_course(mistaken, monkeypatch, capsys):
    for slow in ("bubblewrap_findings", "container_findings", "people_findings"):
        monkeypatch.setattr(f"autograder.doctor.{slow}", lambda **_: course_folder.file_problems(mistaken)[:1])
    monkeypatch.setattr("autograder.doctor._usable", lambda: [])
    assert cli.main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "none in this folder" not in said
    for meant in ("Europe/Berlin", "did you mean weight", "cannot be graded: correct course.toml first"):
        assert meant in said


def test_doctor_shows_what_is_odd(tmp_path):
    shutil.copy(ROOT / "course.toml", tmp_path)
    path = tmp_path / "course.toml"
    path.write_text(path.read_text().replace("weight = 15", "weight = 5"))
    findings = course_folder.course_findings(Course.load(tmp_path))
    (finding,) = (finding for finding in findings if finding.topic == "course.toml")
    assert "add up to 90" in finding.said and finding.remedy
