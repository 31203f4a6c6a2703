"""Downloads in the naming schemes of Canvas, Moodle, Gradescope and nbgrader: whose each file is, and when it came.

The names are those that the systems' own programs make: Canvas' lib/content_zipper.rb, Moodle's
mod/assign/classes/downloader.php, Gradescope's exports as otter-grader reads them, nbgrader's exchange and zip_collect.
"""

from datetime import UTC, datetime

import pytest

from autograder.collecting.archives import opened_download
from autograder.collecting.handed_in_work import Offering
from autograder.collecting.systems import READERS, guessed_system
from autograder.course.course import CourseError
from autograder.course.roster import Roster

UNIT = "03_vae"


@pytest.fixture
def read(klass):
    """The system that is guessed for a download, its work by label, and what is left out by path."""

    def reading(path, system=None):
        offering = Offering(UNIT, tuple(unit.name for unit in klass.units), klass.zone, Roster.of(klass))
        with opened_download(path) as download:
            system = system or guessed_system(download.entries)
            found = READERS[system](download.entries, offering)
        return system, {work.label: work for work in found.works}, {left.path: left.reason for left in found.left_out}

    return reading


def claimed(work):
    return [{claim.fields[0]: claim.value for claim in claims if claim.value} for claims in work.people]


def named(work):
    return [file.name for file in work.files]


def test_canvas_names_hold_number_lateness_and_file(read, zipped):
    archive = zipped(
        {
            "lovelaceada_101_9001_03_vae.ipynb": "a",
            "ångströmzoë_LATE_102_9002_03_vae-1.ipynb": "z",
            "delacruzjosé_104_9004_my_own_7_name.ipynb": "j",
            "李明_103_text.html": "typed",
            "lovelaceada_101_link.html": "a link",
            "anon_x7Kq2_9005_03_vae.ipynb": "?",
        }
    )
    system, works, left_out = read(archive)
    ada, zoe, jose = works.values()
    assert system == "canvas"
    assert [claimed(work) for work in (ada, zoe, jose)] == [
        [{"canvas_id": "101", "name": "lovelaceada"}],
        [{"canvas_id": "102", "name": "ångströmzoë"}],
        [{"canvas_id": "104", "name": "delacruzjosé"}],
    ]
    assert [work.marked_late for work in (ada, zoe, jose)] == [False, True, False]
    assert named(zoe) == ["03_vae.ipynb"] and named(jose) == ["my_own_7_name.ipynb"]
    assert zoe.returned_as == "ångströmzoë_LATE_102_9002_03_vae-1.ipynb", "Canvas finds the work by this name only"
    assert all(work.moment is None for work in works.values()), "the archive's times are those of the download"
    assert "typed" in left_out["李明_103_text.html"] and "anonymous" in left_out["anon_x7Kq2_9005_03_vae.ipynb"]


def test_of_files_that_canvas_has_numbered_anew_the_latest_counts_and_the_others_are_earlier(read, zipped):
    names = [
        "lovelaceada_101_9001_03_vae.ipynb",
        "lovelaceada_101_9050_03_vae-2.ipynb",
        "lovelaceada_101_9040_03_vae-1.ipynb",
    ]
    _, works, _ = read(zipped({**dict.fromkeys(names, "x"), "lovelaceada_101_9051_photo.png": "p"}))
    latest, *earlier = sorted(works.values(), key=lambda work: -work.order)
    assert latest.label == names[1] and sorted(named(latest)) == ["03_vae.ipynb", "photo.png"]
    assert sorted(work.order for work in earlier) == [9001, 9040]


def test_files_that_a_student_has_numbered_are_not_taken_for_versions_of_one(read, zipped):
    files = ["03_vae.ipynb", "fig-1.png", "fig-2.png", "config-1.json", "weights.safetensors"]
    _, works, _ = read(zipped({f"lovelaceada_101_{9000 + n}_{name}": "x" for n, name in enumerate(files)}))
    (work,) = works.values()
    assert named(work) == ["03_vae.ipynb", "fig-1.png", "fig-2.png", "config.json", "weights.safetensors"]


def test_a_name_of_canvas_manner_in_a_students_own_folder_is_not_believed(read, zipped):
    archive = zipped(
        {"lovelaceada_101_9001_03_vae.ipynb": "a", "unpacked/delacruzjosé_104_9999_03_vae.ipynb": "forged"}
    )
    _, works, left_out = read(archive)
    assert list(works) == ["lovelaceada_101_9001_03_vae.ipynb"]
    assert "in a folder" in left_out["unpacked/delacruzjosé_104_9999_03_vae.ipynb"]


