"""Finding submissions on disk: the right file, or a reason that a person can act on."""

import os
import subprocess
import sys
import tempfile
import unicodedata
from pathlib import Path

import pytest

from autograder.intake.submissions import Quarantined, Submission, find_submissions, notebook_file

ROOT = Path(__file__).parents[3]
UNIT = "03_vae"


def folder_with(tmp_path, *names) -> Submission:
    folder = tmp_path / "ada" / UNIT
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).touch()
    return Submission("ada", folder)


def test_the_notebook_named_after_the_unit_counts_and_others_are_flagged(tmp_path):
    path, flags = notebook_file(folder_with(tmp_path, f"{UNIT}.ipynb", "copy.ipynb", "._x.ipynb", "notes.txt"), UNIT)
    assert path.name == f"{UNIT}.ipynb"
    assert flags == ("other notebooks in the folder were not graded: copy.ipynb",)


def test_a_single_notebook_may_have_any_name(tmp_path):
    assert notebook_file(folder_with(tmp_path, "final (2).ipynb"), UNIT)[1] == ()


def test_a_browser_or_an_editor_may_have_changed_the_ending(tmp_path):
    assert notebook_file(folder_with(tmp_path, f"{UNIT}.IPYNB"), UNIT)[1] == ()
    path, flags = notebook_file(folder_with(tmp_path / "other", f"{UNIT}.ipynb.txt"), UNIT)
    assert path.name == f"{UNIT}.ipynb.txt" and flags == (f"the notebook's file was called {UNIT}.ipynb.txt",)


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ((), "no notebook"),
        (("a.ipynb", "b.ipynb"), "2 notebooks and none"),
        (("work.zip", ".ipynb_checkpoints"), "contains only work.zip"),
    ],
)
def test_no_notebook_or_several_are_quarantined(tmp_path, names, reason):
    with pytest.raises(Quarantined, match=reason):
        notebook_file(folder_with(tmp_path, *names), UNIT)


def test_a_linked_folder_is_quarantined(tmp_path):
    submission = folder_with(tmp_path, f"{UNIT}.ipynb")
    (tmp_path / "eve").symlink_to(submission.folder.parent)
    with pytest.raises(Quarantined, match="symbolic link"):
        notebook_file(Submission("eve", tmp_path / "eve" / UNIT), UNIT)


@pytest.mark.parametrize("where", ["eve", f"eve/{UNIT}"])
def test_a_link_that_leads_nowhere_is_named_not_passed_over(tmp_path, where):
    (tmp_path / where).parent.mkdir(exist_ok=True)
    (tmp_path / where).symlink_to(tmp_path / "gone")
    (submission,) = find_submissions(tmp_path, UNIT)
    assert submission.student == "eve"
    with pytest.raises(Quarantined, match="symbolic link to a place that does not exist: replace it"):
        notebook_file(submission, UNIT)


def test_a_link_that_leads_to_itself_is_named(tmp_path):
    (tmp_path / "eve").symlink_to(tmp_path / "eve")
    (submission,) = find_submissions(tmp_path, UNIT)
    with pytest.raises(Quarantined, match="symbolic link"):
        notebook_file(submission, UNIT)


def test_a_folder_that_is_called_like_a_notebook_does_not_stand_in_a_notebooks_way(tmp_path):
    submission = folder_with(tmp_path, "final.ipynb")
    (submission.folder / f"{UNIT}.ipynb").mkdir()
    path, flags = notebook_file(submission, UNIT)
    assert path.name == "final.ipynb"
    assert flags == (f"other notebooks in the folder were not graded: {UNIT}.ipynb (a folder)",)


def test_a_notebook_further_down_is_named(tmp_path):
    submission = folder_with(tmp_path)
    (submission.folder / UNIT / "mine").mkdir(parents=True)
    (submission.folder / UNIT / "mine" / "x.ipynb").touch()
    with pytest.raises(Quarantined, match=f"subfolders contain {UNIT}/mine/x.ipynb; put it there"):
        notebook_file(submission, UNIT)


def test_students_are_the_folders_that_hold_the_unit(tmp_path):
    for student, unit in (("bob", UNIT), ("ada", UNIT), ("cleo", "01_kl_divergence"), (".git", UNIT)):
        (tmp_path / student / unit).mkdir(parents=True)
    (tmp_path / "notes.txt").touch()
    assert [submission.student for submission in find_submissions(tmp_path, UNIT)] == ["ada", "bob"]


