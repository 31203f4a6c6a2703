"""What is wrong in a config.json is said in one line that names the field and a remedy, whatever it is."""

import dataclasses
import functools
import json
import math
import operator
import typing

import pytest

from avae_lib.cli import main
from avae_lib.data import DataConfig
from avae_lib.models.families import FAMILIES
from avae_lib.presets import PRESETS, find_preset
from avae_lib.training.experiment import ConfigError, Experiment, from_json, to_json
from avae_lib.training.runs import RunError, read_experiment, write_run
from avae_lib.training.training_config import OptimizerConfig, TrainingConfig


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "digits"
    preset = find_preset("digits-vae")
    write_run(preset, preset.build_model(), folder)
    return folder


def changed(run, folder, place, value):
    """A copy of the run's configuration with one entry changed."""
    record = json.loads((run / "config.json").read_text())
    *groups, last = place.split(".")
    functools.reduce(operator.getitem, groups, record)[last] = value
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(record))
    (folder / "weights.safetensors").write_bytes((run / "weights.safetensors").read_bytes())
    return folder


@pytest.mark.parametrize(
    ("place", "value", "wanted"),
    [
        ("name", None, "name must be str, got None"),
        ("data", "x", "data must be DataConfig, got 'x'"),
        ("data.name", 5, "name must be str, got 5"),
        ("data.validation", "x", "validation must be int, got 'x'"),
        ("data.labels", 1, "labels must be bool, got 1"),
        ("training", None, "training must be TrainingConfig, got None"),
        ("training.seed", "x", "seed must be int, got 'x'"),
        ("training.seed", 2**70, "seed must be int of 64 bits, got 1180591620717411303424"),
        ("training.micro_batch", 2.5, "micro_batch must be int | None, got 2.5"),
        ("training.device", 5, "device must be str, got 5"),
        ("training.logging", 5, "logging must be LoggingConfig, got 5"),
        ("training.logging.metrics_every", 1.5, "metrics_every must be int, got 1.5"),
        ("training.logging.milestones", [1, "x"], "milestones must be tuple[int, ...], got (1, 'x')"),
        (
            "training.optimizer",
            {"type": "avae_lib.data.DataConfig"},
            "optimizer must be OptimizerConfig, got DataConfig(",
        ),
        ("training.optimizer.betas", [0.9], "betas must be tuple[float, float], got (0.9,)"),
        ("training.optimizer.clip_norm", math.nan, "clip_norm must be float, got nan"),
        ("model", None, "no model that can be built but None"),
        ("model", [1], "no model that can be built but (1,)"),
        ("model.hidden_sizes", 5, "hidden_sizes must be tuple[int, ...], got 5"),
        ("model.latent_dim", True, "latent_dim must be int, got True"),
    ],
)
def test_a_field_of_the_wrong_type_is_named(run, tmp_path, capsys, place, value, wanted):
    folder = changed(run, tmp_path / "run", place, value)
    assert main(["evaluate", str(folder), "--importance-samples", "1"]) == 1
    said = capsys.readouterr().err
    assert wanted in said and "put back what `avae train` wrote" in said and said.count("\n") == 1


@pytest.mark.parametrize("flat", [{"beta_start": "x"}, {"beta": [1]}, {"optimizer": 3}, {"beta_warmup_steps": None}])
def test_wrong_types_in_a_configuration_without_groups_are_named_too(flat):
    with pytest.raises(ConfigError, match="cannot be built from its stored fields"):
        from_json({"type": "avae_lib.training.training_config.TrainingConfig", "beta_warmup_steps": 5, **flat})


@pytest.mark.parametrize("latent_dim", [10**13, 2**62])
def test_a_model_larger_than_any_memory_is_refused_in_one_line(run, tmp_path, capsys, latent_dim):
    folder = changed(run, tmp_path / "run", "model.latent_dim", latent_dim)
    assert main(["sample", str(folder)]) == 1
    said = capsys.readouterr().err
    assert "the model of digits-vae is too large for this machine" in said and said.count("\n") == 1


def test_deeply_nested_brackets_are_refused_in_one_line(tmp_path):
    for content in ("[" * 100_000, "[" * 100_000 + "]" * 100_000, '{"type":' * 100_000):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(RunError, match="put back what"):
            read_experiment(tmp_path)


def test_a_seed_beyond_64_bits_is_refused_before_anything_is_written(tmp_path, capsys):
    assert main(["train", "digits-vae", "--training.seed", str(2**70), "--run-dir", str(tmp_path / "run")]) != 0
    assert "training.seed must be a whole number of 64 bits" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_what_is_of_the_annotated_type_is_read_as_it_was_stored():
    unlimited = TrainingConfig(optimizer=OptimizerConfig(clip_norm=math.inf, ema_decay=0), minutes=5, seed=-1)
    assert from_json(json.loads(json.dumps(to_json(unlimited)))) == unlimited
    for preset in PRESETS.values():
        assert from_json(json.loads(json.dumps(to_json(preset)))) == preset


def test_no_annotation_of_a_stored_class_is_of_a_kind_that_would_refuse_its_default():
    for kind in (*FAMILIES.values(), DataConfig, TrainingConfig):
        assert from_json(to_json(kind())) == kind()
    assert set(typing.get_type_hints(Experiment)) == {field.name for field in dataclasses.fields(Experiment)}
