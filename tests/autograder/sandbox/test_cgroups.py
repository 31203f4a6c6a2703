"""Control groups: found where they are, joined by what is put into them, and gone afterwards."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from autograder.sandbox import cgroups
from autograder.sandbox.cgroups import NoGroup, in_force, new_group
from autograder.sandbox.limits import Limits

MOUNTS_V1 = """\
31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
35 31 0:32 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
"""
MOUNTS_V2 = "30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
MOUNTS_CONTAINER = "900 899 0:30 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"


@pytest.mark.parametrize(
    ("memberships", "mounts", "found"),
    [
        ("8:pids:/\n4:memory:/jobs/7\n3:cpu,cpuacct:/\n0::/\n", MOUNTS_V1,
         {"pids": "/sys/fs/cgroup/pids", "memory": "/sys/fs/cgroup/memory/jobs/7", "": "/sys/fs/cgroup/unified",
          "cpu": "/sys/fs/cgroup/cpu,cpuacct", "cpuacct": "/sys/fs/cgroup/cpu,cpuacct"}),
        ("0::/user.slice/a:b.scope\n", MOUNTS_V2, {"": "/sys/fs/cgroup/user.slice/a:b.scope"}),
        ("4:memory:/docker/abc\n", MOUNTS_CONTAINER, {"memory": "/sys/fs/cgroup/memory"}),
        ("4:memory:/elsewhere\n0::/\n", MOUNTS_CONTAINER, {}),
    ],
)  # fmt: skip
def test_the_graders_own_group_is_found(memberships, mounts, found):
    assert cgroups._own_groups(memberships, mounts) == {name: Path(path) for name, path in found.items()}


def is_possible() -> bool:
    try:
        return not in_force().endswith("systemd")
    except NoGroup:
        return False


needs_groups = pytest.mark.skipif(not is_possible(), reason="this user may make no control groups here")
TAKES = "data = bytearray({}); import time; time.sleep({})"


def run_in(group, size, seconds=0.0) -> int:
    command = [*group.joining(), sys.executable, "-c", TAKES.format(size, seconds)]
    return subprocess.run(command, check=False).returncode


@needs_groups
def test_what_takes_more_than_the_group_may_is_killed_and_that_is_known():
    group = new_group(Limits(memory_bytes=2**20))
    try:
        assert run_in(group, 2**20) == 0 and not group.ran_out_of_memory()
        assert run_in(group, 2**29) == -9 and group.ran_out_of_memory()
    finally:
        group.remove()
    assert not any(folder.exists() for folder in group.folders())


@needs_groups
def test_groups_of_graders_that_are_gone_are_swept_up_and_others_are_not():
    groups = [new_group(Limits()) for _ in range(2)]
    (old, kept), gone = groups, subprocess.run(["/bin/sh", "-c", "echo $$"], capture_output=True, check=True)
    renamed = [folder.with_name(f"course-sandbox-{int(gone.stdout)}-0") for folder in old.folders()]
    for folder, name in zip(old.folders(), renamed, strict=True):
        folder.rmdir()
        name.mkdir()
    cgroups._sweep({folder.parent for folder in kept.folders()})
    assert not any(folder.exists() for folder in renamed)
    assert all(folder.exists() for folder in kept.folders())
    kept.remove()


FAKE_SYSTEMD = """#!/bin/sh
echo "$@" > {log}
while [ "$1" != -- ]; do shift; done
shift
exec "$@"
"""


@pytest.fixture
def without_folders(monkeypatch):
    """A machine on which this user can make no groups by hand."""

    def refuse(limits):
        raise NoGroup("/sys/fs/cgroup: Permission denied")

    monkeypatch.setattr(cgroups, "_new_folders", refuse)
    monkeypatch.setattr(cgroups, "_way", cgroups._way.__wrapped__)


def test_systemd_makes_the_group_where_it_can(without_folders, monkeypatch, tmp_path):
    program = tmp_path / "systemd-run"
    program.write_text(FAKE_SYSTEMD.format(log=tmp_path / "log"))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert in_force() == "v2, by systemd"
    group = new_group(Limits(memory_bytes=2**30, processes=64))
    environment = subprocess.run([*group.joining(), "/usr/bin/env"], capture_output=True, text=True, check=True).stdout
    assert environment == ""
    assert "MemoryMax=1342177280 -p MemorySwapMax=0 -p TasksMax=80" in (tmp_path / "log").read_text()


def test_without_either_the_reason_is_told(without_folders, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(NoGroup, match=r"Permission denied; there is no systemd-run"):
        in_force()
    with pytest.raises(NoGroup):
        new_group(Limits())


def test_version_two_gets_its_own_names(tmp_path, monkeypatch):
    """On a folder that stands for a delegated group."""
    monkeypatch.setattr(cgroups, "_parents", lambda: (cgroups._V2, tmp_path, tmp_path))
    group = cgroups._new_folders(Limits(memory_bytes=2**30, processes=64))
    (folder,) = group.folders()
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        "memory.max": str(2**30 + 2**28), "pids.max": "80",
    }  # fmt: skip
    (folder / "memory.events").write_text("low 0\nmax 12\noom 1\noom_kill 1\n")
    assert group.ran_out_of_memory()


def test_a_group_that_holds_processes_hands_nothing_down(tmp_path):
    (tmp_path / "cgroup.subtree_control").mkdir()  # writing to it fails, as the kernel's refusal does
    with pytest.raises(NoGroup, match="Delegate=yes"):
        cgroups._hand_down(tmp_path)
