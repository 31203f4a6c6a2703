"""Small trained models that come with the library, for lectures."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from avae_lib.models.families import config_from_record, config_to_record

__all__ = ["keep_model", "recorded_model", "recorded_model_facts", "recorded_model_names"]

_FOLDER = "data/records/weights"


def recorded_model(name: str) -> nn.Module:
    """A trained model under its averaged weights, in evaluation mode and in float32.

    ``experiments/small_models`` trained them. They are stored in float16, which rounds each weight by at most one part
    in 2,000.

    >>> model = recorded_model("hierarchy-photos32")
    >>> model.image_shape
    (3, 32, 32)

    Raises:
        ValueError: no such model is recorded.
    """
    model = config_from_record(_read(name)["config"]).build()
    content = files("avae_lib").joinpath(_FOLDER, f"{name}.safetensors").read_bytes()
    stored = safetensors.torch.load(content)
    weights = {key: tensor.float() if tensor.is_floating_point() else tensor for key, tensor in stored.items()}
    model.load_state_dict(weights)
    return model.eval()


def recorded_model_facts(name: str) -> dict[str, Any]:
    """How a recorded model was trained: ``steps``, ``seconds``, ``parameters``, ``seed``, ``bits_per_dim``, ….

    ``bits_per_dim`` has the bound on validation images and, if it was measured, on test images.

    Raises:
        ValueError: no such model is recorded.

    >>> facts = recorded_model_facts("hierarchy-photos32")
    >>> facts["steps"], facts["bits_per_dim"]["test"]
    (840, 4.898)
    """
    return _read(name)["facts"]


def keep_model(name: str, config: Any, model: nn.Module, facts: dict[str, Any]) -> None:
    """Write a trained model into the library's folder of records, weights in float16.

    Args:
        config: configuration of the model, of a family in :mod:`avae_lib.models.families`.
        model: the model whose weights are written.
        facts: the facts that :func:`recorded_model_facts` is to return.
    """
    folder = Path(str(files("avae_lib").joinpath(_FOLDER)))
    folder.mkdir(parents=True, exist_ok=True)
    weights = {
        key: tensor.detach().to(torch.float16 if tensor.is_floating_point() else tensor.dtype).contiguous()
        for key, tensor in model.state_dict().items()
    }
    (folder / f"{name}.safetensors").write_bytes(safetensors.torch.save(weights))
    record = {"config": config_to_record(config), "facts": facts}
    (folder / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def recorded_model_names() -> tuple[str, ...]:
    """The names of all recorded models, in alphabetical order.

    >>> "hierarchy-photos32" in recorded_model_names()
    True
    """
    entries = files("avae_lib").joinpath(_FOLDER).iterdir()
    return tuple(sorted(entry.name.removesuffix(".json") for entry in entries if entry.name.endswith(".json")))


def _read(name: str) -> dict[str, Any]:
    file = files("avae_lib").joinpath(_FOLDER, f"{name}.json")
    if not file.is_file():
        raise ValueError(f"no recorded model is called {name!r}; there are {', '.join(recorded_model_names())}")
    return json.loads(file.read_text(encoding="utf-8"))
