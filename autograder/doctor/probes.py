"""Tests sandboxes: small programs, run where students' code runs, try to break out and to exceed the limits.

None of them imports torch, so that all together take seconds.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from autograder.doctor.findings import Finding
from autograder.sandbox.bubblewrap import SCRATCH, SandboxUnavailable, launch
from autograder.sandbox.cgroups import Group, NoGroup, new_group
from autograder.sandbox.container import launch_container
from autograder.sandbox.limits import DEFAULT_LIMITS, Limits
from autograder.sandbox.mounts import Mount
from autograder.sandbox.sandbox_kinds import SandboxKind, SandboxProcess
from autograder.sandbox.watchdog import Watchdog

__all__ = ["probe_findings"]

_SECONDS = 30
_PLACE = Path("/sandbox/probe.py")
_MEBIBYTE = 2**20
_REPORT = "report this: a sandbox that does not hold must not be used"

_WALLS = """
import json, os, socket, sys
hidden, folders = json.loads(sys.argv[1])

def succeeds(action):
    try:
        action()
    except OSError:
        return False
    return True

def connect():  # sends nothing: connecting a datagram socket only looks up a route
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("192.0.2.1", 9))

def fill():
    with open("/tmp/filling", "wb") as file:
        for _ in range(4):
            file.write(bytes(2**20))

print(json.dumps({
    "reaches a network": succeeds(connect),
    "sees the course": any(map(os.path.exists, hidden)),
    "writes to the system": any(succeeds(lambda: open(folder + "/probe", "w")) for folder in folders),
    "is root": os.getuid() == 0,
    "fills its folders without end": succeeds(fill),
}))
"""
_HOARDING = "hoard = [bytes([1]) * 2**20 for _ in range(2048)]\nprint('survived')"
_FORKING = """
import os, time
for _ in range(200):
    try:
        if os.fork() == 0:
            time.sleep(60)
    except OSError:
        print("stopped", flush=True)
        break
else:
    time.sleep(1)
    print("survived", flush=True)
os._exit(0)
"""
_CHATTING = "import sys\nfor _ in range(64): sys.stderr.write('x' * 2**14)\nprint('done')"


@dataclass(frozen=True)
class _Outcome:
    """The end of a probe: its standard output, the watchdog's complaint, and whether the output was cut."""

    said: str
    complaint: str
    is_output_cut: bool


def probe_findings(kind: SandboxKind, hidden: Sequence[Path] = ()) -> list[Finding]:
    """The outcome of each attempt in a sandbox of this kind, with a remedy if it succeeded.

    Args:
        kind: the kind of sandbox.
        hidden: files and folders of the course, which must not be visible.
    """
    try:
        return [_walls(kind, hidden), _memory(kind), _processes(kind), _output(kind)]
    except SandboxUnavailable as trouble:
        return [Finding("tried", "a sandbox does not start", str(trouble))]


def _walls(kind: SandboxKind, hidden: Sequence[Path]) -> Finding:
    argument = json.dumps([[str(path / "course.toml") for path in hidden], ["/", "/etc", "/usr", "/dev", "/proc"]])
    outcome = _tried(kind, _WALLS, replace(DEFAULT_LIMITS, scratch_bytes=_MEBIBYTE), hidden, argument)
    try:
        holes = [name for name, succeeded in json.loads(outcome.said).items() if succeeded]
    except ValueError:
        return Finding("walls", f"the probe printed nothing {outcome.complaint}".strip(), _REPORT)
    if holes:
        return Finding("walls", f"DO NOT HOLD: code inside {', '.join(holes)}", _REPORT)
    return Finding("walls", "no network, no access to the course, only folders of limited size are writable, not root")


def _memory(kind: SandboxKind) -> Finding:
    outcome = _tried(kind, _HOARDING, replace(DEFAULT_LIMITS, memory_bytes=64 * _MEBIBYTE))
    return _held("memory", "code that allocates 2 GiB", outcome)


def _processes(kind: SandboxKind) -> Finding:
    outcome = _tried(kind, _FORKING, replace(DEFAULT_LIMITS, processes=16))
    return _held("processes", "code that forks without end", outcome)


def _output(kind: SandboxKind) -> Finding:
    outcome = _tried(kind, _CHATTING, replace(DEFAULT_LIMITS, output_bytes=1024))
    remedy = "" if outcome.is_output_cut else _REPORT
    return Finding("output", "cut" if outcome.is_output_cut else "NOT cut", remedy)


def _held(topic: str, what: str, outcome: _Outcome) -> Finding:
    if "survived" in outcome.said:
        return Finding(topic, f"{what} is NOT stopped", _REPORT)
    return Finding(topic, f"{what} is stopped by {'the watchdog' if outcome.complaint else 'the kernel'}")


def _tried(kind: SandboxKind, source: str, limits: Limits, hidden: Sequence[Path] = (), argument: str = "") -> _Outcome:
    group = _group(limits) if kind == "bubblewrap" else None
    try:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "probe.py")
            file.write_text(source, encoding="utf-8")
            return _watched(_started(kind, file, argument, limits, hidden, group), limits, kind)
    finally:
        if group:
            group.remove()


def _group(limits: Limits) -> Group | None:
    try:
        return new_group(limits)
    except NoGroup:
        return None


def _started(
    kind: SandboxKind, file: Path, argument: str, limits: Limits, hidden: Sequence[Path], group: Group | None
) -> SandboxProcess:
    mounts = [Mount(file, _PLACE)]
    if kind == "container":
        return launch_container([str(_PLACE), argument], mounts, (), limits)
    joining = group.joining() if group else ()
    return launch([sys.executable, str(_PLACE), argument], mounts, limits.scratch_bytes, (), hidden, joining)


def _watched(process: SandboxProcess, limits: Limits, kind: SandboxKind) -> _Outcome:
    watchdog = Watchdog(process, limits, SCRATCH if kind == "bubblewrap" else ())
    watchdog.start()
    timer = threading.Timer(_SECONDS, process.kill)
    timer.start()
    try:
        assert process.stdout is not None
        said = process.stdout.read().decode("utf-8", "replace")
    finally:
        timer.cancel()
        process.kill()
        process.wait()
        watchdog.join(timeout=10)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()
    return _Outcome(said, watchdog.complaint, watchdog.is_cut)
