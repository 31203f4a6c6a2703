"""Collecting a download: the latest work in place with its time, nothing lost, nothing guessed, nothing undone."""

import io
import json
import os
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from typing import get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder import cli
from autograder.collecting.archives import opened_download
from autograder.collecting.collect import Kind, collect
from autograder.collecting.collection_records import collected_work, earlier_work
from autograder.collecting.systems import READERS, System
from autograder.course.course import Course, CourseError, Unit
from autograder.intake.hand_in_time import handed_in

UNIT = "03_vae"
MOODLE = "_assignsubmission_file/03_vae.ipynb"


@pytest.fixture
def collecting(klass, zipped):
    """Collects an archive with the given contents."""

    def run(files, **options):
        return collect(klass, klass.unit(UNIT), zipped(files), **options)

    return run


def gradescope(*works):
    """An export of Gradescope's: of each work the people's addresses, the time and the text."""
    lists, files = [], {}
    for number, (addresses, time, text) in enumerate(works, start=1):
        people = "".join(f"  - :name: somebody\n    :email: {address}\n" for address in addresses)
        lists.append(f"submission_{number}:\n  :submitters:\n{people}  :created_at: {time}\n")
        files[f"submission_{number}/03_vae.ipynb"] = text
    return {"submission_metadata.yml": "".join(lists), **files}


def kinds(collection):
    return {outcome.student: outcome.kind.value for outcome in collection.outcomes}


def reasons(collection):
    return {left.path: left.reason for left in collection.left_out}


CANVAS = {
    "lovelaceada_101_9001_my notebook.ipynb": "ada's",
    "ångströmzoë_LATE_102_9002_03_vae-1.ipynb": "zoe's",
    "nobodyknown_999_9003_03_vae.ipynb": "?",
}


def test_canvas_work_lies_where_the_grader_looks_and_strangers_are_listed(collecting, in_place):
    collection = collecting(CANVAS)
    assert (collection.system, kinds(collection)) == ("canvas", {"ada": "new", "zoe": "new"})
    assert in_place() == {"ada": {"03_vae.ipynb": "ada's"}, "zoe": {"03_vae.ipynb": "zoe's"}}
    assert "matches nobody" in reasons(collection)["nobodyknown_999_9003_03_vae.ipynb"]
    assert collection.missing == ("lim", "jose")


def test_no_time_is_made_up_where_the_download_holds_none(collecting, klass):
    collection = collecting(CANVAS)
    assert [(outcome.moment, outcome.marked_late) for outcome in collection.outcomes] == [(None, False), (None, True)]
    place = klass.submitted / "ada" / UNIT
    assert handed_in(place)[0] is None


def test_what_is_written_is_for_its_owner_only(collecting, klass):
    before = os.umask(0)
    try:
        collecting({**CANVAS, "lovelaceada_101_9004_photo.png": "p"})
    finally:
        os.umask(before)
    places = [klass.submitted, *klass.submitted.rglob("*"), *(klass.records / "collected").rglob("*")]
    assert {place.stat().st_mode & 0o777 for place in places if place.is_file()} == {0o600}
    assert {place.stat().st_mode & 0o777 for place in places if place.is_dir()} == {0o700}


@pytest.mark.parametrize("system", ["canvas", "moodle", "gradescope"])
def test_systems_that_use_their_own_names_need_a_roster(collecting, klass, system):
    klass.roster.unlink()
    with pytest.raises(CourseError, match="roster is needed"):
        collecting(CANVAS, system=system)


def test_without_a_roster_plain_folders_are_taken_at_their_word(collecting, klass, in_place):
    klass.roster.unlink()
    collection = collecting({"ada/03_vae.ipynb": "a", "b<c>/03_vae.ipynb": "?", "zoe.ipynb": "z"})
    assert set(in_place()) == {"ada", "zoe"} and len(collection.left_out) == 1


