"""Run folders: what they rebuild, what they refuse, and what a wrong one says."""

import dataclasses
import errno
import json

import pytest
import torch

from avae_lib.data import DataConfig
from avae_lib.errors import InvalidInput
from avae_lib.models.vae import VAEConfig
from avae_lib.presets.derivation import derive
from avae_lib.training.checkpoints import WeightsError
from avae_lib.training.experiment import Experiment
from avae_lib.training.fit import fit
from avae_lib.training.run_guards import RunInUse, run_lock
from avae_lib.training.runs import RunError, load_run, read_experiment, train_run, write_run
from avae_lib.training.training_config import LoggingConfig, TrainingConfig

EXPERIMENT = Experiment(
    name="tiny",
    source="this test",
    data=DataConfig("digits", binarize="threshold"),
    model=VAEConfig(hidden_sizes=(9, 7), latent_dim=2),
    training=TrainingConfig(steps=3, logging=LoggingConfig(checkpoint_every=1), batch_size=10),
)


def test_a_run_folder_rebuilds_exactly_the_model_that_was_trained(tmp_path):
    trained = train_run(EXPERIMENT, tmp_path)
    model, experiment = load_run(tmp_path)
    assert experiment == EXPERIMENT and not model.training
    for found, wanted in zip(model.state_dict().values(), trained.model.state_dict().values(), strict=True):
        assert torch.equal(found, wanted)
    x = experiment.data.load().pixels("test")
    assert torch.equal(model(x, 0.0).bound, trained.model(x, 0.0).bound)


