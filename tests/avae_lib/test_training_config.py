"""The training configuration: nonsense is refused, so is what has no effect, and older configurations still load."""

import dataclasses
import json
import operator
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch

from avae_lib.presets.derivation import derive
from avae_lib.training.experiment import from_json, to_json
from avae_lib.training.older_configs import PLACES, in_groups
from avae_lib.training.runs import load_run, read_experiment, train_run
from avae_lib.training.training_config import TrainingConfig

ROOT = Path(__file__).parents[2]
OLDER = Path(__file__).parent / "older_runs"
FLAT_RUN = OLDER / "flat_configuration"


def places(config, prefix=""):
    """Dotted names of all fields that are no groups."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from places(value, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}"


def with_field(name, value):
    group, _, field = name.rpartition(".")
    return derive(TrainingConfig(), **({group: {field: value}} if group else {field: value}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", 0),
        ("batch_size", 0),
        ("minutes", 0.0),
        ("precision", "float16"),
        ("optimizer.kind", "sgd"),
        ("optimizer.betas", (0.9, 1.0)),
        ("optimizer.betas", (0.9,)),
        ("optimizer.epsilon", 0.0),
        ("optimizer.weight_decay", -0.1),
        ("optimizer.clip_norm", 0.0),
        ("optimizer.ema_decay", 1.0),
        ("learning_rate.peak", -1.0),
        ("learning_rate.warmup_steps", -1),
        ("learning_rate.schedule", "linear"),
        ("learning_rate.first_period_steps", -1),
        ("learning_rate.final_fraction", -0.1),
        ("kl_weight.final", -1.0),
        ("kl_weight.start", 2.0),
        ("kl_weight.warmup_steps", 1),
        ("kl_weight.free_bits", -1.0),
        ("penalties.l2", -1.0),
        ("penalties.spectral", -1.0),
        ("skipping.threshold", 0.0),
        ("skipping.factor", 1.0),
        ("skipping.max_in_a_row", 0),
        ("logging.metrics_every", 0),
        ("logging.evaluate_every", 0),
        ("logging.evaluation_images", 0),
        ("logging.checkpoint_every", 0),
        ("logging.milestones", (0,)),
    ],
)
def test_nonsense_in_the_configuration_is_named(name, value):
    with pytest.raises(ValueError, match=rf"^training\.{name} must be "):
        with_field(name, value)


COSINE = {"schedule": "cosine"}
CONSTANT = {"schedule": "constant"}


@pytest.mark.parametrize(
    ("name", "changes", "advice"),
    [
        ("optimizer.weight_decay", {"optimizer": {"kind": "adam", "weight_decay": 0.1}}, "optimizer.kind adamw"),
        ("optimizer.weight_decay", {"optimizer": {"kind": "adamax", "weight_decay": 0.1}}, "optimizer.kind adamw"),
        ("learning_rate.first_period_steps", {"learning_rate": {**COSINE, "first_period_steps": 5}}, "cosine_restarts"),
        ("learning_rate.first_period_steps", {"learning_rate": {**CONSTANT, "first_period_steps": 5}}, "or leave"),
        ("learning_rate.final_fraction", {"learning_rate": {**CONSTANT, "final_fraction": 0.1}}, "schedule cosine"),
        ("kl_weight.start", {"kl_weight": {"start": 0.5}}, "set training.kl_weight.warmup_steps"),
        ("kl_weight.balancing", {"kl_weight": {"balancing": True}}, "set training.kl_weight.warmup_steps"),
        ("kl_weight.free_bits", {"kl_weight": {"final": 0.0, "free_bits": 1.0}}, "set training.kl_weight.final"),
        (
            "kl_weight.balancing",
            {"kl_weight": {"final": 0.0, "warmup_steps": 9, "balancing": True}},
            "set training.kl_weight.final",
        ),
        ("kl_weight.warmup_steps", {"kl_weight": {"start": 1.0, "warmup_steps": 9}}, "change start"),
        ("kl_weight.warmup_steps", {"kl_weight": {"final": 0.0, "warmup_steps": 9}}, "change start"),
    ],
)
def test_a_field_without_effect_beside_the_others_is_refused_with_advice(name, changes, advice):
    with pytest.raises(ValueError, match=rf"^training\.{name} = .* has no effect .*{advice}"):
        derive(TrainingConfig(), **changes)


def test_restarts_of_the_learning_rate_need_a_period():
    wanted = r"training\.learning_rate\.first_period_steps must be at least 1 with .*schedule cosine_restarts, got 0"
    with pytest.raises(ValueError, match=wanted):
        derive(TrainingConfig(), learning_rate={"schedule": "cosine_restarts"})


def test_every_field_says_what_it_is():
    for kind in (TrainingConfig, *(type(getattr(TrainingConfig(), group)) for group in ("optimizer", "kl_weight"))):
        assert kind.__doc__
    assert len(set(PLACES.values())) == len(PLACES)
    today = set(places(TrainingConfig()))
    assert set(PLACES.values()) <= today
    flat = {name for name in today if "." not in name}
    of_memory = {"micro_batch", "activation_checkpointing", "data_on", "threads", "memory_check", "sharded"}
    of_speed = {"precision", "compile", "cuda_graphs", "channels_last", "fused_attention"}
    assert flat - of_memory - of_speed == {"steps", "batch_size", "seed", "minutes", "device", "disk_check"}


@pytest.mark.parametrize("name", json.loads((OLDER / "presets.json").read_text(encoding="utf-8")))
def test_presets_stored_before_there_were_groups_keep_all_values(name):
    record = json.loads((OLDER / "presets.json").read_text(encoding="utf-8"))[name]
    training = from_json(record).training
    idle = {"final_learning_rate"} if record["training"]["schedule"] == "constant" else set()
    for flat, value in record["training"].items():
        if flat in PLACES and flat not in idle:
            assert operator.attrgetter(PLACES[flat])(training) == from_json(value)


@pytest.mark.parametrize("path", sorted(ROOT.glob("experiments/*/*.config.json")), ids=lambda path: path.name)
def test_recorded_experiments_still_load(path):
    record = json.loads(path.read_text(encoding="utf-8"))
    experiment = from_json(record)
    assert experiment.training.learning_rate.peak == record["training"]["learning_rate"]
    assert from_json(json.loads(json.dumps(to_json(experiment)))) == experiment


@pytest.mark.parametrize(
    "idle",
    [
        {"schedule": "constant", "final_learning_rate": 0.3},
        {"restart_period_steps": 7},
        {"beta_start": 0.5},
        {"beta_start": 0.5, "beta_warmup_steps": 1, "kl_balancing": True},
        {"beta": 0.0, "free_bits": 1.0, "kl_balancing": True, "beta_warmup_steps": 4},
        {"beta": 0.5, "beta_start": 0.5, "beta_warmup_steps": 4},
    ],
)
def test_values_without_effect_in_older_configurations_are_dropped(idle):
    kind = "avae_lib.training.training_config.TrainingConfig"
    loaded = from_json({"type": kind, "steps": 5, **idle})
    kept = {name: idle[name] for name in ("beta", "schedule") if name in idle}
    assert loaded == from_json(in_groups({"type": kind, "steps": 5, "ema_decay": 0.99, **kept}))


def test_a_run_from_before_there_were_groups_loads_and_resumes_as_it_would_have_then(tmp_path):
    run = tmp_path / "run"
    shutil.copytree(FLAT_RUN, run)
    model, experiment = load_run(run)
    assert model(experiment.data.load().examples("test")[:3]).bound.isfinite().all()
    assert experiment.training.kl_weight.balancing and experiment.training.penalties.spectral == 0.01
    longer = derive(experiment, training={"steps": 10})
    assert train_run(longer, run).step == 10
    assert read_experiment(run) == longer
    wanted = safetensors.torch.load_file(FLAT_RUN / "after_10_updates.safetensors")
    found = safetensors.torch.load_file(run / "weights.safetensors")
    for name, weight in wanted.items():
        torch.testing.assert_close(found[name], weight, atol=1e-5, rtol=1e-4)