def test_gradescope_work_has_its_time(collecting, in_place):
    collecting(gradescope((["ada@uni.example"], "2027-03-12 22:33:44.123456000 Z", "a")))
    assert in_place()["ada"]["timestamp.txt"] == "2027-03-12 22:33:44.000000 UTC"


def test_work_of_a_group_is_left_out_unless_each_may_have_it(collecting, in_place):
    export = gradescope((["ada@uni.example", "zoe@uni.example"], "2027-03-12 22:00:00 Z", "together"))
    collection = collecting(export)
    assert not in_place() and "group work of 2 students (ada, zoe)" in reasons(collection)["submission_1"]
    collecting(export, groups=True)
    assert set(in_place()) == {"ada", "zoe"}


def test_a_name_that_two_students_have_is_listed_and_a_similar_one_suggested(collecting, klass):
    klass.roster.write_text("id,name\na1,Anna Schmidt\na2,Anna Schmidt\nada,Ada Lovelace\n", encoding="utf-8")
    collection = collecting({f"Anna Schmidt_1{MOODLE}": "?", f"Ada Lovelase_2{MOODLE}": "?"})
    assert not collection.outcomes
    assert "more than one student: a1, a2" in reasons(collection)["Anna Schmidt_1_assignsubmission_file"]
    assert "is it ada (Ada Lovelace)?" in reasons(collection)["Ada Lovelase_2_assignsubmission_file"]


def test_two_claims_that_speak_of_two_students_are_nobodys(collecting):
    export = gradescope((["ada@uni.example"], "2027-03-12 22:00:00 Z", "?"))
    export["submission_metadata.yml"] = export["submission_metadata.yml"].replace(":name: somebody", ":sid: '00701'")
    assert "more than one student: ada, zoe" in reasons(collecting(export))["submission_1"]


def test_an_id_that_has_lost_its_zeros_is_named_and_not_taken(collecting, klass, in_place):
    klass.roster.write_text("id,name\n007,Ada\n", encoding="utf-8")
    assert "is it 007?" in reasons(collecting({"7/03_vae.ipynb": "?"}))["7"] and not in_place()


def test_collecting_again_changes_nothing(collecting, klass, in_place):
    export = gradescope(
        (["ada@uni.example"], "2027-03-12 22:00:00 Z", "a"), (["zoe@uni.example"], "2027-03-12 23:00:00 Z", "z")
    )
    collecting(export)
    before = in_place(), {path: path.stat().st_mtime_ns for path in klass.submitted.rglob("*")}
    assert set(kinds(collecting(export)).values()) == {"same"}
    assert before == (in_place(), {path: path.stat().st_mtime_ns for path in klass.submitted.rglob("*")})


def test_later_work_takes_the_place_of_earlier_which_is_kept(collecting, in_place):
    collecting(gradescope((["ada@uni.example"], "2027-03-12 22:00:00 Z", "first")))
    collection = collecting(gradescope((["ada@uni.example"], "2027-03-12 23:00:00 Z", "second")))
    assert kinds(collection) == {"ada": "later"} and in_place()["ada"]["03_vae.ipynb"] == "second"
    (aside,) = collection.outcomes[0].aside
    assert (aside / "03_vae.ipynb").read_text() == "first" and aside.name.startswith("2027-03-12_220000-")


def test_earlier_work_never_takes_the_place_of_later(collecting, in_place):
    earlier = gradescope((["ada@uni.example"], "2027-03-12 22:00:00 Z", "first"))
    collecting(gradescope((["ada@uni.example"], "2027-03-12 23:00:00 Z", "second")))
    for _ in range(2):
        collection = collecting(earlier)
        assert kinds(collection) == {"ada": "earlier"} and in_place()["ada"]["03_vae.ipynb"] == "second"
    assert collection.outcomes[0].aside == (), "it is kept once"


