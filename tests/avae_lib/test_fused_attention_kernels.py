"""The Triton kernels of attention over depth, without a GPU: in Triton's interpreter, and compiled for three GPUs.

Both change Triton for the whole process, so this file runs itself in processes of their own.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from avae_lib.nn import fused_depthwise_attention as operators
from avae_lib.nn.depthwise_attention import depthwise_attention
from avae_lib.nn.fused_depthwise_attention import fused_depthwise_attention

triton = pytest.importorskip("triton", reason="Triton is not made for this system")

OPERATORS = ("weights_over_depth", "weights_over_depth_backward", "mix_over_depth", "mix_over_depth_backward")

# Layers, examples, channels of a key and of a value, height, width; number format; channels last.
CASES = {
    "one layer of one pixel": (1, 1, 1, 1, 1, 1, "float32", False),
    "vectors": (3, 2, 3, 5, 1, 1, "float32", False),
    "odd sizes": (3, 2, 5, 7, 3, 5, "float32", False),
    "odd sizes, channels last": (3, 2, 5, 7, 3, 5, "float32", True),
    "more layers than one table call writes": (17, 1, 20, 70, 8, 10, "float32", False),
    "more layers than one table call writes, channels last": (17, 1, 20, 70, 8, 10, "float32", True),
    "channels of cifar10-attentive-16": (2, 1, 20, 276, 4, 4, "float32", False),
    "channels of cifar10-attentive-16, channels last": (2, 1, 20, 276, 4, 4, "float32", True),
    "sixty-four layers": (64, 1, 2, 3, 2, 2, "float32", False),
    "bfloat16": (5, 2, 8, 33, 4, 5, "bfloat16", False),
    "bfloat16, channels last": (5, 2, 8, 33, 4, 5, "bfloat16", True),
    "float64": (4, 2, 4, 6, 3, 4, "float64", False),
    "float64, channels last": (4, 2, 4, 6, 3, 4, "float64", True),
}
TOLERANCES = {"float32": 1e-4, "bfloat16": 2**-7, "float64": 1e-12}
"""Relative to the largest number. The interpreter stores bfloat16 by cutting digits off, where a GPU rounds."""

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def here(task, *arguments, **environment):
    """What this file prints in a process of its own."""
    command = [sys.executable, __file__, task, *arguments]
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": path} | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def errors():
    return here("interpret", TRITON_INTERPRET="1")


@pytest.mark.parametrize("case", CASES)
def test_interpreted_kernels_agree_with_attention_in_float64(errors, case):
    """The result, and the gradients of query, keys, values and scale; memory is full of NaN before it is written."""
    assert max(errors[case]) < TOLERANCES[CASES[case][6]]


def test_interpreted_kernels_pick_by_large_scores_and_copy_layers_of_another_layout(errors):
    assert errors["scores of 1e9 and values of 1e30"] == 0
    assert errors["mixed layouts"] < 1e-5


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    return here("compile", TRITON_CACHE_DIR=str(tmp_path_factory.mktemp("cache")), TRITON_INTERPRET="0")


@pytest.mark.parametrize("capability", [75, 80, 90])
def test_kernels_compile_for_gpus_without_running_out_of_registers(compiled, capability):
    """A Turing (T4), an Ampere (A100) and a Hopper (H100, H200), at the sizes of cifar10-attentive-16."""
    kernels = [kernel for kernel in compiled if kernel["capability"] == capability]
    assert {kernel["name"] for kernel in kernels} == {"_write_table", *(f"_{name}_kernel" for name in SHORT_NAMES)}
    for kernel in kernels:
        assert kernel["target"] == f"sm_{capability}" or kernel["target"] == f"sm_{capability}a"
        assert kernel["bytes"] > 1000
        assert kernel["stack"] == 0, "registers are spilled into memory"
        assert kernel["registers"] <= 128


def test_maps_are_loaded_and_stored_several_elements_at_once(compiled):
    for kernel in compiled:
        if kernel["name"] != "_write_table":
            assert kernel["wide_loads"] >= 4
        if kernel["name"] in ("_mix_kernel", "_mix_backward_kernel", "_weights_backward_kernel"):
            assert kernel["wide_stores"] >= 2


@needs_gpu
@pytest.mark.parametrize("case", CASES)
def test_kernels_on_a_gpu_agree_with_attention_in_float64(case):
    *sizes, dtype, channels_last = CASES[case]
    arguments = history(*sizes, getattr(torch, dtype), channels_last, device="cuda")
    assert max(largest_errors(*arguments)) < TOLERANCES[dtype]


@needs_gpu
def test_a_step_captured_as_a_graph_follows_its_inputs():
    query, keys, values = history(17, 2, 20, 64, 8, 8, torch.float32, True, device="cuda")

    def step():
        result = fused_depthwise_attention(query, keys, values, 0.5)
        return result, torch.autograd.grad(result.square().sum(), [query, *keys, *values])

    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        step()  # compiles
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured, captured_gradients = step()
    with torch.no_grad():
        query.mul_(2)
        values[3].add_(1)
    graph.replay()
    wanted, gradients = step()
    torch.testing.assert_close(captured, wanted)
    for got, expected in zip(captured_gradients, gradients, strict=True):
        torch.testing.assert_close(got, expected)


SHORT_NAMES = ("weights", "weights_backward", "mix", "mix_backward")


def draw(generator, batch, channels, height, width, dtype, channels_last, device="cpu", first=1):
    """Channels of a larger map, as in a model, from number ``first`` on."""
    x = torch.randn(batch, first + channels + 2 * first, height, width, generator=generator).to(device, dtype)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return x.contiguous(memory_format=layout)[:, first : first + channels].detach().requires_grad_()


def history(layers, batch, key_channels, width, *rest, **options):
    generator = torch.Generator().manual_seed(0)
    query, *keys = [draw(generator, batch, key_channels, *rest, **options) for _ in range(layers + 1)]
    return query, keys, [draw(generator, batch, width, *rest, **options) for _ in range(layers)]


def largest_errors(query, keys, values):
    """Of the result and of each gradient: the largest difference from float64, relative to the largest number."""
    dtype = torch.promote_types(query.dtype, torch.float32)
    scale = torch.tensor(0.6, dtype=dtype, device=query.device, requires_grad=True)
    inputs = [scale, query, *keys, *values]
    result = fused_depthwise_attention(query, keys, values, scale)
    upstream = torch.linspace(-1, 1, result.numel()).reshape(result.shape).sin().to(result)
    got = [result, *torch.autograd.grad(result, inputs, upstream)]
    # A half-precision query is rounded again when it is scaled; the reference starts from there.
    rounded = (scale.detach() * query.detach()).double().requires_grad_()
    exact_keys, exact_values = ([x.detach().double().requires_grad_() for x in part] for part in (keys, values))
    wanted = depthwise_attention(rounded, exact_keys, exact_values, 1.0)
    of_query, *others = torch.autograd.grad(wanted, [rounded, *exact_keys, *exact_values], upstream.double())
    of_scale = (of_query * query.double()).sum()
    expected = [wanted, of_scale, scale.double() * of_query, *others]
    sizes = [max(float(y.detach().abs().max()), 1e-2) for y in expected]
    differences = [(x.double() - y).detach().abs().max() for x, y in zip(got, expected, strict=True)]
    return [float(difference) / size for difference, size in zip(differences, sizes, strict=True)]


def interpret():
    """Errors of the kernels in Triton's interpreter, by case."""
    from avae_lib.nn import fused_attention_kernels

    for name in OPERATORS:
        getattr(operators, name).register_kernel("cpu")(getattr(fused_attention_kernels, name))
    torch.use_deterministic_algorithms(True)  # fills new memory with NaN
    errors = {}
    for case, (*sizes, dtype, channels_last) in CASES.items():
        errors[case] = largest_errors(*history(*sizes, getattr(torch, dtype), channels_last))
    query, keys, values = history(4, 2, 3, 5, 3, 4, torch.float32, False)
    mixed = [x.detach().contiguous(memory_format=torch.channels_last).requires_grad_() for x in values[:3]]
    one_for_all = values[0].detach()[:1].expand(2, -1, -1, -1).requires_grad_()
    errors["mixed layouts"] = max(
        *largest_errors(query, keys, [*mixed, values[3]]), *largest_errors(query, keys, [one_for_all, *values[1:]])
    )
    large = [index * 1e9 * torch.ones_like(query) / query.detach() for index in range(4)]
    picked = fused_depthwise_attention(query, large, [1e30 * value for value in values], 1.0)
    errors["scores of 1e9 and values of 1e30"] = float((picked - 1e30 * values[3]).abs().max())
    return errors