@pytest.mark.parametrize(
    "path",
    [
        "Ada Lovelace_1234567_assignsubmission_file/03_vae.ipynb",
        "Ada Lovelace_1234567_assignsubmission_file_/03_vae.ipynb",
        "Ada Lovelace_1234567_assignsubmission_file_03_vae.ipynb",
        "Course-Unit 3-42/Ada Lovelace_1234567_assignsubmission_file/03_vae.ipynb",
    ],
    ids=["since-4.1", "before-4.1", "side-by-side", "in-a-wrapper"],
)
def test_moodle_names_hold_the_name_and_the_participants_number(read, zipped, path):
    system, works, left_out = read(zipped({path: "a"}))
    (work,) = works.values()
    assert (system, named(work), claimed(work), work.number) == (
        "moodle",
        ["03_vae.ipynb"],
        [{"name": "Ada Lovelace"}],
        "1234567",
    )
    assert work.returned_as == "Ada Lovelace_1234567_assignsubmission_file" and not left_out


def test_moodle_keeps_folders_of_students_and_says_what_was_typed_in(read, zipped):
    prefix = "Zoë Ångström_7_assignsubmission_"
    archive = zipped({f"{prefix}file/mine/03_vae.ipynb": "z", f"{prefix}onlinetext/onlinetext.html": "<p>Hello</p>"})
    _, works, left_out = read(archive)
    assert named(works[f"{prefix}file"]) == ["mine/03_vae.ipynb"]
    assert "typed" in left_out[f"{prefix}onlinetext/onlinetext.html"]


METADATA = """---
submission_11:
  :submitters:
  - :name: Ada Lovelace
    :sid: '00700'
    :email: ada@uni.example
  :created_at: 2027-03-12 22:33:44.123456000 Z
  :score: 3.0
  :results:
    tests:
    - output: "- :name: José\\n  :email: jose@uni.example"
  :history:
  - :id: 9
    :created_at: 2027-03-01 10:00:00.000000000 Z
submission_12:
  :submitters:
  - :name: Zoë Ångström
    :sid: 00701
    :email: zoe@uni.example
  - :name: 李明
    :sid:
    :email: lim@uni.example
  :created_at: !ruby/object:ActiveSupport::TimeWithZone
    utc: 2027-03-13 01:00:00.000000000 Z
    zone: x
"""


@pytest.mark.parametrize("above", ["", "assignment_99_export/"])
def test_gradescope_says_who_and_when_in_a_file_of_its_own(read, zipped, above):
    archive = zipped(
        {
            f"{above}submission_metadata.yml": METADATA,
            f"{above}submission_11/03_vae.ipynb": "a",
            f"{above}submission_11/submission_metadata.yml": "submission_11: forged",
            f"{above}submission_12/03_vae.ipynb": "z",
            f"{above}submission_13/03_vae.ipynb": "?",
        }
    )
    system, works, left_out = read(archive)
    ada, group = works.values()
    assert system == "gradescope"
    assert claimed(ada) == [{"sis_id": "00700", "email": "ada@uni.example", "name": "Ada Lovelace"}]
    assert ada.moment == datetime(2027, 3, 12, 22, 33, 44, tzinfo=UTC)
    assert [person.get("sis_id") for person in claimed(group)] == ["00701", None], (
        "a SID with zeros in front keeps them"
    )
    assert group.moment == datetime(2027, 3, 13, 1, 0, tzinfo=UTC)
    assert list(left_out) == [f"{above}submission_13/03_vae.ipynb"]


def test_a_gradescope_export_without_its_list_is_refused(read, zipped):
    with pytest.raises(CourseError, match="has no submission_metadata"):
        read(zipped({"submission_11/03_vae.ipynb": "a"}))
    with pytest.raises(CourseError, match="cannot be read"):
        read(zipped({"submission_metadata.yml": "{: [", "submission_11/03_vae.ipynb": "a"}))


def test_a_students_file_does_not_make_a_moodle_download_one_of_gradescopes(read, zipped):
    folder = "Ada Lovelace_1234567_assignsubmission_file"
    forged = "submission_1:\n  :submitters:\n  - :email: jose@uni.example\n"
    files = {f"{folder}/submission_metadata.yml": forged, f"{folder}/submission_1/03_vae.ipynb": "a"}
    system, works, _ = read(zipped(files))
    assert (system, [claimed(work) for work in works.values()]) == ("moodle", [[{"name": "Ada Lovelace"}]])