def test_of_canvas_work_without_times_the_number_of_the_file_says_what_is_later(collecting, in_place):
    collecting({"lovelaceada_101_9001_03_vae.ipynb": "first"})
    assert kinds(collecting({"lovelaceada_101_9100_03_vae-1.ipynb": "second"})) == {"ada": "later"}
    assert kinds(collecting({"lovelaceada_101_9001_03_vae.ipynb": "first"})) == {"ada": "earlier"}
    assert in_place() == {"ada": {"03_vae.ipynb": "second"}}


def test_two_pieces_in_one_canvas_download_leave_the_earlier_aside(collecting, in_place):
    files = {"lovelaceada_101_9001_03_vae.ipynb": "first", "lovelaceada_101_9100_03_vae-1.ipynb": "second"}
    (outcome,) = collecting(files).outcomes
    assert in_place() == {"ada": {"03_vae.ipynb": "second"}}
    assert [(path / "03_vae.ipynb").read_text() for path in outcome.aside] == ["first"]


def test_where_nothing_says_which_is_later_what_is_there_stays_unless_told_otherwise(collecting, in_place):
    collecting({f"Ada Lovelace_7{MOODLE}": "first"})
    other = {f"Ada Lovelace_7{MOODLE}": "second"}
    assert kinds(collecting(other)) == {"ada": "unclear"} and in_place()["ada"] == {"03_vae.ipynb": "first"}
    (outcome,) = collecting(other, replace_unclear=True).outcomes
    assert outcome.kind is Kind.LATER and in_place()["ada"] == {"03_vae.ipynb": "second"}
    assert (outcome.aside[0] / "03_vae.ipynb").read_text() == "first"


def test_work_that_somebody_changed_by_hand_is_not_taken_for_what_was_collected(collecting, klass, in_place):
    collecting({"lovelaceada_101_9001_03_vae.ipynb": "first"})
    (klass.submitted / "ada" / UNIT / "03_vae.ipynb").write_text("mended by hand")
    assert kinds(collecting({"lovelaceada_101_9100_03_vae-1.ipynb": "second"})) == {"ada": "unclear"}
    assert in_place()["ada"] == {"03_vae.ipynb": "mended by hand"}


def test_the_same_work_handed_in_again_counts_from_the_first_time(collecting, in_place):
    collecting(gradescope((["ada@uni.example"], "2027-03-12 22:00:00 Z", "a")))
    collecting(gradescope((["ada@uni.example"], "2027-03-20 22:00:00 Z", "a")))
    assert in_place()["ada"]["timestamp.txt"].startswith("2027-03-12 22:00:00")


def test_times_that_become_known_later_are_added(collecting, in_place, tmp_path):
    collecting(CANVAS)
    (tmp_path / "times.csv").write_text("login,handed_in\nal42,2027-03-12 22:00\n", encoding="utf-8")
    collection = collecting(CANVAS, times=tmp_path / "times.csv")
    assert in_place()["ada"]["timestamp.txt"] == "2027-03-12 22:00:00.000000 UTC"
    changed = [(outcome.student, outcome.is_time_changed) for outcome in collection.outcomes]
    assert changed == [
        ("ada", True),
        ("zoe", False),
    ]


def test_a_table_of_times_corrects_times_of_the_same_work(collecting, in_place, tmp_path):
    collecting(gradescope((["ada@uni.example"], "2027-03-12 22:00:00 Z", "a")))
    (tmp_path / "times.csv").write_text("login,handed_in\nal42,2027-03-14 22:00\n", encoding="utf-8")
    for _ in range(2):
        collecting(gradescope((["ada@uni.example"], "2027-03-12 22:00:00 Z", "a")), times=tmp_path / "times.csv")
        assert in_place()["ada"]["timestamp.txt"] == "2027-03-14 22:00:00.000000 UTC"


def test_a_students_own_time_stamp_is_passed_over(collecting, in_place):
    (outcome,) = collecting(
        {
            f"Ada Lovelace_7{MOODLE}": "a",
            "Ada Lovelace_7_assignsubmission_file/timestamp.txt": "2000-01-01 00:00:00 UTC",
        }
    ).outcomes
    assert in_place()["ada"] == {"03_vae.ipynb": "a"} and "the student wrote it" in outcome.remarks[0]


