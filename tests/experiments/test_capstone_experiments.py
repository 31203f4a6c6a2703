"""The experiments of the capstone: which crops are held out, and tiny runs from end to end."""

import importlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from avae_lib import data
from avae_lib.capstone import BUDGET, measure, public_images
from avae_lib.presets.derivation import derive

FOLDER = Path(__file__).parents[2] / "experiments/capstone"


@pytest.fixture
def capstone(monkeypatch):
    """Modules of the folder by name; they import one another as its programs do."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


def crops_as_bytes(images):
    return {image.numpy().tobytes() for image in images}


def test_held_out_crops_are_none_that_students_are_given(capstone):
    photos = data.load("photos32", validation=500)
    given = [*photos.train, *photos.valid, *photos.test]
    drawn = crops_as_bytes(capstone("held_out_crops").held_out_crops(300, seed=1))
    assert len(drawn) > 290
    assert not drawn & crops_as_bytes(given)
    assert not drawn & crops_as_bytes([image.flip(2) for image in photos.train])


def test_whoever_trains_on_all_crops_of_the_test_band_has_seen_every_held_out_crop(capstone):
    module = capstone("held_out_crops")
    everything = crops_as_bytes(module.all_crops_of_the_test_band())
    assert crops_as_bytes(module.held_out_crops(100, seed=2)) <= everything
    assert crops_as_bytes(data.load("photos32").test) <= everything


def tiny(experiment, **training):
    changes = {
        "steps": 2,
        "batch_size": 4,
        "logging": {"evaluation_images": 4},
        "kl_weight": {"warmup_steps": 0},
        **training,
    }
    return replace(experiment, training=derive(experiment.training, **changes))


def test_a_tiny_baseline_writes_such_a_record(capstone, monkeypatch, tmp_path):
    module = capstone("baseline")
    monkeypatch.setattr(module, "BASELINE", tiny(module.BASELINE))
    monkeypatch.setattr(module, "REFERENCE", tiny(module.REFERENCE))
    monkeypatch.setattr(module, "RECORD", tmp_path / "record.json")
    monkeypatch.setattr(module, "IMPORTANCE_SAMPLES", 1)
    monkeypatch.setattr(module, "HELD_OUT", 5)
    models: list[str] = []
    monkeypatch.setattr(module, "keep_model", lambda name, *_: models.append(name))
    module.main(runs=tmp_path / "runs")
    record, kept = json.loads((tmp_path / "record.json").read_text()), data.recorded("capstone_baseline")
    assert record.keys() == kept.keys() and record["baseline"].keys() == kept["baseline"].keys()
    seeds = record["baseline"]["seeds"]
    assert seeds[0].keys() == kept["baseline"]["seeds"][0].keys() and seeds[0]["public"] != seeds[1]["public"]
    middle = sorted(seed["public"]["bound"]["mean"] for seed in seeds)[1]
    assert record["bound"]["mean"] == middle and models == ["capstone-baseline"]


def test_the_kept_baseline_has_the_numbers_of_the_record():
    record = data.recorded("capstone_baseline")
    images = public_images()[:64]
    measured = measure(data.recorded_model(record["model"]), images, samples=4)
    assert abs(measured.bound.mean - record["bound"]["mean"]) < 5 * record["bound"]["standard_error"]
    parameters = sum(p.numel() for p in data.recorded_model(record["model"]).parameters())
    assert parameters == record["baseline"]["parameters"] < BUDGET.max_parameters


def test_tiny_memorisers_write_such_a_record(capstone, monkeypatch, tmp_path):
    images = np.random.RandomState(0).randint(256, size=(30, 1, 28, 28)).astype(np.uint8)
    np.savez(tmp_path / "fashion_mnist.npz", train=images, test=images)
    monkeypatch.setenv("AVAE_DATA", str(tmp_path))
    module = capstone("memoriser")
    fashion = tiny(module.FASHION)
    monkeypatch.setattr(module, "FASHION", replace(fashion, data=replace(fashion.data, validation=5)))
    monkeypatch.setattr(module, "REFERENCE", tiny(module.REFERENCE))
    monkeypatch.setattr(module, "GOES_ON", tiny(module.GOES_ON))
    monkeypatch.setattr(module, "RECORD", tmp_path / "record.json")
    monkeypatch.setattr(module, "HELD_OUT", 4)
    monkeypatch.setattr(module, "TRAINING", 4)
    monkeypatch.setattr(module, "SECRET", 4)
    monkeypatch.setattr(capstone("baseline"), "IMPORTANCE_SAMPLES", 1)
    module.main(runs=tmp_path / "runs")
    record, kept = json.loads((tmp_path / "record.json").read_text()), data.recorded("capstone_memoriser")
    assert record.keys() == kept.keys()
    for part, ways in record.items():
        assert ways.keys() == kept[part].keys()
        assert ways["honest"]["gain"]["bound"]["mean"] == 0
        for way, result in ways.items():
            assert result.keys() == kept[part][way].keys()


def test_held_out_crops_are_half_mirrored(capstone):
    """Mirrored, a crop of the photographs is no crop of them as they are."""
    module = capstone("held_out_crops")
    everything = module.all_crops_of_the_test_band()
    upright = crops_as_bytes(everything[: len(everything) // 2])
    drawn = module.held_out_crops(200, seed=3)
    found = torch.tensor([image.numpy().tobytes() in upright for image in drawn]).float().mean()
    assert 0.35 < found < 0.65


def printed(estimate, decimals):
    return f"{estimate['mean']:.{decimals}f} ± {estimate['standard_error']:.{decimals}f}"


def test_the_readme_has_the_numbers_of_the_records():
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    record = data.recorded("capstone_baseline")
    for model in ("baseline", "reference"):
        for seed in record[model]["seeds"]:
            cells = [printed(seed["public"][quantity], 3) for quantity in ("bound", "importance-weighted")]
            assert f"| {record[model]['parameters']:,} | {seed['seed']} | {' | '.join(cells)} |" in text
    for ways in data.recorded("capstone_memoriser").values():
        for way, result in ways.items():
            assert f"| {way} | {result['training_images']:,} | {printed(result['held_out']['bound'], 3)} |" in text
            assert printed(result["gain"]["bound"], 4) in text or way == "honest"


def test_the_bands_are_within_reach_of_the_reference():
    record = data.recorded("capstone_baseline")
    gain = record["bound"]["mean"] - record["reference"]["seeds"][0]["public"]["bound"]["mean"]
    assert gain > BUDGET.bands_bpd[-1] and record["reference"]["parameters"] < BUDGET.max_parameters
    assert record["reference"]["seeds"][0]["processor_minutes"] < 60 * BUDGET.max_hours / 3


def test_what_a_memoriser_gains_stands_in_the_promises_of_the_grader():
    text = (FOLDER.parents[1] / "autograder/SECURITY.md").read_text(encoding="utf-8")
    record = data.recorded("capstone_memoriser")["photos32"]
    for way in ("with the public test crops", "all crops of the test band"):
        assert printed(record[way]["gain"]["bound"], 3) in text
