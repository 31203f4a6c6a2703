"""Attention over depth in two operators: the same numbers and gradients as pair by pair, in a function and in a model.

What runs here is the algorithm in PyTorch; test_fused_attention_kernels.py puts the kernels in its place.
"""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from avae_lib import components
from avae_lib.data import ImageDataset
from avae_lib.errors import InvalidInput
from avae_lib.models.attentive import AttentiveConfig
from avae_lib.nn.depthwise_attention import depthwise_attention
from avae_lib.nn.fused_depthwise_attention import (
    fused_depthwise_attention,
    mix_over_depth,
    weights_over_depth,
)
from avae_lib.presets import find_preset
from avae_lib.training import fused_attention as switch
from avae_lib.training.activation_checkpointing import activation_checkpointing
from avae_lib.training.checkpoints import Checkpoints
from avae_lib.training.fit import fit
from avae_lib.training.fused_attention import fused_attention, require_fused_attention
from avae_lib.training.training_config import TrainingConfig

LAYOUTS = [torch.contiguous_format, torch.channels_last]


def history(depth=5, key_channels=4, width=6, side=3, dtype=torch.float64, layout=torch.contiguous_format, seed=0):
    """Query, keys and values that are channels of larger maps, as in a model."""
    generator = torch.Generator().manual_seed(seed)

    def draw(channels):
        x = torch.randn(2, channels + 3, side, side + 1, generator=generator, dtype=torch.float64)
        return x.to(dtype).contiguous(memory_format=layout)[:, 1 : 1 + channels].requires_grad_()

    return draw(key_channels), [draw(key_channels) for _ in range(depth)], [draw(width) for _ in range(depth)]


def result_and_gradients(attention, query, keys, values, scale):
    result = attention(query, keys, values, scale)
    inputs = dict.fromkeys([query, *keys, *values, *([scale] if isinstance(scale, torch.Tensor) else [])])
    upstream = torch.linspace(-1, 1, result.numel(), dtype=result.dtype).reshape(result.shape)
    return result, torch.autograd.grad(result, list(inputs), upstream)


def assert_same(arguments, **tolerance):
    wanted, wanted_gradients = result_and_gradients(depthwise_attention, *arguments)
    got, gradients = result_and_gradients(fused_depthwise_attention, *arguments)
    torch.testing.assert_close(got, wanted, **tolerance)
    for gradient, expected in zip(gradients, wanted_gradients, strict=True):
        torch.testing.assert_close(gradient, expected, **tolerance)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("depth", [1, 2, 17, 64])
def test_result_and_all_gradients_are_those_of_attention_pair_by_pair(depth, layout):
    scale = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    assert_same((*history(depth, layout=layout), scale), rtol=1e-11, atol=1e-12)
    assert_same((*history(depth, layout=layout), 2.5), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layers_of_other_layouts_and_without_a_batch_of_their_own_count_alike(layout):
    query, keys, values = history(layout=layout)
    keys[2], values[1] = keys[2].mT.contiguous().mT, values[1].contiguous(memory_format=LAYOUTS[0])
    values[3] = values[3].contiguous(memory_format=torch.channels_last)
    keys[0], values[0] = keys[0][:1].expand(2, -1, -1, -1), values[0][:1].expand(2, -1, -1, -1)
    assert_same((query, keys, values, 0.7), rtol=1e-11, atol=1e-12)


def test_a_tensor_that_serves_twice_gets_the_sum_of_its_gradients():
    query, keys, values = history()
    assert_same((query, [keys[0], keys[1], keys[0]], [values[0], values[0], values[1]], 0.7), rtol=1e-11, atol=1e-12)
    assert_same((query, [query, keys[1]], values[:2], 0.7), rtol=1e-11, atol=1e-12)


def test_gradients_agree_with_finite_differences():
    query, keys, values = history(depth=2)
    inputs = [tensor[:1, :, :2, :1].detach().clone().requires_grad_() for tensor in (query, *keys, *values)]
    scale = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s, q, *kv: fused_depthwise_attention(q, kv[:2], kv[2:], s), (scale, *inputs))


