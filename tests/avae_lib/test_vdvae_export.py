"""Weights written for OpenAI's code, against names and shapes written out from the description of that code."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from avae_lib.cli import main
from avae_lib.models.vdvae import VDVAEConfig
from avae_lib.models.vdvae_export import released_hparams, to_openai
from avae_lib.models.vdvae_import import config_fields, from_openai, tensors_by_released_name
from avae_lib.presets import PRESETS
from avae_lib.training.runs import load_run, write_run

SMALL = VDVAEConfig(
    image_shape=(3, 8, 8),
    enc_blocks="8x2,8d2,4x1,4d4,1x2",
    dec_blocks="1x2,4m1,4x2,8m4,8x2",
    width=8,
    bottleneck_multiple=0.5,
    latent_channels=3,
    mixtures=2,
)
VARIANTS = {
    "one width": {},
    "half of the streams start from zeros": {"no_bias_above": 4},
    "wider towards the top": {"custom_width_str": "4:12,1:16"},
    "without mixing": {"dec_blocks": "1x1,4x1,8m4", "no_bias_above": 1},
}
PUBLISHED = ("cifar10-vdvae", "imagenet32-vdvae", "imagenet64-vdvae", "photos32-vdvae")


def released_shapes(hparams: dict) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the released model's parameters, from its description alone."""
    shapes: dict[str, tuple[int, ...]] = {}
    special = dict(pair.split(":") for pair in hparams["custom_width_str"].split(",") if pair)
    width = lambda resolution: int(special.get(str(resolution), hparams["width"]))  # noqa: E731
    zdim, channels = hparams["zdim"], hparams["image_channels"]

    def conv(name, inputs, outputs, side):
        shapes[f"{name}.weight"] = (outputs, inputs, side, side)
        shapes[f"{name}.bias"] = (outputs,)

    def block(name, resolution, inputs, outputs):
        middle = int(width(resolution) * hparams["bottleneck_multiple"])
        widths, side = [inputs, middle, middle, middle, outputs], 3 if resolution > 2 else 1
        for number, kernel in enumerate([1, side, side, 1], start=1):
            conv(f"{name}.c{number}", widths[number - 1], widths[number], kernel)

    conv("encoder.in_conv", channels, hparams["width"], 3)
    for number, at in enumerate(_resolutions(hparams["enc_blocks"])):
        block(f"encoder.enc_blocks.{number}", at, width(at), width(at))
    decoder = _resolutions(hparams["dec_blocks"])
    for number, at in enumerate(decoder):
        name = f"decoder.dec_blocks.{number}"
        block(f"{name}.enc", at, 2 * width(at), 2 * zdim)
        block(f"{name}.prior", at, width(at), 2 * zdim + width(at))
        block(f"{name}.resnet", at, width(at), width(at))
        conv(f"{name}.z_proj", zdim, width(at), 1)
    for number, at in enumerate(sorted({at for at in decoder if at <= hparams["no_bias_above"]})):
        shapes[f"decoder.bias_xs.{number}"] = (1, width(at), at, at)
    shapes["decoder.gain"] = shapes["decoder.bias"] = (1, hparams["width"], 1, 1)
    conv("decoder.out_net.out_conv", hparams["width"], 10 * hparams["num_mixtures"], 1)
    return shapes


def _resolutions(text: str) -> list[int]:
    resolutions = []
    for item in text.split(","):
        resolution, _, times = item.partition("x")
        resolutions += [int(resolution.replace("m", "d").split("d")[0])] * int(times or 1)
    return resolutions


def _random_weights(hparams: dict) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=generator) for name, shape in released_shapes(hparams).items()}


def _require_same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert tensor.dtype == second[name].dtype and torch.equal(tensor, second[name]), name


@pytest.fixture(params=VARIANTS.values(), ids=VARIANTS.keys())
def config(request):
    return dataclasses.replace(SMALL, **request.param)


class TestRoundTrips:
    def test_exported_weights_are_those_that_were_imported(self, config):
        hparams = released_hparams(config)
        weights = _random_weights(hparams)
        _require_same(to_openai(from_openai(weights, hparams), config), weights)

    def test_imported_weights_are_those_that_were_exported(self, config):
        model = config.build()
        again = from_openai(to_openai(model, config), released_hparams(config))
        _require_same(dict(again.state_dict()), dict(model.state_dict()))

    def test_exported_weights_are_no_views_of_the_model(self):
        model = SMALL.build()
        weights = to_openai(model, SMALL)
        before = weights["decoder.gain"].clone()
        with torch.no_grad():
            model.readout.gain.add_(1.0)
        assert torch.equal(weights["decoder.gain"], before)


