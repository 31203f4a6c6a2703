"""The written pages: every command on them is one that the programs take, and the script for Slurm does its work."""

import os
import re
import shlex
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from avae_lib.cli import main
from avae_lib.presets import find_preset
from avae_lib.train_options import parse_train_options
from avae_lib.training.checkpoints import Checkpoints

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "training_at_scale.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(?:bash|python)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
(SCRIPT,) = [block for block in BLOCKS if block.startswith("#!/bin/bash")]

_SMALLER = (
    "cifar10-vdvae --training.precision bfloat16",
    "digits-vae --training.steps 1000000 --training.device cpu --training.logging.checkpoint-every 20",
)
"""What the script trains, and what the test does in its place."""


def commands():
    """The arguments of each avae command on the page, whatever starts it."""
    lines = [line for block in BLOCKS for line in block.replace("\\\n", " ").splitlines()]
    found = [re.search(r"(?:^!?avae|-m avae_lib) (.*?)'?$", line) for line in lines]
    return [shlex.split(command[1]) for command in found if command]


def test_there_are_commands_on_the_page():
    assert len(commands()) >= 8 and {words[0] for words in commands()} == {"train", "sweep"}


@pytest.mark.parametrize("words", [words for words in commands() if words[0] == "train"], ids=" ".join)
def test_each_training_on_the_page_has_options_that_exist(words):
    parse_train_options(find_preset(words[1]), words[2:])


@pytest.mark.parametrize("words", [words for words in commands() if words[0] == "sweep"], ids=" ".join)
def test_each_sweep_on_the_page_could_be_submitted(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*words, "--dry-run"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 6


def test_each_option_in_the_text_exists():
    numbered = ("minutes", "batch", "batch-size")  # of options that stand without their value
    for code in set(re.findall(r"`(--training\.[^`]+)`", PAGE)):
        flag, *value = code.split()
        takes_number = not value and flag.endswith(numbered)
        parse_train_options(find_preset("digits-vae"), [flag, *(value or ["7"] * takes_number)])


def test_links_on_the_page_lead_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)", PAGE):
        assert (ROOT / "docs" / target).exists(), target


def test_the_readme_leads_to_the_page():
    assert "(docs/training_at_scale.md)" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_script_for_slurm_queues_itself_again_after_the_announcement_of_the_end(tmp_path):
    """With two tasks on this machine; srun starts them as Slurm's does."""
    srun = f"""#!{sys.executable}
import os, pathlib, subprocess, sys
tasks = [subprocess.Popen(sys.argv[1:], env=os.environ | {{"SLURM_PROCID": str(i), "SLURM_LOCALID": str(i)}})
         for i in range(2)]
pathlib.Path({str(tmp_path / "tasks")!r}).write_text(" ".join(str(task.pid) for task in tasks))
sys.exit(max(task.wait() for task in tasks))
"""
    scontrol = f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n[ "$1" = requeue ] || echo localhost\n'
    for name, text in (("srun", srun), ("scontrol", scontrol), ("job.sh", SCRIPT.replace(*_SMALLER))):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(stat.S_IRWXU)
    slurm = {"SLURM_JOB_ID": "4711", "SLURM_NTASKS": "2", "SLURM_JOB_NODELIST": "here", "OMP_NUM_THREADS": "1"}
    path = os.pathsep.join([str(tmp_path), str(Path(sys.executable).parent), os.environ["PATH"]])
    place = {"PATH": path, "PYTHONPATH": str(ROOT)}
    job = subprocess.Popen(["bash", "job.sh"], cwd=tmp_path, env=os.environ | slurm | place)
    run, end = tmp_path / "runs/digits-vae", time.monotonic() + 300
    while not (run / "checkpoint.previous.pt").exists():
        assert job.poll() is None and time.monotonic() < end, "no checkpoint in time"
        time.sleep(0.05)
    for task in (tmp_path / "tasks").read_text().split():
        os.kill(int(task), signal.SIGUSR1)
    assert job.wait(timeout=300) == 0
    assert (tmp_path / "asked").read_text().splitlines() == ["show hostnames here", "requeue 4711"]
    state = Checkpoints(run).load()
    assert state["step"] > 0 and len(state["noise_of_others"]) == 1
