"""Released weights in our model, against the computation written out straight from their names."""

from __future__ import annotations

import argparse
import itertools
import json
import math
from collections import OrderedDict

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import expit, log_expit, logsumexp

from avae_lib.cli import main
from avae_lib.models.vdvae_import import from_openai
from avae_lib.training.runs import load_run

SMALL = {
    "width": 8,
    "zdim": 3,
    "image_size": 8,
    "image_channels": 3,
    "enc_blocks": "8x2,8d2,4x1,4d2,2x2,2d2,1x2",
    "dec_blocks": "1x2,2m1,2x1,4m2,4x2,8m4,8x2",
    "bottleneck_multiple": 0.5,
    "no_bias_above": 4,
    "num_mixtures": 2,
    "custom_width_str": "",
}
NORMALISATION = {  # (x + shift) · scale
    None: (-127.5, 1 / 127.5),
    "cifar10": (-120.63838, 1 / 64.16736),
    "imagenet32": (-116.2373, 1 / 69.37404),
    "imagenet64": (-115.92961967, 1 / 69.37404),
    "ffhq_256": (-112.8666757481, 1 / 69.84780273),
}
VARIANTS = {
    "one width": {},
    "every stream starts from a constant": {"no_bias_above": 8},
    "two mixtures more": {"num_mixtures": 4},
    "wider in the middle": {"custom_width_str": "4:12,2:16,1:16"},
    "narrower in the middle": {"custom_width_str": "4:6,2:6"},
    "straight to the top": {"enc_blocks": "8d4,2x1,2d2,1x1", "dec_blocks": "1x1,2m1,8m2,8x1"},
    "a resolution without mixing": {"dec_blocks": "1x1,2x1,4m2,8m4", "no_bias_above": 1},
    "an image stream that ends early": {"dec_blocks": "1x1,8m1,8x1,2m1,2x1"},
}


def released_weights(hparams: dict, seed: int = 0, spread: float = 0.6) -> dict[str, torch.Tensor]:
    """Random weights of any size but zero, under the names and in the shapes of the released code."""
    generator, weights = torch.Generator().manual_seed(seed), {}
    width, zdim = _widths(hparams), hparams["zdim"]

    def convolution(name, inputs, outputs, kernel=1):
        shape = (outputs, inputs, kernel, kernel)
        scale = spread / math.sqrt(inputs * kernel**2)
        weights[f"{name}.weight"] = scale * torch.randn(shape, generator=generator)
        weights[f"{name}.bias"] = 0.1 * torch.randn(outputs, generator=generator)

    def block(name, resolution, inputs, outputs):
        middle = int(width(resolution) * hparams["bottleneck_multiple"])
        kernel = 1 if resolution <= 2 else 3
        convolution(f"{name}.c1", inputs, middle)
        convolution(f"{name}.c2", middle, middle, kernel)
        convolution(f"{name}.c3", middle, middle, kernel)
        convolution(f"{name}.c4", middle, outputs)

    convolution("encoder.in_conv", hparams["image_channels"], hparams["width"], 3)
    for index, (resolution, _) in enumerate(_blocks(hparams["enc_blocks"])):
        block(f"encoder.enc_blocks.{index}", resolution, width(resolution), width(resolution))
    decoder = _blocks(hparams["dec_blocks"])
    for index, (resolution, _) in enumerate(decoder):
        name = f"decoder.dec_blocks.{index}"
        block(f"{name}.enc", resolution, 2 * width(resolution), 2 * zdim)
        block(f"{name}.prior", resolution, width(resolution), 2 * zdim + width(resolution))
        convolution(f"{name}.z_proj", zdim, width(resolution))
        block(f"{name}.resnet", resolution, width(resolution), width(resolution))
    with_constant = sorted({resolution for resolution, _ in decoder if resolution <= hparams["no_bias_above"]})
    for index, resolution in enumerate(with_constant):
        shape = (1, width(resolution), resolution, resolution)
        weights[f"decoder.bias_xs.{index}"] = torch.randn(shape, generator=generator)
    weights["decoder.gain"] = 1 + 0.3 * torch.randn(1, hparams["width"], 1, 1, generator=generator)
    weights["decoder.bias"] = 0.3 * torch.randn(1, hparams["width"], 1, 1, generator=generator)
    convolution("decoder.out_net.out_conv", hparams["width"], 10 * hparams["num_mixtures"])
    return weights


