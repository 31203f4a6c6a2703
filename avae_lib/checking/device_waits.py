"""Whether a function halts the program to wait for a GPU, and keeps its results on the device of its inputs."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from avae_lib.checking.nested_inputs import changed_inputs
from avae_lib.checking.records import Recorded, Request

__all__ = ["ON_DEVICE", "WAITS", "waiting"]

WAITS = "wait for the device"
ON_DEVICE = "result on the inputs' device"

# Operations whose result the processor needs before it can continue. Some ways to wait are not among them (tolist and
# numpy read the memory directly), so the function is also called with tensors that hold no numbers.
WAITING = {
    "_local_scalar_dense",  # item, float, int, bool, if
    "equal",
    "is_nonzero",
    "nonzero",
    "masked_select",
    "_unique2",
    "unique_dim",
    "unique_consecutive",
}


class _Listening(TorchDispatchMode):
    """Notes whether an operation has to wait for the device."""

    waited = False

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        self.waited |= operation.overloadpacket.__name__ in WAITING
        return operation(*args, **(kwargs or {}))


def waiting(function: Callable, request: Request) -> dict[str, Recorded]:
    """Whether a function waits for the device, and whether its results are on the device of its inputs.

    It is called twice: with ordinary tensors, while all operations are watched, and with tensors without numbers.

    >>> request = Request("positive", {"x": Tensor([1.0, 2.0])})
    >>> bool(waiting(lambda x: x / x.sum().item(), request)[WAITS].array)
    True
    >>> bool(waiting(lambda x: x / x.sum(), request)[WAITS].array)
    False
    """
    with _Listening() as listening:
        function(**changed_inputs(request.inputs, Tensor.clone))
    try:
        result = function(**changed_inputs(request.inputs, lambda tensor: tensor.to("meta")))
    except Exception:  # whatever it is: with ordinary tensors it was not raised
        return {WAITS: Recorded.of(True), ON_DEVICE: Recorded.of(True)}
    results = [part for part in (result if isinstance(result, tuple | list) else [result]) if isinstance(part, Tensor)]
    is_there = bool(results) and all(part.device.type == "meta" for part in results)
    return {WAITS: Recorded.of(listening.waited), ON_DEVICE: Recorded.of(is_there)}
