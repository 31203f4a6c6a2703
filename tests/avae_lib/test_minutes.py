"""A budget of minutes: when a call stops, what it leaves, and that the course of the run is the same."""

import dataclasses
import functools
import json

import pytest
import torch

from avae_lib.data import DataConfig, ImageDataset
from avae_lib.models.vae import VAEConfig
from avae_lib.presets.derivation import derive
from avae_lib.training import fit as module_of_fit
from avae_lib.training.checkpoints import Checkpoints
from avae_lib.training.costs import Clock
from avae_lib.training.experiment import Experiment
from avae_lib.training.fit import fit
from avae_lib.training.runs import read_experiment, train_run
from avae_lib.training.training_config import LoggingConfig, TrainingConfig

MODEL = VAEConfig(image_shape=(1, 4, 4), latent_dim=3, hidden_sizes=(12,))
CONFIG = TrainingConfig(
    steps=24, batch_size=7, logging=LoggingConfig(metrics_every=4, evaluate_every=8, checkpoint_every=8)
)


@pytest.fixture
def dataset():
    pixels = torch.randint(0, 2, (50, 1, 4, 4), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    return ImageDataset("dots", train=pixels[:30], valid=pixels[30:40], test=pixels[40:], bits=1)


@pytest.fixture
def a_minute_per_update(monkeypatch):
    """A clock that moves by a minute whenever it is read: once when a stretch begins, and once after each update."""
    minutes = iter(range(10**6))
    monkeypatch.setattr(module_of_fit, "Clock", functools.partial(Clock, now=lambda: 60.0 * next(minutes)))


def fresh():
    torch.manual_seed(4)
    return MODEL.build()


def with_minutes(minutes, **changes):
    return derive(CONFIG, minutes=minutes, **changes)


def rows(run_dir):
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def without_seconds(rows):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


@pytest.mark.parametrize(("minutes", "updates"), [(0.001, 1), (1, 1), (4.5, 5), (7, 7)])
def test_a_call_stops_at_its_budget_with_a_checkpoint_and_says_how_far_it_got(
    dataset, tmp_path, a_minute_per_update, minutes, updates, capsys
):
    trained = fit(fresh(), dataset, with_minutes(minutes), tmp_path)
    assert trained.step == updates == Checkpoints(tmp_path).load()["step"]
    said = capsys.readouterr().out
    assert f"training.minutes = {minutes:g} are used up after step {updates} of 24; everything is saved" in said


def test_calls_one_after_the_other_give_the_run_of_a_single_one(dataset, tmp_path, a_minute_per_update):
    alone = fit(fresh(), dataset, CONFIG, tmp_path / "alone")
    reached = []
    for minutes in (5, 3, 11, None):
        trained = fit(fresh(), dataset, with_minutes(minutes), tmp_path / "parts")
        reached.append(trained.step)
    assert reached == [5, 8, 19, 24], "each call has a budget of its own"
    for found, wanted in zip(trained.model.state_dict().values(), alone.model.state_dict().values(), strict=True):
        assert torch.equal(found, wanted)
    assert without_seconds(rows(tmp_path / "parts")) == without_seconds(rows(tmp_path / "alone"))
    assert rows(tmp_path / "parts")[-1]["seconds"] == 24 * 60, "time is counted over all calls"


def test_a_budget_that_lasts_to_the_end_is_not_mentioned(dataset, tmp_path, a_minute_per_update, capsys):
    assert fit(fresh(), dataset, with_minutes(24), tmp_path).step == 24
    assert "training.minutes" not in capsys.readouterr().out


def test_another_budget_is_no_other_experiment(tmp_path, a_minute_per_update):
    training = with_minutes(2, batch_size=20, logging={"milestones": (3,)})
    model = VAEConfig(image_shape=(1, 8, 8), latent_dim=2, hidden_sizes=(5,))
    experiment = Experiment("tiny", "this test", DataConfig("digits", "threshold", validation=20), model, training)
    assert train_run(experiment, tmp_path).step == 2
    assert read_experiment(tmp_path) == experiment
    longer = dataclasses.replace(experiment, training=derive(training, minutes=None, logging={"milestones": ()}))
    assert train_run(longer, tmp_path).step == 24


@pytest.mark.parametrize("minutes", [0, -1.0])
def test_a_budget_without_time_is_refused(minutes):
    with pytest.raises(ValueError, match=r"training\.minutes must be None or above 0"):
        TrainingConfig(minutes=minutes)