ODD_NAMES = [
    (b"\xff\xfe", "the byte 0xFF, which is not UTF-8, the byte 0xFE"),
    (b"a\nb", "the control character U+000A"),
    (b"a\x07b", "the control character U+0007"),
    (b"<img src=x onerror=alert(1)>", "has '<', '>', which"),
    (b"\x1b[2Jada", "the control character U+001B"),
    ("a\u202eda".encode(), "U+202E (right-to-left override)"),
    ("ada\u00a0".encode(), "U+00A0 (no-break space)"),
    (b"50%", "has '%', which"),
    (b"a&b", "has '&', which"),
    (b"x" * 250, "250 bytes, more than 200"),
]


@pytest.mark.parametrize(("raw", "sign"), ODD_NAMES)
def test_a_folder_with_a_name_that_can_do_harm_is_quarantined_under_a_harmless_one(tmp_path, raw, sign):
    folder = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), raw))) / UNIT
    folder.mkdir(parents=True)
    (folder / f"{UNIT}.ipynb").touch()
    (submission,) = find_submissions(tmp_path, UNIT)
    assert submission.student.isprintable() and "<" not in submission.student
    with pytest.raises(Quarantined, match="rename it") as reason:
        notebook_file(submission, UNIT)
    assert sign in str(reason.value) and "control" not in str(reason.value).replace(sign, "")


ZOE, ZOE_BY_MACOS = (unicodedata.normalize(form, "Zoë") for form in ("NFC", "NFD"))


def test_a_name_whose_letters_macos_took_apart_is_the_students_id_all_the_same(tmp_path):
    (tmp_path / ZOE_BY_MACOS / UNIT).mkdir(parents=True)
    (tmp_path / ZOE_BY_MACOS / UNIT / f"{UNIT}.ipynb").touch()
    (submission,) = find_submissions(tmp_path, UNIT)
    assert submission.student == ZOE
    assert notebook_file(submission, UNIT)[0].exists()


def test_of_two_folders_with_one_name_the_odd_one_is_quarantined(tmp_path):
    for name in (ZOE, ZOE_BY_MACOS):
        (tmp_path / name / UNIT).mkdir(parents=True)
        (tmp_path / name / UNIT / f"{UNIT}.ipynb").touch()
    by_student = {submission.student: submission for submission in find_submissions(tmp_path, UNIT)}
    assert by_student.keys() == {ZOE, "Zoe%u0308"}
    assert notebook_file(by_student[ZOE], UNIT)[0].exists()
    with pytest.raises(Quarantined, match=f"another folder is called {ZOE} too"):
        notebook_file(by_student["Zoe%u0308"], UNIT)


def test_two_long_names_of_one_student_stay_two_and_short(tmp_path):
    for form in ("NFC", "NFD"):
        (tmp_path / unicodedata.normalize(form, "ë" * 80) / UNIT).mkdir(parents=True)
    students = {submission.student for submission in find_submissions(tmp_path, UNIT)}
    assert len(students) == 2 and all(len(student.encode()) <= 200 for student in students)


def test_two_folders_whose_names_are_no_utf_8_stay_two(tmp_path):
    for raw in (b"\xff", b"\xfe"):
        os.makedirs(os.path.join(os.fsencode(tmp_path), raw, UNIT.encode()))
    assert len({submission.student for submission in find_submissions(tmp_path, UNIT)}) == 2


CLOSED = """
import sys
from pathlib import Path
from autograder.intake.submissions import Quarantined, find_submissions, notebook_file
for submission in find_submissions(Path(sys.argv[1]), sys.argv[2]):
    try:
        print(submission.student, notebook_file(submission, sys.argv[2]))
    except Quarantined as reason:
        print(submission.student, reason)
"""


@pytest.mark.parametrize("closed", [".", UNIT])
def test_a_folder_that_cannot_be_read_is_quarantined_not_passed_over(closed):
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        os.chmod(folder, 0o755)
        student = Path(folder) / "ada"
        (student / UNIT).mkdir(parents=True)
        (student / closed).chmod(0)
        program = [sys.executable, "-c", CLOSED, folder, UNIT]
        dropped = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.geteuid() == 0 else []
        # Root without capabilities is held to permissions, and these give the owner none.
        said = subprocess.run([*dropped, *program], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        (student / closed).chmod(0o755)
    assert said == "ada the folder cannot be read: Permission denied; check its permissions\n"


def test_a_folder_full_of_files_is_not_searched(tmp_path):
    submission = folder_with(tmp_path, f"{UNIT}.ipynb", *map(str, range(1_000)))
    with pytest.raises(Quarantined, match="more than 1000 files"):
        notebook_file(submission, UNIT)