@pytest.mark.parametrize(
    ("field", "changed"),
    [
        ("model.latent_dim", {"model": dataclasses.replace(EXPERIMENT.model, latent_dim=3)}),
        ("data.binarize", {"data": DataConfig("digits", binarize="dynamic")}),
        ("training.learning_rate.peak", {"training": derive(EXPERIMENT.training, learning_rate={"peak": 1.0})}),
    ],
)
def test_another_experiment_in_the_folder_is_refused_by_the_name_of_the_field(tmp_path, field, changed):
    train_run(EXPERIMENT, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(RunError, match=rf"{field} was .* and is now "):
        train_run(dataclasses.replace(EXPERIMENT, **changed), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_weights_that_were_trained_elsewhere_are_never_overwritten(tmp_path):
    write_run(EXPERIMENT, EXPERIMENT.build_model(), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(RunError, match=r"weights without a checkpoint.*choose another run folder"):
        train_run(EXPERIMENT, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_in_which_another_process_trains_is_left_alone(tmp_path):
    with run_lock(tmp_path), pytest.raises(RunInUse, match="another process is training"):
        train_run(EXPERIMENT, tmp_path)
    assert train_run(EXPERIMENT, tmp_path).step == 3


def test_a_file_system_without_locks_is_no_obstacle(tmp_path, monkeypatch):
    def refuse(file, operation):
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", refuse)
    assert train_run(EXPERIMENT, tmp_path).step == 3


def test_a_run_from_before_validation_images_loads_and_goes_on_without_them(tmp_path):
    train_run(EXPERIMENT, tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    for part, field in ((config["data"], "validation"), (config["training"], "minutes")):
        del part[field]
    del config["training"]["logging"]["milestones"]
    path.write_text(json.dumps(config))
    _, experiment = load_run(tmp_path)
    assert experiment == EXPERIMENT and experiment.data.validation == 0
    longer = dataclasses.replace(EXPERIMENT, training=dataclasses.replace(EXPERIMENT.training, steps=5))
    assert train_run(longer, tmp_path).step == 5


def test_holding_out_other_images_is_another_experiment(tmp_path):
    train_run(EXPERIMENT, tmp_path)
    held_out = dataclasses.replace(EXPERIMENT, data=dataclasses.replace(EXPERIMENT.data, validation=150))
    with pytest.raises(RunError, match=r"data\.validation was 0 and is now 150"):
        train_run(held_out, tmp_path)


def test_the_best_weights_and_milestones_load_by_their_names(tmp_path):
    training = derive(EXPERIMENT.training, logging={"evaluate_every": 1, "milestones": (2,)})
    data = dataclasses.replace(EXPERIMENT.data, validation=150)
    train_run(dataclasses.replace(EXPERIMENT, data=data, training=training), tmp_path)
    names = ("weights.safetensors", "milestones/000002.safetensors")
    last, early = (load_run(tmp_path, weights=name)[0] for name in names)
    assert not torch.equal(*(next(model.parameters()) for model in (last, early)))
    load_run(tmp_path, weights="best.safetensors")
    with pytest.raises(WeightsError, match=r"holds no milestones/000009\.safetensors yet: it holds best\.safetensors"):
        load_run(tmp_path, weights="milestones/000009.safetensors")


def test_fewer_steps_than_a_run_has_had_leave_its_record_true(tmp_path):
    train_run(EXPERIMENT, tmp_path)
    fewer = dataclasses.replace(EXPERIMENT, training=dataclasses.replace(EXPERIMENT.training, steps=1))
    assert train_run(fewer, tmp_path).step == 3
    assert read_experiment(tmp_path).training.steps == 3


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "cannot be read"),
        ("{}", "must have a type, such as avae_lib.models"),
        ('{"type": "os.system", "command": "true"}', "os.system belongs to the package os, which is not reg"),
        ('{"type": "avae_lib.training.runs.train_run"}', "is no configuration"),
        ('{"type": "avae_lib.models.vae.VAEConfig", "colour": 1}', "colour"),
        ('{"type": "avae_lib.models.vae.VAEConfig"}', "no experiment but a VAEConfig"),
    ],
)
def test_a_wrong_config_json_is_a_clear_error(tmp_path, content, complaint):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(RunError, match=complaint):
        load_run(tmp_path)


def test_a_folder_without_a_run_and_a_run_without_weights_say_so(tmp_path):
    with pytest.raises(RunError, match=r"no run folder: it has no config\.json"):
        load_run(tmp_path)
    train_run(EXPERIMENT, tmp_path / "run")
    (tmp_path / "run/weights.safetensors").write_bytes(b"damaged")
    with pytest.raises(WeightsError, match="damaged"):
        load_run(tmp_path / "run")
    (tmp_path / "run/weights.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"no weights\.safetensors yet"):
        load_run(tmp_path / "run")
    train_run(EXPERIMENT, tmp_path / "run")
    load_run(tmp_path / "run")


def test_what_fit_has_trained_is_neither_overwritten_nor_a_dead_end(tmp_path):
    data, longer = EXPERIMENT.data.load(), derive(EXPERIMENT, training={"steps": 5})
    fit(EXPERIMENT.build_model(), data, EXPERIMENT.training, tmp_path, progress_bar=False)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(RunError, match="holds a run already"):
        write_run(EXPERIMENT, EXPERIMENT.build_model(), tmp_path)
    with pytest.raises(RunError, match=r"no config.json.*avae_lib.train_run\(experiment, folder\)"):
        load_run(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert train_run(longer, tmp_path, progress_bar=False).step == 5
    assert load_run(tmp_path)[1] == longer


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {"labels": True}}, "data.labels must be false"),
        ({}, "training needs about"),
    ],
)
def test_a_run_that_is_refused_leaves_no_folder(tmp_path, monkeypatch, changes, message):
    monkeypatch.setattr("avae_lib.training.memory_plan.available_memory", lambda device: -(2**30))
    refused = derive(EXPERIMENT, training={"device": "cpu"}, **changes)
    with pytest.raises(InvalidInput, match=message):
        train_run(refused, tmp_path / "new", progress_bar=False)
    assert not (tmp_path / "new").exists()
    (tmp_path / "old").mkdir()
    with pytest.raises(InvalidInput, match=message):
        train_run(refused, tmp_path / "old", progress_bar=False)
    assert not (tmp_path / "old" / "config.json").exists()
