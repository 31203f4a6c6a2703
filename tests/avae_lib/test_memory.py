"""The memory that training is expected to need, what makes it fit, and the comparison with what there is."""

import dataclasses
import importlib.util
import json
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from avae_lib.data import ImageDataset, batch_sampler
from avae_lib.errors import InvalidInput
from avae_lib.models.info_vae import InfoVAEConfig
from avae_lib.models.vae import VAEConfig
from avae_lib.objectives import ELBO
from avae_lib.observations import observed_by
from avae_lib.presets import find_preset
from avae_lib.training import memory_plan
from avae_lib.training.fit import fit
from avae_lib.training.memory import expected_memory, expected_memory_of
from avae_lib.training.memory_plan import available_memory, plan_memory, plan_memory_for
from avae_lib.training.training_config import TrainingConfig
from avae_lib.training.training_state import TrainingState

CONFIG = TrainingConfig(steps=2, batch_size=6, device="cpu")
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


def activations(model, batch_size, **changes):
    return expected_memory(model, dataclasses.replace(CONFIG, batch_size=batch_size, **changes), 0).activations


def test_activations_are_what_a_count_by_hand_gives():
    scalar = 4  # the loss; the sigmoid and its user share one tensor
    assert activations(TwoLayers(), 6) == 4 * (6 * 4 + 6 * 10) + scalar


def test_activations_grow_with_the_batch_and_weights_do_not_count():
    model = MODEL.build()
    one, ten = (activations(model, size) for size in (10, 100))
    assert 9 * one < ten <= 10 * one
    assert all(parameter.device.type == "cpu" and parameter.requires_grad for parameter in model.parameters())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_expected_memory_counts_what_a_state_holds(dataset):
    state = TrainingState(TwoLayers(), dataset, CONFIG, torch.device("cpu"))
    memory = expected_memory(state.model, CONFIG, dataset.train.nbytes)
    weights = 4 * (4 * 10 + 10 + 10 + 1)
    moments = 2 * weights + 4 * 4  # Adamax: two of each weight, and a count for each of four tensors
    assert (memory.weights, memory.gradients, memory.average, memory.optimizer) == (weights, weights, weights, moments)
    assert memory.rollback == 0 and memory.images == 23 * 4  # there is no buffer to put back
    assert memory.total == 3 * weights + moments + 23 * 4 + memory.activations + memory.temporary


@pytest.mark.parametrize("kind", ["adam", "adamax", "adamw"])
def test_moments_are_those_that_the_optimizer_makes(dataset, kind):
    from avae_lib.training.optimizers_and_schedules import optimizer_tensors

    config = dataclasses.replace(CONFIG, optimizer=dataclasses.replace(CONFIG.optimizer, kind=kind))
    state = TrainingState(MODEL.build(), dataset, config, torch.device("cpu"))
    held = sum(tensor.nbytes for tensor in optimizer_tensors(state.optimizer))
    assert expected_memory(state.model, config, 0).optimizer == held


def test_a_model_that_looks_at_numbers_is_said_to_need_data():
    class Looking(TwoLayers):
        def forward(self, x, posterior_temperature=1.0):
            return super().forward(x) if x.float().mean() > 0 else None

    memory = expected_memory(Looking(), CONFIG, 0)
    assert memory.activations is None and "activations not counted" in memory.text()


