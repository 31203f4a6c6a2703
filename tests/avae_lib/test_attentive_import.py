"""Keras weights of the published Deep Attentive VAE in our model.

No file of the authors was available. The files here are written by a small imitation of what matters: the parts of the
published program, in the order in which they become attributes, and Keras, which lists variables in that order.
"""

from __future__ import annotations

import dataclasses
import json
import math

import h5py
import numpy as np
import pytest
import torch

from avae_lib.cli import main
from avae_lib.data import DataConfig
from avae_lib.models.attentive import AttentiveConfig
from avae_lib.models.attentive_import import (
    load_published_weights,
    mixture_channels,
    published_tensors,
    require_published_model,
)
from avae_lib.models.tensor_matching import NamedTensor, PublishedTensor, matched
from avae_lib.presets import find_preset
from avae_lib.training.experiment import Experiment
from avae_lib.training.published_attentive import read_keras_weights
from avae_lib.training.runs import load_run
from avae_lib.training.training_config import TrainingConfig

CIFAR_LIKE = AttentiveConfig(
    image_shape=(3, 8, 8),
    bits=8,
    faithful=True,
    layers=4,
    width=8,
    latent_channels=2,
    key_channels=2,
    cell_key_channels=3,
    prior_log_std_range=(-1.0, 5.0),
    likelihood="discretized_logistic_mixture",
    mixtures=2,
)
OMNIGLOT_LIKE = dataclasses.replace(
    CIFAR_LIKE,
    image_shape=(1, 8, 8),
    bits=1,
    padding=2,
    layers=3,
    image_blocks=2,
    normalise_evidence=False,
    cell_key_channels=0,
    merger_key_channels=2,
    output_key_channels=3,
    likelihood="bernoulli",
    mixtures=3,
)
LOCAL = dataclasses.replace(CIFAR_LIKE, conditioning="local", cell_key_channels=0)
CONFIGS = {"cifar": CIFAR_LIKE, "omniglot": OMNIGLOT_LIKE, "local": LOCAL, "one block": CIFAR_LIKE}
CONFIGS["one block"] = dataclasses.replace(CIFAR_LIKE, blocks=1, layers=2, normalise_contexts=False)


class Layer:
    """A Keras layer: it lists its own variables first, then those of its parts, in the order they were set."""

    def __init__(self, **variables):
        self.own = variables

    def __setattr__(self, name, value):
        vars(self).pop(name, None)  # a part that is set again moves to the end
        vars(self)[name] = value

    def variables(self, path):
        for name, variable in self.own.items():
            yield f"{path}/{name}:0", variable
        for name, part in vars(self).items():
            for number, layer in enumerate(part if isinstance(part, list) else [part]):
                if isinstance(layer, Layer):
                    yield from layer.variables(f"{path}/{name}_{number}")


@dataclasses.dataclass
class Variable:
    """A variable of the imitation, and the weight of ours that it is meant to be."""

    ours: str
    values: np.ndarray
    trained: bool = True


