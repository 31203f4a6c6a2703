"""Maps of the attention of an attentive model: the weights over depth at every pixel."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from avae_lib.models.attentive import AttentiveVAE
from avae_lib.nn.depthwise_attention import AttentiveConditioning, depthwise_attention

__all__ = ["AttentionMaps", "attention_maps"]


@dataclass(frozen=True)
class AttentionMaps:
    """Weights of attention over depth, which sum to one over the layers attended to."""

    contexts: tuple[Float[Tensor, "batch _ h w"], ...]
    """Weights of layers 2, 3, … on the contexts of layers 1, 2, … above each."""
    evidence: tuple[Float[Tensor, "batch _ h w"], ...]
    """Weights of layers 1, 2, … on their own evidence (merged, except in layer 1) and on the evidence below."""


@torch.no_grad()
def attention_maps(model: AttentiveVAE, x: UInt8[Tensor, "batch channels height width"]) -> AttentionMaps:
    """The attention weights of each layer of a model while it infers the latents of images, for one draw of latents.

    It works with and without normalisation. The latents are drawn with the global random state, as in a call of the
    model.

    Args:
        model: a model with attention over depth.
        x: pixel levels as the model sees them.

    Raises:
        ValueError: the model is local, so its layers attend to no other layers.

    The weights of each pixel sum to one over the layers:

    >>> from avae_lib.data import load, recorded_model
    >>> maps = attention_maps(recorded_model("attentive-photos32"), load("photos32").test[:2])
    >>> len(maps.contexts), maps.contexts[-1].shape, bool((maps.contexts[-1].sum(dim=1) - 1).abs().max() < 1e-5)
    (7, torch.Size([2, 7, 8, 8]), True)
    """
    looks = [module for module in model.modules() if isinstance(module, AttentiveConditioning)]
    if not looks:
        raise ValueError("attention_maps needs an attentive model, but this one is local: its layers look at no others")
    with _outputs_of(model) as (evidence, contexts, merged):
        model(x)
    layers: Any = model.layers
    scales = [layer.context_conditioning.scale() for layer in layers[1:]]
    over_contexts = (
        _weights(context.query, [above.key for above in contexts[: number + 1]], scale)
        for number, (context, scale) in enumerate(zip(contexts[1:], scales, strict=True))
    )
    scales = [layer.evidence_conditioning.scale() for layer in layers]
    over_evidence = (
        _weights(context.evidence_query, [own.key, *(e.key for e in evidence[number + 1 :])], scale)
        for number, (context, own, scale) in enumerate(zip(contexts, [evidence[0], *merged], scales, strict=True))
    )
    return AttentionMaps(tuple(over_contexts), tuple(over_evidence))


def _weights(
    query: Float[Tensor, "batch key_channels h w"], keys: Sequence[Tensor], scale: Tensor | float
) -> Float[Tensor, "batch depth h w"]:
    """The weights of attention, found by giving layer k a value that is 1 in channel k and 0 in all others."""
    depth, (batch, _, height, width) = len(keys), query.shape
    channels = torch.eye(depth, dtype=query.dtype, device=query.device)
    values = [channel.reshape(1, depth, 1, 1).expand(batch, depth, height, width) for channel in channels]
    return depthwise_attention(query, keys, values, scale)


@contextlib.contextmanager
def _outputs_of(model: AttentiveVAE) -> Iterator[tuple[list, list, list]]:
    """Lists that hooks fill while the model is called: evidence, contexts of all layers, merged evidence of all layers
    but the first."""
    evidence, contexts, merged = [], [], []
    hooks = [
        model.bottom_up.register_forward_hook(lambda module, inputs, output: evidence.extend(output)),
        model.top.register_forward_hook(lambda module, inputs, output: contexts.append(output.context)),
    ]
    layers: Any = model.layers
    for layer in layers[1:]:
        hooks.append(layer.transition.register_forward_hook(_appending_to(contexts)))
        hooks.append(layer.evidence_split.register_forward_hook(_appending_to(merged)))
    try:
        yield evidence, contexts, merged
    finally:
        for hook in hooks:
            hook.remove()


def _appending_to(outputs: list):
    def hook(module: nn.Module, inputs: tuple, output: object) -> None:
        outputs.append(output)

    return hook