class TestPresets:
    @pytest.mark.parametrize("name", PUBLISHED)
    def test_names_and_shapes_are_the_released_ones(self, name):
        config = PRESETS[name].model
        with torch.device("meta"):
            model = config.build()
        shapes = {name: tuple(tensor.shape) for name, tensor in tensors_by_released_name(model).items()}
        assert shapes == released_shapes(released_hparams(config))

    @pytest.mark.parametrize("name", PUBLISHED)
    def test_hyper_parameters_give_back_the_configuration(self, name):
        config = PRESETS[name].model
        hparams = json.loads(json.dumps(released_hparams(config)))
        assert VDVAEConfig(**config_fields(hparams)) == config
        assert hparams.get("dataset") == (None if name == "photos32-vdvae" else name.partition("-")[0])

    def test_weights_of_photos_survive_both_ways(self):
        config = PRESETS["photos32-vdvae"].model
        hparams = released_hparams(config)
        weights = _random_weights(hparams)
        _require_same(to_openai(from_openai(weights, hparams), config), weights)

    def test_grey_images_of_four_bits_are_refused(self):
        with pytest.raises(ValueError, match="1 channels and must have 3; bits is 4 and must be 8"):
            released_hparams(PRESETS["digits-vdvae"].model)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"likelihood": "discretized_logistic"}, "likelihood is discretized_logistic and must be"),
        ({"residual_block": False}, "residual_block must be true"),
        ({"upsampling": "learned"}, "upsampling must be nearest"),
        ({"group_size": 2}, "group_size is 2 and must be 1"),
        ({"standard_deviation": "softplus"}, "standard_deviation is softplus and must be exponential"),
        ({"custom_middle_width_str": "8:3"}, "custom_middle_width_str must be empty"),
        ({"custom_width_str": "4:6,1:6"}, "gives resolution 4 fewer channels than resolution 8"),
        ({"custom_width_str": "8:4"}, r"must leave the resolution of the image \(8\) at the width 8"),
        (
            {"pixel_mean": 100.0, "pixel_std": 50.0},
            "pixel_mean and pixel_std are 100.0 and 50.0, which are",
        ),
        ({"likelihood": "released_five_bits"}, "likelihood must be released_five_bits with the pixels of ffhq_256"),
    ],
)
def test_what_the_released_code_does_not_know_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        to_openai(SMALL.build(), dataclasses.replace(SMALL, **fields))


def test_five_bit_model_keeps_its_data_set():
    fields = {"pixel_mean": 112.8666757481, "pixel_std": 69.84780273, "likelihood": "released_five_bits"}
    blocks = {"enc_blocks": "256d64,4d4,1x1", "dec_blocks": "1x1,4m1,256m4"}
    config = dataclasses.replace(SMALL, image_shape=(3, 256, 256), **blocks, **fields)
    hparams = released_hparams(config)
    assert hparams["dataset"] == "ffhq_256"
    assert VDVAEConfig(**config_fields(hparams)) == config


class TestCommandLine:
    @pytest.fixture
    def run(self, tmp_path):
        """A run folder with a model of photographs of 8 × 8 pixels."""
        experiment = dataclasses.replace(PRESETS["photos32-vdvae"], model=SMALL)
        write_run(experiment, experiment.build_model(), tmp_path / "run")
        return tmp_path / "run"

    def test_file_can_be_imported_again_bit_for_bit(self, run, tmp_path, capsys):
        file = tmp_path / "photos-model-ema.th"
        assert main(["export-openai", str(run), str(file)]) == 0
        assert "set_up_data with shift = -127.5" in capsys.readouterr().out
        options = ["--hparams", str(file.with_suffix(".json")), "--data", "photos32"]
        assert main(["import-openai", str(file), *options, "--run-dir", str(tmp_path / "again")]) == 0
        (model, _), (again, experiment) = load_run(run), load_run(tmp_path / "again")
        assert experiment.model == SMALL
        _require_same(dict(again.state_dict()), dict(model.state_dict()))

    def test_file_is_a_state_dict_that_plain_pytorch_reads(self, run, tmp_path):
        file = tmp_path / "folder" / "that is made" / "weights.th"
        main(["export-openai", str(run), str(file)])
        weights = torch.load(file, weights_only=True)
        shapes = {name: tuple(tensor.shape) for name, tensor in weights.items()}
        assert type(weights) is dict and shapes == released_shapes(released_hparams(SMALL))

    def test_existing_files_are_kept(self, run, tmp_path, capsys):
        (tmp_path / "weights.json").write_text("mine")
        assert main(["export-openai", str(run), str(tmp_path / "weights.th")]) == 1
        assert "weights.json exists already: choose another" in capsys.readouterr().err
        assert (tmp_path / "weights.json").read_text() == "mine" and not (tmp_path / "weights.th").exists()

    def test_weights_and_hyper_parameters_cannot_share_a_file(self, run, tmp_path, capsys):
        assert main(["export-openai", str(run), str(tmp_path / "weights.json")]) == 1
        assert "weights.json ends in .json: choose another" in capsys.readouterr().err

    def test_other_families_are_refused(self, tmp_path, capsys):
        write_run(PRESETS["digits-vae"], PRESETS["digits-vae"].build_model(), tmp_path / "run")
        assert main(["export-openai", str(tmp_path / "run"), str(tmp_path / "weights.th")]) == 1
        assert "must hold a Very Deep VAE for OpenAI's code, got 'digits-vae'" in capsys.readouterr().err
