"""How a run begins and goes on: from a run folder alone, from the weights of another run, and what is refused."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import safetensors.torch
import torch

from avae_lib.cli import main
from avae_lib.presets import find_preset
from avae_lib.presets.derivation import derive
from avae_lib.report import write_report
from avae_lib.training.checkpoints import WeightsError, step_of_weights
from avae_lib.training.runs import RunError, load_run, read_experiment, train_run
from avae_lib.training.starting_weights import OtherModel, StartingWeights, StartRecord

SMALL = derive(
    find_preset("digits-vae"),
    model={"hidden_sizes": (8,)},
    training={
        "steps": 6,
        "batch_size": 20,
        "device": "cpu",
        "learning_rate": {"warmup_steps": 2},
        "logging": {"metrics_every": 2, "evaluate_every": 3, "checkpoint_every": 3, "evaluation_images": 20},
    },
)


def small(**changes):
    return derive(SMALL, **changes)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def weights(path):
    return safetensors.torch.load_file(path)


def assert_same_weights(first, second):
    first, second = weights(first), weights(second)
    assert first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a finished run of six updates."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    train_run(SMALL, folder, progress_bar=False)
    return folder


@pytest.fixture
def run(trained, tmp_path):
    """A copy of that folder, as if it had been carried to another machine."""
    return shutil.copytree(trained, tmp_path / "copied")


def test_a_run_folder_alone_continues_with_its_own_configuration(run, tmp_path, capsys):
    assert main(["train", str(run), "--training.steps", "9", "--no-report"]) == 0
    assert "resuming from step 6 of 9" in capsys.readouterr().out
    assert read_experiment(run) == small(training={"steps": 9})
    train_run(small(training={"steps": 6}), tmp_path / "whole", progress_bar=False)
    train_run(small(training={"steps": 9}), tmp_path / "whole", progress_bar=False)
    assert_same_weights(run / "weights.safetensors", tmp_path / "whole/weights.safetensors")


def test_a_run_folder_refuses_another_model_and_says_what_a_new_run_can_do(run, capsys):
    before = contents(run)
    assert main(["train", str(run), "--model.latent-dim", "5", "--no-report"]) == 1
    said = capsys.readouterr().err
    assert "model.latent-dim was 8 and is now 5" in said and f"--init-from {run}" in said and said.count("\n") == 1
    assert contents(run) == before


def test_a_run_goes_on_where_its_device_does_not_exist(run, capsys):
    config = json.loads((run / "config.json").read_text())
    config["training"]["device"] = "cuda:7"
    (run / "config.json").write_text(json.dumps(config))
    assert main(["train", str(run), "--training.steps", "7", "--no-report"]) == 0
    assert "was trained on cuda:7, which this machine does not have: continuing on" in capsys.readouterr().out
    assert main(["train", str(run), "--training.device", "cuda:7", "--training.steps", "8"]) == 1
    assert "device must be auto or a device of this machine" in capsys.readouterr().err


def test_the_configuration_of_a_run_serves_a_new_one(run, tmp_path):
    before = contents(run)
    command = ["train", str(run), "--run-dir", str(tmp_path / "new"), "--training.seed", "3", "--no-report"]
    assert main(command) == 0
    assert contents(run) == before
    assert read_experiment(tmp_path / "new") == small(training={"seed": 3})


def test_a_preset_wins_over_a_folder_of_its_name(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run.rename("digits-vae")
    options = ["--training.steps", "7", "--no-report"]
    assert main(["train", "./digits-vae", *options]) == 0
    assert "resuming from step 6 of 7" in capsys.readouterr().out
    assert main(["train", "digits-vae", *options, "--model.hidden-sizes", "4", "--run-dir", "other"]) == 0
    said = capsys.readouterr().out
    assert "digits-vae is taken as the preset; for the folder of this name type ./digits-vae" in said
    assert "training in other from the start" in said


@pytest.mark.parametrize("name", ["nowhere/run", "./digits-vae"])
def test_a_path_without_a_run_is_one_clear_line(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", name]) == 1
    assert "is no run folder: it has no config.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("steps", "schedule", "is_said"), [(12, "cosine", True), (6, "cosine", False), (12, "constant", False)]
)
def test_a_cosine_that_is_stretched_says_how_the_learning_rate_rises(tmp_path, capsys, steps, schedule, is_said):
    rate = {"schedule": schedule, "final_fraction": 0.02, "peak": 0.001}
    begun = small(training={"learning_rate": rate})
    train_run(begun, tmp_path / "run", progress_bar=False)
    capsys.readouterr()
    train_run(derive(begun, training={"steps": steps}), tmp_path / "run", progress_bar=False)
    said = capsys.readouterr().out
    assert ("note: the cosine now ends at step 12 instead of 6" in said) == is_said
    if is_said:  # the last update had 2% of the peak; the next is the fifth of ten on the longer cosine
        assert "rises from 2e-05 to 0.00051" in said and "--training.learning-rate.peak 2e-05" in said


@pytest.mark.parametrize("name", ["weights.safetensors", "best.safetensors"])
def test_a_new_run_begins_from_the_weights_of_another_and_says_so(run, tmp_path, name):
    before, new = contents(run), tmp_path / "new"
    slow = small(name="tuned", training={"steps": 1, "learning_rate": {"peak": 1e-12, "warmup_steps": 0}})
    train_run(slow, new, progress_bar=False, init_from=StartingWeights(run, name))
    wanted, found = weights(run / name), weights(new / "weights.safetensors")
    for key in wanted:
        torch.testing.assert_close(found[key], wanted[key], atol=1e-9, rtol=0)
    assert contents(run) == before
    record = json.loads((new / "started_from.json").read_text())
    step = int(safetensors.safe_open(run / name, framework="pt").metadata()["step"])
    assert record == {
        "run": str(run.resolve()),
        "name": "digits-vae",
        "weights": name,
        "step": step,
        "sha256": hashlib.sha256((run / name).read_bytes()).hexdigest(),
        "differing": "",
    }
    page = write_report(new, importance_samples=1).read_text()
    assert "Began from" in page and f"{name} of {run.resolve()}" in page


def test_a_run_that_began_from_another_goes_on_without_it(run, tmp_path):
    start, new = StartingWeights(run), tmp_path / "new"
    train_run(small(training={"steps": 9}), tmp_path / "alone", progress_bar=False, init_from=start)
    with pytest.raises(KeyboardInterrupt):  # before the first checkpoint
        train_run(small(training={"steps": 9}), new, [_die_at(2)], progress_bar=False, init_from=start)
    assert not (new / "checkpoint.pt").exists()
    shutil.rmtree(run)
    assert main(["train", str(new), "--no-report"]) == 0
    assert_same_weights(new / "weights.safetensors", tmp_path / "alone/weights.safetensors")


def _die_at(step):
    def die(row, model):
        if row["step"] == step:
            raise KeyboardInterrupt

    return die


def test_the_same_command_continues_and_another_start_is_refused(run, tmp_path, capsys):
    new = tmp_path / "new"
    command = ["train", str(run), "--run-dir", str(new), "--init-from", str(run), "--no-report", "--training.steps"]
    assert main([*command, "6"]) == 0 and main([*command, "8"]) == 0
    assert "resuming from step 6 of 8" in capsys.readouterr().out
    assert main([*command, "8", "--init-weights", "best.safetensors"]) == 1
    assert "began from weights.safetensors of" in capsys.readouterr().err
    with pytest.raises(RunError, match="began from fresh weights, not from"):
        shutil.copytree(run, tmp_path / "second")
        train_run(SMALL, tmp_path / "second", init_from=StartingWeights(run))
    with pytest.raises(RunError, match="cannot begin from its own weights"):
        train_run(SMALL, run, init_from=StartingWeights(run))


def test_weights_of_another_model_are_refused_by_field_and_tensor(run, tmp_path):
    with pytest.raises(OtherModel, match=r"model\.latent_dim is 8 there and 5 here; the tensor .* is \(16, 8\) there"):
        train_run(small(model={"latent_dim": 5}), tmp_path / "new", init_from=StartingWeights(run))
    other = derive(find_preset("digits-ladder"), training={"steps": 1})
    with pytest.raises(OtherModel, match="model is 'VAEConfig' there and 'LadderConfig' here"):
        train_run(other, tmp_path / "new", init_from=StartingWeights(run))
    assert not (tmp_path / "new").exists()


def test_a_model_of_other_options_but_the_same_tensors_is_accepted_with_a_word(run, tmp_path, capsys):
    new = tmp_path / "new"
    fine = derive(find_preset("digits-iwae"), model={"hidden_sizes": (8,)}, training={"steps": 2, "device": "cpu"})
    train_run(fine, new, progress_bar=False, init_from=StartingWeights(run))
    said = capsys.readouterr().out
    assert "model is 'VAEConfig' there and 'IWAEConfig' here" in said
    assert "model is 'VAEConfig' there and 'IWAEConfig' here" in StartRecord.read(new).differing
    assert "&#39;IWAEConfig&#39; here" in write_report(new, importance_samples=1).read_text()
    train_run(small(training={"steps": 1}), tmp_path / "same", progress_bar=False, init_from=StartingWeights(run))
    assert " here" not in capsys.readouterr().out


def test_weights_kept_by_a_call_that_died_are_named_and_refused_by_another_model(run, tmp_path, capsys):
    new = tmp_path / "new"
    new.mkdir()
    train_run(SMALL, tmp_path / "begun", progress_bar=False, init_from=StartingWeights(run))
    for name in ("start.safetensors", "started_from.json"):
        shutil.copy(tmp_path / "begun" / name, new)
    capsys.readouterr()
    assert main(["train", "digits-ladder", "--run-dir", str(new), "--training.steps", "2", "--no-report"]) == 1
    said = capsys.readouterr().err
    assert "is of another model: the tensor" in said and f"or delete {new / 'started_from.json'} to begin" in said
    assert said.count("\n") == 1
    train_run(SMALL, new, progress_bar=False)
    said = capsys.readouterr().out
    assert f"{new} begins from weights.safetensors of {run.resolve()} (digits-vae), after 6 updates" in said
    assert f"(for fresh weights delete {new / 'started_from.json'})" in said


@pytest.mark.parametrize("damage", ["{", "null", "[" * 100_000, {"step": "x"}, {"run": 3}, {"sha256": None}, {"a": 1}])
def test_a_damaged_record_of_the_start_stops_no_trained_run_and_says_what_to_do(run, tmp_path, capsys, damage):
    shutil.copytree(run, tmp_path / "other")
    new, record = tmp_path / "new", tmp_path / "new/started_from.json"
    train_run(small(training={"steps": 1}), new, progress_bar=False, init_from=StartingWeights(run))
    known = json.loads(record.read_text())
    record.write_text(damage if isinstance(damage, str) else json.dumps(known | damage))
    assert main(["report", str(new), "--importance-samples", "1"]) == 0
    assert "not known: started_from.json is damaged" in (new / "report.html").read_text()
    assert main(["train", str(new), "--training.steps", "2", "--no-report"]) == 0
    command = ["train", str(new), "--init-from", str(run), "--training.steps", "3", "--no-report"]
    capsys.readouterr()
    assert main(command) == 1
    assert "the run itself is whole; delete this file" in capsys.readouterr().err
    (new / "checkpoint.pt").unlink()
    (new / "checkpoint.previous.pt").unlink(missing_ok=True)
    (new / "weights.safetensors").unlink()
    assert main(command) == 1
    assert "nothing has been trained yet; delete this file" in capsys.readouterr().err
    record.unlink()
    assert main(command) == 0


def test_weights_that_are_missing_or_damaged_are_said_before_anything_is_written(run, tmp_path):
    with pytest.raises(WeightsError, match=r"has no milestones/000009\.safetensors to begin from: it holds best"):
        train_run(SMALL, tmp_path / "new", init_from=StartingWeights(run, "milestones/000009.safetensors"))
    (run / "best.safetensors").write_bytes(b"\x08" + bytes(30))
    with pytest.raises(WeightsError, match=r"best\.safetensors is damaged"):
        train_run(SMALL, tmp_path / "new", init_from=StartingWeights(run, "best.safetensors"))
    assert not (tmp_path / "new").exists()


def test_a_start_that_is_not_what_its_record_tells_of_is_refused(run, tmp_path):
    new = tmp_path / "new"
    with pytest.raises(KeyboardInterrupt):
        train_run(SMALL, new, [_die_at(2)], progress_bar=False, init_from=StartingWeights(run))
    (new / "start.safetensors").write_bytes((run / "best.safetensors").read_bytes() + b"x")
    with pytest.raises(WeightsError, match=r"start\.safetensors is missing or not what .*started_from\.json tells of"):
        train_run(SMALL, new, progress_bar=False)


def test_a_run_killed_before_and_after_its_first_checkpoint_still_began_from_the_other_weights(run, tmp_path):
    new, alone = tmp_path / "new", tmp_path / "alone"
    options = ["--init-from", str(run), "--training.steps", "60000", "--training.logging.checkpoint-every", "5"]
    command = [sys.executable, "-m", "avae_lib", "train", str(run), "--run-dir", str(new), *options]
    for awaited in ("started_from.json", "checkpoint.previous.pt"):
        process = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})
        while not (new / awaited).exists() and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    step = step_of_weights(new / "weights.safetensors")
    asked = small(training={"steps": 60000, "logging": {"checkpoint_every": 5, "milestones": (step,)}})
    with pytest.raises(KeyboardInterrupt):
        until = derive(asked, training={"logging": {"metrics_every": 5}})
        train_run(until, alone, [_die_at(step + 5 - step % 5)], progress_bar=False, init_from=StartingWeights(run))
    model, _ = load_run(alone, weights=f"milestones/{step:06d}.safetensors")
    for key, wanted in weights(new / "weights.safetensors").items():
        assert torch.equal(model.state_dict()[key], wanted)
    assert StartRecord.read(new) == StartRecord.read(alone)


def test_classes_without_training_images_are_noted(tmp_path, capsys):
    preset = find_preset("digits-conditional-vae")
    wide = derive(preset, model={"num_classes": 12, "hidden_sizes": (8,)}, training={"steps": 2, "device": "cpu"})
    train_run(wide, tmp_path, progress_bar=False)
    assert "no training images of 2 of the 12 classes (10, 11)" in capsys.readouterr().out
