"""A sweep on a Slurm cluster: an array of jobs, each of which trains one run and is queued again until it is done."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from avae_lib.atomic_write import write_atomically
from avae_lib.errors import InvalidInput, UserError
from avae_lib.sweeps.combinations import SweptRun
from avae_lib.sweeps.processes import LOG, last_line, training_command
from avae_lib.training.run_guards import UNFINISHED

__all__ = ["SlurmOptions", "SlurmTraining", "submit"]

_JOB = "slurm.json"  # in the folder of a run: the job that trains it
_NOTICE = 120  # seconds between Slurm's signal and the end of a job
_TIME_TO_SAVE = 90.0  # of these, seconds that training gets to save its state
_REPEATS = 10_000  # how often a job may run into its time limit


class TrainingFailed(UserError, RuntimeError):
    """The training of a run ended with an error; the message is the last line that it wrote."""


@dataclass(frozen=True)
class SlurmOptions:
    """What is asked of Slurm for each run of a sweep.

    >>> SlurmOptions(minutes=0)
    Traceback (most recent call last):
    avae_lib.errors.InvalidInput: --slurm-minutes must be at least 5, got 0: a job is told two minutes before its end
    """

    minutes: int = 240
    """Time limit of a job. A run that needs longer is queued again and continues."""
    gpus: int = 1
    """GPUs for each run, all on one machine; 0 for none. With several, as many processes train it together."""
    cpus: int = 4
    """Processors for each run."""
    others: Mapping[str, str] = field(default_factory=dict)
    """Further options of sbatch, by their long names, such as partition or account."""

    def __post_init__(self) -> None:
        if self.minutes < 5:
            raise InvalidInput(
                f"--slurm-minutes must be at least 5, got {self.minutes}: a job is told two minutes before its end"
            )
        if self.gpus < 0 or self.cpus < 1:
            raise InvalidInput(
                f"--slurm-gpus must not be negative and --slurm-cpus at least 1: {self.gpus}, {self.cpus}"
            )


@dataclass
class SlurmTraining:
    """What a job of the array does: it trains one run, in a process of its own.

    submitit calls :meth:`checkpoint` when Slurm announces the end of the job, and queues the job again with what that
    returns.

    >>> SlurmTraining("digits-vae", "seed=1", Path("runs/sweeps/mine/seed=1"), ("--training.seed", "1")).gpus
    0
    """

    preset: str
    name: str
    folder: Path
    options: tuple[str, ...]
    minutes: float | None = None
    gpus: int = 0

    def __call__(self) -> str:
        """Train until the run is finished, and say so.

        Raises:
            TrainingFailed: the training ended with an error.
        """
        run = SweptRun(self.name, self.folder, self.options, None, self.minutes)
        command = training_command(self.preset, run, processes=max(1, self.gpus))
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / LOG).open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, preexec_fn=_ignore_notice
            )
        _wait(self._process)
        if self._process.returncode == UNFINISHED:
            time.sleep(_TIME_TO_SAVE)  # Slurm has signalled the training itself; its signal to this process follows
        if self._process.returncode != 0:
            raise TrainingFailed(f"{self.name}: {last_line(self.folder / LOG)}")
        return f"{self.name}: done"

    def checkpoint(self) -> Any:
        """Have the training save its state and end; returns what the job is to do when it runs again."""
        from submitit.helpers import DelayedSubmission  # pyright: ignore[reportMissingImports]  of the extra "slurm"

        self._process.terminate()
        _wait(self._process, _TIME_TO_SAVE)
        del self._process  # of the next job
        return DelayedSubmission(self)


def _ignore_notice() -> None:
    """Slurm signals all processes of a job, and torchrun would die of it; the training sets a handler of its own."""
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)


def _wait(process: subprocess.Popen[bytes], seconds: float = float("inf")) -> None:
    """Wait in small steps, because a signal may call this a second time, inside itself."""
    end = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < end:
        time.sleep(0.1)


def submit(
    preset: str,
    runs: Sequence[SweptRun],
    options: SlurmOptions,
    folder: Path,
    at_once: int | None = None,
    say: Callable[[str], object] = print,
    cluster: str = "slurm",
) -> list[Any]:
    """Submit an array with a job for each run that is neither finished nor in the queue.

    Args:
        preset: name of the preset.
        runs: the combinations.
        options: what is asked of Slurm.
        folder: folder of the sweep, on a disk that all machines see; what Slurm writes goes to ``slurm`` in it.
        at_once: number of jobs that may run at the same time; None for no limit.
        say: called with a line for each run.
        cluster: "slurm"; or "local" to run the jobs as processes of this machine, for a test.

    Returns:
        The jobs of submitit.

    Raises:
        InvalidInput: submitit is not installed, or this machine has no Slurm.

    >>> submit("digits-vae", runs=(), options=SlurmOptions(), folder=Path("runs/sweeps/mine"))
    []
    """
    if not runs:
        return []
    executor = _executor(options, folder, at_once or len(runs), cluster)
    queued = _queued() if cluster == "slurm" else set()
    waiting = [run for run in runs if _is_to_submit(run, queued, say)]
    if not waiting:
        return []
    with executor.batch():
        jobs = [
            executor.submit(SlurmTraining(preset, run.name, run.folder, run.options, run.minutes, options.gpus))
            for run in waiting
        ]
    for run, job in zip(waiting, jobs, strict=True):
        run.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(run.folder / _JOB, json.dumps({"job": job.job_id}) + "\n")
        say(f"{run.name}: job {job.job_id}")
    return jobs


def _executor(options: SlurmOptions, folder: Path, at_once: int, cluster: str) -> Any:
    try:
        import submitit  # pyright: ignore[reportMissingImports]  of the extra "slurm"
    except ImportError as problem:
        raise InvalidInput("--slurm needs submitit: pip install submitit, or leave --slurm out") from problem
    if cluster == "slurm" and not all(shutil.which(program) for program in ("sbatch", "srun", "squeue")):
        raise InvalidInput(
            "--slurm needs sbatch, srun and squeue, which this machine does not have: type the command on a machine "
            "from which jobs are submitted, or leave --slurm out"
        )
    executor = submitit.AutoExecutor(folder=folder.absolute() / "slurm" / "%j", cluster=cluster, **_repeats(cluster))
    executor.update_parameters(
        name=folder.name,
        timeout_min=options.minutes,
        tasks_per_node=1,
        cpus_per_task=options.cpus,
        stderr_to_stdout=True,
        slurm_signal_delay_s=_NOTICE,
        slurm_array_parallelism=at_once,
        slurm_additional_parameters={"requeue": True, **options.others},
        **({"gpus_per_node": options.gpus} if options.gpus else {}),
    )
    return executor


def _repeats(cluster: str) -> dict[str, int]:
    return {f"{cluster}_max_num_timeout": _REPEATS}


def _is_to_submit(run: SweptRun, queued: set[str], say: Callable[[str], object]) -> bool:
    state, job = run.state(), _job_of(run)
    if state == "finished":
        say(f"{run.name}: finished already")
        return False
    if job in queued:
        say(f"{run.name}: {state}, job {job} is in the queue")
        return False
    return True


def _job_of(run: SweptRun) -> str | None:
    try:
        return json.loads((run.folder / _JOB).read_text(encoding="utf-8"))["job"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _queued() -> set[str]:
    """The jobs of this user that wait or run; of an array each one by itself."""
    command = ["squeue", "--noheader", "--array", "--format=%i", f"--user={os.getuid()}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise InvalidInput(f"squeue does not list your jobs ({done.stderr.strip()}): try again when it does")
    return set(done.stdout.split())
