"""Sweeps as arrays of Slurm jobs: what is asked of Slurm, what a job does, and how an unfinished sweep goes on.

There is no Slurm here: programs of its names record what they are given, and jobs run on this machine.
"""

import json
import os
import pickle
import signal
import stat
import subprocess
import sys
import time

import pytest

from avae_lib.cli import main
from avae_lib.presets import find_preset
from avae_lib.sweeps import SlurmOptions, combinations, submit
from avae_lib.sweeps import slurm as module
from avae_lib.sweeps.slurm import SlurmTraining
from avae_lib.training.checkpoints import Checkpoints, step_of_weights

pytest.importorskip("submitit")

SWEEP = module.Path("runs/sweeps/digits-vae")
SMALL = [
    *("model.hidden-sizes=8", "training.device=cpu", "training.logging.metrics-every=2"),
    *("training.logging.evaluation-images=20", "training.logging.checkpoint-every=5"),
]


def grid(*more):
    return [word for entry in (*SMALL, *more) for word in ("--grid", entry)]


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Programs named like Slurm's: sbatch keeps the script and gives out numbers, squeue lists what a file says."""
    programs, kept = tmp_path / "bin", tmp_path / "slurm"
    programs.mkdir()
    kept.mkdir()
    (kept / "queue").write_text("")
    scripts = {
        "sbatch": f'n=$(ls {kept} | grep -c script); cp "$1" {kept}/script$n; echo "Submitted batch job $((700 + n))"',
        "squeue": f'echo "$@" >> {kept}/asked; cat {kept}/queue',
        "srun": "exit 1",
        "sacct": "exit 1",
    }
    for name, body in scripts.items():
        program = programs / name
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return kept


def flags(script):
    lines = [line.removeprefix("#SBATCH --") for line in script.read_text().splitlines() if line.startswith("#SBATCH")]
    return dict(line.partition("=")[::2] for line in lines)


def test_an_array_has_a_job_for_each_run_with_time_gpus_and_requeue(cluster, capsys):
    options = "--slurm-minutes 90 --slurm-gpus 2 --slurm-cpus 8 --slurm-option partition=long --slurm-option account=me"
    asked = ["sweep", "digits-vae", *grid("training.steps=4"), "--seeds", "0,1,2", "--slurm", "--jobs", "2"]
    assert main([*asked, *options.split()]) == 0
    found = flags(cluster / "script0")
    wanted = {"array": "0-2%2", "time": "90", "gpus-per-node": "2", "cpus-per-task": "8", "ntasks-per-node": "1"}
    wanted |= {"partition": "long", "account": "me", "requeue": "", "signal": "USR2@120", "job-name": "digits-vae"}
    assert {name: found[name] for name in wanted} == wanted
    assert "runs/sweeps/digits-vae/slurm/" in found["output"]
    assert "seed=1: job 700_1" in capsys.readouterr().out


def test_the_same_command_submits_only_what_is_neither_finished_nor_in_the_queue(cluster, tmp_path, capsys):
    asked = ["sweep", "digits-vae", *grid("training.steps=4"), "--seeds", "0,1,2", "--slurm", "--slurm-gpus", "0"]
    assert main(asked) == 0
    first = combinations(find_preset("digits-vae"), [*SMALL, "training.steps=4"], SWEEP, [0, 1, 2])[0]
    assert SlurmTraining("digits-vae", first.name, first.folder, first.options)() == "seed=0: done"
    (cluster / "queue").write_text("700_1\n650\n")
    capsys.readouterr()
    assert main(asked) == 0
    said = capsys.readouterr().out
    assert "seed=0: finished already" in said and "seed=1: new, job 700_1 is in the queue" in said
    assert "seed=2: job 701" in said and "array" not in flags(cluster / "script1")
    assert "gpus-per-node" not in flags(cluster / "script1")
    assert f"--user={os.getuid()}" in (cluster / "asked").read_text()
    compared = json.loads((SWEEP / "compare.json").read_text())
    assert [run["run"] for run in compared["runs"]] == [str(SWEEP / "seed=0")]


