"""Rosters: our own table, and the exports of Canvas, Moodle and Gradescope as they come.

Canvas' columns and rows are those that its lib/gradebook_exporter.rb writes; Moodle's those of
user/classes/table/participants.php and grade/export; Gradescope's those of Roster → Download roster.
"""

import csv

import pytest

from autograder import cli
from autograder.course.course import Course, CourseError
from autograder.course.roster import Roster, Student
from autograder.course.roster_update import update_roster
from autograder.course.student_lookup import Claim, find_student, same_name

CANVAS = '''Student,ID,SIS User ID,SIS Login ID,Integration ID,Section,"Variational autoencoders (4711)",Current Score
,,,,,,Manual Posting,
    Points Possible,,,,,,8,(read only)
"Lovelace, Ada",101,00700,al42,,Group A and Group B,5,62.5
"=""=Ångström, Zoë""",102,00701,za1,,Group A,N/A,
"Student, Test",999,,5ab6c9e4d0f1a2b3c4d5e6f7a8b9c0d1e2f3a4b5,,Group A,,
'''
MOODLE = """"First name","Last name",Username,"ID number","Email address",Roles,Groups,"Last access",Status
Ada,Lovelace,al42,00700,ada@uni.example,Student,"Group A, Group B",now,Active
Zoë,Ångström,za1,00701,zoe@uni.example,Student,,never,Active
Grace,Hopper,gh1,,grace@uni.example,Teacher,,now,Active
"""
MOODLE_GERMAN = """Vorname;Nachname;Anmeldename;ID-Nummer;E-Mail-Adresse;Gruppen
Ada;Lovelace;al42;00700;ada@uni.example;"Group A, Group B"
Zoë;Ångström;za1;00701;zoe@uni.example;
"""
GRADESCOPE = """First Name,Last Name,SID,Email,Role,Sections
Ada,Lovelace,00700,ada@uni.example,Student,Group A
Zoë,Ångström,00701,zoe@uni.example,Student,
Grace,Hopper,,grace@uni.example,Instructor,
"""


def written(course, text, encoding="utf-8"):
    course.roster.parent.mkdir(exist_ok=True)
    course.roster.write_bytes(text.encode(encoding))
    return course


def test_a_gradebook_that_canvas_has_exported_is_a_roster_without_its_own_rows(course):
    ada, zoe = Roster.of(written(course, CANVAS)).students.values()
    assert ada == Student("00700", "Lovelace, Ada", "", "Group A and Group B", "al42", "101", "00700")
    assert zoe.name == "=Ångström, Zoë", "Canvas' protection against formulas is no part of the name"


@pytest.mark.parametrize("text", [MOODLE, MOODLE_GERMAN, MOODLE.replace(",", "\t")], ids=["english", "german", "tabs"])
def test_moodles_participants_are_a_roster_without_teachers(course, text):
    ada, zoe = Roster.of(written(course, text.replace("Group A\t", "Group A,"))).students.values()
    assert (ada.id, ada.name, ada.email, ada.login, ada.moodle_id) == (
        *("00700", "Ada Lovelace", "ada@uni.example", "al42", "00700"),
    )
    assert ada.section == "Group A, Group B" and zoe.canvas_id == zoe.sis_id == ""


def test_gradescopes_roster_is_one_without_staff(course):
    ada, zoe = Roster.of(written(course, GRADESCOPE)).students.values()
    assert (ada.id, ada.sis_id, ada.name, ada.section) == ("00700", "00700", "Ada Lovelace", "Group A")
    assert (zoe.id, zoe.email) == ("00701", "zoe@uni.example")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le-with-mark"])
@pytest.mark.parametrize("text", [CANVAS, MOODLE, GRADESCOPE], ids=["canvas", "moodle", "gradescope"])
def test_spreadsheets_may_have_saved_it_in_their_own_way(course, text, encoding):
    text, encoding = ("\ufeff" + text, "utf-16-le") if encoding.endswith("mark") else (text, encoding)
    assert list(Roster.of(written(course, text.replace("\n", "\r\n"), encoding)).students) == ["00700", "00701"]


def test_a_canvas_export_without_sis_ids_calls_students_by_their_login(course):
    text = 'Student,ID,SIS Login ID,Section\n    Points Possible,,,\n"Lovelace, Ada",101,al42,A\n'
    (ada,) = Roster.of(written(course, text)).students.values()
    assert (ada.id, ada.canvas_id, ada.sis_id) == ("al42", "101", "")


def test_canvas_may_write_first_and_last_names_apart(course):
    text = "LastName,FirstName,ID,SIS User ID,SIS Login ID,Section\nLovelace,Ada,101,00700,al42,A\n"
    assert Roster.of(written(course, text))["00700"].name == "Ada Lovelace"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (CANVAS.replace("102,00701", "102,"), r"line 5: '=Ångström, Zoë' has no sis_id.*--id login"),
        (CANVAS.replace("102,", "1.02E+16,"), "line 5.*is not a Canvas number"),
        (MOODLE.replace("00701", "00700"), "line 3.*'00700' is already in an earlier line"),
        ("name,points\nAda,3\n", "is not an export of Canvas, Moodle or Gradescope"),
        ("id,name\na/b,Ada\n", "cannot be a folder name"),
    ],
)
def test_what_cannot_be_right_is_refused_by_line(course, text, complaint):
    with pytest.raises(CourseError, match=complaint):
        Roster.of(written(course, text))


