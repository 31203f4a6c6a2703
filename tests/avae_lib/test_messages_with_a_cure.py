"""Messages whose advice is for this case: the command, the device and the object that the user has."""

import dataclasses
import json
import re

import numpy as np
import pytest
import torch

from avae_lib.cli import main
from avae_lib.data import DataConfig, load
from avae_lib.errors import InvalidInput
from avae_lib.models.conditional_vae import ConditionalVAEConfig
from avae_lib.models.vae import VAEConfig
from avae_lib.models.vdvae import VDVAEConfig
from avae_lib.presets import PRESETS
from avae_lib.training import memory_plan
from avae_lib.training.experiment import Experiment
from avae_lib.training.fit import fit
from avae_lib.training.memory import expected_memory, size_in_words
from avae_lib.training.memory_plan import plan_memory_for, require_enough_memory
from avae_lib.training.runs import train_run, write_run
from avae_lib.training.training_config import TrainingConfig

SHORT = TrainingConfig(steps=2, batch_size=10, device="cpu")
TINY = VDVAEConfig((3, 8, 8), enc_blocks="8x1,8d8,1x1", dec_blocks="1x1,8m1", width=8, mixtures=2)


@pytest.fixture
def released(tmp_path):
    write_run(Experiment("tiny", "this test", DataConfig("photos32"), TINY, SHORT), TINY.build(), tmp_path / "run")
    assert main(["export-openai", str(tmp_path / "run"), str(tmp_path / "vd.th")]) == 0
    return tmp_path / "vd.th"


def test_weights_of_another_preset_get_advice_on_presets(released, capsys):
    command = ["import-openai", str(released), "--run-dir", str(released.parent / "new")]
    assert main([*command, "--preset", "digits-vdvae"]) == 1
    message = capsys.readouterr().err
    assert "of the preset digits-vdvae: " in message and "--hparams FILE.json" in message
    assert "Check" not in message and "hparams describe" not in message


def test_weights_of_other_hyper_parameters_get_advice_on_those(released, capsys):
    file = released.with_suffix(".json")
    file.write_text(json.dumps({**json.loads(file.read_text()), "dec_blocks": "1x2,8m1"}))
    command = ["import-openai", str(released), "--hparams", str(file), "--data", "photos32"]
    assert main([*command, "--run-dir", str(released.parent / "new")]) == 1
    assert "hparams describe: " in (message := capsys.readouterr().err) and "Check enc_blocks" in message


def test_files_that_exist_are_counted(released, capsys):
    command = ["export-openai", str(released.parent / "run"), str(released)]
    assert main(command) == 1 and "vd.json exist already" in capsys.readouterr().err
    released.unlink()
    assert main(command) == 1 and "vd.json exists already" in capsys.readouterr().err


def test_on_a_cpu_no_remedy_moves_the_data(monkeypatch):
    model = PRESETS["digits-vdvae"].build_model()
    config = dataclasses.replace(PRESETS["digits-vdvae"].training, device="cpu")
    memory = expected_memory(model, config, 10**8)
    on_gpu = plan_memory_for(model, config, 10**8, memory.total - 10**7)
    assert on_gpu is not None and on_gpu.changes == {"data_on": "host"}
    for left in (-(10**7), -(10**12)):
        monkeypatch.setattr(memory_plan, "available_memory", lambda device, left=left: left)
        with pytest.raises(InvalidInput, match="is available") as caught:
            require_enough_memory(model, config, 10**8, memory, torch.device("cpu"))
        assert "data-on" not in str(caught.value) and "data_on" not in str(caught.value)


@pytest.mark.parametrize("gibibytes", [0.2, 3, 99.9, 123.456, 7569.73, 10**6])
def test_sizes_have_four_digits_at_most_before_the_point_or_after_it(gibibytes):
    words = size_in_words(int(gibibytes * 2**30))
    number, unit = words.replace(",", "").split()
    assert float(number) * {"GiB": 1, "TiB": 1024}[unit] == pytest.approx(gibibytes, rel=5e-3)
    assert len(number.replace(".", "")) <= 5


def test_one_function_is_a_callback(tmp_path):
    rows = []
    model, digits = VAEConfig(hidden_sizes=(8,)), load("digits").binarized("threshold")
    fit(model.build(), digits, SHORT, tmp_path / "fit", lambda row, model: rows.append(row["step"]), False)
    experiment = Experiment("tiny", "this test", DataConfig("digits", binarize="threshold"), model, SHORT)
    train_run(experiment, tmp_path / "run", lambda row, model: rows.append(row["step"]), False)
    assert rows == [2, 2]


@pytest.mark.parametrize("config", [VAEConfig(hidden_sizes=(8,)), PRESETS["digits-vdvae"].model])
def test_decoding_an_inference_names_its_draws(config):
    model = config.build().eval()
    found = model.infer(torch.zeros((2, *config.image_shape), dtype=torch.uint8))
    with pytest.raises(InvalidInput, match=r"got Inference: decode\(inference\.draws\)"):
        model.decode(found)
    with pytest.raises(InvalidInput, match=r"latents of each layer, or of the top one, got int$"):
        model.decode(3)


@pytest.mark.parametrize(
    ("seen", "classes", "note"),
    [((0, 1, 2), 10, "have only 0, 1, 2;.*--model.num-classes 3$"), ((0, 3), 4, "have only 0, 3;"), ((0, 1, 2), 3, "")],
)
def test_classes_without_training_images_are_named(tmp_path, monkeypatch, capsys, seen, classes, note):
    monkeypatch.setenv("AVAE_DATA", str(tmp_path))
    images, labels = np.tile(np.arange(2, dtype=np.uint8), 12 * 8).reshape(12, 1, 4, 4), np.resize(seen, 12)
    np.savez(tmp_path / "mine.npz", train=images, test=images, train_labels=labels, test_labels=labels)
    model = ConditionalVAEConfig((1, 4, 4), num_classes=classes, hidden_sizes=(8,)).build()
    fit(model, DataConfig("mine", labels=True).load(), SHORT, tmp_path / "run", progress_bar=False)
    notes = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note:")]
    assert len(notes) == bool(note)
    if note:
        assert re.search(note, notes[0])
