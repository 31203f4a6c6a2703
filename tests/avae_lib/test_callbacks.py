"""Callbacks during training: what they see, what they cannot disturb, and what happens if one fails."""

import json
import sys
import types

import pytest
import torch

from avae_lib.data import ImageDataset
from avae_lib.evaluation import terms_of_bound
from avae_lib.models.vae import VAEConfig
from avae_lib.presets.derivation import derive
from avae_lib.training.checkpoints import Checkpoints
from avae_lib.training.fit import fit
from avae_lib.training.loggers import LoggingUnavailable, scalars
from avae_lib.training.metrics import CallbackFailed
from avae_lib.training.training_config import LoggingConfig, TrainingConfig

MODEL = VAEConfig(image_shape=(1, 4, 4), latent_dim=3, hidden_sizes=(12,))
CONFIG = TrainingConfig(
    steps=12, batch_size=7, logging=LoggingConfig(metrics_every=2, evaluate_every=4, checkpoint_every=5)
)


@pytest.fixture
def dataset():
    """Thirty black-and-white images of noise; ten of them for validation."""
    pixels = torch.randint(0, 2, (40, 1, 4, 4), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    return ImageDataset("noise", train=pixels[:20], valid=pixels[20:30], test=pixels[30:], bits=1)


def train(dataset, run_dir, *callbacks, config=CONFIG):
    torch.manual_seed(4)
    return fit(MODEL.build(), dataset, config, run_dir, callbacks, progress_bar=False)


def rows_in(run_dir):
    rows = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def test_a_callback_sees_each_row_as_it_is_written(dataset, tmp_path):
    seen = []
    train(dataset, tmp_path, lambda row, model: seen.append(row))
    assert [(row["split"], row["step"]) for row in seen] == [
        *(("train", 2), ("train", 4), ("valid", 4), ("train", 6), ("train", 8), ("valid", 8)),
        *(("train", 10), ("train", 12), ("valid", 12)),
    ]
    assert [{name: value for name, value in row.items() if name != "seconds"} for row in seen] == rows_in(tmp_path)


def test_the_model_of_a_callback_is_the_one_that_the_validation_row_measured(dataset, tmp_path):
    gaps = []

    def measure_again(row, model):
        assert not model.training
        if row["split"] == "valid":
            torch.manual_seed(0)  # as measuring does
            with torch.no_grad():
                gaps.append(terms_of_bound(model, dataset.valid).kl.sum(-1).mean().item() - row["kl"])

    train(dataset, tmp_path, measure_again)
    assert gaps == pytest.approx([0.0] * 3, abs=1e-5)


def test_a_callback_that_draws_and_changes_its_row_leaves_the_training_alone(dataset, tmp_path):
    def rude(row, model):
        model.sample(5)
        torch.manual_seed(17)
        row.clear()

    after = train(dataset, tmp_path / "with", rude, lambda row, model: row["step"])
    before = train(dataset, tmp_path / "without")
    for found, wanted in zip(after.model.parameters(), before.model.parameters(), strict=True):
        assert torch.equal(found, wanted)
    assert rows_in(tmp_path / "with") == rows_in(tmp_path / "without")


def test_a_failing_callback_is_named_and_the_run_goes_on_from_there(dataset, tmp_path):
    later = []

    def plot_samples(row, model):
        if row["step"] == 4:
            raise ZeroDivisionError("no such panel")

    with pytest.raises(
        CallbackFailed, match=r"plot_samples failed at step 4 \(ZeroDivisionError: no such panel\)"
    ) as stop:
        train(dataset, tmp_path / "run", plot_samples, lambda row, model: later.append(row["step"]))
    assert isinstance(stop.value.__cause__, ZeroDivisionError)
    assert later == [2], "no callback is called after the failure"
    assert Checkpoints(tmp_path / "run").load()["step"] == 4, "everything is saved, though no checkpoint was due"
    resumed = train(dataset, tmp_path / "run")
    alone = train(dataset, tmp_path / "alone")
    assert rows_in(tmp_path / "run") == rows_in(tmp_path / "alone")
    for found, wanted in zip(resumed.model.parameters(), alone.model.parameters(), strict=True):
        assert torch.equal(found, wanted)


def test_a_callback_that_fails_after_the_last_update_leaves_a_finished_run(dataset, tmp_path):
    def fail_at_the_end(row, model):
        assert row["step"] < 12, "too late"

    with pytest.raises(CallbackFailed, match="step 12"):
        train(dataset, tmp_path, fail_at_the_end)
    assert train(dataset, tmp_path).step == 12


def test_numbers_in_lists_and_groups_get_names_of_their_own():
    row = {"split": "train", "step": 3, "loss": 2.0, "kl_per_layer": [1.0, 0.5], "penalties": {"tc": 4.0}, "beta": None}
    assert scalars(row) == {
        "train/loss": 2.0,
        "train/kl_per_layer/0": 1.0,
        "train/kl_per_layer/1": 0.5,
        "train/penalties/tc": 4.0,
    }


class FakeWandb(types.ModuleType):
    """Stands in for the package wandb: keeps what is sent to each run, and refuses steps that go back."""

    def __init__(self):
        super().__init__("wandb")
        self.calls, self.logged, self.finished = [], {}, []

    def init(self, **settings):
        self.calls.append(settings)
        made = settings["id"] or f"run{len(self.logged)}"
        steps = self.logged.setdefault(made, {})
        return types.SimpleNamespace(
            id=made,
            log=lambda values, step: steps.setdefault(step, {}).update(values),
            finish=lambda: self.finished.append(made),
        )


def test_weights_and_biases_gets_every_row_and_a_resumed_run_continues_the_same_log(dataset, tmp_path, monkeypatch):
    wandb = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    config = derive(CONFIG, logging={"wandb": "digits"})
    for steps in (8, 12):
        train(dataset, tmp_path, config=derive(config, steps=steps))
    assert list(wandb.logged) == ["run0"] and wandb.finished == ["run0", "run0"]
    assert [call["id"] for call in wandb.calls] == [None, "run0"]
    assert {call["project"] for call in wandb.calls} == {"digits"} and wandb.calls[0]["resume"] == "allow"
    assert list(wandb.logged["run0"]) == [2, 4, 6, 8, 10, 12]
    for row in rows_in(tmp_path):
        sent = wandb.logged["run0"][row["step"]]
        assert sent[f"{row['split']}/bits_per_dim"] == row["bits_per_dim"]


def test_a_service_that_does_not_start_is_said_before_training(dataset, tmp_path, monkeypatch):
    def refuse(**settings):
        raise RuntimeError("api key not configured")

    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(init=refuse))
    with pytest.raises(LoggingUnavailable, match=r"api key not configured.*wandb login.*WANDB_MODE=offline"):
        train(dataset, tmp_path, config=derive(CONFIG, logging={"wandb": "digits"}))
    assert not (tmp_path / "metrics.jsonl").exists()


@pytest.mark.parametrize(("package", "asked"), [("wandb", {"wandb": "digits"}), ("tensorboard", {"tensorboard": True})])
def test_a_logger_that_is_not_installed_is_said_with_what_to_do(dataset, tmp_path, monkeypatch, package, asked):
    for name in (package, "torch.utils.tensorboard", "torch.utils.tensorboard.writer"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ValueError, match=rf"training\.logging\.{package} needs {package}: pip install {package}"):
        train(dataset, tmp_path, config=derive(CONFIG, logging=asked))


def test_tensorboard_shows_each_step_once_after_a_kill(dataset, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = derive(CONFIG, logging={"tensorboard": True})

    def die(row, model):
        if row["step"] == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):  # as a second Ctrl-C: nothing is saved after the checkpoint of step 5
        train(dataset, tmp_path, die, config=config)
    train(dataset, tmp_path, config=config)
    shown = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    for split in ("train", "valid"):
        events = shown.Scalars(f"{split}/bits_per_dim")
        wanted = [(row["step"], row["bits_per_dim"]) for row in rows_in(tmp_path) if row["split"] == split]
        assert [event.step for event in events] == [step for step, _ in wanted]
        assert [event.value for event in events] == pytest.approx([bits for _, bits in wanted])
