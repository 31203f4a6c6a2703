"""Time, memory and error of the likelihood of pixels, in float64 and in float32, and its share of a training step.

    python benchmarks/likelihood.py                          prints one table and records it in benchmarks/results/
    python benchmarks/likelihood.py --device cuda            on a GPU, with larger batches
    python benchmarks/likelihood.py --presets photos32-vdvae

Three ways to compute a discretised logistic mixture are compared, each eager and compiled:

* float64: as on the CPU;
* float32: as on a GPU, where the distance between level and mean is computed without rounding;
* rounded: float32 throughout, which keeps too few digits where a logistic is narrow.

Errors are the largest among pixels that are hard to compute: narrow logistics close to the level. Of values they are
relative to the nats of a channel, or absolute below one nat; of gradients they are relative to the largest one of the
pixel. The step whose share is given is forward and backward pass of the preset's model, eager, on a GPU in bfloat16.
On a CPU all times are processor time with one thread, which other programs lengthen less than the time on the clock.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import torch
from records import Table, options_of, record  # also puts the repository on the path, so it comes before avae_lib
from torch import Tensor
from torch.utils.benchmark import Timer
from torch.utils.benchmark.utils.timer import timer as synchronizing_timer
from training_steps.arithmetic import added_on_gpu

from avae_lib.likelihoods import discretized_logistic, logistic_mixture, scale_pixels
from avae_lib.presets import find_preset

BATCHES = {"cifar10-vdvae": (8, 32), "cifar10-attentive-16": (4, 64), "photos32-vdvae": (8, 128)}
"""Images at a time on a CPU and on a GPU."""
SECONDS = 1.0
"""Each time is a median of runs over at least so long, or of one run that takes longer."""


@contextlib.contextmanager
def computed_in(way: str) -> Iterator[None]:
    """The likelihood in one of three ways, whatever the device."""
    with contextlib.ExitStack() as patches:
        for module in (discretized_logistic, logistic_mixture):
            patches.enter_context(patch.object(module, "computes_in_float32", lambda x: way == "float32"))
            if way == "rounded":
                patches.enter_context(patch.object(module, "widest_float", lambda x: torch.float32))
        torch.compiler.reset()
        yield


def log_prob(x: Tensor, params: Tensor) -> Tensor:
    """The nats of each image, of 8 bits."""
    return logistic_mixture.logistic_mixture_log_prob(x, params, bits=8)


def milliseconds(function: Callable[[], Any]) -> float:
    """The median time of a call, the first one left out."""
    function()
    clock = synchronizing_timer if torch.cuda.is_available() else time.process_time
    timer = Timer("function()", timer=clock, globals={"function": function})
    return 1e3 * timer.blocked_autorange(min_run_time=SECONDS).median


def step_time(preset: str, batch: int, device: str) -> float:
    """Milliseconds of forward and backward pass of a preset's model on random images."""
    model = find_preset(preset).build_model().to(device)
    x = torch.randint(256, (batch, 3, 32, 32), dtype=torch.uint8, device=device)

    def step() -> None:
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            elbo = model(x)
        (elbo.kl.sum(dim=1) - elbo.log_likelihood).mean().backward()

    return milliseconds(step)


def hard_pixels(mixtures: int, count: int = 4096) -> tuple[Tensor, Tensor]:
    """Levels, and components within two bins of them that are half a bin to a few bins wide."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(256, (count, 3, 1, 1), generator=generator, dtype=torch.uint8)
    raw = torch.randn(count, 3, mixtures, generator=generator)
    log_scale = torch.empty(count, 3, mixtures).uniform_(-7.5, -4, generator=generator)
    red, green, blue = scale_pixels(x, bits=8)[:, :, 0].unbind(dim=1)  # each (count, 1)
    own = torch.tanh(raw)
    shifted = torch.stack([red + 0 * own[:, 0], green - own[:, 0] * red, blue - own[:, 1] * red - own[:, 2] * green], 1)
    mean = shifted + torch.empty_like(shifted).uniform_(-2 / 255, 2 / 255, generator=generator)
    logits = torch.randn(count, mixtures, generator=generator)
    of_channels = torch.stack([mean, log_scale, raw], dim=2).flatten(1)
    return x, torch.cat([logits, of_channels], dim=1)[:, :, None, None]


def errors(mixtures: int, way: str, device: str) -> dict[str, float]:
    """The largest error of values and of gradients on hard pixels, against float64 throughout."""
    x, params = hard_pixels(mixtures)
    exact_value, exact_gradient = _value_and_gradient(x, params.double())
    with computed_in(way):
        value, gradient = (part.double().cpu() for part in _value_and_gradient(x.to(device), params.to(device)))
    off = (value - exact_value).abs() / exact_value.abs().clamp(min=3)  # three channels
    off_gradient = (gradient - exact_gradient).abs().amax(1) / exact_gradient.abs().amax(1)
    return {"error": off.max().item(), "gradient_error": off_gradient.max().item()}


def _value_and_gradient(x: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
    params = params.detach().requires_grad_()
    value = log_prob(x, params)
    return value.detach(), torch.autograd.grad(value.sum(), params)[0]


def times_and_memory(mixtures: int, batch: int, way: str, compiled: bool, device: str) -> dict[str, float]:
    """Milliseconds of the forward pass, and of it with the backward pass; megabytes at the peak or kept in between."""
    x = torch.randint(256, (batch, 3, 32, 32), dtype=torch.uint8, device=device)
    params = torch.randn(batch, 10 * mixtures, 32, 32, device=device, requires_grad=True)
    with computed_in(way):
        function = torch.compile(log_prob, fullgraph=True) if compiled else log_prob

        def both() -> None:
            params.grad = None
            function(x, params).sum().backward()

        if device == "cuda":
            memory = added_on_gpu(both, torch.device(device))
        else:
            memory = kept_memory(lambda: function(x, params))
        return {
            "forward_ms": milliseconds(lambda: function(x, params)),
            "both_ms": milliseconds(both),
            "memory_mb": memory / 1e6,
        }


def kept_memory(function: Callable[[], Any]) -> int:
    """Bytes that a call keeps for its backward pass, its arguments included."""
    kept = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = (storage.nbytes(), tensor)  # the tensor stays, so that no other gets its place
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        function()
    return sum(size for size, _ in kept.values())


def main() -> None:
    parser = options_of(__doc__)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="Where to measure.")
    parser.add_argument("--presets", nargs="+", default=list(BATCHES), choices=BATCHES, help="Presets to measure.")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table = Table(
        preset="<22", mixtures=">8", batch=">5", way="<8", compiled="<8", forward_ms=">10.2f", both_ms=">8.2f",
        memory_mb=">9.1f", error=">8.0e", gradient_error=">14.0e", share=">7.2%"
    )  # fmt: skip
    for preset in arguments.presets:
        batch = BATCHES[preset][arguments.device == "cuda"]
        mixtures = vars(find_preset(preset).model)["mixtures"]
        step = step_time(preset, batch, arguments.device)
        for way in ("float64", "float32", "rounded"):
            accuracy = errors(mixtures, way, arguments.device)
            for compiled in (False, True):
                costs = times_and_memory(mixtures, batch, way, compiled, arguments.device)
                shown = {"way": way, "compiled": "yes" if compiled else "no", "share": costs["both_ms"] / step}
                table.add(preset=preset, mixtures=mixtures, batch=batch, step_ms=step, **shown, **costs, **accuracy)
    record("likelihood", table.rows, arguments.device)


if __name__ == "__main__":
    main()