def _blocks(text: str) -> list[tuple[int, int | None]]:
    """(resolution, number after d or m) of each block."""
    blocks = []
    for item in text.split(","):
        if "x" in item:
            resolution, times = item.split("x")
            blocks += [(int(resolution), None)] * int(times)
        else:
            resolution, number = item.replace("m", "d").split("d")
            blocks.append((int(resolution), int(number)))
    return blocks


def _widths(hparams: dict):
    custom = dict(map(int, pair.split(":")) for pair in hparams["custom_width_str"].split(",") if pair)
    return lambda resolution: custom.get(resolution, hparams["width"])


class StraightLine:
    """The released computation in float64, one line after the other, with noise that the test supplies."""

    def __init__(self, weights: dict[str, torch.Tensor], hparams: dict) -> None:
        self.weights = {name: tensor.double() for name, tensor in weights.items()}
        self.hparams, self.width = hparams, _widths(hparams)
        self.decoder = _blocks(hparams["dec_blocks"])

    def infer(self, x: torch.Tensor, noise: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Parameters of the mixtures, and the KL of each block."""
        return self._decode(len(x), noise, self._encode(x))

    def sample(self, n: int, noise: list[torch.Tensor], temperatures: list[float]) -> torch.Tensor:
        """Features that the last convolution reads."""
        scaled = [temperature * of_block for temperature, of_block in zip(temperatures, noise, strict=True)]
        return self._decode(n, scaled, None)

    def _encode(self, x):
        shift, scale = NORMALISATION[self.hparams.get("dataset")]
        x = self._convolve("encoder.in_conv", (x.double() + shift) * scale)
        activations = {x.shape[2]: x}
        for index, (_, pool) in enumerate(_blocks(self.hparams["enc_blocks"])):
            x = x + self._block(f"encoder.enc_blocks.{index}", x)
            if pool:
                side = x.shape[2] // pool
                x = x.reshape(*x.shape[:2], side, pool, side, pool).mean(dim=(3, 5))
                x = _padded_or_cut(x, self.width(side))
            activations[x.shape[2]] = x
        return activations

    def _decode(self, n, noise, activations):
        streams, kls = self._starts(n), []
        for index, (resolution, mixed) in enumerate(self.decoder):
            name, x = f"decoder.dec_blocks.{index}", streams[resolution]
            if mixed:
                times = resolution // mixed
                above = _padded_or_cut(streams[mixed], self.width(resolution))
                x = x + above.repeat_interleave(times, dim=2).repeat_interleave(times, dim=3)
            zdim = self.hparams["zdim"]
            prior = self._block(f"{name}.prior", x)
            p_mean, p_log_std, h = prior[:, :zdim], prior[:, zdim : 2 * zdim], prior[:, 2 * zdim :]
            mean, log_std = p_mean, p_log_std
            if activations is not None:
                posterior = self._block(f"{name}.enc", torch.cat([x, activations[resolution]], dim=1))
                mean, log_std = posterior[:, :zdim], posterior[:, zdim:]
                q, p = (torch.distributions.Normal(m, s.exp()) for m, s in ((mean, log_std), (p_mean, p_log_std)))
                kls.append(torch.distributions.kl_divergence(q, p).sum(dim=(1, 2, 3)))
            z = mean + log_std.exp() * noise[index]
            x = x + h
            x = x + self._convolve(f"{name}.z_proj", z)
            streams[resolution] = x + self._block(f"{name}.resnet", x)
        features = streams[self.hparams["image_size"]] * self.weights["decoder.gain"] + self.weights["decoder.bias"]
        if activations is None:
            return features
        return self._convolve("decoder.out_net.out_conv", features), torch.stack(kls, dim=1)

    def _starts(self, n):
        streams, constants = {}, itertools.count()
        for resolution in sorted({resolution for resolution, _ in self.decoder}):
            start = torch.zeros(1, self.width(resolution), resolution, resolution).double()
            if resolution <= self.hparams["no_bias_above"]:
                start = self.weights[f"decoder.bias_xs.{next(constants)}"]
            streams[resolution] = start.repeat(n, 1, 1, 1)
        return streams

    def _block(self, name, x):
        for step in ("c1", "c2", "c3", "c4"):
            x = self._convolve(f"{name}.{step}", 0.5 * x * (1 + torch.erf(x / math.sqrt(2))))
        return x

    def _convolve(self, name, x):
        weight = self.weights[f"{name}.weight"]
        return F.conv2d(x, weight, self.weights[f"{name}.bias"], padding=weight.shape[-1] // 2)


def _padded_or_cut(x, width):
    zeros = torch.zeros(len(x), max(width - x.shape[1], 0), *x.shape[2:]).double()
    return torch.cat([x[:, :width], zeros], dim=1)


def mixture_log_likelihood(params: np.ndarray, x: np.ndarray, bits: int = 8) -> np.ndarray:
    """PixelCNN++ mixtures in numpy, from (batch, 10·K, height, width) and levels 0 … 255."""
    mixtures = params.shape[1] // 10
    logits = params[:, :mixtures]
    by_channel = params[:, mixtures:].reshape(len(params), 3, 3 * mixtures, *params.shape[2:])
    means, log_scales, coefficients = (by_channel[:, :, i * mixtures : (i + 1) * mixtures] for i in range(3))
    half_bin = 1 / (2**bits - 1)
    x = x.astype(np.float64)
    pixels = ((x if bits == 8 else 8 * np.floor(x / 8)) / 127.5 - 1)[:, :, None]
    coefficients, inverse_scales = np.tanh(coefficients), np.exp(-np.maximum(log_scales, -7))
    green = means[:, 1] + coefficients[:, 0] * pixels[:, 0]
    blue = means[:, 2] + coefficients[:, 1] * pixels[:, 0] + coefficients[:, 2] * pixels[:, 1]
    centred = pixels - np.stack([means[:, 0], green, blue], axis=1)
    upper, lower = (centred + half_bin) * inverse_scales, (centred - half_bin) * inverse_scales
    flipped = lower > 0  # where both CDFs are near one, their difference is taken in the other tail
    middle = np.where(flipped, expit(-lower) - expit(-upper), expit(upper) - expit(lower))
    edges = [pixels < -0.999, pixels > 0.999]
    log_probs = np.select(edges, [log_expit(upper), log_expit(-lower)], np.log(np.maximum(middle, 1e-300)))
    log_weights = logits - logsumexp(logits, axis=1, keepdims=True)
    return logsumexp(log_weights + log_probs.sum(axis=1), axis=1).sum(axis=(1, 2))


def _images(hparams: dict, n: int = 3) -> torch.Tensor:
    shape = (n, hparams["image_channels"], hparams["image_size"], hparams["image_size"])
    x = torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    x[0, :, 0, :2], x[0, :, 1, :2] = 0, 255  # both edges of the scale
    return x


def _noise(hparams: dict, n: int, seed: int) -> list[torch.Tensor]:
    """The normal numbers that a float64 model draws after ``torch.manual_seed(seed)``, block by block."""
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(n, hparams["zdim"], resolution, resolution, generator=generator, dtype=torch.float64)
        for resolution, _ in _blocks(hparams["dec_blocks"])
    ]


@pytest.fixture(params=VARIANTS.values(), ids=VARIANTS.keys())
def hparams(request):
    return SMALL | request.param


class TestAgainstStraightLine:
    def test_bound_at_the_posterior_mean(self, hparams):
        self._require_same_bound(hparams, temperature=0.0)

    def test_bound_for_the_same_noise(self, hparams):
        self._require_same_bound(hparams, temperature=1.0)

    @pytest.mark.parametrize("dataset", [name for name in NORMALISATION if name])
    def test_data_sets_set_what_the_encoder_sees(self, dataset):
        self._require_same_bound(SMALL | {"dataset": dataset}, temperature=0.0)

    @pytest.mark.usefixtures("without_annotation_checks")  # its head returns the features themselves
    def test_samples_for_the_same_noise(self, hparams):
        weights = released_weights(hparams)
        model = from_openai(weights, hparams).double()
        model.head.sample = lambda features, generator: features
        temperatures = [0.3 + 0.1 * index for index in range(model.num_layers)]
        features = model.sample(2, temperatures, torch.Generator().manual_seed(5))
        expected = StraightLine(weights, hparams).sample(2, _noise(hparams, 2, 5), temperatures)
        torch.testing.assert_close(features, expected, rtol=1e-10, atol=1e-10)

    def test_single_precision_loses_no_more_than_its_rounding(self):
        weights, x = released_weights(SMALL), _images(SMALL)
        elbo = from_openai(weights, SMALL)(x, posterior_temperature=0.0)
        params, kl = StraightLine(weights, SMALL).infer(x, [torch.zeros(1)] * 10)
        torch.testing.assert_close(elbo.kl.double(), kl, rtol=2e-5, atol=2e-5)
        expected = mixture_log_likelihood(params.numpy(), x.numpy())
        np.testing.assert_allclose(elbo.log_likelihood.detach().numpy(), expected, rtol=1e-5)

    def _require_same_bound(self, hparams: dict, temperature: float) -> None:
        weights, x = released_weights(hparams), _images(hparams)
        model = from_openai(weights, hparams).double()
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(4)
            elbo = model(x, posterior_temperature=temperature)
        noise = [temperature * of_block for of_block in _noise(hparams, len(x), 4)]
        params, kl = StraightLine(weights, hparams).infer(x, noise)
        torch.testing.assert_close(elbo.kl, kl, rtol=1e-9, atol=1e-9)
        expected = mixture_log_likelihood(params.numpy(), x.numpy(), 5 if hparams.get("dataset") == "ffhq_256" else 8)
        np.testing.assert_allclose(elbo.log_likelihood.numpy(), expected, rtol=1e-9)


class TestCheckpoints:
    def test_names_of_distributed_training_are_the_same_names(self):
        weights = released_weights(SMALL)
        prefixed = {f"module.{name}": tensor for name, tensor in weights.items()}
        plain, distributed = from_openai(weights, SMALL), from_openai(prefixed, SMALL)
        for name, tensor in plain.state_dict().items():
            assert torch.equal(tensor, distributed.state_dict()[name])

    def test_hyper_parameters_may_be_attributes_and_have_the_released_defaults(self):
        weights = released_weights(SMALL | {"bottleneck_multiple": 0.25, "no_bias_above": 64, "num_mixtures": 10})
        given = {name: SMALL[name] for name in ("width", "zdim", "image_size", "enc_blocks", "dec_blocks")}
        model = from_openai(weights, argparse.Namespace(**given, num_mixtures=None, dataset=None))
        assert model.head.mixtures == 10 and model.image_shape == (3, 8, 8)

    def test_data_set_tells_the_size_of_its_images(self):
        hparams = SMALL | {"enc_blocks": "32d4," + SMALL["enc_blocks"], "dec_blocks": SMALL["dec_blocks"] + ",32m8"}
        weights = released_weights(hparams)
        model = from_openai(weights, hparams | {"image_size": None, "dataset": "cifar10"})
        assert model.image_shape == (3, 32, 32)

    def test_missing_and_unknown_names_are_counted_and_the_first_are_named(self):
        weights = released_weights(SMALL)
        weights["decoder.dec_blocks.0.enc.c5.weight"] = weights.pop("decoder.dec_blocks.0.enc.c4.weight")
        for index in range(4):
            del weights[f"encoder.enc_blocks.{index}.c1.bias"]
        with pytest.raises(ValueError) as error:
            from_openai(weights, SMALL)
        first_missing = ", ".join(f"encoder.enc_blocks.{index}.c1.bias" for index in range(3))
        assert f"5 names are missing ({first_missing}, …)" in str(error.value)
        assert "1 names are unknown (decoder.dec_blocks.0.enc.c5.weight)" in str(error.value)

    def test_other_shapes_are_refused(self):
        weights = released_weights(SMALL)
        weights["decoder.gain"] = torch.ones(1, 4, 1, 1)
        with pytest.raises(ValueError, match=r"1 shapes differ \(decoder.gain should be \(1, 8, 1, 1\) and is \(1, 4,"):
            from_openai(weights, SMALL)

    @pytest.mark.parametrize(
        ("hparams", "message"),
        [
            ({"width": 8}, "hparams must hold zdim, enc_blocks, dec_blocks, image_size; it holds width"),
            ({}, "it holds nothing"),
            (SMALL | {"dataset": "lsun"}, "dataset must be one of cifar10, imagenet32, .* got 'lsun'"),
            (SMALL | {"enc_blocks": "8x2,4x1"}, "resolution 8 meet the block 4"),
        ],
    )
    def test_hyper_parameters_that_describe_no_model_are_refused(self, hparams, message):
        with pytest.raises(ValueError, match=message):
            from_openai(released_weights(SMALL), hparams)


class TestCommandLine:
    """``avae import-openai`` on files as the released code saves them."""

    @pytest.fixture
    def hparams(self, tmp_path):
        path = tmp_path / "small.json"
        path.write_text(json.dumps(SMALL | {"dataset": "cifar10"}))
        return path

    @pytest.fixture
    def images(self, tmp_path, monkeypatch):
        """A data set of the model's size under the name of the published one."""
        pixels = _images(SMALL, 20).numpy()
        np.savez(tmp_path / "cifar10.npz", train=pixels, test=pixels)
        monkeypatch.setenv("AVAE_DATA", str(tmp_path))
        return torch.from_numpy(pixels)

    def test_makes_a_run_that_can_be_evaluated_and_sampled(self, tmp_path, hparams, images, capsys):
        weights = released_weights(SMALL)
        saved = OrderedDict((f"module.{name}", tensor) for name, tensor in weights.items())
        torch.save(saved, tmp_path / "iter-10-model-ema.th")
        run = tmp_path / "run"
        arguments = ["import-openai", str(tmp_path / "iter-10-model-ema.th"), "--hparams", str(hparams)]
        assert main([*arguments, "--run-dir", str(run)]) == 0
        model, _ = load_run(run)
        expected = from_openai(weights, SMALL | {"dataset": "cifar10"})
        assert torch.equal(*(m(images, posterior_temperature=0).bound for m in (model, expected)))
        assert main(["sample", str(run), "--count", "4"]) == 0
        assert main(["evaluate", str(run), "--importance-samples", "2"]) == 0
        assert main([*arguments, "--run-dir", str(run)]) == 1
        assert "holds a run already" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ({"decoder.gain": "a string"}, "must hold tensors by their names"),
            ([torch.zeros(1)], "got a list"),
            (argparse.Namespace(), "was not executed"),
            ({"decoder.gain": torch.ones(1, 8, 1, 1)}, "names are missing (encoder.in_conv.weight"),
            ({7: torch.zeros(1)}, "must hold tensors by their names (a state_dict) and nothing else, got a dict"),
        ],
    )
    def test_other_files_are_refused_in_one_line(self, tmp_path, hparams, capsys, content, message):
        torch.save(content, tmp_path / "weights.th")
        assert main(["import-openai", str(tmp_path / "weights.th"), "--hparams", str(hparams)]) == 1
        said = capsys.readouterr().err
        assert message in said and said.count("\n") == 1

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda tensor: tensor * float("nan"), "hold NaN or infinity (encoder."),
            (lambda tensor: tensor.double() + 1e300, "hold NaN or infinity"),  # infinite in float32
            (
                lambda tensor: tensor.long(),
                "dense floating-point weights: encoder.in_conv.weight is torch.int64",
            ),
            (lambda tensor: tensor + 1j, "is torch.complex64"),
            (lambda tensor: tensor.to_sparse(), "torch.sparse_coo"),
        ],
    )
    def test_weights_must_be_finite_floating_point_numbers(self, tmp_path, hparams, capsys, change, message):
        weights = {name: change(tensor) for name, tensor in released_weights(SMALL).items()}
        torch.save(weights, tmp_path / "weights.th")
        arguments = ["import-openai", str(tmp_path / "weights.th"), "--hparams", str(hparams)]
        assert main([*arguments, "--run-dir", str(tmp_path / "run")]) == 1
        said = capsys.readouterr().err
        assert message in said and said.count("\n") == 1
        assert not (tmp_path / "run").exists()

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"width": "x"}, "VDVAEConfig.width must be int, got 'x'"),
            ({"zdim": 2.5}, "VDVAEConfig.latent_channels must be int, got 2.5"),
            ({"image_size": [8]}, "VDVAEConfig.image_shape must be tuple[int, int, int]"),
            ({"enc_blocks": 5}, "VDVAEConfig.enc_blocks must be str, got 5"),
            ({"dataset": ["cifar10"]}, "dataset must be one of cifar10"),
        ],
    )
    def test_hyper_parameters_of_a_wrong_type_are_named(self, tmp_path, hparams, capsys, change, message):
        hparams.write_text(json.dumps(SMALL | {"dataset": "cifar10"} | change))
        assert main(["import-openai", str(tmp_path / "weights.th"), "--hparams", str(hparams)]) == 1
        said = capsys.readouterr().err
        assert message in said and said.count("\n") == 1

    @pytest.mark.parametrize("as_archive", [True, False])  # PyTorch before 1.6 wrote files of another kind
    def test_a_file_that_is_cut_short_is_named_with_what_to_do(self, tmp_path, hparams, capsys, as_archive):
        path = tmp_path / "weights.th"
        torch.save(released_weights(SMALL), path, _use_new_zipfile_serialization=as_archive)
        content, arguments = path.read_bytes(), ["import-openai", str(path), "--hparams", str(hparams)]
        for length in (0, 1, 100, 9_999, len(content) // 2, len(content) - 1):
            path.write_bytes(content[:length])
            assert main([*arguments, "--run-dir", str(tmp_path / "run")]) == 1
            said = capsys.readouterr().err
            assert "weights.th is damaged, cut short" in said and "copy it again" in said and said.count("\n") == 1
        path.write_bytes(content)
        assert main([*arguments, "--run-dir", str(tmp_path / "run")]) == 0

    def test_a_wrong_byte_among_the_weights_is_noticed(self, tmp_path, hparams, capsys):
        weights, path = released_weights(SMALL), tmp_path / "weights.th"
        torch.save(weights, path)
        place = path.read_bytes().index(weights["encoder.in_conv.weight"].numpy().tobytes())
        content = bytearray(path.read_bytes())
        content[place] ^= 1
        path.write_bytes(content)
        assert main(["import-openai", str(path), "--hparams", str(hparams)]) == 1
        assert "weights.th is damaged" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ([], "either --preset NAME or --hparams FILE.json"),
            (["--preset", "digits-vae"], "need a preset of that family, got 'digits-vae'"),
            (["--preset", "digits-vdvae"], "cannot use"),
            (["--hparams", __file__], "is no JSON file"),
        ],
    )
    def test_options_that_name_no_model_or_file_are_refused(self, tmp_path, capsys, options, message):
        assert main(["import-openai", str(tmp_path / "nothing.th"), *options]) == 1
        assert message in capsys.readouterr().err