def test_large_scores_pick_and_large_values_survive():
    query, _, values = history(dtype=torch.float32)
    keys = [1e9 * index / 5 * torch.ones_like(query) / query.detach() / 4 for index in range(5)]
    values = [1e30 * value for value in values]
    result = fused_depthwise_attention(query, keys, values, torch.ones(()))
    assert torch.equal(result, values[-1])
    (of_query,) = torch.autograd.grad((result * 1e-30).sum(), query)
    assert of_query.isfinite().all()


def test_half_precision_inputs_are_summed_in_float32():
    query, keys, values = history(depth=64, dtype=torch.bfloat16)
    result, gradients = result_and_gradients(fused_depthwise_attention, query, keys, values, 1.0)
    exact = [[x.detach().double().requires_grad_() for x in part] for part in ([query], keys, values)]
    wanted, wanted_gradients = result_and_gradients(depthwise_attention, exact[0][0], *exact[1:], 1.0)
    assert result.dtype == torch.float32 and {gradient.dtype for gradient in gradients} == {torch.bfloat16}
    torch.testing.assert_close(result.double(), wanted, rtol=1e-5, atol=1e-5)
    for gradient, expected in zip(gradients, wanted_gradients, strict=True):
        torch.testing.assert_close(gradient.double(), expected, rtol=2**-8, atol=1e-5)


def test_a_layer_of_another_number_format_is_read_in_that_of_the_others():
    query, keys, values = history(dtype=torch.bfloat16)
    with_float32 = [values[0].float(), *values[1:]]
    result = fused_depthwise_attention(query, keys, with_float32, 1.0)
    assert torch.equal(result, fused_depthwise_attention(query, keys, values, 1.0))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda q, k, v: (q, [], []), "got 0 keys and 0 values"),
        (lambda q, k, v: (q, k[1:], v), "got 4 keys and 5 values"),
        (lambda q, k, v: (q, [*k[:4], k[4][..., 1:]], v), r"keys\[4\] must have the shape \(2, 4, 3, 4\), got"),
        (lambda q, k, v: (q, k, [v[0], v[1][:, 1:], *v[2:]]), r"values\[1\] must have the shape \(2, 6, 3, 4\), got"),
        (lambda q, k, v: (q, k, [x[:1] for x in v]), r"values\[0\] must have the shape \(2, 6, 3, 4\), got"),
    ],
)
def test_lists_and_shapes_that_do_not_match_are_refused(change, said):
    with pytest.raises(ValueError, match=said):
        fused_depthwise_attention(*change(*history()), 1.0)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_operators_are_as_the_compiler_expects_them(layout):
    query, keys, values = history(depth=3, layout=layout)
    weights = torch.rand(2, 3, 3, 4, dtype=torch.float64, requires_grad=True)
    for channels_last in (False, True):
        torch.library.opcheck(weights_over_depth, (query, keys, channels_last))
        torch.library.opcheck(mix_over_depth, (weights, values, channels_last))


COMPILED = """
import torch
from avae_lib.nn.depthwise_attention import depthwise_attention
from avae_lib.nn.fused_depthwise_attention import fused_depthwise_attention

layers = [torch.randn(2, channels, 4, 4, requires_grad=True) for channels in (3, *16 * (3,), *16 * (6,))]
scale = torch.tensor(0.7, requires_grad=True)

def gradients(attention):
    result = attention(layers[0], layers[1:17], layers[17:], scale)
    return torch.autograd.grad(result.square().sum(), [scale, *layers])

wanted = gradients(depthwise_attention)
for attention in (depthwise_attention, fused_depthwise_attention):
    torch.testing.assert_close(gradients(torch.compile(attention, fullgraph=True)), wanted, rtol=1e-4, atol=1e-5)
"""


@pytest.mark.slow
def test_attention_over_sixteen_layers_compiles_as_one_graph():
    # In a process of its own: the checks of annotations in the tests are nothing that the compiler can read.
    subprocess.run([sys.executable, "-c", COMPILED], check=True)


