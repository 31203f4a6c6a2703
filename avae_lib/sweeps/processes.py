"""The processes of a sweep: each trains one run, and none outlives the program that started it."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from avae_lib.sweeps.combinations import SweptRun
from avae_lib.training.run_guards import TrainingInterrupted, stop_on_signals

__all__ = ["LOG", "Outcome", "last_line", "train_all", "training_command"]

LOG = "sweep.log"
"""Name of the file in the folder of a run that has what its training wrote."""
_PAUSE = 0.05  # seconds between two looks at the processes
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux


@dataclass(frozen=True)
class Outcome:
    """How a run of a sweep ended.

    >>> run = SweptRun("seed=1", Path("runs/sweeps/mine/seed=1"), ("--training.seed", "1"), None)
    >>> Outcome(run, failure=None).run.name
    'seed=1'
    """

    run: SweptRun
    failure: str | None
    """The last line that the process wrote if it failed; None if all went well."""


def train_all(
    preset: str, runs: Sequence[SweptRun], jobs: int, say: Callable[[str], object] = print
) -> tuple[Outcome, ...]:
    """Train all runs that are not finished, each in a process of its own. A run that fails does not stop the others.

    What a process writes goes to ``sweep.log`` in the folder of its run.

    Args:
        preset: name of the preset.
        runs: the combinations.
        jobs: number of processes at a time; if there are several, each has one thread.
        say: called with a line whenever a run begins or ends.

    Raises:
        TrainingInterrupted: a signal asked to stop; all runs have saved their state.

    >>> train_all("digits-vae", runs=(), jobs=1)
    ()
    """
    waiting, running, outcomes = _unfinished(runs, say), list[_Training](), list[Outcome]()
    with stop_on_signals() as stop:
        try:
            while running or (waiting and not stop.made):
                while waiting and len(running) < jobs and not stop.made:
                    running.append(_Training(preset, waiting.pop(0), jobs))
                    say(f"{running[-1].run.name}: training")
                for training in [training for training in running if training.has_ended(stop.made)]:
                    running.remove(training)
                    outcomes.append(training.outcome())
                    say(_in_words(outcomes[-1], stop.made))
                time.sleep(_PAUSE)
        finally:
            for training in running:
                training.ask_to_stop()
    if stop.made:
        raise TrainingInterrupted("stopped; every run has saved its state", stop.number)
    return tuple(outcomes)


def _unfinished(runs: Sequence[SweptRun], say: Callable[[str], object]) -> list[SweptRun]:
    states = {run.name: run.state() for run in runs}
    for name, state in states.items():
        if state == "finished":
            say(f"{name}: finished already")
    return [run for run in runs if states[run.name] != "finished"]


def training_command(preset: str, run: SweptRun, processes: int = 1) -> list[str]:
    """The command that trains one run, with what is left of its minutes; for several processes by torchrun.

    >>> run = SweptRun("seed=1", Path("runs/sweeps/mine/seed=1"), ("--training.seed", "1"), None)
    >>> training_command("digits-vae", run)[3:5]
    ['train', 'digits-vae']
    """
    torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m"]
    launcher = [sys.executable, "-m", *(torchrun if processes > 1 else [])]
    left = run.minutes_left()
    budget = [] if left is None else ["--training.minutes", f"{left:.6g}"]
    options = ["--run-dir", str(run.folder), "--no-report", *run.options, *budget]
    return [*launcher, "avae_lib", "train", preset, *options]


class _Training:
    """The process that trains one run."""

    def __init__(self, preset: str, run: SweptRun, jobs: int) -> None:
        self.run = run
        run.folder.mkdir(parents=True, exist_ok=True)
        self._log = run.folder / LOG
        self._is_asked = False
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                training_command(preset, run),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | ({"OMP_NUM_THREADS": "1"} if jobs > 1 else {}),
                start_new_session=True,  # Ctrl-C reaches the sweep alone, which then asks each process once
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            )

    def has_ended(self, is_to_stop: bool) -> bool:
        """Whether the process has ended; if it is to stop, it is asked to, once."""
        if is_to_stop and not self._is_asked:
            self.ask_to_stop()
        return self._process.poll() is not None

    def ask_to_stop(self) -> None:
        """Ask for an orderly end: training saves its state at this signal."""
        if not self._is_asked and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        self._is_asked = True

    def outcome(self) -> Outcome:
        return Outcome(self.run, last_line(self._log) if self._process.returncode else None)


def _die_with_parent() -> None:
    """Have the system send SIGTERM when the sweep is killed, so that no process trains on unseen."""
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGTERM)


def _in_words(outcome: Outcome, is_stopped: bool) -> str:
    if outcome.failure is None:
        return f"{outcome.run.name}: done"
    return f"{outcome.run.name}: {'stopped' if is_stopped else 'failed'}: {outcome.failure}"


def last_line(log: Path) -> str:
    """The last line that a training has written, without the name of the program.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     log = Path(folder, LOG)
    ...     _ = log.write_text("training\\navae: no space left\\n")
    ...     last_line(log)
    'no space left'
    """
    text = log.read_text(encoding="utf-8", errors="replace").replace("\r", "\n").strip()
    return text.rpartition("\n")[2].removeprefix("avae: ") or "the process ended without a word"
