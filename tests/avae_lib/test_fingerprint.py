"""Data that change under their name: noticed when a run goes on, is evaluated, or is compared."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch

from avae_lib.cli import main
from avae_lib.data import DataConfig, ImageDataset, load
from avae_lib.data import fingerprint as module
from avae_lib.data.fingerprint import OtherData, fingerprint
from avae_lib.models.vae import VAEConfig
from avae_lib.report import compare_runs
from avae_lib.training.experiment import Experiment
from avae_lib.training.fit import fit
from avae_lib.training.runs import train_run
from avae_lib.training.training_config import LoggingConfig, TrainingConfig

EXPERIMENT = Experiment(
    name="squares",
    source="this test",
    data=DataConfig("squares"),
    model=VAEConfig((1, 4, 4), bits=1, hidden_sizes=(5,), latent_dim=2),
    training=TrainingConfig(steps=2, batch_size=4, device="cpu", logging=LoggingConfig(evaluate_every=1)),
)


def arrays(seed):
    generator = np.random.default_rng(seed)
    return {split: generator.integers(0, 2, (12, 1, 4, 4), dtype=np.uint8) for split in ("train", "valid", "test")}


@pytest.fixture
def squares(tmp_path, monkeypatch):
    monkeypatch.setenv("AVAE_DATA", str(tmp_path))
    np.savez(tmp_path / "squares.npz", **arrays(0))
    return arrays(0)


@pytest.fixture
def run(squares, tmp_path):
    train_run(EXPERIMENT, tmp_path / "run", progress_bar=False)
    return tmp_path / "run"


def longer(steps=4):
    return dataclasses.replace(EXPERIMENT, training=dataclasses.replace(EXPERIMENT.training, steps=steps))


def test_the_same_images_have_one_fingerprint_in_a_file_compressed_or_in_a_folder(squares, tmp_path):
    in_file = fingerprint(load("squares"))
    np.savez_compressed(tmp_path / "squares.npz", **squares)
    compressed = fingerprint(load("squares"))
    (tmp_path / "squares.npz").unlink()
    (tmp_path / "squares").mkdir()
    for split, images in squares.items():
        np.save(tmp_path / "squares" / f"{split}.npy", images)
    assert in_file == compressed == fingerprint(load("squares")) and len(set(in_file.values())) == 3


def test_one_pixel_and_one_label_count_and_the_type_of_labels_does_not():
    digits = load("digits")
    pixel, label = digits.test.clone(), digits.test_labels.clone()
    pixel[5, 0, 3, 3] ^= 1
    label[5] = (label[5] + 1) % 10
    whole = fingerprint(digits)
    for changed in (dataclasses.replace(digits, test=pixel), dataclasses.replace(digits, test_labels=label)):
        found = fingerprint(changed)
        assert found["train"] == whole["train"] and found["test"] != whole["test"]
    assert fingerprint(dataclasses.replace(digits, test_labels=digits.test_labels.to(torch.int16))) == whole
    assert fingerprint(digits.binarized("threshold").flipped(horizontal=True)) == whole


def test_of_a_large_split_the_shape_and_a_spread_sample_are_hashed(monkeypatch):
    monkeypatch.setattr(module, "_LARGE", 100)
    monkeypatch.setattr(module, "_ROWS", 4)
    images = torch.arange(40, dtype=torch.uint8).reshape(40, 1, 1, 1).repeat(1, 1, 2, 2)
    whole = fingerprint(ImageDataset("mine", train=images, test=images))
    for row, is_seen in ((0, True), (1, False), (30, True)):
        changed = images.clone()
        changed[row] += 100
        assert (fingerprint(ImageDataset("mine", train=changed, test=images)) != whole) == is_seen
    assert fingerprint(ImageDataset("mine", train=images[:39], test=images)) != whole


def test_a_run_goes_on_with_the_same_data_and_refuses_others(run, tmp_path):
    assert train_run(longer(3), run, progress_bar=False).step == 3
    np.savez(tmp_path / "squares.npz", **arrays(1))
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    with pytest.raises(OtherData, match=r"train, valid, test now with other.*choose another run folder"):
        train_run(longer(), run, progress_bar=False)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_a_call_of_fit_refuses_other_data_too(squares, tmp_path):
    config = EXPERIMENT.training
    fit(EXPERIMENT.build_model(), load("squares"), config, tmp_path / "fit", progress_bar=False)
    other = dataclasses.replace(load("squares"), train=load("squares").test)
    with pytest.raises(OtherData, match="train now with"):
        fit(EXPERIMENT.build_model(), other, config, tmp_path / "fit", progress_bar=False)


def test_a_run_of_an_earlier_version_goes_on_in_silence(run, tmp_path, capsys):
    (run / "data.json").unlink()
    np.savez(tmp_path / "squares.npz", **arrays(1))
    assert train_run(longer(), run, progress_bar=False).step == 4
    assert not (run / "data.json").exists()
    assert main(["evaluate", str(run), "--importance-samples", "2"]) == 0
    assert "warning" not in capsys.readouterr().out


def test_evaluating_on_other_images_warns_in_one_line_and_in_the_record(run, squares, tmp_path, capsys):
    command = ["evaluate", str(run), "--importance-samples", "2"]
    assert main(command) == 0 and "warning" not in capsys.readouterr().out
    np.savez(tmp_path / "squares.npz", **{**squares, "test": 1 - squares["test"]})
    assert main(command) == 0
    warnings = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning")]
    record = json.loads((run / "evaluation.json").read_text())
    assert warnings == ["warning: squares has changed since the run began: test now with other examples or labels"]
    assert record["warnings"] == [warnings[0].removeprefix("warning: ")]
    assert len(compare_runs([run]).runs[0].tests) == 1  # the record can be read back


def test_comparing_runs_of_other_data_under_one_name_warns(run, tmp_path):
    same = shutil.copytree(run, tmp_path / "same")
    assert not compare_runs([run, same]).warnings
    np.savez(tmp_path / "squares.npz", **arrays(1))
    train_run(EXPERIMENT, tmp_path / "other", progress_bar=False)
    (warning,) = compare_runs([run, same, tmp_path / "other"]).warnings
    assert "began with other examples or labels in train, valid, test than" in warning
    (same / "data.json").unlink()
    (tmp_path / "other" / "data.json").unlink()
    assert not compare_runs([run, same, tmp_path / "other"]).warnings