class Traffic(TorchDispatchMode):
    """Counts the elements of all maps of some channels that operators read and write."""

    def __init__(self, channels):
        super().__init__()
        self.channels = channels
        self.elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if not func.is_view and func._schema.name.rpartition("::")[2] not in ("empty", "new_empty", "empty_like"):
            maps = torch.utils._pytree.tree_leaves((args, result))
            self.elements += sum(
                x.numel() for x in maps if isinstance(x, torch.Tensor) and x.dim() == 4 and x.shape[1] == self.channels
            )
        return result


def maps_per_pair(attention, depth):
    """Maps of a value's size that one layer's attention to ``depth`` others reads and writes, for each of them."""
    query, keys, values = history(depth, key_channels=2, width=7)
    with Traffic(channels=7) as forward:
        result = attention(query, keys, values, 1.0)
    with Traffic(channels=7) as backward:
        torch.autograd.grad(result, [query, *keys, *values], torch.ones_like(result))
    return forward.elements / depth / values[0].numel(), backward.elements / depth / values[0].numel()


def test_a_pair_of_layers_reads_a_value_once_on_the_way_forward_and_once_back():
    forward, backward = maps_per_pair(fused_depthwise_attention, depth=64)
    assert forward < 1.1, "the value is read; the result is written once for all layers"
    assert backward < 2.1, "the value is read, its gradient written; that of the result is read once for all layers"
    forward, backward = maps_per_pair(depthwise_attention, depth=64)
    assert forward > 4 and backward > 5, "operator by operator, products and running sums are written and read again"


def kept_bytes(layers, faithful):
    """Bytes of all storages that autograd keeps of a model's forward pass, each once."""
    torch.manual_seed(0)
    config = dataclasses.replace(find_preset("digits-attentive").model, layers=layers, width=60, faithful=faithful)
    model, storages = config.build(), {}

    def keep(tensor):
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(torch.zeros(16, 1, 8, 8, dtype=torch.uint8))
    return sum(storage.nbytes() for storage in storages.values())


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("faithful", [False, True])
def test_a_model_keeps_each_context_once_however_many_layers_look_at_it(faithful, fused):
    with fused_attention(fused):
        few, some, many = (kept_bytes(layers, faithful) for layers in (4, 8, 12))
    of_a_value = 16 * 60 * 4 * 4 * 4  # images, channels, pixels, bytes
    pairs = 4 * 4 * 2  # second difference of the number of pairs, L(L − 1)/2, for contexts and for evidence
    assert many - some - (some - few) < 0.1 * pairs * of_a_value


def model_and_images(preset, faithful=False, layers=4):
    """A model in float64 with open gates, and images."""
    torch.manual_seed(0)
    model = dataclasses.replace(find_preset(preset).model, layers=layers, faithful=faithful).build().double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model, torch.randint(16, (6, 1, 8, 8), dtype=torch.uint8)


def loss_and_gradients(model, x):
    torch.manual_seed(3)
    loss = model(x).bound.mean()
    return loss, torch.autograd.grad(loss, list(model.parameters()), materialize_grads=True)


def assert_same_gradients(got, wanted):
    torch.testing.assert_close(got[0], wanted[0], rtol=1e-10, atol=0)
    for gradient, expected in zip(got[1], wanted[1], strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-8, atol=1e-10 * max(1, expected.abs().max().item()))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("preset", "faithful"),
    [("digits-attentive", False), ("digits-attentive", True), ("digits-attentive-plain", False)],
)
def test_loss_and_gradients_of_a_model_stay_the_same(preset, faithful, layout):
    model, x = model_and_images(preset, faithful)
    model = model.to(memory_format=layout)
    wanted = loss_and_gradients(model, x)
    with fused_attention():
        assert_same_gradients(loss_and_gradients(model, x), wanted)
        with activation_checkpointing(model):
            assert_same_gradients(loss_and_gradients(model, x), wanted)
    assert not components.find("depthwise_attention").is_replaced


def test_bfloat16_changes_the_loss_no_more_than_it_does_as_usual():
    model, x = model_and_images("digits-attentive")
    wanted, _ = loss_and_gradients(model, x)
    model = model.float()
    with torch.autocast("cpu", torch.bfloat16):
        usual, _ = loss_and_gradients(model, x)
        with fused_attention():
            fused, gradients = loss_and_gradients(model, x)
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert abs(fused - wanted) < 2 * abs(usual - wanted) + 1e-3 * abs(wanted)


