"""Files that only their owner may read, in one piece or not at all."""

import os

import pytest

from autograder.course.private_files import private_folder, write_private


@pytest.fixture(autouse=True)
def generous_umask():
    before = os.umask(0)
    yield
    os.umask(before)


def test_nobody_else_may_read_a_file_or_the_folders_made_for_it(tmp_path):
    path = write_private(tmp_path / "exports" / "canvas" / "grades.csv", "Zoë")
    assert path.read_text(encoding="utf-8") == "Zoë"
    modes = [place.stat().st_mode & 0o777 for place in (path, path.parent, path.parent.parent)]
    assert modes == [0o600, 0o700, 0o700]


def test_a_file_that_all_could_read_is_closed_when_it_is_written_anew(tmp_path):
    (tmp_path / "grades.csv").write_text("old")
    assert write_private(tmp_path / "grades.csv", b"new").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["grades.csv"]


def test_a_write_that_fails_leaves_the_earlier_file_and_no_draft(tmp_path, monkeypatch):
    path = write_private(tmp_path / "grades.csv", "earlier")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        write_private(path, "later")
    assert path.read_text() == "earlier" and list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_there_keeps_its_permissions(tmp_path):
    (tmp_path / "shared").mkdir(mode=0o755)
    assert private_folder(tmp_path / "shared").stat().st_mode & 0o777 == 0o755