def test_jobs_of_an_array_train_their_runs(tmp_path):
    """With submitit's executor for one machine."""
    runs = combinations(find_preset("digits-vae"), [*SMALL, "training.steps=4"], tmp_path, seeds=[0, 1])
    jobs = submit("digits-vae", runs, SlurmOptions(gpus=0), tmp_path, cluster="local")
    assert [job.result() for job in jobs] == ["seed=0: done", "seed=1: done"]
    assert [run.state() for run in runs] == ["finished", "finished"]
    assert submit("digits-vae", runs, SlurmOptions(gpus=0), tmp_path, cluster="local") == []


def test_a_job_that_fails_says_why(tmp_path):
    options = ("--training.batch-size", "5000", "--training.device", "cpu")
    with pytest.raises(module.TrainingFailed, match="seed=0: batch_size must be between 1 and the"):
        SlurmTraining("digits-vae", "seed=0", tmp_path, options)()


@pytest.mark.parametrize("also_the_training", [False, True])
def test_a_job_that_slurm_announces_the_end_of_saves_and_goes_on_when_it_runs_again(tmp_path, also_the_training):
    """Slurm's signal reaches the job, or all processes in it; the state it leaves is that of the saved training."""
    program = f"""
import os, pickle, signal, sys
from pathlib import Path
from avae_lib.sweeps.slurm import SlurmTraining
options = ("--training.steps", "1000000", "--training.device", "cpu", "--training.logging.checkpoint-every", "20")
training = SlurmTraining("digits-vae", "seed=0", Path({str(tmp_path)!r}), options)
def announced(number, frame):
    again = training.checkpoint()
    Path({str(tmp_path)!r}, "again.pkl").write_bytes(pickle.dumps(again.function))
    sys.exit(3)
signal.signal(signal.SIGUSR2, announced)
training()
"""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    job = subprocess.Popen([sys.executable, "-c", program], env=environment, start_new_session=True)
    end = time.monotonic() + 300
    while not (tmp_path / "checkpoint.previous.pt").exists():
        assert time.monotonic() < end and job.poll() is None
        time.sleep(0.05)
    os.killpg(job.pid, signal.SIGUSR2) if also_the_training else job.send_signal(signal.SIGUSR2)
    assert job.wait(timeout=300) == 3
    log = (tmp_path / "sweep.log").read_text()
    reached = step_of_weights(tmp_path / "weights.safetensors")
    assert reached == Checkpoints(tmp_path).load()["step"] >= 40
    assert also_the_training or f"stopped after step {reached} of 1000000; everything is saved" in log
    again = pickle.loads((tmp_path / "again.pkl").read_bytes())
    again.options = ("--training.steps", str(reached + 1), *again.options[2:])
    assert again() == "seed=0: done" and step_of_weights(tmp_path / "weights.safetensors") == reached + 1


def test_without_slurm_or_submitit_the_refusal_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    asked = ["sweep", "digits-vae", "--seeds", "0,1", "--slurm"]
    monkeypatch.setattr(module.shutil, "which", lambda program: None)
    assert main(asked) == 1
    assert "--slurm needs sbatch, srun and squeue, which this machine does not have" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "submitit", None)
    assert main(asked) == 1
    assert "--slurm needs submitit: pip install submitit" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--slurm-minutes", "2"], "--slurm-minutes must be at least 5"),
        (["--slurm-gpus", "-1"], "--slurm-gpus must not be negative"),
        (["--slurm-option", "partition"], "--slurm-option takes OPTION=VALUE"),
    ],
)
def test_wrong_options_are_one_clear_line(cluster, options, complaint, capsys):
    assert main(["sweep", "digits-vae", "--seeds", "0,1", "--slurm", *options]) == 1
    said = capsys.readouterr().err
    assert complaint in said and said.count("\n") == 1
