"""Ways of calling a student's function as a request asks, and of recording what happens.

This runs in the same process as the student's code. So nothing here knows a right answer, and no report from here is
trusted.
"""

from __future__ import annotations

import linecache
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from avae_lib.checking.nested_calls import call_nested
from avae_lib.checking.records import MAX_TEXT, Observation, Raised, Recorded, Request
from avae_lib.checking.toy_training import ToyAdam, ToyModel, ToySGD

__all__ = ["PAIR", "RANDOM_NUMBERS", "observe"]

RANDOM_NUMBERS = "torch's random numbers"
PAIR = ("first result", "second result")


def observe(function: Callable, request: Request) -> Observation:
    """Call ``function`` as ``request`` asks. Whatever it raises, even ``SystemExit``, is part of the observation.

    During the call, torch's global generator is seeded from the request; afterwards it is as before.

    >>> request = Request("square", {"x": torch.tensor([1.0, 3.0])}, gradients=("x",))
    >>> seen = observe(lambda x: x * x, request)
    >>> seen.outputs["result"].array
    tensor([1., 9.])
    >>> observe(lambda x: x / None, request).error.type
    'TypeError'
    """
    inputs = {name: _fresh(value, name in request.gradients) for name, value in request.inputs.items()}
    try:
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.default_generator.manual_seed(request.seed)  # not torch.manual_seed: it looks for devices first
            return HARNESSES[request.harness](function, inputs, request)
    except BaseException as error:  # the student's code may raise anything, and all of it is an answer
        return Observation(error=_raised(error, function))


def _call(function: Callable, inputs: dict[str, Any], request: Request) -> Observation:
    """``function(**inputs)``: its result, the gradients of ⟨result, cotangent⟩, and the inputs after the call.

    The function gets copies, because autograd refuses to edit leaves in place, and a case of its own judges that slip.
    """
    handed = {name: value.clone() if isinstance(value, Tensor) else value for name, value in inputs.items()}
    result = function(**handed)
    return Observation(
        outputs={"result": Recorded.of(result)},
        gradients=_gradients(result, inputs, request),
        inputs_after=_left_behind(handed),
    )


def _call_twice(function: Callable, inputs: dict[str, Any], request: Request) -> Observation:
    """Two calls with equal inputs: a function of its inputs alone gives the same result twice."""
    first = Recorded.of(function(**{name: _fresh(value) for name, value in inputs.items()}))
    again = Recorded.of(function(**inputs))
    return Observation(
        outputs={"result": first, "result of a second call with the same inputs": again},
        inputs_after=_left_behind(inputs),
    )


def _call_nested(function: Callable, inputs: dict[str, Any], request: Request) -> Observation:
    """See :func:`avae_lib.checking.nested_calls.call_nested`; and the next number of torch's global generator."""
    seen = call_nested(function, request)
    return replace(seen, inputs_after={**seen.inputs_after, **_left_behind({})})


def _call_for_pair(function: Callable, inputs: dict[str, Any], request: Request) -> Observation:
    """``first, second = function(**inputs)``; a plain number counts as a tensor without dimensions."""
    dtype = next(value.dtype for value in inputs.values() if isinstance(value, Tensor))
    result = function(**inputs)
    is_pair = isinstance(result, tuple | list) and len(result) == 2
    named = {"result": result}
    if is_pair:
        named = {name: _as_tensor(value, dtype) for name, value in zip(PAIR, result, strict=True)}
    outputs = {name: Recorded.of(value) for name, value in named.items()}
    return Observation(outputs, inputs_after=_left_behind(inputs))


def _call_on_softmax(function: Callable, inputs: dict[str, Any], request: Request) -> Observation:
    """``function`` of probabilities whose logits are the inputs, and gradients with respect to the logits.

    Whether a function of probabilities divides by their sum, which is one, then makes no difference.
    """
    result = function(**{name: logits.softmax(dim=-1).clone() for name, logits in inputs.items()})
    return Observation({"result": Recorded.of(result)}, _gradients(result, inputs, request), _left_behind(inputs))


