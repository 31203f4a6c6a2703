"""The avae command as a user types it."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from avae_lib.cli import main
from avae_lib.data import DataConfig, DatasetError, ImageDataset
from avae_lib.presets import PRESETS
from avae_lib.training.checkpoints import Checkpoints

SMALL = ("--model.hidden-sizes", "8", "--training.batch-size", "20", "--training.logging.evaluation-images", "20")


def train(run_dir, steps, *more):
    return main(["train", "digits-vae", "--run-dir", str(run_dir), "--training.steps", str(steps), *SMALL, *more])


@pytest.fixture
def without_report(monkeypatch):
    """Training ends with a stand-in for the report, where a test is not about it."""
    import avae_lib.report

    monkeypatch.setattr(avae_lib.report, "write_report", lambda run_dir, progress=False: run_dir / "report.html")


def test_presets_as_json_is_an_array_of_name_dataset_layers_parameters(capsys):
    assert main(["presets", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [entry["name"] for entry in listed] == list(PRESETS)
    for entry in listed:
        assert list(entry)[:4] == ["name", "dataset", "layers", "parameters"]
        assert set(entry) - set(list(entry)[:4]) <= {"parameters_as_published", "source", "memory", "one_80_gb_gpu"}
        assert entry["dataset"] and entry["layers"] >= 1 and entry["parameters"] > 1000


def test_presets_as_a_table_says_where_the_numbers_come_from(capsys):
    assert main(["presets"]) == 0
    table = capsys.readouterr().out
    assert all(name in table and preset.source in table for name, preset in PRESETS.items())


def test_the_list_of_presets_takes_a_fraction_of_what_importing_torch_takes():
    def seconds(code):
        began = time.perf_counter()
        shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        return time.perf_counter() - began, shown

    listing = "import sys; from avae_lib.cli import main; main(['presets']); print('torch' in sys.modules)"
    times = [(seconds(listing), seconds("import torch")[0]) for _ in range(2)]
    assert all(shown.endswith("False\n") and "digits-vae" in shown for (_, shown), _ in times)
    assert min(listed for (listed, _), _ in times) < min(imported for _, imported in times)


def test_training_ends_with_a_report_and_says_where_to_look(tmp_path, capsys):
    assert train(tmp_path / "run", 4) == 0
    assert (tmp_path / "run/report.html").stat().st_size > 1000
    assert str(tmp_path / "run/report.html") in capsys.readouterr().out
    config = json.loads((tmp_path / "run/config.json").read_text())
    assert config["training"]["steps"] == 4 and config["model"]["hidden_sizes"] == [8]


def test_a_trained_run_can_be_evaluated_and_sampled(tmp_path, capsys, without_report):
    run = tmp_path / "run"
    assert train(run, 3) == 0
    assert main(["evaluate", str(run), "--importance-samples", "2"]) == 0
    assert "bits per dimension" in capsys.readouterr().out
    assert json.loads((run / "evaluation.json").read_text())["importance_samples"] == 2
    assert main(["sample", str(run), "--count", "9", "--temperature", "0.7"]) == 0
    said = capsys.readouterr().out
    for name in ("samples.png", "reconstructions.png"):
        assert (run / name).read_bytes().startswith(b"\x89PNG") and str(run / name) in said


def test_pictures_and_reports_are_of_validation_images(tmp_path, monkeypatch):
    train(tmp_path, 3)
    examples = ImageDataset.examples
    looked_at = []
    monkeypatch.setattr(
        ImageDataset, "examples", lambda data, split, *most: looked_at.append(split) or examples(data, split, *most)
    )
    for command in ("sample", "interpolate", "report"):
        assert main([command, str(tmp_path)]) == 0
        assert set(looked_at) == {"valid"}, command
        looked_at.clear()


def test_validation_images_and_the_best_weights_have_an_evaluation_of_their_own(tmp_path, capsys, without_report):
    run = tmp_path / "run"
    assert train(run, 6, "--training.logging.evaluate-every", "2", "--training.logging.milestones", "3", "5") == 0
    capsys.readouterr()
    asked = {
        "evaluation.valid.json": ["--split", "valid"],
        "evaluation.best.json": ["--weights", "best.safetensors"],
        "evaluation.valid.000003.json": ["--split", "valid", "--weights", "milestones/000003.safetensors"],
    }
    for name, options in asked.items():
        assert main(["evaluate", str(run), "--importance-samples", "1", *options]) == 0
        examples = 150 if "valid" in name else 297
        assert json.loads((run / name).read_text())["examples"] == examples
        assert f"on the {'validation' if 'valid' in name else 'test'} images of digits" in capsys.readouterr().out
    assert not (run / "evaluation.json").exists()
    assert main(["evaluate", str(run), "--weights", "milestones/000004.safetensors"]) == 1
    assert "holds no milestones/000004.safetensors yet: it holds best.safetensors, mile" in capsys.readouterr().err


def test_a_budget_of_minutes_ends_without_an_error_and_says_how_to_go_on(tmp_path, capsys, without_report):
    budget = ("--training.minutes", "1e-9")
    assert train(tmp_path, 4, *budget) == 0
    said = capsys.readouterr().out
    assert "training.minutes = 1e-09 are used up after step 1 of 4; everything is saved" in said
    assert "the same command continues from there" in said and "Look at" in said
    assert train(tmp_path, 4) == 0
    assert "resuming from step 1 of 4" in capsys.readouterr().out


def test_samples_need_no_data_set(tmp_path, capsys, without_report, monkeypatch):
    def missing(config):
        raise DatasetError("digits was not found")

    train(tmp_path, 3)
    monkeypatch.setattr(DataConfig, "load", missing)
    assert main(["sample", str(tmp_path), "--count", "4"]) == 1
    said = capsys.readouterr()
    assert "samples.png" in said.out and "digits was not found" in said.err
    assert (tmp_path / "samples.png").read_bytes().startswith(b"\x89PNG")


def test_evaluation_names_the_data_set_and_compares_with_another(tmp_path, capsys, without_report, monkeypatch):
    others = torch.randint(0, 16, (30, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)).numpy()
    np.savez(tmp_path / "noise.npz", train=others, test=others[:20], bits=4)
    monkeypatch.setenv("AVAE_DATA", str(tmp_path))
    run = tmp_path / "run"
    train(run, 3)
    capsys.readouterr()
    assert main(["evaluate", str(run), "--importance-samples", "2", "--ood", "noise", "--rows", "100"]) == 0
    table, record = capsys.readouterr().out, json.loads((run / "evaluation.json").read_text())
    assert "against noise, with the top 0 layers kept" in table
    assert record["dataset"] == "digits" and record["out_of_distribution"]["dataset"] == "noise"
    assert 0 <= record["out_of_distribution"]["area_of_score"]["mean"] <= 1


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--ood", "nosuch"], "no data set is called 'nosuch'"),
        (["--ood", "photos32"], "--ood must name images of shape (1, 8, 8)"),
        (["--ood", "digits", "--ood-keep-layers", "1"], "keep_layers must leave out a layer"),
        (["--fid", "1000000"], "count must be between 2 and the 297 images to compare with"),
        (["--rows", "0"], "importance_samples and rows must be at least 1"),
    ],
)
def test_what_cannot_be_evaluated_is_said_before_the_long_work(tmp_path, capsys, without_report, options, complaint):
    train(tmp_path, 3)
    assert main(["evaluate", str(tmp_path), "--importance-samples", "100000000", *options]) == 1
    assert complaint in capsys.readouterr().err


def test_a_distance_that_cannot_be_had_is_said_before_the_long_work(tmp_path, capsys, without_report, monkeypatch):
    module = importlib.import_module("avae_lib.evaluation.frechet_distance")

    def nothing_there():
        raise module.FrechetDistanceUnavailable("FID needs torch-fidelity")

    monkeypatch.setattr(module, "inception_weights", nothing_there)
    train(tmp_path, 3)
    assert main(["evaluate", str(tmp_path), "--importance-samples", "100000000", "--fid", "10"]) == 1
    assert "FID needs torch-fidelity" in capsys.readouterr().err
    assert not (tmp_path / "evaluation.json").exists()


def test_the_same_command_twice_says_that_it_is_finished_and_more_steps_continue(tmp_path, capsys, without_report):
    train(tmp_path, 3)
    assert train(tmp_path, 3) == 0
    assert "already finished at step 3" in capsys.readouterr().out
    assert train(tmp_path, 5) == 0
    assert "resuming from step 3 of 5" in capsys.readouterr().out


def test_another_model_in_the_folder_is_refused_by_the_name_of_the_field(tmp_path, capsys, without_report):
    train(tmp_path, 3)
    capsys.readouterr()
    assert train(tmp_path, 3, "--model.latent-dim", "5") == 1
    said = capsys.readouterr().err
    assert "model.latent-dim was 8 and is now 5" in said and said.count("\n") == 1


def test_a_run_killed_by_sigkill_resumes_and_ends_like_one_left_alone(tmp_path, capsys, without_report):
    # A warm-up without end makes the learning rate independent of the number of steps asked for.
    options = ("--training.logging.checkpoint-every", "5", "--training.learning-rate.warmup-steps", "1000000")
    killed, alone = tmp_path / "killed", tmp_path / "alone"
    reached = train_until_killed(killed, *options)
    for run_dir in (killed, alone):
        assert train(run_dir, reached + 7, *options) == 0
    assert f"resuming from step {reached} of {reached + 7}" in capsys.readouterr().out
    assert (killed / "weights.safetensors").read_bytes() == (alone / "weights.safetensors").read_bytes()
    assert steps_in_metrics(killed) == steps_in_metrics(alone)


def train_until_killed(run_dir, *options):
    """Start training in a process of its own, kill it after its second checkpoint; returns the last one's step."""
    command = [sys.executable, "-m", "avae_lib", "train", "digits-vae", "--run-dir", str(run_dir)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}  # sums in another order would differ in the last bit
    process = subprocess.Popen([*command, "--training.steps", "100000", *SMALL, *options], env=environment)
    while not (run_dir / "checkpoint.previous.pt").exists() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    return Checkpoints(run_dir).load()["step"]


