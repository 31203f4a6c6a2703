"""What training is expected to take, and what it has taken."""

import dataclasses
import json
import sys
import types

import pytest
import torch
from torch import nn

from avae_lib.data import ImageDataset
from avae_lib.models.vae import VAEConfig
from avae_lib.objectives import ELBO
from avae_lib.training.costs import Costs, energy_meter, expected_memory, saved_for_backward
from avae_lib.training.fit import fit
from avae_lib.training.training_config import LoggingConfig, TrainingConfig
from avae_lib.training.training_state import TrainingState

CONFIG = TrainingConfig(
    steps=4, batch_size=6, logging=LoggingConfig(metrics_every=2, evaluate_every=4, checkpoint_every=2)
)
MODEL = VAEConfig((1, 2, 2), bits=4, likelihood="discretized_logistic", latent_dim=2, hidden_sizes=(5,))


@pytest.fixture
def dataset():
    images = torch.randint(0, 16, (30, 1, 2, 2), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    return ImageDataset("dots", train=images[:23], valid=images[23:], test=images[23:], bits=4)


class TwoLayers(nn.Module):
    """Activations that can be counted by hand: the input of each linear map, and what the sigmoid gave."""

    image_shape, bits, num_dims, num_layers = (1, 2, 2), 4, 4, 1

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 10), nn.Linear(10, 1)

    def forward(self, x, posterior_temperature=1.0):
        value = self.second(self.first(x.flatten(1).float()).sigmoid())[:, 0]
        return ELBO(value, value.new_zeros(len(x), 1))


def test_activations_are_what_a_count_by_hand_gives():
    assert saved_for_backward(TwoLayers(), batch_size=6) == 4 * (6 * 4 + 6 * 10), "the sigmoid and its user share one"


def test_activations_grow_with_the_batch_and_weights_do_not_count():
    model = MODEL.build()
    one, ten = (saved_for_backward(model, size) for size in (10, 100))
    assert 9 * one < ten <= 10 * one
    assert all(parameter.device.type == "cpu" and parameter.requires_grad for parameter in model.parameters())


def test_expected_memory_counts_what_a_state_holds(dataset):
    state = TrainingState(TwoLayers(), dataset, CONFIG, torch.device("cpu"))
    memory = expected_memory(state, dataset)
    weights = 4 * (4 * 10 + 10 + 10 + 1)
    moments = 2 * weights + 4 * 4  # Adamax: two of each weight, and a count for each of four tensors
    assert (memory.weights, memory.gradients, memory.average, memory.optimizer) == (weights, weights, weights, moments)
    assert memory.rollback == weights + moments and memory.images == 23 * 4
    assert memory.total == 4 * weights + 2 * moments + 23 * 4 + memory.activations


def test_a_model_that_looks_at_numbers_is_said_to_need_data(dataset):
    class Looking(TwoLayers):
        def forward(self, x, posterior_temperature=1.0):
            return super().forward(x) if x.float().mean() > 0 else None

    memory = expected_memory(TrainingState(Looking(), dataset, CONFIG, torch.device("cpu")), dataset)
    assert memory.activations is None and "activations not counted" in memory.text()


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
