import base64
import dataclasses
import io
import json
import shlex
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from avae_lib import plotting
from avae_lib.cli import main
from avae_lib.evaluation import evaluate
from avae_lib.models.attentive import AttentiveConfig
from avae_lib.models.vae import VAEConfig
from avae_lib.presets import find_preset
from avae_lib.presets.derivation import derive
from avae_lib.report import write_report
from avae_lib.report.embedding import inline_svg, pixel_data_uri
from avae_lib.report.next_commands import next_commands
from avae_lib.run_pictures import depth_rows, kept_depths, temperature_rows, write_reconstructions, write_samples
from avae_lib.training.runs import load_run, read_experiment, train_run, write_run

VOID = {"meta", "img", "br", "link", "input", "use", "path", "image"}


class Page(HTMLParser):
    """Elements of a page; refuses tags that are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def tiny(preset, **model):
    training = derive(
        find_preset(preset).training, steps=6, batch_size=16, logging={"metrics_every": 2, "evaluate_every": 3}
    )
    experiment = find_preset(preset)
    return dataclasses.replace(experiment, model=dataclasses.replace(experiment.model, **model), training=training)


@pytest.fixture(scope="module")
def vae_run(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("runs") / "digits-vae"
    train_run(tiny("digits-vae", hidden_sizes=(8,), latent_dim=3), run_dir)
    return write_report(run_dir, importance_samples=2, images=20).parent


@pytest.fixture(scope="module")
def hierarchy_run(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("runs") / "digits-local"
    train_run(tiny("digits-local", layers=3, width=8, latent_channels=1), run_dir)
    return write_report(run_dir, importance_samples=2, images=20).parent


@pytest.fixture(scope="module", params=["vae_run", "hierarchy_run"])
def run_dir(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def page(run_dir):
    return Page((run_dir / "report.html").read_text(encoding="utf-8"))


def test_report_has_every_section(page):
    for title in (
        "Key numbers",
        "Course of training",
        "Where the latents hold information",
        "Samples",
        "Reconstructions",
        "From one image to another",
        "Along single latents",
    ):
        assert title in page.text
    for word in (
        "How to go on",
        "How this was made",
        "1,350 training, 150 validation, 297 test images",
        "6 updates of 16 images",
    ):
        assert word in page.text


def test_report_gives_each_setting_by_the_name_of_its_option(page):
    for setting in ("optimizer.betas 0.9 0.999", "batch-size 16", "logging.evaluate-every 3"):
        assert setting in page.text
    assert "'type'" not in page.text


def test_report_names_elements_once_and_refers_only_to_what_is_there(page):
    names = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(names) == len(set(names))
    for _, attributes in page.elements:
        for name in ("href", "aria-labelledby"):
            if name in attributes and not attributes[name].startswith("data:"):
                assert attributes[name].removeprefix("#") in names


def test_report_loads_nothing_from_elsewhere(run_dir, page):
    text = (run_dir / "report.html").read_text(encoding="utf-8")
    assert "http:" not in text and "https:" not in text and "@import" not in text
    assert not page.all("script") and not page.all("link")
    for _, attributes in page.elements:
        for name in ("src", "href", "xlink:href"):
            assert attributes.get(name, "#").startswith(("#", "data:image/png;base64,"))


def test_every_picture_of_the_report_has_words(page):
    pictures = page.all("img") + page.all("svg")
    assert len(pictures) >= 5 + 4
    for picture in pictures:
        assert len(picture.get("alt") or picture.get("aria-label")) > 10
    assert all(graphic["role"] == "img" for graphic in page.all("svg"))


def test_report_gives_the_numbers_of_the_evaluation(run_dir, page):
    model, experiment = load_run(run_dir)
    result = evaluate(model, experiment.data.load().pixels("valid")[:20], importance_samples=2)
    for name, nats in result.rows():
        assert f"{name} {nats} {nats.in_bits_per_dim(64)}" in page.text
    assert f"The effective sample size is {result.effective_sample_size} of 2 draws." in page.text
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert f"{parameters:,} parameters" in page.text and "20 of 150 validation images" in page.text
    assert "No test image was used for this page" in page.text and "−ELBO, validation" in page.text


def test_report_of_a_hierarchy_shows_its_layers_and_that_of_a_vae_its_units(vae_run, hierarchy_run):
    vae, hierarchy = (Page((run / "report.html").read_text(encoding="utf-8")) for run in (vae_run, hierarchy_run))
    assert "KL of each layer during training" in hierarchy.text and "KL of layer 3" in hierarchy.text
    assert "top 2 layers kept" in hierarchy.text and "3 stochastic layers" in hierarchy.text
    assert "Units in use" in vae.text and "of 3 units lie above" in vae.text and "one stochastic layer" in vae.text


def test_report_of_a_run_without_metrics_still_has_its_numbers(vae_run, tmp_path):
    for name in ("config.json", "weights.safetensors"):
        (tmp_path / name).write_bytes((vae_run / name).read_bytes())
    page = Page(write_report(tmp_path, importance_samples=1, images=5).read_text(encoding="utf-8"))
    assert "Key numbers" in page.text and "Course of training" not in page.text


@pytest.fixture(scope="module")
def older_run(vae_run, tmp_path_factory):
    """A run from before validation images were held out: no field for them in its configuration, curves of test images.

    It has all training images, none of them held out.
    """
    run_dir = shutil.copytree(vae_run, tmp_path_factory.mktemp("runs") / "older")
    config = json.loads((run_dir / "config.json").read_text())
    for part, field in ((config["data"], "validation"), (config["training"], "minutes")):
        del part[field]
    del config["training"]["logging"]["milestones"]
    (run_dir / "config.json").write_text(json.dumps(config))
    (run_dir / "looks.jsonl").unlink(missing_ok=True)
    metrics = run_dir / "metrics.jsonl"
    metrics.write_text(metrics.read_text().replace('"split": "valid"', '"split": "test"'))
    return run_dir


def test_report_of_an_older_run_says_that_its_curves_and_numbers_are_of_test_images(older_run):
    page = Page(write_report(older_run, importance_samples=1, images=20).read_text(encoding="utf-8"))
    assert "20 of 297 test images" in page.text and "1,500 training, 297 test images" in page.text
    assert "A test curve that turns upwards" in page.text and "validation images" not in page.text


def test_command_to_train_on_goes_to_the_end_of_an_unfinished_run(tmp_path):
    (what, command), *_ = next_commands(find_preset("digits-vae"), tmp_path, steps=700)
    assert what.endswith("to the end") and "--training.steps 2000" in command
    (what, command), *_ = next_commands(find_preset("digits-vae"), tmp_path, steps=2000)
    assert what.endswith("to twice the length") and "--training.steps 4000" in command


def test_command_to_train_on_names_the_folder_and_works(vae_run, tmp_path, capsys):
    run_dir = shutil.copytree(vae_run, tmp_path / "a run")
    experiment = read_experiment(run_dir)
    command = shlex.split(next_commands(experiment, run_dir, steps=6)[0][1])
    assert command == ["avae", "train", str(run_dir), "--training.steps", "12"]
    assert main(command[1:]) == 0
    continued = read_experiment(run_dir)
    assert "resuming from step 6 of 12" in capsys.readouterr().out
    assert continued == dataclasses.replace(experiment, training=dataclasses.replace(experiment.training, steps=12))


@pytest.mark.parametrize("name", ["a run", "-dash", "-a b/c", "it's", "$HOME;x"])
def test_printed_commands_can_be_typed_whatever_the_folder_is_called(vae_run, tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    run_dir = shutil.copytree(vae_run, Path(name))
    for _, command in next_commands(read_experiment(run_dir), Path(name), steps=6):
        assert Path(shlex.split(command)[2]) == run_dir and not shlex.split(command)[2].startswith("-")
    assert main(["train", "./" + name, "--no-report"]) == 0
    printed = capsys.readouterr().out.splitlines()[-1].removeprefix("Try: ").split(", ")
    for command in printed:
        assert Path(shlex.split(command)[2]) == run_dir and not shlex.split(command)[2].startswith("-")


def test_commands_name_the_twin_where_there_is_one(tmp_path):
    commands = [command for _, command in next_commands(find_preset("digits-attentive"), tmp_path, 1000)]
    assert "avae train digits-local" in commands
    assert not any("digits-vae" in command for command in commands)


def test_a_run_in_the_current_folder_is_not_taken_for_a_preset(vae_run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(vae_run, "digits-vae")
    command = next_commands(read_experiment("digits-vae"), Path("digits-vae"), steps=6)[0][1]
    assert command == "avae train ./digits-vae --training.steps 12"


def test_weights_that_were_trained_elsewhere_begin_a_new_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    short = derive(find_preset("digits-vae"), training={"steps": 2})
    write_run(short, short.build_model(), "runs/imported")
    command = next_commands(short, Path("runs/imported"), steps=0)[0][1]
    assert command == "avae train runs/imported --run-dir runs/imported-tuned --init-from runs/imported"
    assert main([*shlex.split(command)[1:], "--no-report"]) == 0
    assert "runs/imported-tuned begins from weights.safetensors of runs/imported" in capsys.readouterr().out


def test_embedded_graphic_takes_its_colours_from_the_page_and_keeps_its_words():
    svg = inline_svg(plotting.learning_curves({"loss": [2.0, 1.0]}), 'falls from "2" to <1>')
    assert "currentColor" in svg and "var(--blue)" in svg and "#1f2328" not in svg
    (graphic,) = Page(svg).all("svg")
    assert graphic["aria-label"] == 'falls from "2" to <1>'
    assert float(graphic["viewbox"].split()[2]) == pytest.approx(6.4 * 72)


def test_two_graphics_on_a_page_share_no_names():
    figure = plotting.kl_during_training([0, 1], [[1.0, 2.0], [2.0, 3.0]])
    first, second = ({a["id"] for _, a in Page(inline_svg(figure, "alt text")).elements if "id" in a} for _ in range(2))
    assert first and not first & second


def test_embedded_pixels_are_the_images_side_by_side():
    images = torch.tensor([0, 15, 5], dtype=torch.uint8)[:, None, None, None].expand(3, 1, 2, 2)
    png = base64.b64decode(pixel_data_uri(images, bits=4, columns=3).removeprefix("data:image/png;base64,"))
    picture = np.asarray(Image.open(io.BytesIO(png)))
    assert picture.shape == (2, 8, 4)
    assert picture[0, [0, 3, 6], 0].tolist() == [0, 255, 85]


def test_depth_rows_go_from_all_layers_to_none():
    assert kept_depths(1) == (1, 0)
    assert kept_depths(6) == (6, 5, 4, 3, 2, 1, 0)
    assert kept_depths(30)[0] == 30 and kept_depths(30)[-1] == 0 and len(kept_depths(30)) == 7


def test_depth_rows_start_with_the_data_and_end_with_samples_that_ignore_it():
    model = AttentiveConfig(conditioning="local", layers=2, width=8, latent_channels=1).build()
    first, second = (torch.randint(0, 16, (3, 1, 8, 8), dtype=torch.uint8) for _ in range(2))
    rows, others = depth_rows(model, first), depth_rows(model, second)
    assert list(rows) == ["data", "all 2 layers", "top layer kept", "no layer kept"]
    assert torch.equal(rows["data"], first)
    assert torch.equal(rows["no layer kept"], others["no layer kept"])


def test_pictures_of_a_run_are_the_same_for_the_same_seed(tmp_path):
    model = VAEConfig().build()
    images = torch.randint(0, 2, (20, 1, 8, 8), dtype=torch.uint8)
    written = [write_samples(model, tmp_path / "a.png", 9, seed=1), write_samples(model, tmp_path / "b.png", 9, seed=1)]
    assert written[0].read_bytes() == written[1].read_bytes()
    assert write_samples(model, tmp_path / "c.png", 9, seed=2).read_bytes() != written[0].read_bytes()
    assert Image.open(write_reconstructions(model, images, tmp_path / "d.png")).width > 300


def test_rows_of_temperatures_share_their_noise():
    model = VAEConfig(image_shape=(1, 4, 4)).build()
    rows = temperature_rows(model, (0.5, 1.0), count=3)
    assert list(rows) == ["temperature 0.5", "temperature 1"]
    assert torch.equal(rows["temperature 1"], temperature_rows(model, (1.0,), count=3)["temperature 1"])
