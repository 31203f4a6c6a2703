"""The number of processor threads: the user's choice first, then one for small models and the cores for large ones."""

import dataclasses
import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from avae_lib.data import load
from avae_lib.models.vae import VAEConfig
from avae_lib.training import devices
from avae_lib.training.devices import physical_cores, threads_for, use_one_thread
from avae_lib.training.fit import fit
from avae_lib.training.training_config import TrainingConfig

SMALL, LARGE = nn.Linear(2, 2), nn.Linear(1000, 1000)


@pytest.fixture
def eight_processors(monkeypatch):
    """A machine with eight logical processors on four cores, where PyTorch has its default number of threads."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    monkeypatch.setattr(devices, "_processors", lambda: set(range(8)))
    monkeypatch.setattr(devices, "_siblings", lambda processor: f"{processor % 4},{processor % 4 + 4}")
    monkeypatch.setattr(devices, "_quota", lambda: None)
    monkeypatch.setattr(devices, "_idle_fraction", lambda: 0.98)
    before = torch.get_num_threads()
    torch.set_num_threads(8)
    yield
    torch.set_num_threads(before)


def threads(model, wanted=None):
    before = torch.get_num_threads()
    with threads_for(model, wanted):
        chosen = torch.get_num_threads()
    assert torch.get_num_threads() == before
    return chosen


def test_small_models_get_one_thread_and_large_ones_the_physical_cores(eight_processors):
    assert (threads(SMALL), threads(LARGE)) == (1, 4)


def test_cores_that_others_use_are_left_to_them(eight_processors, monkeypatch):
    for idle, number in ((0.74, 3), (0.5, 2), (0.01, 1)):
        monkeypatch.setattr(devices, "_idle_fraction", lambda idle=idle: idle)
        assert (threads(SMALL), threads(LARGE)) == (1, number)


def test_idle_time_is_that_between_two_readings(monkeypatch):
    readings = iter([[100, 0, 50, 800, 50, 0, 0, 0, 7, 0], [160, 0, 60, 820, 60, 0, 0, 0, 9, 0]])
    monkeypatch.setattr(devices, "_processor_times", lambda: next(readings))
    assert devices._idle_fraction(seconds=0) == pytest.approx(30 / 100)
    monkeypatch.setattr(devices, "_processor_times", lambda: None)
    assert devices._idle_fraction(seconds=0) == 1.0


def test_a_continued_run_keeps_its_threads_where_it_can(eight_processors, monkeypatch):
    devices.continue_with_threads(3)
    assert torch.get_num_threads() == 3
    devices.continue_with_threads(16)
    assert torch.get_num_threads() == 3, "there are four cores"
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    devices.continue_with_threads(4)
    assert torch.get_num_threads() == 3, "the environment decides"


def test_a_quota_of_processor_time_limits_the_threads(eight_processors, monkeypatch):
    monkeypatch.setattr(devices, "_quota", lambda: 3)
    assert physical_cores() == 3 and threads(LARGE) == 3


def test_a_number_that_the_user_has_set_stays(eight_processors):
    torch.set_num_threads(5)
    assert threads(SMALL) == threads(LARGE) == 5
    use_one_thread()
    assert torch.get_num_threads() == 5


def test_the_option_comes_before_everything(eight_processors, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    assert threads(SMALL) == threads(LARGE) == 8
    assert threads(SMALL, wanted=2) == threads(LARGE, wanted=2) == 2


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux alone has affinities")
def test_affinity_limits_the_cores_of_a_process():
    program = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    program += "from avae_lib.training.devices import physical_cores; print(physical_cores())"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "1\n"


def test_a_quota_is_rounded_up(tmp_path):
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert devices._quota(tmp_path / "cpu.max") == 2
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert devices._quota(tmp_path / "cpu.max") is None
    assert devices._quota(tmp_path / "missing") is None


def test_training_uses_the_configured_threads_and_gives_them_back(tmp_path):
    model = VAEConfig((1, 8, 8), bits=4, likelihood="discretized_logistic", hidden_sizes=(8,)).build()
    seen = []
    model.register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))
    config = TrainingConfig(steps=2, device="cpu", threads=2)
    before = torch.get_num_threads()
    fit(model, load("digits"), config, tmp_path)
    assert 2 in seen and torch.get_num_threads() == before
    fit(model, load("digits"), dataclasses.replace(config, steps=3, threads=1), tmp_path)
    assert seen[-1] == 1, "a run may continue with other threads"
