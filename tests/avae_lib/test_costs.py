"""What training is expected to take, and what it has taken."""

import dataclasses
import json
import sys
import types

import pytest
import torch

from avae_lib.data import ImageDataset
from avae_lib.models.vae import VAEConfig
from avae_lib.training.costs import Costs, energy_meter
from avae_lib.training.fit import fit
from avae_lib.training.training_config import LoggingConfig, TrainingConfig

CONFIG = TrainingConfig(
    steps=4, batch_size=6, logging=LoggingConfig(metrics_every=2, evaluate_every=4, checkpoint_every=2)
)
MODEL = VAEConfig((1, 2, 2), bits=4, likelihood="discretized_logistic", latent_dim=2, hidden_sizes=(5,))


@pytest.fixture
def dataset():
    images = torch.randint(0, 16, (30, 1, 2, 2), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    return ImageDataset("dots", train=images[:23], valid=images[23:], test=images[23:], bits=4)


def test_costs_are_told_before_and_after_and_kept_over_stretches(dataset, tmp_path, capsys):
    fit(MODEL.build(), dataset, CONFIG, tmp_path)
    said = capsys.readouterr().out
    assert "parameters; expected memory" in said and "activations" in said
    assert "4 updates in" in said and "energy not reported" in said and "0 updates (0.00%) were skipped" in said
    first = Costs.read(tmp_path)
    fit(MODEL.build(), dataset, dataclasses.replace(CONFIG, steps=8), tmp_path)
    both = Costs.read(tmp_path)
    assert (first.updates, both.updates, both.images) == (4, 8, 48)
    assert both.hours > first.hours > 0 and both.energy_kwh is None
    assert both.images_per_second == pytest.approx(48 / (3600 * both.hours))
    assert (
        json.loads((tmp_path / "costs.json").read_text())["expected_memory"]["weights"] == first.expected_memory.weights
    )
    assert Costs.read(tmp_path / "nowhere") is None


def test_energy_of_a_gpu_is_the_difference_of_its_counter(monkeypatch):
    counter = iter([0.0, 1_000_000.0, 1_900_000.0, 8_200_000.0])  # millijoules
    nvml = types.SimpleNamespace(
        NVMLError=RuntimeError,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: next(counter),
    )
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: types.SimpleNamespace(uuid="a"))
    read = energy_meter(torch.device("cuda"))
    assert read() == pytest.approx(900 / 3.6e6)
    assert read() == pytest.approx(7200 / 3.6e6)


def test_energy_is_unknown_without_a_counter_rather_than_zero(monkeypatch):
    assert energy_meter(torch.device("cpu"))() is None
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert energy_meter(torch.device("cuda"))() is None


def test_energy_of_several_stretches_adds_up(dataset, tmp_path, monkeypatch):
    from avae_lib.training import costs

    monkeypatch.setattr(costs, "energy_meter", lambda device, with_codecarbon: lambda: 0.25)
    for steps in (4, 8):
        fit(MODEL.build(), dataset, dataclasses.replace(CONFIG, steps=steps), tmp_path)
    assert Costs.read(tmp_path).energy_kwh == pytest.approx(0.5)


def test_codecarbon_is_asked_for_its_tasks_and_missed_by_name(monkeypatch):
    class EmissionsTracker:
        def __init__(self, save_to_file, log_level):
            self.running = False

        def start_task(self):
            assert not self.running
            self.running = True

        def stop_task(self):
            self.running = False
            return types.SimpleNamespace(energy_consumed=0.5)

    monkeypatch.setitem(sys.modules, "codecarbon", types.SimpleNamespace(EmissionsTracker=EmissionsTracker))
    read = energy_meter(torch.device("cpu"), with_codecarbon=True)
    assert (read(), read()) == (0.5, 1.0)
    monkeypatch.setitem(sys.modules, "codecarbon", None)
    with pytest.raises(ValueError, match="pip install codecarbon"):
        energy_meter(torch.device("cpu"), with_codecarbon=True)
