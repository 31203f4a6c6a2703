"""Finding submissions on disk: the right file, or a reason that a person can act on."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from autograder.intake.submissions import MAX_BYTES, Quarantined, Submission, find_submissions, notebook_file, read_once

ROOT = Path(__file__).parents[3]
UNIT = "03_vae"


def test_a_huge_file_is_not_read(tmp_path):
    path = tmp_path / "huge.ipynb"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(Quarantined, match="clear its outputs"):
        read_once(path)


def test_links_pipes_and_folders_are_quarantined(tmp_path):
    real = tmp_path / "real.ipynb"
    real.write_text("{}")
    (tmp_path / "link.ipynb").symlink_to(real)
    (tmp_path / "folder.ipynb").mkdir()
    os.mkfifo(tmp_path / "pipe.ipynb")
    for name, reason in (("link", "symbolic link"), ("folder", "no regular file"), ("pipe", "no regular file")):
        with pytest.raises(Quarantined, match=reason):
            read_once(tmp_path / f"{name}.ipynb")


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
        (("work.zip", ".ipynb_checkpoints"), "there is only work.zip"),
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


def test_students_are_the_folders_that_hold_the_unit(tmp_path):
    for student, unit in (("bob", UNIT), ("ada", UNIT), ("cleo", "01_kl_divergence"), (".git", UNIT)):
        (tmp_path / student / unit).mkdir(parents=True)
    (tmp_path / "notes.txt").touch()
    assert [submission.student for submission in find_submissions(tmp_path, UNIT)] == ["ada", "bob"]


ODD_NAMES = [b"\xff\xfe", b"a\nb", b"<img src=x onerror=alert(1)>", b"\x1b[2Jada", "a\u202eda".encode(), b"x" * 250]


@pytest.mark.parametrize("raw", ODD_NAMES)
def test_a_folder_with_a_name_that_can_do_harm_is_quarantined_under_a_harmless_one(tmp_path, raw):
    folder = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), raw))) / UNIT
    folder.mkdir(parents=True)
    (folder / f"{UNIT}.ipynb").touch()
    (submission,) = find_submissions(tmp_path, UNIT)
    assert submission.student.isprintable() and "<" not in submission.student
    with pytest.raises(Quarantined, match="rename it"):
        notebook_file(submission, UNIT)


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