class Program:
    """The parts of the published program, from its description. ``ours`` names the same part in our model."""

    def __init__(self, config: AttentiveConfig):
        self.config, self.random = config, np.random.default_rng(0)
        self.keys = config.key_channels if config.conditioning == "attentive" else 0
        self.values, self.latent = config.width, config.latent_channels
        self.evidence = self.context = config.width + self.keys

    def variable(self, ours, *shape, trained=True):
        values = self.random.uniform(0.5, 1.5, shape) if not trained else self.random.normal(size=shape)
        return Variable(ours, np.asarray(values, dtype=np.float32), trained)

    def convolution(self, ours, inputs, outputs, side=1, bias=True):
        layer = Layer(
            kernel=self.variable(f"{ours}.direction", side, side, inputs, outputs),
            g=self.variable(f"{ours}.log_gain", outputs),
            initialized=Variable("", np.array(True), trained=False),
        )
        layer.wrapped = Layer(**({"bias": self.variable(f"{ours}.bias", outputs)} if bias else {}))
        return layer

    def batch_norm(self, ours, channels):
        return Layer(
            gamma=self.variable(f"{ours}.weight", channels),
            beta=self.variable(f"{ours}.bias", channels),
            moving_mean=self.variable(f"{ours}.running_mean", channels, trained=False),
            moving_variance=self.variable(f"{ours}.running_var", channels, trained=False),
        )

    def layer_norm(self, ours, channels):
        return Layer(gamma=self.variable(f"{ours}.weight", channels), beta=self.variable(f"{ours}.bias", channels))

    def non_local(self, ours, channels, keys, bias=True):
        if not keys:
            return None
        layer = Layer(gamma=self.variable(f"{ours}.gate"))
        layer.query_conv = self.convolution(f"{ours}.query", channels, keys, bias=bias)
        layer.key_conv = self.convolution(f"{ours}.key", channels, keys, bias=bias)
        layer.value_conv = self.convolution(f"{ours}.value", channels, channels, bias=bias)
        layer.alignment = Layer(scale=self.variable(f"{ours}.scale"))
        return layer

    def node(self, ours, inputs, outputs, keys):
        layer = Layer()
        layer.convolutions = [None]
        layer.batch_norm = self.batch_norm(f"{ours}.0", inputs)
        layer.convolutions[0] = self.convolution(f"{ours}.3", inputs, outputs, 3)
        layer.non_local = self.non_local(f"{ours}.1", inputs, keys)
        return layer

    def block(self, ours, inputs, scale, keys):
        outputs = {0: inputs, -2: 2 * inputs, 2: inputs // 2}[scale]
        layer = Layer()
        layer.nodes = []
        layer.shortcut = Layer()
        if scale == -2:
            sizes = [outputs // 4] * 3 + [outputs - 3 * (outputs // 4)]
            for number, size in enumerate(sizes):
                map_ = self.convolution(f"{ours}.shortcut.maps.{number}", inputs, size)
                setattr(layer.shortcut, f"conv_{number + 1}", map_)
        if scale == 2:
            layer.shortcut.convolutions = [self.convolution(f"{ours}.shortcut.2", inputs, outputs, bias=False)]
            layer.shortcut.non_local = self.non_local(f"{ours}.shortcut.1", inputs, keys, bias=False)
        layer.nodes = [self.node(f"{ours}.nodes.0", inputs, outputs, keys)]
        layer.nodes.append(self.node(f"{ours}.nodes.1", outputs, outputs, keys))
        return layer

    def cell(self, ours, channels, scales, keys, stem=None):
        layer = Layer()
        layer.stem = Layer()
        layer.blocks = [None] * len(scales)
        if stem is not None:
            layer.stem = stem
        for number, scale in enumerate(scales):
            layer.blocks[number] = self.block(f"{ours}.{number}", channels, scale, keys)
            channels = {0: channels, -2: 2 * channels, 2: channels // 2}[scale]
        return layer

    def concatenation(self, ours, a, b, outputs):
        layer = Layer()
        layer.conv = self.convolution(f"{ours}.map", a + b, outputs)
        layer.non_local = self.non_local(f"{ours}.non_local", outputs, self.config.merger_key_channels)
        return layer

    def sum(self, ours, a, b, outputs):
        layer = Layer()
        layer.conv = self.convolution(f"{ours}.map", b, outputs)
        if a != outputs:
            layer.conv_a = self.convolution(f"{ours}.match", a, outputs)
        layer.non_local = self.non_local(f"{ours}.non_local", outputs, self.config.merger_key_channels)
        return layer

    def network(self, convolutions):
        layer = Layer()
        layer.parameters = Layer()
        layer.parameters.convolutions = convolutions
        return layer

    def variational_layer(self, i):
        config, ours, keys, layers = self.config, f"layers.{i}", self.keys, self.config.layers
        attends = {"gamma": self.variable(f"{ours}.context_conditioning.gate")} if keys and i > 0 else {}
        if keys:
            attends["enc_gamma"] = self.variable(f"{ours}.evidence_conditioning.gate")
        layer = Layer(**attends)
        scales, width = [0] * config.blocks, self.context + (keys if i > 0 else 0) + (keys if i < layers - 1 else 0)
        on_the_way_up = f"bottom_up.cells.{layers - 1 - i}"
        layer.encoder = self.cell(on_the_way_up, self.evidence, scales, config.cell_key_channels)
        if i == 0:
            side = (config.image_shape[1] + 2 * config.padding) // 2
            layer.decoder = Layer(constant=self.variable("top.constant", 1, side, side, width))
            last = [self.convolution(f"{ours}.posterior.1", self.evidence, self.evidence)]
            last.append(self.convolution(f"{ours}.posterior.3", self.evidence, 2 * self.latent, 3))
            layer.posterior = self.network(last)
        else:
            layer.decoder = self.cell(f"{ours}.transition.cell", width, scales, config.cell_key_channels)
            layer.merge_decoder = self.concatenation(f"{ours}.transition.join", self.context, self.latent, width)
            layer.merge_encoder = self.sum(f"{ours}.merge", self.values, self.context, self.evidence)
            layer.posterior = self.network([self.convolution(f"{ours}.posterior", self.evidence, 2 * self.latent, 3)])
            layer.prior = self.network([self.convolution(f"{ours}.prior.1", self.context, 2 * self.latent)])
        if keys and i > 0 and config.normalise_contexts:
            layer.norm_of_newest = self.layer_norm(f"{ours}.history.norm_of_newest", self.context)
            layer.norm_of_found = self.layer_norm(f"{ours}.context_conditioning.norm_of_found.norm", self.context)
            layer.norm_of_own = self.layer_norm(f"{ours}.context_conditioning.norm_of_own.norm", self.context)
        if keys and config.normalise_evidence:
            layer.condition_norm = self.layer_norm(f"{ours}.evidence_conditioning.norm_of_own.norm", self.values)
            layer.found_norm = self.layer_norm(f"{ours}.evidence_conditioning.norm_of_found.norm", self.values)
        return layer

    def layers(self):
        """Name and layer of each top-level layer, in the order in which the model got them."""
        config = self.config
        stem_width, extra = self.evidence // 2, [0] * config.image_blocks
        data = Layer()
        data.preprocessing = [self.cell("readout.cell", self.context, [2, *extra], config.output_key_channels)]
        outputs = 10 * config.mixtures if config.likelihood != "bernoulli" else 1
        data.distribution = self.network([self.convolution("head.projection.1", self.context // 2, outputs, 3)])
        stem = self.convolution("bottom_up.stem.2", config.image_shape[0], stem_width, 3)
        yield "concat_conv2d", self.concatenation("readout.join", self.context, self.latent, self.context)
        yield "data_layer", data
        yield "res_net", self.cell("bottom_up.stem.3", stem_width, [*extra, -2], config.cell_key_channels, stem)
        for i in range(config.layers):
            yield f"variational_layer_{i}", self.variational_layer(i)
        if self.keys:
            for i in range(config.layers):
                norm = self.layer_norm(f"layers.{i}.history.joint_norm.norm", self.context + self.keys)
                yield f"layer_normalization_{i}", norm if i > 1 else Layer()


def keras_file(config, path, group=None, longest=10**9):
    """Write the variables of the imitated program as Keras 2 does. Returns them by the name that they get."""
    program, written = list(Program(config).layers()), {}
    with h5py.File(path, "w") as file:
        at = file.create_group(group) if group else file
        _write_names(at, "layer_names", [name for name, _ in program], longest)
        for name, layer in sorted(program, key=lambda pair: pair[0]):
            variables = sorted(layer.variables(name), key=lambda pair: not pair[1].trained)
            _write_names(at.create_group(name), "weight_names", [name for name, _ in variables], longest)
            for variable_name, variable in variables:
                at[name].create_dataset(variable_name, data=variable.values)
                written[f"{name}/{variable_name}"] = variable
    return {name: variable for name, variable in written.items() if variable.ours}


def _write_names(group, attribute, names, longest):
    pieces = np.array_split(np.array([name.encode() for name in names]), math.ceil(max(len(names), 1) / longest))
    for number, piece in enumerate(pieces):
        group.attrs[attribute if len(pieces) == 1 else f"{attribute}{number}"] = piece


def _in_our_layout(variable, config):
    values = variable.values
    if variable.ours.endswith("direction"):
        values = values.transpose(3, 2, 0, 1)
    if variable.ours == "top.constant":
        values = values.transpose(0, 3, 1, 2)
    if variable.ours.startswith("head.") and config.likelihood != "bernoulli":
        values = values[mixture_channels(config.mixtures)]
    return torch.from_numpy(values.copy())


def _experiment(config):
    return Experiment("small", "an example", DataConfig("digits"), config, TrainingConfig())


@pytest.fixture(params=CONFIGS.values(), ids=CONFIGS.keys())
def config(request):
    return request.param


@pytest.fixture
def small_preset(monkeypatch):
    """The configuration of the CIFAR-like model under the name of a preset."""
    monkeypatch.setattr("avae_lib.presets.find_preset", lambda name: _experiment(CIFAR_LIKE))


class TestFiles:
    @pytest.mark.parametrize("options", [{}, {"group": "model_weights"}, {"longest": 7}])
    def test_every_weight_arrives_bit_for_bit_where_it_belongs(self, tmp_path, config, options, monkeypatch):
        monkeypatch.setattr("avae_lib.presets.find_preset", lambda name: _experiment(config))
        variables = keras_file(config, tmp_path / "final_model.h5", **options)
        run = tmp_path / "run"
        command = ["import-attentive", str(tmp_path / "final_model.h5"), "--preset", "any", "--run-dir", str(run)]
        assert main(command) == 0
        model, experiment = load_run(run)
        assert experiment.model == config
        weights = model.state_dict()
        for name, variable in variables.items():
            assert torch.equal(weights[variable.ours], _in_our_layout(variable, config)), name
        names = json.loads((run / "keras_names.json").read_text())
        assert names == {variable.ours: name for name, variable in variables.items()}

    def test_what_no_file_has_is_zero_or_a_counter(self, tmp_path, config):
        variables = keras_file(config, tmp_path / "final_model.h5")
        model = config.build()
        given = [NamedTensor(name, torch.from_numpy(variable.values)) for name, variable in variables.items()]
        load_published_weights(model, config, _in_file_order(model, given, variables), {})
        absent = model.state_dict().keys() - {variable.ours for variable in variables.values()}
        for name in absent:
            assert name.endswith("num_batches_tracked") or (
                ".shortcut.1." in name and name.endswith(".bias") and not model.state_dict()[name].any()
            ), name


def _in_file_order(model, given, variables):
    by_ours = {variables[tensor.name].ours: tensor for tensor in given}
    return [by_ours[tensor.name] for tensor in published_tensors(model)]


class TestPublishedModels:
    @pytest.mark.parametrize(
        ("name", "numbers"),
        [
            ("cifar10-attentive-16", 118_966_391),
            ("cifar10-nvae-like-16", 79_206_420),
            # 88 fewer than in our model: the authors' shortcut that doubles has no biases in its non-local block
            ("omniglot-attentive-15", 7_873_683 - (8 + 8 + 72)),
        ],
    )
    def test_files_hold_the_published_numbers_of_parameters(self, name, numbers):
        config = dataclasses.replace(find_preset(name).model, faithful=True)
        with torch.device("meta"):
            model = config.build()
        counted = [
            tensor
            for tensor in published_tensors(model)
            if not tensor.kind.startswith("moving") and "joint_norm" not in tensor.name
        ]
        assert sum(math.prod(tensor.shape) for tensor in counted) == numbers

    def test_every_weight_of_a_model_is_listed_once(self, config):
        model = config.build()
        listed = [tensor.name for tensor in published_tensors(model)]
        assert len(set(listed)) == len(listed)
        missing = model.state_dict().keys() - set(listed)
        assert all("num_batches_tracked" in name or ".shortcut.1." in name for name in missing)


def test_mixture_means_what_it_means_to_the_published_program():
    """Log-likelihood of the published program's numbers, written out in numpy, against our head on reordered ones."""
    generator, mixtures = np.random.default_rng(0), 5
    theirs = generator.normal(size=(2, 3, 3, 10 * mixtures))
    levels = generator.integers(1, 254, size=(2, 3, 3, 3))
    x = 2 * levels / 255 - 1

    logits = theirs[..., :mixtures]
    per_component = theirs[..., mixtures:].reshape(2, 3, 3, mixtures, 9)
    coefficients = np.tanh(per_component[..., :3])  # batch, height, width, component, which
    rest = per_component[..., 3:].reshape(2, 3, 3, 3, 2 * mixtures)
    means, log_scales = rest[..., :mixtures], np.maximum(rest[..., mixtures:], -7)
    red, green = x[..., 0, None], x[..., 1, None]
    green_mean = means[..., 1, :] + coefficients[..., 0] * red
    blue_mean = means[..., 2, :] + coefficients[..., 1] * red + coefficients[..., 2] * green
    means = np.stack([means[..., 0, :], green_mean, blue_mean], axis=-2)
    upper, lower = (1 / (1 + np.exp(-np.exp(-log_scales) * (x[..., None] - means + side / 255))) for side in (1, -1))
    weights = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    expected = np.log((weights * (upper - lower).prod(axis=-2)).sum(axis=-1)).sum(axis=(1, 2))

    head = CIFAR_LIKE.build().head
    head.projection, head.mixtures = torch.nn.Identity(), mixtures
    ours = torch.from_numpy(theirs[..., mixture_channels(mixtures)].transpose(0, 3, 1, 2).copy())
    pixels = torch.from_numpy(levels.transpose(0, 3, 1, 2).copy()).to(torch.uint8)
    np.testing.assert_allclose(head.log_likelihood(ours, pixels).numpy(), expected, rtol=1e-9)


def test_kernels_mean_what_they_mean_to_keras(tmp_path):
    """A convolution of height × width × channels, written out in numpy, against our first convolution."""
    variables = keras_file(CIFAR_LIKE, tmp_path / "final_model.h5")
    stem = {v.ours.rpartition(".")[2]: v.values for v in variables.values() if v.ours.startswith("bottom_up.stem.2.")}
    lengths = np.sqrt((stem["direction"] ** 2).sum(axis=(0, 1, 2)))
    kernels = np.exp(stem["log_gain"]) * stem["direction"] / lengths  # height, width, in, out
    x = np.random.default_rng(1).normal(size=(6, 6, 3)).astype(np.float32)
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(0, 1))  # height, width, in, row, column
    expected = np.einsum("hwirc,rcio->hwo", windows, kernels) + stem["bias"]

    model = CIFAR_LIKE.build()
    load_published_weights(model, CIFAR_LIKE, read_keras_weights(tmp_path / "final_model.h5"), {})
    ours = model.bottom_up.stem[2](torch.from_numpy(x.transpose(2, 0, 1)[None].copy()))
    np.testing.assert_allclose(ours[0].detach().numpy().transpose(1, 2, 0), expected, rtol=1e-4, atol=1e-5)


class TestMatching:
    KERNEL, BIAS = PublishedTensor("a.direction", "kernel", (1, 1, 2, 3)), PublishedTensor("a.bias", "bias", (3,))
    OTHER_BIAS = PublishedTensor("b.bias", "bias", (3,))

    def tensor(self, name, *shape):
        return NamedTensor(name, torch.zeros(shape))

    def test_a_missing_tensor_is_named_with_its_shape(self):
        with pytest.raises(ValueError, match="1 weights of the model and 0 tensors of the file") as error:
            matched([self.KERNEL, self.BIAS], [self.tensor("x/kernel:0", 1, 1, 2, 3)], {})
        assert error.value.report == ("model: a.bias, a bias (3,)",)

    def test_another_shape_is_named_on_both_sides(self):
        given = [self.tensor("x/kernel:0", 1, 1, 2, 4), self.tensor("x/bias:0", 3)]
        with pytest.raises(ValueError, match="is not of this model: 1 weights of the model and 1 tensors") as error:
            matched([self.KERNEL, self.BIAS], given, {})
        assert error.value.report == ("model: a.direction, a kernel (1, 1, 2, 3)", "file: x/kernel:0 (1, 1, 2, 4)")

    def test_another_order_is_not_guessed(self):
        given = [self.tensor("x/bias:0", 3), self.tensor("x/kernel:0", 1, 1, 2, 3)]
        with pytest.raises(ValueError, match="has the weights of this model in another order"):
            matched([self.KERNEL, self.BIAS], given, {})

    def test_another_kind_of_the_same_shape_is_not_taken(self):
        with pytest.raises(ValueError, match="is not of this model"):
            matched([self.BIAS], [self.tensor("x/g:0", 3)], {})

    def test_names_decide_and_the_rest_follows_in_order(self):
        given = [self.tensor("x/bias:0", 3), self.tensor("y/bias:0", 3)]
        pairs = matched([self.BIAS, self.OTHER_BIAS], given, {"a.bias": "y/bias:0"})
        assert [(ours.name, theirs.name) for ours, theirs in pairs] == [("a.bias", "y/bias:0"), ("b.bias", "x/bias:0")]

    def test_names_may_pair_tensors_of_another_kind(self):
        pairs = matched([self.BIAS], [self.tensor("x/offset:0", 3)], {"a.bias": "x/offset:0"})
        assert pairs[0][1].name == "x/offset:0"

    @pytest.mark.parametrize(
        ("names", "message"),
        [
            ({"c.bias": "x/bias:0"}, "has none called 'c.bias'"),
            ({"a.bias": "z/bias:0"}, "names pairs a.bias with 'z/bias:0', which is not in the file"),
            ({"a.direction": "x/bias:0"}, r"must have one shape: \(1, 1, 2, 3\) and \(3,\)"),
            ({"a.bias": "x/bias:0", "b.bias": "x/bias:0"}, "used more often: x/bias:0"),
        ],
    )
    def test_names_that_fit_nothing_are_refused(self, names, message):
        given = [self.tensor("x/kernel:0", 1, 1, 2, 3), self.tensor("x/bias:0", 3), self.tensor("y/bias:0", 3)]
        with pytest.raises(ValueError, match=message):
            matched([self.KERNEL, self.BIAS, self.OTHER_BIAS], given, names)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"faithful": False}, "faithful must be true"),
        ({"layers": 1}, "layers must be at least 2, got 1"),
        ({"halvings": 0}, "halvings must be 1, got 0"),
        ({"likelihood": "discretized_logistic"}, r"likelihood must be .* got \('discretized_logistic', 3, 8\)"),
        ({"padding": 2}, "padding must be 0 with a mixture"),
    ],
)
def test_models_that_the_published_program_lacks_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        require_published_model(dataclasses.replace(CIFAR_LIKE, **fields))


@pytest.mark.usefixtures("small_preset")
class TestCommandLine:
    def command(self, tmp_path, *options):
        return [
            "import-attentive",
            str(tmp_path / "model.h5"),
            "--preset",
            "any",
            "--run-dir",
            str(tmp_path / "run"),
            *options,
        ]

    def test_imported_model_draws_images(self, tmp_path):
        keras_file(CIFAR_LIKE, tmp_path / "model.h5")
        assert main(self.command(tmp_path)) == 0
        model, _ = load_run(tmp_path / "run")
        assert model.sample(2).shape == (2, 3, 8, 8)

    def test_tensors_without_counterpart_are_printed_before_the_refusal(self, tmp_path, capsys):
        keras_file(dataclasses.replace(CIFAR_LIKE, layers=3), tmp_path / "model.h5")
        assert main(self.command(tmp_path)) == 1
        said = capsys.readouterr().err.splitlines()
        assert said[-1].startswith("avae: the file is not of this model: ")
        of_model, of_file = ([line for line in said if line.startswith(side)] for side in ("model: ", "file: "))
        listed = (len(published_tensors(dataclasses.replace(CIFAR_LIKE, layers=layers).build())) for layers in (4, 3))
        assert len(of_model) - len(of_file) == next(listed) - next(listed)
        assert any("merge.map.direction, a kernel (1, 1, 10, 10)" in line for line in of_model)
        assert not (tmp_path / "run").exists()

    def test_file_of_names_brings_a_shuffled_file_in_order(self, tmp_path):
        variables = keras_file(CIFAR_LIKE, tmp_path / "model.h5")
        with h5py.File(tmp_path / "model.h5", "a") as file:
            file.attrs["layer_names"] = file.attrs["layer_names"][::-1]
        (tmp_path / "names.json").write_text(json.dumps({v.ours: name for name, v in variables.items()}))
        assert main(self.command(tmp_path)) == 1
        assert main(self.command(tmp_path, "--names", str(tmp_path / "names.json"))) == 0
        weights = load_run(tmp_path / "run")[0].state_dict()
        assert all(torch.equal(weights[v.ours], _in_our_layout(v, CIFAR_LIKE)) for v in variables.values())

    def test_other_files_are_refused_in_one_line(self, tmp_path, capsys):
        assert main(self.command(tmp_path)) == 1
        (tmp_path / "model.h5").write_text("no HDF5")
        assert main(self.command(tmp_path)) == 1
        with h5py.File(tmp_path / "model.h5", "w") as file:
            file["weights"] = np.zeros(3)
        assert main(self.command(tmp_path)) == 1
        keras_file(CIFAR_LIKE, tmp_path / "whole.h5")
        (tmp_path / "model.h5").write_bytes((tmp_path / "whole.h5").read_bytes()[:-5000])
        assert main(self.command(tmp_path)) == 1
        first, second, third, fourth = capsys.readouterr().err.splitlines()
        assert "cannot use" in first and "No such file" in first
        assert "is damaged, or no HDF5 file as Keras 2 writes it" in second
        assert "it lists no layer_names" in third
        assert "is damaged, or no HDF5 file" in fourth

    def test_weights_that_are_not_finite_are_refused(self, tmp_path, capsys):
        keras_file(CIFAR_LIKE, tmp_path / "model.h5")
        with h5py.File(tmp_path / "model.h5", "a") as file:
            layer = file.attrs["layer_names"][0]
            name = file[layer].attrs["weight_names"][0]
            file[layer][name][...] = np.nan
        assert main(self.command(tmp_path)) == 1
        assert "holds NaN or infinity" in capsys.readouterr().err
        assert not (tmp_path / "run").exists()

    @pytest.mark.parametrize(("content", "message"), [("[]", "must hold a JSON object"), ("{", "is no JSON file")])
    def test_files_of_names_with_other_content_are_refused(self, tmp_path, capsys, content, message):
        (tmp_path / "names.json").write_text(content)
        assert main(self.command(tmp_path, "--names", str(tmp_path / "names.json"))) == 1
        assert message in capsys.readouterr().err
