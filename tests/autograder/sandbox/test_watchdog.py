"""Limits that hold for all of a sandbox, with control groups and without, whoever runs the grader."""

import os
import subprocess
import sys
import time

import pytest

from autograder.sandbox.process_usage import sockets_of_tree, usage_of_scratch, usage_of_tree

MEGABYTE = 2**20
LIMITS = {"memory_bytes": 384 * MEGABYTE, "processes": 48, "cell_seconds": 30.0}

# Each takes more than it may, where a watchdog that looks in the wrong place sees none of it.
TOO_MUCH = {
    "folders in memory, behind a process that has ended": """
import os, time
folders = ("/home/student", "/tmp", "/dev/shm")
own = bytearray(128 * 2**20)
if not os.fork():
    time.sleep(60)
for number, folder in enumerate(2 * folders):
    with open(f"{folder}/large-{number}", "wb") as file:
        file.write(bytes(28 * 2**20))
if not os.fork():
    os._exit(0)
time.sleep(60)
""",
    "a process whose first thread has ended": """
import ctypes, os, threading, time
def take():
    global own
    own = b"x" * (150 * 2**20)
    time.sleep(60)
for _ in range(3):
    if not os.fork():
        threading.Thread(target=take).start()
        ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[os.uname().machine], 0)
time.sleep(60)
""",
    "connections that nobody has accepted": """
import socket, time
listeners = []
for number in range(20):
    listeners.append(socket.socket(socket.AF_UNIX))
    listeners[-1].bind(f"\\0{number}")
    listeners[-1].listen(4096)
    for _ in range(100):
        with socket.socket(socket.AF_UNIX) as caller:
            caller.setblocking(False)
            try:
                caller.connect(f"\\0{number}")
                while caller.send(bytes(2**16)): pass
            except OSError: pass
time.sleep(60)
""",
}
FILES_WITHOUT_END = """
import os
def made(folder):
    for number in range(10**6):
        try:
            os.close(os.open(f"{folder}/{number}", os.O_CREAT))
        except OSError:
            return number
print([made(folder) for folder in ("/tmp", "/dev/shm", "/home/student")])
"""
TERMINALS_WITHOUT_END = """
import os
terminals = []
try:
    for _ in range(100):
        terminals.append(os.openpty())
except OSError:
    pass
print(len(terminals))
"""


@pytest.fixture(scope="module", params=[True, False], ids=["as it is here", "without control groups"])
def ended(request, endings):
    """How each of these cells ended."""
    cells = TOO_MUCH | {"files": FILES_WITHOUT_END, "terminals": TERMINALS_WITHOUT_END}
    return dict(zip(cells, endings(list(cells.values()), request.param, **LIMITS), strict=True))


def test_nothing_hides_what_a_sandbox_takes(ended):
    for name in TOO_MUCH:
        assert "MB of memory" in ended[name]["lost"] or "sockets open" in ended[name]["lost"], name


def test_folders_in_memory_hold_a_limited_number_of_files(ended):
    numbers = ended["files"]["printed"].strip("[]\n").split(", ")
    assert ended["files"]["error"] == ""
    assert all(1000 < int(number) <= 64 * MEGABYTE / 4096 for number in numbers)


def test_a_warm_sandbox_has_few_terminals(ended, start):
    assert int(ended["terminals"]["printed"]) <= (16 if start == "warm" else 100)


SPARSE = """
import mmap, time
space = mmap.mmap(-1, 2**33, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ)
for place in range(0, 2**33, 2**21):
    space[place]
print("mapped", flush=True)
time.sleep(60)
"""


def test_tables_of_pages_are_memory():
    with subprocess.Popen([sys.executable, "-c", SPARSE], stdout=subprocess.PIPE) as process:
        empty = usage_of_tree(os.getpid()).memory_bytes  # of this process and the one that has just begun
        process.stdout.readline()
        own = usage_of_tree(process.pid).memory_bytes
        process.kill()
    assert own > 4096 * 2**33 / 2**21
    assert empty > 0


def test_folders_in_memory_count_as_full_while_no_process_can_be_asked():
    ended = subprocess.Popen(["true"])
    time.sleep(0.2)
    assert usage_of_scratch(ended.pid, ("/tmp", "/home"), MEGABYTE) == 2 * MEGABYTE
    ended.wait()


def test_sockets_of_the_machine_are_none_of_a_sandboxs():
    assert sockets_of_tree(os.getpid()) == 0