def test_a_run_refuses_it_on_a_processor_in_one_sentence(tmp_path):
    images = torch.zeros(4, 1, 8, 8, dtype=torch.uint8)
    dataset = ImageDataset("dots", train=images, test=images, bits=4)
    config = TrainingConfig(steps=1, batch_size=2, device="cpu", fused_attention=True)
    with pytest.raises(InvalidInput, match="must be false on cpu: its kernels run on NVIDIA GPUs"):
        fit(find_preset("digits-attentive").build_model(), dataset, config, tmp_path)


@pytest.fixture
def on_this_processor(monkeypatch):
    """The switch without its check of the device, so that training runs the algorithm in PyTorch."""
    monkeypatch.setattr("avae_lib.training.fit.require_fused_attention", lambda model, device: None)


@pytest.mark.parametrize("changes", [{}, {"micro_batch": 3, "activation_checkpointing": True}])
def test_a_run_may_turn_it_on_or_off_and_takes_the_same_course(changes, tmp_path, on_this_processor):
    images = torch.randint(0, 16, (40, 1, 8, 8), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    dataset = ImageDataset("dots", train=images, test=images, bits=4)
    preset = find_preset("digits-attentive")
    usual = TrainingConfig(steps=2, batch_size=6, device="cpu", **changes)
    parts_of = {
        "usual": [usual],
        "fused, then as usual": [dataclasses.replace(usual, steps=1, fused_attention=True), usual],
    }
    for name, parts in parts_of.items():
        for config in parts:
            torch.manual_seed(0)
            fit(preset.build_model(), dataset, config, tmp_path / name, progress_bar=False)
    wanted, got = (Checkpoints(tmp_path / name).load()["model"] for name in parts_of)
    for name, value in wanted.items():
        torch.testing.assert_close(got[name], value, rtol=1e-3, atol=1e-4)


class TestWhereItIsRefused:
    GPU = torch.device("cuda")

    def test_nothing_speaks_against_a_model_with_attention_on_a_gpu(self, monkeypatch):
        monkeypatch.setattr(switch.importlib.util, "find_spec", lambda name: name)
        require_fused_attention(AttentiveConfig().build(), self.GPU)

    @pytest.mark.parametrize("model", [nn.Linear(1, 1), AttentiveConfig(conditioning="local").build()])
    def test_a_model_without_attention(self, model):
        with pytest.raises(InvalidInput, match=f"must be false for {type(model).__name__}, which has no attention"):
            require_fused_attention(model, self.GPU)

    def test_a_students_own_attention_is_not_replaced(self):
        def own(query, keys, values, scale):
            return depthwise_attention(query, keys, values, scale)

        with components.using("depthwise_attention", own), pytest.raises(InvalidInput, match="your own depthwise_att"):
            require_fused_attention(AttentiveConfig().build(), self.GPU)

    def test_another_device_and_a_machine_without_triton(self, monkeypatch):
        with pytest.raises(InvalidInput, match="must be false on cpu: its kernels run on NVIDIA GPUs"):
            require_fused_attention(AttentiveConfig().build(), torch.device("cpu"))
        monkeypatch.setattr(switch.importlib.util, "find_spec", lambda name: None)
        with pytest.raises(InvalidInput, match="must be false without Triton"):
            require_fused_attention(AttentiveConfig().build(), self.GPU)

    def test_training_asks_before_it_begins(self, tmp_path):
        images = torch.zeros(8, 1, 8, 8, dtype=torch.uint8)
        dataset = ImageDataset("dots", train=images, test=images, bits=4)
        config = TrainingConfig(device="cpu", batch_size=4, fused_attention=True)
        with pytest.raises(InvalidInput, match="fused_attention must be false on cpu"):
            fit(find_preset("digits-attentive").build_model(), dataset, config, tmp_path / "run")
        assert not (tmp_path / "run").exists()