def test_archives_of_students_are_unpacked_and_others_named(collecting, in_place):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("unit 3/03_vae.ipynb", "ada's")
        archive.writestr("unit 3/pictures/a.png", "p")
        archive.writestr("__MACOSX/unit 3/._03_vae.ipynb", "x")
    collection = collecting(
        {
            "Ada Lovelace_7_assignsubmission_file/work.zip": inner.getvalue(),
            "Zoë Ångström_8_assignsubmission_file/work.rar": b"Rar!\x1a\x07\x01\x00",
            "李明_9_assignsubmission_file/broken.zip": b"PK\x03\x04 no more",
        }
    )
    assert in_place() == {"ada": {"03_vae.ipynb": "ada's", "pictures/a.png": "p"}}
    assert "RAR" in reasons(collection)["Zoë Ångström_8_assignsubmission_file"]
    assert "damaged" in reasons(collection)["李明_9_assignsubmission_file"]


def test_an_archive_for_each_student_in_one_archive_is_read(collecting, in_place):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("Übung/Aufgabe.ipynb", "ada's")
    assert kinds(collecting({"ada.zip": inner.getvalue(), "03_vae_zoe.ipynb": "z"})) == {"ada": "new", "zoe": "new"}
    assert in_place() == {"ada": {"03_vae.ipynb": "ada's"}, "zoe": {"03_vae.ipynb": "z"}}


def test_of_several_notebooks_the_one_named_after_the_unit_counts(collecting, in_place):
    folder = "Ada Lovelace_7_assignsubmission_file"
    (outcome,) = collecting({f"{folder}/03_vae (1).ipynb": "own", f"{folder}/scratch.ipynb": "s"}).outcomes
    assert in_place()["ada"] == {"03_vae.ipynb": "own", "scratch.ipynb": "s"}
    assert "03_vae (1).ipynb counts" in outcome.remarks[0]


def test_several_notebooks_of_other_names_are_left_for_the_grader_to_name(collecting, in_place):
    folder = "Ada Lovelace_7_assignsubmission_file"
    (outcome,) = collecting({f"{folder}/a.ipynb": "1", f"{folder}/b.ipynb": "2"}).outcomes
    assert set(in_place()["ada"]) == {"a.ipynb", "b.ipynb"} and "unclear which counts" in outcome.remarks[0]


def test_a_damaged_file_costs_nobody_else(collecting, zipped, klass, in_place, tmp_path):
    path = zipped({f"Ada Lovelace_7{MOODLE}": "a" * 1000, f"Zoë Ångström_8{MOODLE}": "z"})
    with opened_download(path), zipfile.ZipFile(path) as archive:
        start = archive.infolist()[0].header_offset
    data = bytearray(path.read_bytes())
    data[start + 14] ^= 0xFF  # the checksum
    data[data.rindex(b"PK\x01\x02", 0, data.rindex(b"PK\x01\x02")) + 16] ^= 0xFF
    path.write_bytes(data)
    collection = collect(klass, klass.unit(UNIT), path)
    assert set(in_place()) == {"zoe"} and "damaged" in reasons(collection)["Ada Lovelace_7_assignsubmission_file"]
    assert not (klass.submitted / ".collecting").exists()


def test_a_link_in_place_of_a_students_folder_is_not_followed(collecting, klass, tmp_path):
    (klass.submitted / "ada").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (klass.submitted / "ada" / UNIT).symlink_to(tmp_path / "elsewhere")
    assert kinds(collecting(CANVAS))["ada"] == "unclear" and not list((tmp_path / "elsewhere").iterdir())