def test_measuring_memory_leaves_model_and_noise_as_they_were():
    model = find_preset("digits-nvae").build_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    noise = torch.get_rng_state()
    expected_memory(model.eval(), CONFIG, 0)
    assert torch.equal(noise, torch.get_rng_state()) and not model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def saved_by_autograd(model, x):
    """Bytes of what autograd packs on the CPU, each storage once, without weights."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    storages = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            storages[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = model(x).bound.sum()
    del loss
    return sum(storage.nbytes() for storage in storages.values())


@pytest.mark.parametrize(
    "preset", ["digits-vdvae", "digits-nvae", "digits-attentive", "digits-vae", "sentences-text-vae"]
)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_activations_are_what_autograd_saves_on_a_machine(preset, precision):
    model = find_preset(preset).build_model()
    x = observed_by(model).blank(16, "cpu")
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        saved = saved_by_autograd(model, x)
    assert activations(model, 16, precision=precision) == pytest.approx(
        saved, rel=0.03 if precision == "float32" else 0.3
    )


LSTMS = [
    nn.LSTM(96, 128, batch_first=True),
    nn.LSTM(40, 160),
    nn.LSTM(300, 128, bidirectional=True),
    nn.LSTM(64, 128, num_layers=2, batch_first=True),
]


@pytest.mark.parametrize("lstm", LSTMS, ids=repr)
@pytest.mark.parametrize("steps", [5, 30])
def test_an_lstm_keeps_what_autograd_saves_on_a_machine(lstm, steps):
    class Read(nn.Module):
        image_shape, bits, num_dims, num_layers = (1, 16, 16), 4, 256, 1

        def __init__(self):
            super().__init__()
            self.lstm = lstm

        def forward(self, x, posterior_temperature=1.0):
            rows = len(x) if lstm.batch_first else steps, steps if lstm.batch_first else len(x)
            y, _ = self.lstm(torch.zeros(*rows, lstm.input_size, device=x.device) + x.float().sum())
            value = y.transpose(0, 0 if lstm.batch_first else 1).flatten(1).sum(dim=1)
            return ELBO(value, value.new_zeros(len(x), 1))

    saved = saved_by_autograd(Read(), torch.zeros(12, 1, 16, 16, dtype=torch.uint8))
    assert activations(Read(), 12) == pytest.approx(saved, rel=0.12)


@pytest.mark.parametrize("preset", ["digits-ladder", "digits-vdvae", "digits-nvae", "digits-attentive"])
def test_activations_are_counted_with_every_remedy_together(preset):
    model = find_preset(preset).build_model()
    both = activations(model, 16, activation_checkpointing=True, precision="bfloat16")
    assert 0 < both <= activations(model, 16, activation_checkpointing=True)


def test_no_remedy_is_promised_for_what_cannot_be_counted():
    """A model that reads numbers has no count of activations, which is no zero."""

    class Reading(TwoLayers):
        def forward(self, x, posterior_temperature=1.0):
            return super().forward(x) if x.float().mean() >= 0 else None

    enough = expected_memory(Reading(), CONFIG, 0).total
    assert plan_memory_for(Reading(), CONFIG, 10**6, limit=enough) is None


def test_published_images_are_counted_without_being_there(monkeypatch):
    monkeypatch.delenv("AVAE_DATA", raising=False)
    assert expected_memory_of(find_preset("cifar10-vdvae")).images == 50_000 * 3 * 32 * 32
    on_host = find_preset("cifar10-vdvae")
    on_host = dataclasses.replace(on_host, training=dataclasses.replace(on_host.training, data_on="host"))
    assert expected_memory_of(on_host).images == 0


def test_each_remedy_lowers_the_expected_memory():
    preset = find_preset("digits-vdvae")

    def total(**changes):
        training = dataclasses.replace(preset.training, **changes)
        return expected_memory_of(dataclasses.replace(preset, training=training)).total

    usual = total()
    assert total(micro_batch=16) < 0.5 * usual
    assert total(activation_checkpointing=True) < 0.5 * usual
    assert total(precision="bfloat16") < 0.9 * usual


def test_plans_take_what_costs_least_and_fit():
    preset = find_preset("digits-vdvae")
    usual = expected_memory_of(preset).total
    assert plan_memory(preset, usual).changes == {}
    halves = plan_memory(preset, int(0.7 * usual))
    assert halves.changes == {"micro_batch": 32} and halves.memory.total <= 0.7 * usual
    small = plan_memory(preset, int(0.08 * usual))
    assert small.changes["activation_checkpointing"] and small.memory.total <= 0.08 * usual
    assert plan_memory(preset, 1000) is None


def test_batch_normalisation_is_recomputed_rather_than_cut_into_pieces():
    preset = find_preset("digits-nvae")
    assert plan_memory(preset, expected_memory_of(preset).total // 2).changes == {"activation_checkpointing": True}


def test_a_batch_that_must_stay_whole_is_not_cut():
    model = InfoVAEConfig((1, 8, 8), bits=4, likelihood="discretized_logistic").build()
    memory = expected_memory(model, CONFIG, 0)
    plan = plan_memory_for(model, CONFIG, 0, memory.total - 1)
    assert plan is None or "micro_batch" not in plan.changes


def test_training_that_cannot_fit_is_refused_with_what_to_set(monkeypatch, tmp_path):
    preset = find_preset("digits-vdvae")
    dataset, model = preset.data.load(), preset.build_model()
    monkeypatch.setattr(memory_plan, "available_memory", lambda device: 12 * 2**20)
    config = dataclasses.replace(preset.training, steps=1, device="cpu")
    with pytest.raises(InvalidInput) as refused:
        fit(model, dataset, config, tmp_path)
    said = str(refused.value)
    assert "needs about 32" in said and "with gaps between tensors up to 6" in said
    assert "MiB is available: --training.micro-batch 8 brings it down to" in said
    fit(model, dataset, dataclasses.replace(config, micro_batch=8), tmp_path)
    fit(model, dataset, dataclasses.replace(config, steps=2, memory_check=False), tmp_path)


def test_a_control_group_limits_what_is_available(tmp_path):
    group, own = tmp_path / "fs" / "job", tmp_path / "own"
    group.mkdir(parents=True)
    own.write_text("0::/job\n")
    (group / "memory.max").write_text("1000\n")
    (group / "memory.current").write_text("700\n")
    (group / "memory.stat").write_text("anon 100\ninactive_file 200\n")
    assert memory_plan._left_in_control_groups(tmp_path / "fs", own) == [500]
    (group / "memory.max").write_text("max\n")
    assert memory_plan._left_in_control_groups(tmp_path / "fs", own) == []
    assert available_memory(torch.device("meta")) is None


def test_a_control_group_of_the_first_version_limits_what_is_available(tmp_path):
    group, own = tmp_path / "fs" / "memory" / "job", tmp_path / "own"
    (group / "task").mkdir(parents=True)
    own.write_text("5:devices:/x\n4:cpu,memory:/job/task\n3:cpuset:/job\n0::/\n")

    def write(folder, limit):
        (folder / "memory.limit_in_bytes").write_text(f"{limit}\n")
        (folder / "memory.usage_in_bytes").write_text("700\n")
        (folder / "memory.stat").write_text("inactive_file 1\ntotal_inactive_file 200\n")

    write(group, 1000)
    write(group / "task", 9223372036854771712)
    write(group.parent, 9223372036854771712)
    assert memory_plan._left_in_control_groups(tmp_path / "fs", own) == [500]
    write(group, 9223372036854771712)
    assert memory_plan._left_in_control_groups(tmp_path / "fs", own) == []
    own.write_text("4:memory:/elsewhere/unseen\n")  # as in a container, where the root of the mount is its own group
    write(group.parent, 900)
    assert memory_plan._left_in_control_groups(tmp_path / "fs", own) == [400]


def test_the_cpu_is_granted_the_gaps_between_tensors():
    memory = expected_memory(TwoLayers(), CONFIG, 0)
    taken = memory.taken_on(torch.device("cpu"))
    assert taken == memory.total + memory.activations + memory.temporary
    assert memory.taken_on(torch.device("cuda")) == memory.total
    assert "up to" in memory.text(torch.device("cpu")) and "up to" not in memory.text(torch.device("cuda"))


def test_a_gpu_has_what_is_free_and_what_pytorch_keeps_for_itself(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 5000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 300)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 100)
    assert available_memory(torch.device("cuda")) == 1200


@pytest.mark.parametrize(
    ("data_on", "device", "size", "is_on_device"),
    [
        ("auto", "cuda", 250, True),
        ("auto", "cuda", 251, False),
        ("device", "cuda", 999, True),
        ("host", "cuda", 1, False),
        ("auto", "cpu", 1, False),
    ],
)
def test_training_data_are_on_a_gpu_where_they_take_a_quarter(monkeypatch, data_on, device, size, is_on_device):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 5000))
    assert batch_sampler._belongs_on_device(size, torch.device(device), data_on) == is_on_device


@pytest.fixture(scope="module")
def benchmark():
    file = Path(__file__).parents[2] / "benchmarks" / "memory.py"
    spec = importlib.util.spec_from_file_location("memory_benchmark", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("way", ["as usual", "both"])
def test_the_peak_of_a_process_is_what_was_expected(benchmark, way):
    sizes = benchmark.measure("photos32-vdvae", 24, benchmark.WAYS[way])
    assert 0.65 < sizes["expected"] / sizes["measured"] < 1.3, "operations need some workspace of their own"
    assert sizes["measured"] > 40e6


def test_the_recorded_peaks_are_close_to_what_is_expected_now(benchmark):
    """Of every way to need less memory, on models of gigabytes, too."""
    latest = max((Path(__file__).parents[2] / "benchmarks" / "results").glob("memory-*.json"))
    rows = json.loads(latest.read_text(encoding="utf-8"))["rows"]
    assert {row["preset"] for row in rows} == set(benchmark.BATCHES) and {row["way"] for row in rows} == set(
        benchmark.WAYS
    )
    for row in rows:
        assert row["expected"] == pytest.approx(row["measured"], rel=0.1, abs=40e6), (
            "libraries have memory of their own"
        )
    for row in [row for row in rows if row["preset"] in ("photos32-vdvae", "mnist-ladder-5")]:
        changed = benchmark.experiment_of(row["preset"], row["batch"], **benchmark.WAYS[row["way"]])
        model = changed.build_model()
        data_bytes = row["batch"] * model.num_dims
        memory = expected_memory(model, changed.training, data_bytes)
        assert memory.total == pytest.approx(row["expected"], rel=0.1)
        assert row["measured_with_gaps"] < memory.taken_on(torch.device("cpu")) + 40e6