def steps_in_metrics(run_dir):
    rows = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [(row["split"], row["step"]) for row in rows]


@pytest.mark.parametrize(
    ("arguments", "status", "complaint"),
    [
        (["train", "digits-vea"], 2, "did you mean 'digits-vae'"),
        (["train", "digits-vae", "--data.name", "nothing"], 1, "no data set is called 'nothing'"),
        (["train", "digits-vae", "--data.binarize", "none"], 1, "takes images of shape (1, 8, 8) with 1-bit pixels"),
        (["train", "digits-vae", "--training.batch-size", "5000"], 1, "batch_size must be between 1 and the 1350"),
        (["train", "digits-vae", "--training.device", "abacus"], 1, "'abacus'"),
        (["evaluate", "nowhere"], 1, "nowhere is no run folder"),
        (["sample", "nowhere"], 1, "nowhere is no run folder"),
        (["sample", "nowhere", "--count", "0"], 1, "count must be at least 1"),
        (["sample", "nowhere", "--temperature", "-1"], 1, "temperature must be a number, 0 (no noise) or more"),
        (["evaluate", "nowhere", "--device", "abacus"], 1, "device must be auto or a device of this machine"),
        (["import-openai", "nowhere.th"], 1, "either --preset NAME or --hparams FILE.json"),
        (["import-openai", "nowhere.th", "--preset", "cifar10-vdvea"], 2, "did you mean 'cifar10-vdvae'"),
        (["import-openai", "nowhere.th", "--preset", "digits-vae"], 1, "need a preset of that family"),
        (["import-openai", "nowhere.th", "--preset", "cifar10-vdvae"], 1, "nowhere.th"),
        (["import-openai", "nowhere.th", "--hparams", "nowhere.json"], 1, "cannot use nowhere.json"),
    ],
)
def test_what_cannot_be_done_is_one_clear_line(arguments, status, complaint, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AVAE_DATA", raising=False)
    assert main(arguments) == status
    said = capsys.readouterr().err
    assert complaint in said and said.startswith("avae: ") and said.count("\n") == 1
    assert not (tmp_path / "runs/digits-vae/checkpoint.pt").exists()


def test_a_bug_shows_a_traceback(monkeypatch, tmp_path):
    """A ValueError that is not meant for users, as any library may raise one, is not passed off as bad input."""

    def broken(run, *_):
        raise ValueError("too many values to unpack")

    monkeypatch.setattr("avae_lib.training.runs.load_run", broken)
    with pytest.raises(ValueError, match="too many values"):
        main(["sample", str(tmp_path)])


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["tain"], "tain"),
        (["train"], "PRESET"),
        (["train", "digits-vae", "--training.stepss", "5"], "--training.steps"),
        (["train", "digits-vae", "--training.steps", "many"], "--training.steps"),
        (["train", "digits-vae", "--training.steps", "-5"], "at least 1"),
        (["train", "digits-vae", "--training.precision", "int1"], "float32"),
        (["train", "digits-vae", "--model.hidden-sizes"], "hidden_sizes must be one or more"),
        (["train", "digits-vae", "--model.latent-dim", "0"], "latent_dim must be at least 1"),
        (["train", "digits-attentive", "--model.layers", "0"], "layers must be at least 1"),
    ],
)
def test_misuse_is_explained_with_status_2(arguments, complaint, capsys):
    try:
        status = main(arguments)
    except SystemExit as stop:
        status = stop.code
    assert status == 2
    assert complaint in capsys.readouterr().err


