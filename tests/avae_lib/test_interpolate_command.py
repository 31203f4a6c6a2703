"""``avae interpolate`` and the temperatures of ``avae sample``: files, titles, and what is refused in one line."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from avae_lib.cli import main
from avae_lib.models.vq_vae import VQVAEConfig
from avae_lib.presets import find_preset
from avae_lib.run_pictures import write_interpolation, write_samples, write_traversal
from avae_lib.training.runs import load_run, write_run

MODELS = {
    "digits-ladder": {},
    "digits-conditional-vae": {},
    "photos32-vq-vae": {"model": VQVAEConfig(channels=8, codes=8, code_dim=2)},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folders of runs whose models have their initial weights, by preset."""
    folders = {}
    for name, fields in MODELS.items():
        experiment = dataclasses.replace(find_preset(name), **fields)
        folders[name] = tmp_path_factory.mktemp(name) / name
        write_run(experiment, experiment.build_model(), folders[name])
    return folders


@pytest.mark.parametrize("name", MODELS)
def test_pictures_are_written_and_named(runs, name, capsys):
    assert main(["interpolate", str(runs[name]), "--from", "2", "--to", "5", "--steps", "3"]) == 0
    printed = [line.rpartition("/")[2] for line in capsys.readouterr().out.split()]
    has_codes = name == "photos32-vq-vae"
    assert printed == ["interpolation.png"] + ["traversal.png"] * (not has_codes)
    assert (runs[name] / "traversal.png").exists() is not has_codes
    for picture in printed:
        assert (runs[name] / picture).read_bytes()[:4] == b"\x89PNG"


def test_validation_images_are_decoded_unless_test_images_are_asked_for(runs, monkeypatch):
    shown = []
    monkeypatch.setattr(
        "avae_lib.run_pictures.write_interpolation",
        lambda model, first, last, path, steps, **options: shown.append((options["title"], first, last)),
    )
    run = runs["digits-ladder"]
    for split in ([], ["--split", "test"]):
        assert main(["interpolate", str(run), "--to", "7", *split]) == 0
    dataset = load_run(run)[1].data.load()
    (title, first, last), (other_title, other_first, _) = shown
    assert (title, other_title) == ("validation images 0 and 7", "test images 0 and 7")
    assert torch.equal(first, dataset.pixels("valid")[0]) and torch.equal(last, dataset.pixels("valid")[7])
    assert torch.equal(other_first, dataset.pixels("test")[0])


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--to", "150"], "--to must be the number of a validation image, 0 … 149, got 150"),
        (["--from", "-1"], "--from must be the number of a validation image"),
        (["--layers", "4"], "layers must be None (all) or 1 … 3, got 4"),
        (["--layer", "4"], "layer must be 1 (the top) … 3, got 4"),
        (["--units", "1", "99"], "unit must be 1 … 4 in layer 1"),
        (["--temperature", "1", "0.5"], "one for each of the 3 layers"),
        (["--weights", "best.safetensors"], "best.safetensors"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(runs, options, complaint, capsys):
    assert main(["interpolate", str(runs["digits-ladder"]), *options]) == 1
    error = capsys.readouterr().err
    assert complaint in error and error.count("\n") == 1


def test_each_layer_has_its_temperature_in_sample(runs, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr("avae_lib.run_pictures.write_pictures", lambda *arguments: asked.append(arguments[4]) or [])
    run = str(runs["digits-ladder"])
    for temperatures in (["0.8"], ["1", "0.7", "0"]):
        assert main(["sample", run, "--temperature", *temperatures]) == 0
    assert asked == [0.8, (1.0, 0.7, 0.0)]
    for wrong in (["1", "0.7"], ["-1"]):
        assert main(["sample", run, "--temperature", *wrong]) == 1
    assert "temperature must be" in capsys.readouterr().err


def test_titles_say_the_temperatures_and_what_moves(runs, monkeypatch, tmp_path):
    titles = []
    for name in ("image_grid", "image_rows"):
        monkeypatch.setattr(
            f"avae_lib.plotting.{name}", lambda images, bits=8, title=None, **_: titles.append(title) or images
        )
    monkeypatch.setattr("avae_lib.plotting.latent_paths.image_rows", lambda rows, bits, title: titles.append(title))
    monkeypatch.setattr("avae_lib.plotting.png_bytes", lambda figure: b"")
    model, experiment = load_run(runs["digits-ladder"])
    images = experiment.data.load().pixels("valid")
    write_samples(model, tmp_path / "samples.png", 4, temperature=0.5)
    write_samples(model, tmp_path / "samples.png", 4, temperature=(1.0, 0.75, 0.5))
    write_interpolation(model, images[0], images[1], tmp_path / "interpolation.png", title="from 0 to 1")
    write_traversal(model, images[0], tmp_path / "traversal.png", layer=2)
    assert titles == [
        "samples at temperature 0.5",
        "samples at temperatures 1, 0.75, 0.5 (top layer first)",
        "from 0 to 1",
        "layer 2 of 3, each unit from −3 to 3 standard deviations of its prior",
    ]


def test_a_unit_that_does_not_exist_is_refused_before_the_first_picture(tmp_path, capsys):
    preset = find_preset("digits-vae")
    write_run(preset, preset.build_model(), tmp_path / "run")
    assert main(["interpolate", str(tmp_path / "run"), "--units", "1", "2", "9"]) == 1
    assert "unit must be 1 … 8 in layer 1" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.png"))


@pytest.mark.parametrize("option", ["--layers", "--units"])
def test_options_of_images_are_refused_for_sentences(option, tmp_path, capsys):
    preset = find_preset("sentences-text-vae")
    write_run(preset, preset.build_model(), tmp_path / "run")
    assert main(["interpolate", str(tmp_path / "run"), option, "1"]) == 1
    assert f"{option} is for models of images" in capsys.readouterr().err
