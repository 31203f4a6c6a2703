"""The ablations behind lectures 05 and 06: their arms, records, READMEs, and one run from end to end."""

import importlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from avae_lib import data

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
RECORDS = Path(data.__file__).parent / "records"
STUDIES = (
    "stochastic_depth",
    "layer_placement",
    "residual_scaling",
    "upsampling_and_residuals",
    "depth_local_attentive",
    "kl_per_layer_training",
)


@pytest.fixture(autouse=True)
def experiments_are_importable(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(EXPERIMENTS), *sys.path])


def study(name, scale="small"):
    return importlib.import_module(f"{name}.run").study(scale)


def parameters(model):
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in model.build().parameters())


@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.parametrize("scale", ["small", "full"])
def test_all_arms_can_be_built_at_both_scales_and_have_labels_of_their_own(name, scale):
    arms = study(name, scale).arms
    assert all(parameters(arm.model) > 0 for arm in arms)
    assert len({arm.label for arm in arms}) == len(arms)


@pytest.mark.parametrize("scale", ["small", "full"])
def test_arms_of_stochastic_depth_have_the_same_weights_and_the_depth_they_name(scale):
    arms = study("stochastic_depth", scale).arms
    assert len({parameters(arm.model) for arm in arms}) == 1
    for arm in arms:
        assert arm.model.stochastic_depth == arm.factors["stochastic_depth"]


@pytest.mark.parametrize("scale", ["small", "full"])
def test_placements_have_the_same_number_of_blocks(scale):
    arms = study("layer_placement", scale).arms
    assert len({len(arm.model.decoder) for arm in arms}) == 1
    for arm in arms:
        resolutions = [str(step.resolution) for step in arm.model.decoder]
        assert {at: resolutions.count(at) for at in set(resolutions)} == arm.factors["blocks"]


@pytest.mark.parametrize("scale", ["small", "full"])
def test_local_and_attentive_models_of_a_depth_differ_by_an_eighth_of_their_parameters_at_most(scale):
    arms = study("depth_local_attentive", scale).arms
    for layers in (2, 4, 8, 16):
        local, attentive = (parameters(arm.model) for arm in arms if arm.factors["layers"] == layers)
        assert abs(local / attentive - 1) < 1 / 8


def test_runs_of_kl_per_layer_training_are_those_of_depth_local_attentive(tmp_path):
    study_of_kl, study_of_depth = study("kl_per_layer_training"), study("depth_local_attentive")
    folders = {study_of_depth.run(arm, 0, tmp_path).folder for arm in study_of_depth.arms}
    assert {study_of_kl.run(arm, 0, tmp_path).folder for arm in study_of_kl.arms} <= folders


def test_a_run_has_settled_when_its_last_fifth_moves_by_less_than_a_hundredth():
    from ablation import has_settled

    steps = list(range(10, 101, 10))
    assert has_settled(steps, [6, 5, 4.5, 4.2, 4.1, 4.05, 4.03, 4.02, 4.01, 4.0])
    assert not has_settled(steps, [6, 5.8, 5.6, 5.4, 5.2, 5.0, 4.8, 4.6, 4.4, 4.2])
    assert not has_settled([40], [4.0])


def test_a_study_runs_goes_on_and_writes_its_record(tmp_path):
    command = [sys.executable, EXPERIMENTS / "residual_scaling/run.py", "--seeds", "0", "--runs", tmp_path]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    for options in (("--steps", "4", "--turns", "1"), ("--steps", "4")):
        arguments = [*command, *options, "--record", tmp_path / "record.json"]
        subprocess.run(arguments, check=True, capture_output=True, env=environment)
        record = json.loads((tmp_path / "record.json").read_text())
        require_layout(record)
    runs = [run for arm in record["arms"] for run in arm["runs"]]
    assert [run["steps"] for run in runs] == [4] * 6
    assert all(run["test"]["bits_per_dim"] > 0 and not run["diverged"] for run in runs)


@pytest.mark.parametrize("name", STUDIES)
def test_records_are_whole_and_of_the_arms_in_the_configuration(name):
    record = data.recorded(name)
    require_layout(record)
    arms = {arm.label: dict(arm.factors) for arm in study(name).arms}
    assert {arm["label"]: arm["factors"] for arm in record["arms"]} == arms


def require_layout(record):
    for arm in record["arms"]:
        layers = arm["layers"]
        assert len(arm["resolutions"]) == len(arm["latents_per_layer"]) == layers
        assert len({run["seed"] for run in arm["runs"]}) == len(arm["runs"])
        for run in arm["runs"]:
            curve = run["curve"]
            assert len(curve["step"]) == len(curve["bits_per_dim"]) == len(curve["kl_per_layer"])
            assert curve["step"] == sorted(curve["step"]) and curve["step"][-1] <= run["steps"]
            assert all(len(kl) == layers for kl in curve["kl_per_layer"])
            assert all(math.isfinite(value) for value in curve["bits_per_dim"])
            if run["test"]:
                require_consistent_terms(run["test"], record["data"])


def require_consistent_terms(test, images):
    pixels = {"digits": 64, "photos32": 3072, "cifar10": 3072}[images["name"]]
    assert test["negative_elbo"] == pytest.approx(sum(test["kl_per_layer"]) - test["log_likelihood"], rel=1e-3)
    assert test["bits_per_dim"] == pytest.approx(test["negative_elbo"] / pixels / math.log(2), rel=1e-3)


@pytest.mark.parametrize("name", STUDIES)
def test_readme_holds_the_table_of_the_record_and_its_pictures_are_there(name):
    from ablation_tables import table

    readme = (EXPERIMENTS / name / "README.md").read_text(encoding="utf-8")
    assert table(data.recorded(name)) in readme
    for picture in ("results.png", "curves.png"):
        assert picture in readme and (EXPERIMENTS / name / picture).is_file()


@pytest.mark.parametrize(
    "name",
    [
        "hierarchy-photos32",
        "local-photos32",
        "attentive-photos32",
        "attentive-photos32-early",
        "attentive-photos32-middle",
    ],
)
def test_recorded_models_reach_the_bound_that_their_facts_state(name):
    model, facts = data.recorded_model(name), data.recorded_model_facts(name)
    valid = data.load("photos32", validation=500).pixels("valid")[:100]
    torch.manual_seed(0)
    with torch.no_grad():
        bound = model(valid).bound.mean().item()
    assert -bound / model.num_dims / math.log(2) == pytest.approx(facts["bits_per_dim"]["valid"], abs=0.02)
    assert sum(parameter.numel() for parameter in model.parameters()) == facts["parameters"]


def test_an_unknown_recorded_model_is_refused_with_the_names_of_those_there():
    with pytest.raises(ValueError, match="hierarchy-photos32"):
        data.recorded_model("nothing")


def test_all_records_and_weights_together_are_below_20_megabytes():
    assert sum(file.stat().st_size for file in RECORDS.rglob("*") if file.is_file()) < 20e6