def test_nbgraders_exchange_holds_the_time_twice(read, tmp_path):
    inbound = tmp_path / "inbound"
    for name, written in {
        "ada+03_vae+2027-03-12 22:00:00.000000 UTC+cmFuZG9t": "2027-03-12 22:00:00.000000 UTC",
        "ada+03_vae+2027-03-11 22:00:00 UTC": "2027-03-11 22:00:00 UTC",
        "zoe+03_vae+2027-03-12 23_30_00 UTC": None,  # packed on Windows, without timestamp.txt
        "lim+04_richer_models+2027-03-12 22:00:00 UTC": "2027-03-12 22:00:00 UTC",
    }.items():
        (inbound / name).mkdir(parents=True)
        (inbound / name / "03_vae.ipynb").write_text("x")
        (inbound / name / "submission_secret.txt").write_text("x")
        if written:
            (inbound / name / "timestamp.txt").write_text(written)
    system, works, left_out = read(inbound)
    assert system == "nbgrader"
    assert sorted((claimed(work)[0]["id"], work.moment.isoformat()) for work in works.values()) == [
        ("ada", "2027-03-11T22:00:00+00:00"),
        ("ada", "2027-03-12T22:00:00+00:00"),
        ("zoe", "2027-03-12T23:30:00+00:00"),
    ]
    assert all(named(work) == ["03_vae.ipynb"] for work in works.values())
    assert all(path.startswith("lim+") for path in left_out)


def test_names_of_zip_collect_and_blackboard_hold_a_time(read, zipped):
    system, works, _ = read(zipped({"ps3_ada_attempt_2027-03-12-22-00-00_03_vae.ipynb": "a"}))
    (work,) = works.values()
    assert (system, claimed(work)[0]["id"], named(work)) == ("nbgrader", "ada", ["03_vae.ipynb"])
    assert work.moment == datetime(2027, 3, 12, 22, tzinfo=UTC)


def test_a_folder_that_nbgrader_has_collected_is_read_with_its_times_if_that_is_said(read, zipped):
    files = {
        "submitted/ada/03_vae/03_vae.ipynb": "a",
        "submitted/ada/03_vae/timestamp.txt": "2027-03-12 22:00:00 UTC",
        "submitted/ada/02_mean_field/02_mean_field.ipynb": "other",
        "submitted/zoe/bob/03_vae/03_vae.ipynb": "planted",
    }
    _, works, left_out = read(zipped(files), "nbgrader")
    (work,) = works.values()
    assert (named(work), work.moment) == (["03_vae.ipynb"], datetime(2027, 3, 12, 22, tzinfo=UTC))
    assert set(left_out) == {*list(files)[2:]}
    system, works, _ = read(zipped(files))
    assert system == "plain" and all(work.moment is None for work in works.values())


@pytest.mark.parametrize(
    "path",
    [
        "ada/03_vae.ipynb",
        "ada/03_vae/03_vae.ipynb",
        "handed in/ada/mine/03_vae.ipynb",
        "ada.ipynb",
        "03_vae_ada.ipynb",
        "AL42/answer.ipynb",
        "Ada Lovelace/answer.ipynb",
        "00700 - 03_vae.ipynb",
        "ada@uni.example.ipynb",
    ],
)
def test_plain_folders_and_files_are_known_by_anything_in_the_roster(read, zipped, path):
    system, works, _ = read(zipped({path: "a"}))
    (work,) = works.values()
    assert system == "plain"
    assert claimed(work)[0]["id"] in ("ada", "AL42", "Ada Lovelace", "00700", "ada@uni.example")


def test_a_plain_folder_of_one_student_never_names_another(read, zipped):
    archive = zipped({"adda/jose.ipynb": "planted", "adda/jose/03_vae.ipynb": "planted", "zoe/03_vae.ipynb": "z"})
    _, works, _ = read(archive)
    assert sorted(claimed(work)[0]["id"] for work in works.values()) == ["adda", "zoe"]


def test_of_a_plain_folder_with_all_units_only_this_one_counts(read, zipped):
    archive = zipped(
        {"ada/03_vae/03_vae.ipynb": "3", "ada/02_mean_field/02_mean_field.ipynb": "2", "zoe/02_mean_field/x.ipynb": "2"}
    )
    _, works, _ = read(archive)
    assert {label: named(work) for label, work in works.items()} == {"ada": ["03_vae.ipynb"]}
