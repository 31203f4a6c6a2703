"""Files replaced in one piece."""

import os
import signal
import stat

import pytest

from avae_lib.atomic_write import move_into_place, write_atomically


def test_text_bytes_and_what_a_function_writes_arrive_alike(tmp_path):
    for content in ("τ = 1\n", "τ = 1\n".encode(), lambda file: file.write("τ = 1\n".encode())):
        assert write_atomically(tmp_path / "notes.txt", content).read_text(encoding="utf-8") == "τ = 1\n"
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_write_that_fails_half_way_leaves_the_earlier_file_and_no_draft(tmp_path):
    path = write_atomically(tmp_path / "notes.txt", "earlier")

    def fail(file):
        file.write(b"half of it")
        raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="full"):
        write_atomically(path, fail)
    assert path.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_a_program_killed_half_way_leaves_the_earlier_file(tmp_path):
    path = write_atomically(tmp_path / "notes.txt", "earlier")

    def die(file):
        file.write(b"half of it")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        try:
            write_atomically(path, die)
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert path.read_text() == "earlier"
    assert write_atomically(path, "later").read_text() == "later"


def test_the_content_is_on_the_disk_before_the_file_has_its_name(tmp_path, monkeypatch):
    steps = []
    flush, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (steps.append("flushed"), flush(file)))
    monkeypatch.setattr(os, "replace", lambda *names: (steps.append("renamed"), replace(*names)))
    write_atomically(tmp_path / "written", "content")
    (tmp_path / "draft").write_text("content")
    move_into_place(tmp_path / "draft", tmp_path / "moved")
    assert steps == ["flushed", "renamed"] * 2


def test_the_mode_holds_from_the_first_byte(tmp_path):
    modes = []
    path = write_atomically(tmp_path / "grades.csv", lambda file: modes.append(os.fstat(file.fileno()).st_mode), 0o600)
    assert [stat.S_IMODE(mode) for mode in (*modes, path.stat().st_mode)] == [0o600, 0o600]


def test_a_draft_is_never_written_through_a_link(tmp_path):
    elsewhere = write_atomically(tmp_path / "elsewhere", "untouched")
    (tmp_path / f".notes.txt.{os.getpid()}.partial").symlink_to(elsewhere)
    with pytest.raises(OSError):
        write_atomically(tmp_path / "notes.txt", "content")
    assert elsewhere.read_text() == "untouched"
