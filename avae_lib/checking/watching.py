"""What a request may have observed beside results: waiting for the device, calls of parts, identity of objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from avae_lib.checking.maps import ChannelMap
from avae_lib.checking.records import Recorded, Request
from avae_lib.checking.structures import built, changed_leaves

__all__ = [
    "CALLED",
    "ON_DEVICE",
    "SOURCE",
    "WAITS",
    "WATCHES",
    "called_parts",
    "changed_inputs",
    "sources_of",
    "waiting",
]

WATCHES = ("host synchronisation", "calls", "identity", "memory", "all pairs")
WAITS, ON_DEVICE, CALLED, SOURCE = "wait for the device", "result on the inputs' device", "call of ", "source of "

# Operations whose outcome the processor must know before it can go on. Not all ways to wait pass through here
# (tolist and numpy read the memory at once), so the function is also called with tensors that hold no numbers.
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

    It is called with ordinary tensors, while all operations are watched, and with tensors without numbers.
    """
    with _Listening() as listening:
        function(**changed_inputs(request, Tensor.clone))
    try:
        result = function(**changed_inputs(request, lambda tensor: tensor.to("meta")))
    except Exception:  # whatever it is: with ordinary tensors it was not raised
        return {WAITS: Recorded.of(True), ON_DEVICE: Recorded.of(True)}
    results = [part for part in (result if isinstance(result, tuple | list) else [result]) if isinstance(part, Tensor)]
    is_there = bool(results) and all(part.device.type == "meta" for part in results)
    return {WAITS: Recorded.of(listening.waited), ON_DEVICE: Recorded.of(is_there)}


def changed_inputs(request: Request, change: Callable[[Tensor], Tensor]) -> dict[str, Any]:
    """The inputs of a request, built anew out of changed tensors."""
    return {
        name: built(changed_leaves(value, lambda _, tensor: change(tensor), name), name)
        for name, value in request.inputs.items()
    }


def called_parts(inputs: Mapping[str, Any]) -> Iterator[tuple[str, Recorded]]:
    """Which of the parts were called at all; how often is nobody's business."""
    for name, value in inputs.items():
        for field, part in vars(value).items() if hasattr(value, "__dataclass_fields__") else ():
            if isinstance(part, ChannelMap):
                yield f"{CALLED}{name}.{field}", Recorded.of(part.calls > 0)


def sources_of(result: Any, inputs: Mapping[str, Any]) -> dict[str, Recorded]:
    """For each item of a list, its number among all items of the lists that were handed over; −1 for other objects."""
    lists = [value for value in inputs.values() if isinstance(value, list)]
    numbers = {id(item): number for number, item in enumerate(item for items in lists for item in items)}
    if not isinstance(result, list):
        return {"result": Recorded.of(result)}
    sources = {f"{SOURCE}result[{n}]": Recorded.of(numbers.get(id(item), -1)) for n, item in enumerate(result[:64])}
    is_new = all(result is not given for given in lists)
    return {"number of entries of result": Recorded.of(len(result)), **sources, "new list": Recorded.of(is_new)}