def test_a_link_in_place_of_a_students_whole_folder_is_not_followed_either(collecting, klass, tmp_path):
    klass.submitted.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (klass.submitted / "ada").symlink_to(tmp_path / "elsewhere")
    (outcome,) = collecting({f"Ada Lovelace_7{MOODLE}": "a"}).outcomes
    assert outcome.kind is Kind.UNCLEAR and "must be a folder" in outcome.remarks[0]
    assert not list((tmp_path / "elsewhere").iterdir())


def test_work_that_cannot_be_put_in_place_leaves_what_was_there(collecting, in_place, monkeypatch):
    collecting({f"Ada Lovelace_7{MOODLE}": "first"})
    monkeypatch.setattr("os.rename", lambda *_: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    with pytest.raises(PermissionError):
        collecting({f"Ada Lovelace_7{MOODLE}": "second"}, replace_unclear=True)
    assert in_place() == {"ada": {"03_vae.ipynb": "first"}}


def test_a_copy_from_elsewhere_does_not_make_forget_how_pages_go_back(collecting, klass):
    collecting(CANVAS)
    collecting({"ada/03_vae.ipynb": "ada's"})
    assert collected_work(klass, klass.unit(UNIT))["ada"].system == "canvas"


def test_a_folder_whose_letters_are_taken_apart_is_the_students(collecting, klass):
    klass.roster.write_text("id,name\nJosé,José\n", encoding="utf-8")
    (klass.submitted / "Jose\u0301" / UNIT).mkdir(parents=True)
    (klass.submitted / "Jose\u0301" / UNIT / "03_vae.ipynb").write_text("j")
    assert kinds(collecting({"José/03_vae.ipynb": "j"})) == {"José": "same"}
    assert [path.name for path in klass.submitted.iterdir()] == ["Jose\u0301"]


def test_a_group_of_canvas_is_noticed_by_its_name(collecting):
    (outcome,) = collecting({"projectgroup7_101_9001_03_vae.ipynb": "a"}).outcomes
    assert outcome.student == "ada" and "check whether it is group work" in outcome.remarks[0]


def test_who_was_graded_before_and_has_new_work_is_said(collecting, klass):
    klass.results_of(klass.unit(UNIT)).mkdir(parents=True)
    (klass.results_of(klass.unit(UNIT)) / "ada.json").write_text("{}")
    assert {outcome.student: outcome.was_graded for outcome in collecting(CANVAS).outcomes} == {
        "ada": True,
        "zoe": False,
    }


def test_a_disk_that_is_full_ends_the_run_and_leaves_whole_folders(collecting, klass, monkeypatch, in_place):
    collecting({f"Ada Lovelace_7{MOODLE}": "first"})
    monkeypatch.setattr("shutil.copyfileobj", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        collecting({f"Ada Lovelace_7{MOODLE}": "second"}, replace_unclear=True)
    assert in_place() == {"ada": {"03_vae.ipynb": "first"}}
    assert [path.name for path in klass.submitted.iterdir()] == ["ada"]


def test_what_a_system_takes_pages_back_under_is_remembered(collecting, klass):
    collecting(CANVAS)
    record = collected_work(klass, klass.unit(UNIT))
    assert record["zoe"].returned_as == "ångströmzoë_LATE_102_9002_03_vae-1.ipynb" and record["zoe"].system == "canvas"


WORKSHEET = """\ufeffIdentifier,"Full name","Email address",Status,Grade,"Last modified (submission)"
"Participant 7","Ada Lovelace",ada@uni.example,"Submitted for grading - ",,"Friday, 12 March 2027, 11:59 PM"
"Participant 8","Zoë Ångström",zoe@uni.example,"No submission - ",,-
"Participant 9","Ming Li",lim@uni.example,"Submitted for grading - ",,"Saturday, 13 March 2027, 12:01 AM"
"""


def test_moodles_grading_worksheet_says_when_and_who(collecting, klass, zipped, tmp_path, in_place):
    (tmp_path / "worksheet.csv").write_text(WORKSHEET, encoding="utf-8")
    archive = zipped({f"Ada Lovelace_7{MOODLE}": "a", f"Participant_9{MOODLE}": "l"})
    berlin = replace(klass, zone=ZoneInfo("Europe/Berlin"))
    collect(berlin, klass.unit(UNIT), archive, times=tmp_path / "worksheet.csv")
    written = {student: files["timestamp.txt"] for student, files in in_place().items()}
    assert written == {"ada": "2027-03-12 22:59:00.000000 UTC", "lim": "2027-03-12 23:01:00.000000 UTC"}


def test_submissions_from_canvas_api_say_when(collecting, tmp_path, in_place):
    listed = [{"id": 1, "user_id": 101, "submitted_at": "2027-03-12T22:59:00Z"}, {"user_id": 102, "submitted_at": None}]
    (tmp_path / "submissions.json").write_text(json.dumps(listed))
    collecting(CANVAS, times=tmp_path / "submissions.json")
    written = {student: files.get("timestamp.txt") for student, files in in_place().items()}
    assert written == {"ada": "2027-03-12 22:59:00.000000 UTC", "zoe": None}


def test_the_command_says_what_it_did_and_what_it_does_not_know(klass, zipped, monkeypatch, capsys):
    monkeypatch.chdir(klass.root)
    archive = zipped({**CANVAS, "lovelaceada_101_9000_my notebook.ipynb": "before"})
    assert cli.main(["collect", "03", str(archive)]) == 0
    said = capsys.readouterr().out
    assert "read as a download from canvas: 2 collected" in said
    assert "2 of 2 handed in at an unknown time" in said and "1 of these are marked LATE in the LMS: zoe" in said
    assert "nobodyknown_999_9003_03_vae.ipynb: matches nobody" in said
    assert "2 in the roster without any submission: lim, jose" in said
    log = (klass.records / "audit.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["event"] for line in log] == ["collect"]


def test_a_file_that_is_no_download_is_refused_in_one_sentence(klass, zipped, monkeypatch, capsys):
    monkeypatch.chdir(klass.root)
    assert cli.main(["collect", "03", str(zipped({"readme.txt": "x"})), "--from", "canvas"]) == 1
    assert "contains no submission named in the way of canvas" in capsys.readouterr().err


def test_the_grader_finds_the_time_that_was_written(collecting, klass):
    collecting(gradescope((["ada@uni.example"], "2027-03-12 22:33:44 Z", "a")))
    place = klass.submitted / "ada" / UNIT
    when, flags = handed_in(place, now=datetime(2027, 4, 1, tzinfo=UTC))
    assert when.replace(tzinfo=UTC) == datetime(2027, 3, 12, 22, 33, 44, tzinfo=UTC) and not flags


@given(st.permutations(range(4)), st.lists(st.integers(0, 3), max_size=4))
@settings(max_examples=25, deadline=None)
def test_in_whatever_order_downloads_come_the_latest_counts_and_all_work_is_kept(tmp_path_factory, order, again):
    root = tmp_path_factory.mktemp("orders")
    klass = Course(root, "Title", None, "main", (Unit(UNIT, "Unit", 1),), roster=root / "roster.csv")
    klass.roster.write_text("id,email\nada,ada@uni.example\n")
    for number in (*order, *again):
        with zipfile.ZipFile(root / "download.zip", "w") as archive:
            for name, content in gradescope(
                (["ada@uni.example"], f"2027-03-12 2{number}:00:00 Z", f"{number}")
            ).items():
                archive.writestr(name, content)
        collect(klass, klass.unit(UNIT), root / "download.zip")
    place, earlier = root / "submitted" / "ada" / UNIT, earlier_work(klass, klass.unit(UNIT)) / "ada"
    assert (place / "03_vae.ipynb").read_text() == "3" and (place / "timestamp.txt").read_text().startswith(
        "2027-03-12 23"
    )
    assert sorted(path.read_text() for path in earlier.glob("*/*.ipynb")) == ["0", "1", "2"]


def test_every_system_that_can_be_named_can_be_read():
    assert set(READERS) == set(get_args(System))
