"""The experiment on likelihood ratios: its record, its README, and a tiny run from end to end."""

import importlib
import importlib.util
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from avae_lib import data
from avae_lib.presets.derivation import derive

FOLDER = Path(__file__).parents[2] / "experiments/out_of_distribution"


@pytest.fixture
def experiment():
    specification = importlib.util.spec_from_file_location("out_of_distribution_run", FOLDER / "run.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("name", "part"), [("out_of_distribution", 0), ("out_of_distribution_photographs", 1)])
def test_the_readme_has_the_areas_of_the_record(name, part):
    record, readme = data.recorded(name), (FOLDER / "README.md").read_text(encoding="utf-8")
    text = readme.split("## The same with CIFAR-10")[part]
    for name in list(record["sets"])[1:]:
        (row,) = re.findall(rf"^\| {name} \| (.*) \|$", text, re.MULTILINE)
        printed = [[float(area) for area in cell.split(", ")] for cell in row.split(" | ")]
        scores = record["seeds"][0]["areas"][name]
        assert printed == [[round(seed["areas"][name][s]["mean"], 2) for seed in record["seeds"]] for s in scores]


def test_the_kept_scores_give_about_the_areas_of_all_images():
    record = data.recorded("out_of_distribution")
    first = record["seeds"][0]
    for name, areas in first["areas"].items():
        for score, area in areas.items():
            ours, theirs = (np.asarray(first["scores"][of][score]) for of in ("Fashion-MNIST", name))
            of_kept = (theirs[:, None] > ours).mean() + 0.5 * (theirs[:, None] == ours).mean()
            assert abs(of_kept - area["mean"]) < 0.1  # 300 images instead of 1,000


def test_a_tiny_run_writes_such_a_record(experiment, monkeypatch, tmp_path):
    rng = np.random.RandomState(0)
    for name, examples in (("fashion_mnist", 30), ("mnist", 20), ("omniglot_evaluation", 20)):
        images = {split: rng.randint(256, size=(examples, 1, 28, 28)).astype(np.uint8) for split in ("train", "test")}
        np.savez(tmp_path / f"{name}.npz", **images)
    monkeypatch.setenv("AVAE_DATA", str(tmp_path))
    inside = replace(experiment.INSIDE, validation=10)
    training = derive(experiment.FASHION.training, steps=2, batch_size=5, kl_weight={"warmup_steps": 2})
    monkeypatch.setattr(experiment, "FASHION", replace(experiment.FASHION, data=inside, training=training))
    monkeypatch.setattr(experiment, "IMAGES", 6)
    monkeypatch.setattr(experiment, "IMPORTANCE_SAMPLES", 2)
    monkeypatch.setattr(experiment, "RECORD", tmp_path / "record.json")
    experiment.main(runs=tmp_path / "runs", seeds=(0,))
    record, kept = json.loads((tmp_path / "record.json").read_text()), data.recorded("out_of_distribution")
    assert record.keys() == kept.keys() and record["seeds"][0].keys() == kept["seeds"][0].keys()
    assert record["seeds"][0]["areas"].keys() == kept["seeds"][0]["areas"].keys()


def test_a_tiny_run_on_photographs_writes_such_a_record(monkeypatch, tmp_path):
    rng = np.random.RandomState(0)
    shapes = {"cifar10": (3, 32, 32), "mnist": (1, 28, 28), "fashion_mnist": (1, 28, 28)}
    for name, shape in shapes.items():
        images = {split: rng.randint(256, size=(20, *shape)).astype(np.uint8) for split in ("train", "test")}
        np.savez(tmp_path / f"{name}.npz", **images)
    monkeypatch.setenv("AVAE_DATA", str(tmp_path))
    monkeypatch.setattr(sys, "path", [str(FOLDER), *sys.path])
    for name in ("run", "photographs"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    photographs = importlib.import_module("photographs")
    inside = replace(photographs.INSIDE, validation=5)
    training = replace(photographs.CIFAR10.training, steps=1, batch_size=2)
    monkeypatch.setattr(photographs, "INSIDE", inside)
    monkeypatch.setattr(photographs, "CIFAR10", replace(photographs.CIFAR10, data=inside, training=training))
    for name, value in {"IMAGES": 4, "KEPT_LAYERS": (2,), "RECORD": tmp_path / "record.json"}.items():
        monkeypatch.setattr(photographs, name, value)
    photographs.main(tmp_path / "runs", seeds=(0,))
    assert not photographs.RECORD.exists()
    photographs.main(tmp_path / "runs")
    record, kept = json.loads(photographs.RECORD.read_text()), data.recorded("out_of_distribution_photographs")
    assert record.keys() == kept.keys() and record["sets"].keys() == kept["sets"].keys()
    assert record["seeds"][0].keys() == kept["seeds"][0].keys() and [run["seed"] for run in record["seeds"]] == [
        0,
        1,
        2,
    ]