def _training_step(function: Callable, inputs: dict[str, Any], request: Request) -> Observation:
    """``function(model, optimizer, x)`` for each batch in turn, on a model that is built from the inputs.

    Before each call, the gradients are set to the stale values of the request and torch's generator is seeded, so that
    a slip in one call does not change the noise of the next.
    """
    model = ToyModel(inputs["encoder"], inputs["decoder"], inputs["log_scale"]).train(inputs["training"])
    optimizer = OPTIMIZERS[inputs["optimizer"]](model.parameters(), inputs["learning_rates"])
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    seen = {}
    for number, x in enumerate(inputs["batches"], start=1):
        _leave_gradients(model, inputs["stale_gradient"])
        torch.default_generator.manual_seed(request.seed + number)
        seen[f"loss of call {number}"] = Recorded.of(function(model, optimizer, x))
    for name, parameter in model.named_parameters():
        seen[f"change of the {name}"] = Recorded.of(parameter.detach() - before[name])
    seen["number of optimizer steps"] = Recorded.of(optimizer.steps)
    seen["number of calls of the model"] = Recorded.of(model.calls)
    tensors = {name: Recorded.of(value) for name, value in inputs.items() if isinstance(value, Tensor)}
    # The next random number is none of these: models draw as they please.
    return Observation(seen | _settings(model, optimizer), inputs_after=tensors)


def _leave_gradients(model: ToyModel, value: float) -> None:
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, value) if value else None


def _settings(model: ToyModel, optimizer: ToySGD) -> dict[str, Recorded]:
    """Settings of model, optimizer and autograd that a training step must not change."""
    numbers = [float(v) for group in optimizer.param_groups for v in group.values() if isinstance(v, int | float)]
    learnable = [parameter.requires_grad for parameter in model.parameters()]
    return {
        "training mode of the model": Recorded.of(model.training),
        "requires_grad of the parameters": Recorded.of(torch.tensor(learnable)),
        "grad mode of torch": Recorded.of(torch.is_grad_enabled()),
        "list of the optimizer's settings": Recorded.of(torch.tensor(numbers, dtype=torch.float64)),
    }


OPTIMIZERS = {"SGD": ToySGD, "Adam": ToyAdam}
HARNESSES = {
    "call": _call,
    "call_twice": _call_twice,
    "call_nested": _call_nested,
    "call_for_pair": _call_for_pair,
    "call_on_softmax": _call_on_softmax,
    "training_step": _training_step,
}


def _as_tensor(value: Any, dtype: torch.dtype) -> Any:
    """A plain number, of Python or NumPy, as a tensor in the precision of the inputs: it has none of its own."""
    if isinstance(value, int | float | np.number) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return torch.tensor(float(value), dtype=dtype)
    return value


def _fresh(value: Any, requires_grad: bool = False) -> Any:
    return value.detach().clone().requires_grad_(requires_grad) if isinstance(value, Tensor) else value


def _left_behind(inputs: dict[str, Any]) -> dict[str, Recorded]:
    """The inputs as the call left them, and the next number of torch's global generator, to be drawn by nobody else."""
    tensors = {name: Recorded.of(value) for name, value in inputs.items() if isinstance(value, Tensor)}
    return tensors | {RANDOM_NUMBERS: Recorded.of(torch.rand((), dtype=torch.float64))}


def _gradients(result: Any, inputs: dict[str, Any], request: Request) -> dict[str, Recorded]:
    """The gradient with respect to each requested input; None if no gradient arrives."""
    if not request.gradients:
        return {}
    if not (isinstance(result, Tensor) and result.requires_grad):
        return {name: Recorded.of(None) for name in request.gradients}
    generator = torch.Generator().manual_seed(request.seed)
    cotangent = torch.randn(result.shape, generator=generator, dtype=torch.float64).to(result.dtype)
    sources = [inputs[name] for name in request.gradients]
    # A sum, not grad_outputs: with these, autograd first spends a second on loading sympy.
    gradients = torch.autograd.grad((result * cotangent).sum(), sources, allow_unused=True)
    return dict(zip(request.gradients, map(Recorded.of, gradients), strict=True))


def _raised(error: BaseException, function: Callable) -> Raised:
    return Raised(type(error).__name__[:MAX_TEXT], _message(error), _line_in(function, error))


def _message(error: BaseException) -> str:
    try:
        return _printable(str(error))
    except BaseException:  # an exception whose own __str__ fails says nothing more
        return ""


def _line_in(function: Callable, error: BaseException) -> str:
    """The last line of the function's own file that the exception passed through."""
    file = getattr(getattr(function, "__code__", None), "co_filename", "")
    frames = traceback.extract_tb(error.__traceback__)
    numbers = [frame.lineno for frame in frames if frame.filename == file and frame.lineno]
    return _printable(linecache.getline(file, numbers[-1]).strip()) if numbers else ""


def _printable(text: str) -> str:
    return text[: MAX_TEXT // 2].encode("utf-8", "replace").decode("utf-8")
