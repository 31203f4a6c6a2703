"""What is read of a submitted file: one regular file of moderate size, whole and unchanged, or nothing."""

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from autograder.intake import submitted_bytes
from autograder.intake.submitted_bytes import MAX_BYTES, Quarantined, read_once

ROOT = Path(__file__).parents[3]


def reason_for(path: Path) -> str:
    with pytest.raises(Quarantined) as reason:
        read_once(path)
    return str(reason.value)


def test_a_file_is_read_as_it_is(tmp_path):
    (tmp_path / "x.ipynb").write_bytes(b"{}\r\n")
    assert read_once(tmp_path / "x.ipynb") == b"{}\r\n"


@pytest.mark.parametrize(
    ("size", "said"),
    [(MAX_BYTES + 2**20, "the notebook has 21 MB, more than the limit of 20 MB"), (2 * 2**30, "has 2 GB")],
)
def test_a_huge_file_is_not_read_even_where_it_takes_no_room(tmp_path, size, said):
    path = tmp_path / "huge.ipynb"
    with path.open("wb") as file:
        file.truncate(size)
    assert said in reason_for(path) and "clear its outputs" in reason_for(path)


def a_link(path):
    path.with_name("real.ipynb").write_text("{}")
    path.symlink_to("real.ipynb")


def a_link_to_itself(path):
    path.symlink_to(path)


def a_link_to_nowhere(path):
    path.symlink_to("gone.ipynb")


def a_folder(path):
    path.mkdir()


def a_pipe(path):
    os.mkfifo(path)


def a_socket(path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (a_link, "a symbolic link"),
        (a_link_to_itself, "a symbolic link"),
        (a_link_to_nowhere, "a symbolic link"),
        (a_folder, "not a regular file but a folder"),
        (a_pipe, "not a regular file but a named pipe"),
        (a_socket, "not a regular file but a socket"),
    ],
)
def test_what_is_no_file_is_named_and_not_waited_for(tmp_path, monkeypatch, make, kind):
    monkeypatch.chdir(tmp_path)  # the address of a socket must be short
    make(Path("x.ipynb"))
    assert reason_for(Path("x.ipynb")) == f"the notebook is {kind}: replace it with the file itself"


def test_a_device_is_not_opened(monkeypatch):
    monkeypatch.setattr(os, "open", lambda *_: pytest.fail("it was opened"))
    reason = reason_for(Path("/dev/zero"))
    assert reason == "the notebook is not a regular file but a device: replace it with the file itself"


CLOSED = """
import sys
from pathlib import Path
from autograder.intake.submitted_bytes import Quarantined, read_once
try:
    read_once(Path(sys.argv[1]))
except Quarantined as reason:
    print(reason)
"""


def test_a_file_that_nobody_may_read_is_named():
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        os.chmod(folder, 0o755)
        path = Path(folder) / "x.ipynb"
        path.touch(0o000)
        dropped = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.geteuid() == 0 else []
        # Root without capabilities is held to permissions, and these give the owner none.
        program = [*dropped, sys.executable, "-c", CLOSED, path]
        said = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert said == "the notebook cannot be opened: Permission denied; check its permissions\n"


def another_file(path):
    path.with_name("other").write_text("[]")
    os.replace(path.with_name("other"), path)


def a_longer_file(path):
    with path.open("a") as file:
        file.write(" ")


def the_same_length(path):
    path.write_text("[]")
    os.utime(path, ns=(1, 1))


def nothing(path):
    path.unlink()


@pytest.mark.parametrize("change", [another_file, a_longer_file, the_same_length, nothing])
def test_a_file_that_changes_while_it_is_read_is_not_graded(tmp_path, monkeypatch, change):
    path = tmp_path / "x.ipynb"
    path.write_text("{}")
    opening = submitted_bytes._open

    def opened(*arguments):
        descriptor = opening(*arguments)
        change(path)
        return descriptor

    monkeypatch.setattr(submitted_bytes, "_open", opened)
    assert "changed while it was read: grade again" in reason_for(path) or change is nothing


def test_a_pipe_that_takes_a_files_place_before_it_is_opened_is_found_out(tmp_path, monkeypatch):
    path = tmp_path / "x.ipynb"
    path.write_text("{}")
    looking = submitted_bytes._status

    def looked(*arguments):
        status = looking(*arguments)
        path.unlink()
        os.mkfifo(path)
        return status

    monkeypatch.setattr(submitted_bytes, "_status", looked)
    assert "not a regular file but a named pipe" in reason_for(path)