def test_a_run_folder_that_is_a_file_or_cannot_be_made_is_one_clear_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert train(tmp_path / "file", 3) == 1
    assert "is a file, but a run needs a folder" in capsys.readouterr().err
    assert train(tmp_path / "file/below", 3) == 1
    assert "Not a directory" in capsys.readouterr().err


def test_missing_data_names_file_place_source_and_embedded_set(tmp_path, capsys, monkeypatch):
    import torchvision.datasets.mnist

    def unreachable(*args, **kwargs):
        raise RuntimeError("no network in this test")

    monkeypatch.setattr(torchvision.datasets.mnist, "download_and_extract_archive", unreachable)
    monkeypatch.setenv("AVAE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert main(["train", "mnist-vae", "--run-dir", str(tmp_path / "run")]) == 1
    said = capsys.readouterr().err
    for fact in (f"{tmp_path}/data/mnist.npz", "train-images-idx3-ubyte.gz", "https://", "'digits'"):
        assert fact in said
    assert not (tmp_path / "run").exists()


def test_help_lists_the_commands_without_importing_torch():
    code = "import sys; from avae_lib.cli import main\ntry: main(['--help'])\nfinally: print('torch' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert all(command in shown for command in ("presets", "train", "evaluate", "sample"))
    assert shown.endswith("False\n")


def test_help_of_a_preset_lists_what_can_be_overridden(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["train", "digits-attentive", "--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    options = (
        "--run-dir",
        "--data.binarize",
        "--data.validation",
        "--model.conditioning",
        "--training.learning-rate.peak",
    )
    for option in (*options, "--training.minutes", "--training.logging.milestones"):
        assert option in shown