def test_a_student_in_two_sections_is_one(course):
    text = "id,name,section\nada,Ada,A\nada,Ada,B\n"
    assert Roster.of(written(course, text))["ada"].section == "A; B"
    with pytest.raises(CourseError, match="already in an earlier line"):
        Roster.of(written(course, text.replace("ada,Ada,B", "ada,Adam,B")))


@pytest.mark.parametrize(
    "content", [b"PK\x03\x04\xff", b"id,name\nada," + b"x" * 200_000, b"\x00\x01\n\x02", b"<html>\n<body>"]
)
def test_a_file_that_is_no_table_is_refused_in_one_sentence(course, content):
    course.roster.parent.mkdir()
    course.roster.write_bytes(content)
    with pytest.raises(CourseError, match=str(course.roster)) as refusal:
        Roster.of(course)
    assert "\n" not in str(refusal.value)


def test_an_update_keeps_everybodys_id_and_adds_what_is_new(course, tmp_path):
    written(course, "id,name,email\nada,Ada Lovelace,ada@uni.example\nold,Old Hand,old@uni.example\n")
    (tmp_path / "moodle.csv").write_text(MOODLE, encoding="utf-8")
    update = update_roster(course, tmp_path / "moodle.csv")
    roster = Roster.of(course)
    assert (update.added, update.changed, update.others) == (("00701",), ("ada",), ("old",))
    assert roster["ada"] == Student(
        "ada", "Ada Lovelace", "ada@uni.example", "Group A, Group B", "al42", moodle_id="00700"
    )
    assert roster["old"].name == "Old Hand" and course.roster.stat().st_mode & 0o777 == 0o600
    assert update.before.read_text().startswith("id,name,email")
    (tmp_path / "canvas.csv").write_text(CANVAS, encoding="utf-8")
    again = update_roster(course, tmp_path / "canvas.csv")
    assert again.added == () and Roster.of(course)["ada"].canvas_id == "101", "logins tie Canvas' rows to Moodle's"
    earlier = again.before.read_bytes()
    assert update_roster(course, tmp_path / "canvas.csv").before is None
    assert again.before.read_bytes() == earlier, "an update without news leaves the earlier roster as it was"


def test_an_update_names_a_new_id_that_looks_like_one_that_is_there(course, tmp_path):
    written(course, "id,name\n700,Somebody\n")
    (tmp_path / "canvas.csv").write_text(CANVAS, encoding="utf-8")
    assert [str(match) for match in update_roster(course, tmp_path / "canvas.csv").near] == [
        "'00700' is probably '700' (they differ in leading zeros)"
    ]


def test_an_update_that_cannot_tell_two_students_apart_changes_nothing(course, tmp_path):
    before = "id,name\na1,Ada Lovelace\na2,Ada Lovelace\n"
    written(course, before)
    (tmp_path / "canvas.csv").write_text(CANVAS, encoding="utf-8")
    with pytest.raises(CourseError, match="a1, a2; correct the roster"):
        update_roster(course, tmp_path / "canvas.csv")
    assert course.roster.read_text() == before


def test_the_command_makes_the_roster_from_an_export_with_the_ids_one_asks_for(course, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(course.root)
    (tmp_path / "canvas.csv").write_text(CANVAS, encoding="utf-8")
    assert cli.main(["roster", str(tmp_path / "canvas.csv"), "--id", "login"]) == 0
    assert "2 added, 0 changed" in capsys.readouterr().out
    assert list(Roster.of(Course.load(course.root)).students) == ["al42", "za1"]
    with course.roster.open(encoding="utf-8") as file:
        assert next(csv.reader(file))[-3:] == ["canvas_id", "sis_id", "moodle_id"]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Ada Lovelace", "lovelaceada", True),
        ("Lovelace, Ada", "Ada Lovelace", True),
        ("José de la Cruz", "delacruzjosé", True),
        ("O'Brien, Pat", "Pat OBrien", True),
        ("Jose\u0301", "Jos\u00e9", True),
        ("Ada Lovelace", "Ada Lovelacey", False),
        ("李明", "李明", True),
        ("", "", False),
    ],
)
def test_names_are_the_same_however_a_system_writes_them(one, other, same):
    assert same_name(one, other) is same


def test_firm_claims_go_before_names_and_must_agree():
    roster = Roster({"a": Student("a", "Ada", "ada@x"), "b": Student("b", "Ben", "ben@x")})
    assert find_student(roster, [Claim("BEN@x", ("email",)), Claim("Ada", ("name",))]).student.id == "b"
    assert find_student(roster, [Claim("ben@x", ("email",)), Claim("a", ("id",))]).student is None
    assert find_student(roster, [Claim(" ", ("email",))]).students == ()
