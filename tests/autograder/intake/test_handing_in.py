"""The time of handing in: taken from nbgrader's file if that is one, else flagged; nothing there stops a class."""

import os
from datetime import datetime

import pytest

from autograder.intake.handing_in import handed_in


@pytest.fixture
def notebook(tmp_path):
    path = tmp_path / "03_vae.ipynb"
    path.touch()
    os.utime(path, (1_770_000_000, 1_770_000_000))
    return path


BY_FILE = datetime(2026, 2, 2, 2, 40)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-03-01 12:30:00 UTC\n", datetime(2026, 3, 1, 12, 30)),
        ("2026-03-01 12:30:00.250000 UTC", datetime(2026, 3, 1, 12, 30, 0, 250000)),
        ("2026-03-01T12:30:00+02:00", datetime(2026, 3, 1, 10, 30)),
        ("2026-03-01 12:30:00", datetime(2026, 3, 1, 12, 30)),
    ],
)
def test_nbgraders_own_time_is_taken(notebook, text, time):
    (notebook.parent / "timestamp.txt").write_text(text)
    assert handed_in(notebook.parent, notebook) == (time, ())


def test_without_the_file_the_time_is_not_known(notebook):
    assert handed_in(notebook.parent, notebook) == (None, ())


BAD_CONTENTS = [
    b"", b"whenever", b"\xff\xfe2\x000\x00", b"9999-12-31 23:59:59 UTC", b"0001-01-01 00:00:00 UTC",
    b"2026-13-01 12:30:00 UTC", b"2026-03-01 12:30:00 +99:99", b"2026-03-01 12:30:00 UTC" + b" " * 300,
    b"99999999999999999999-01-01 00:00:00", "２０２６-03-01 12:30:00".encode(), b"\0" * 10,
]  # fmt: skip


@pytest.mark.parametrize("content", BAD_CONTENTS)
def test_anything_but_a_time_is_flagged_and_the_notebooks_file_counts(notebook, content):
    (notebook.parent / "timestamp.txt").write_bytes(content)
    time, (flag,) = handed_in(notebook.parent, notebook)
    assert time == BY_FILE
    assert "timestamp.txt was not used" in flag and flag.isprintable()


def a_pipe(path):
    os.mkfifo(path)


def a_folder(path):
    path.mkdir()


def a_link_to_a_time(path):
    real = path.with_name("other.txt")
    real.write_text("2020-01-01 00:00:00 UTC")
    path.symlink_to(real)


def a_link_to_itself(path):
    path.symlink_to(path)


def a_link_without_end(path):
    path.symlink_to("/dev/zero")


def a_huge_file(path):
    with path.open("wb") as file:
        file.truncate(2**40)


@pytest.mark.parametrize(
    "make", [a_pipe, a_folder, a_link_to_a_time, a_link_to_itself, a_link_without_end, a_huge_file]
)
def test_no_file_of_another_kind_is_read_or_waited_for(notebook, make):
    make(notebook.parent / "timestamp.txt")
    time, flags = handed_in(notebook.parent, notebook)
    assert time == BY_FILE and len(flags) == 1


@pytest.mark.parametrize("seconds", [0, 2**33 - 1])
def test_a_file_from_another_century_has_no_time(notebook, seconds):
    (notebook.parent / "timestamp.txt").write_text("whenever")
    os.utime(notebook, (seconds, seconds))
    time, flags = handed_in(notebook.parent, notebook)
    assert time is None and len(flags) == 1