class ImaginedGPU:
    """A driver that says which GPU to compile for, and has none."""

    def __init__(self, capability):
        from triton.backends.compiler import GPUTarget

        self.target = GPUTarget("cuda", capability, 32)

    def get_current_target(self):
        return self.target

    def get_current_device(self):
        return self.target.arch

    def get_current_stream(self, device):
        return 0


def compile_for_gpus():
    """What the kernels become that a forward and a backward pass would start."""
    from triton.runtime.jit import JITFunction

    from avae_lib.nn import fused_attention_kernels

    compiled = []
    for name in OPERATORS:
        getattr(operators, name).register_kernel("cpu")(getattr(fused_attention_kernels, name))
    JITFunction.__getitem__ = lambda kernel, grid: (
        lambda *arguments, **options: compiled.append(kernel.run(*arguments, grid=grid, warmup=True, **options))
    )
    for capability, dtype, channels_last in (
        (90, torch.bfloat16, True),
        (90, torch.float32, True),
        (90, torch.bfloat16, False),
        (90, torch.float32, False),
        (80, torch.bfloat16, True),
        (75, torch.float32, False),
    ):
        triton.runtime.driver.set_active(ImaginedGPU(capability))
        query, keys, values = history(17, 2, 20, 276, 16, 16, dtype, channels_last, first=4)
        fused_depthwise_attention(query, keys, values, 1.0).sum().backward()
    return [described(kernel) for kernel in {kernel.hash: kernel for kernel in compiled}.values()]


def described(kernel):
    assembly = kernel.asm["ptx"]
    (target,) = re.findall(r"^\.target (\w+)", assembly, re.MULTILINE)
    return {
        "name": kernel.metadata.name,
        "capability": kernel.metadata.target.arch,
        "target": target,
        "bytes": len(kernel.asm["cubin"]),
        "wide_loads": len(re.findall(r"ld\.global\.v[24]", assembly)),
        "wide_stores": len(re.findall(r"st\.global\.v[24]", assembly)),
        **used_resources(kernel.asm["cubin"]),
    }


def used_resources(binary):
    """Registers of a thread and bytes of its stack."""
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    file = Path(os.environ["TRITON_CACHE_DIR"]) / "kernel.cubin"
    file.write_bytes(binary)
    shown = subprocess.run([tool, "-res-usage", file], capture_output=True, text=True, check=True).stdout
    ((registers, stack),) = re.findall(r"REG:(\d+) STACK:(\d+)", shown)
    return {"registers": int(registers), "stack": int(stack)}


if __name__ == "__main__":
    print(json.dumps({"interpret": interpret, "compile": compile_for_gpus}[sys.argv[1]]()))
