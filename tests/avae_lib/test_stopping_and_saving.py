"""When training stops and saves: signals and exit statuses, checkpoints by the clock, and processes that agree."""

import functools
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from avae_lib.cli import main
from avae_lib.data import ImageDataset
from avae_lib.models.vae import VAEConfig
from avae_lib.presets.derivation import derive
from avae_lib.training import fit as module_of_fit
from avae_lib.training.checkpoints import Checkpoints, step_of_weights
from avae_lib.training.costs import Clock
from avae_lib.training.fit import fit
from avae_lib.training.run_guards import StopRequest, TrainingInterrupted, stop_on_signals
from avae_lib.training.training_config import LoggingConfig, TrainingConfig

LONG = [
    *("train", "digits-vae", "--no-report", "--training.steps", "1000000", "--training.device", "cpu"),
    *("--training.logging.checkpoint-every", "50", "--model.hidden-sizes", "8"),
]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def start(folder, *launcher, more=()):
    command = [*(launcher or (sys.executable,)), "-m", "avae_lib", *LONG, "--run-dir", str(folder), *more]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )


def wait_for_checkpoint(folder, process, seconds=300):
    end = time.monotonic() + seconds
    while not (folder / "checkpoint.previous.pt").exists():
        assert process.poll() is None and time.monotonic() < end, process.communicate()[1][-2000:]
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 75), (signal.SIGUSR1, 75), (signal.SIGUSR2, 75), (signal.SIGINT, 130)]
)
def test_the_exit_status_says_whether_a_scheduler_or_a_person_has_stopped_training(tmp_path, number, status):
    process = start(tmp_path)
    wait_for_checkpoint(tmp_path, process)
    process.send_signal(number)
    said = process.communicate(timeout=300)[1].splitlines()[-1]
    reached = step_of_weights(tmp_path / "weights.safetensors")
    assert process.returncode == status
    assert f"stopped after step {reached} of 1000000; everything is saved; the same command continues" in said
    assert Checkpoints(tmp_path).load()["step"] == reached


@pytest.mark.slow
def test_torchrun_passes_the_signal_on_and_all_processes_stop_at_the_same_update(tmp_path):
    """Long before metrics are due, which is only after a million updates."""
    process = start(tmp_path, *TORCHRUN, more=["--training.logging.metrics-every", "1000000"])
    wait_for_checkpoint(tmp_path, process)
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=300)[1]
    reached = step_of_weights(tmp_path / "weights.safetensors")
    assert process.returncode != 0, "torchrun has a status of its own"
    assert said.count(f"stopped after step {reached} of 1000000; everything is saved") == 2
    state = Checkpoints(tmp_path).load()
    assert state["step"] == reached and len(state["noise_of_others"]) == 1


@pytest.mark.slow
def test_minutes_are_no_failure_and_end_a_team_together(tmp_path):
    process = start(tmp_path, *TORCHRUN, more=["--training.minutes", "0.02"])
    said, complaints = process.communicate(timeout=300)
    assert process.returncode == 0, complaints[-2000:]
    assert "training.minutes = 0.02 are used up after step" in said
    assert Checkpoints(tmp_path).load()["step"] > 2


def test_a_signal_passed_on_by_torchrun_counts_once_and_the_next_one_stops_at_once():
    request = StopRequest()
    for number, now in ((signal.SIGINT, 10.0), (signal.SIGINT, 10.5), (signal.SIGTERM, 30.0)):
        request.note(number, now)
    assert request.number == signal.SIGINT
    with pytest.raises(KeyboardInterrupt):
        request.note(signal.SIGINT, 40.0)


def test_handlers_are_put_back():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)]
    with stop_on_signals() as request:
        signal.raise_signal(signal.SIGUSR1)
    assert request.made and [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)] == before


def test_status_of_an_interruption():
    assert TrainingInterrupted("stopped").exit_status == 130
    assert TrainingInterrupted("stopped", signal.SIGTERM).exit_status == 75


CONFIG = TrainingConfig(
    steps=25, batch_size=7, device="cpu", logging=LoggingConfig(checkpoint_every=1000, checkpoint_minutes=4)
)


def test_a_checkpoint_is_written_when_the_last_one_is_too_old(tmp_path, monkeypatch):
    """With a minute for each update: with the update after the one that made it four minutes old."""
    minutes, steps = iter(range(10**6)), []
    monkeypatch.setattr(module_of_fit, "Clock", functools.partial(Clock, now=lambda: 60.0 * next(minutes)))
    save = Checkpoints.save
    monkeypatch.setattr(Checkpoints, "save", lambda self, state: (steps.append(state["step"]), save(self, state)))
    pixels = torch.randint(0, 2, (50, 1, 4, 4), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    dataset = ImageDataset("dots", train=pixels[:30], valid=pixels[30:40], test=pixels[40:], bits=1)
    fit(VAEConfig(image_shape=(1, 4, 4), latent_dim=3, hidden_sizes=(12,)).build(), dataset, CONFIG, tmp_path)
    assert steps == [5, 10, 15, 20, 25]


def test_a_checkpoint_that_is_never_due_by_the_clock_is_refused():
    with pytest.raises(ValueError, match=r"training\.logging\.checkpoint_minutes must be positive, got 0"):
        derive(CONFIG, logging={"checkpoint_minutes": 0})


def test_help_states_the_exit_statuses(capsys):
    assert main(["--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "75 if SIGTERM, SIGUSR1 or SIGUSR2 has stopped training" in said and "130 if Ctrl-C" in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2])
def test_a_signal_outside_of_the_updates_asks_for_another_try(monkeypatch, tmp_path, capsys, number):
    """While the data are loaded, and while the report is written."""
    for place in ("avae_lib.training.runs.train_run", "avae_lib.report.write_report"):
        with monkeypatch.context() as patched:
            patched.setattr(place, lambda *_, **__: signal.raise_signal(number))
            status = main(["train", "digits-vae", "--training.steps", "1", "--run-dir", str(tmp_path)])
        assert status == 75
        assert "the same command continues" in capsys.readouterr().err
    assert signal.getsignal(number) is signal.SIG_DFL
