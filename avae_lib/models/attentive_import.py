"""The weights of the published Deep Attentive VAE, translated to our names.

Read from github.com/ifiaposto/Deep_Attentive_VI, commit e1077aae, which trains with TensorFlow 2.3 and saves its
weights with Keras. No file of the authors was available when this was written. What it relies on is inferred from
their program and from how Keras lists variables: a layer's own first, then those of its parts in the order in which
they became attributes; per top-level layer the trained ones first, then the running statistics.

The published layout differs from ours in these points, all of them undone here:

* kernels are height × width × in × out; pictures are height × width × channels
* the length of a kernel, ``g``, is kept as its logarithm, as here
* the numbers of the mixture likelihood are interleaved (:func:`mixture_channels`)
* the non-local block in a shortcut that doubles height and width has no biases; here it gets zeros

The inverse temperatures of attention over depth are not in the file: their program never trains them, so they are 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from avae_lib.errors import InvalidInput
from avae_lib.models.attentive import AttentiveConfig, AttentiveVAE
from avae_lib.models.tensor_matching import NamedTensor, PublishedTensor, matched
from avae_lib.models.variational_layer import LearnedTop
from avae_lib.nn.contexts import ChannelNorm
from avae_lib.nn.convolutions import WeightNormConvolution
from avae_lib.nn.nonlocal_block import NonLocalBlock
from avae_lib.nn.residual_cells import JoiningConvolution, Node, ResidualBlock, SummingConvolution

__all__ = ["load_published_weights", "mixture_channels", "published_tensors", "require_published_model"]


# For each kind of module its parameters and parts in the published order; where a module is not listed, that order is
# ours. Parts without weights are passed over.
_PARTS: dict[type[nn.Module], tuple[str, ...]] = {
    Node: ("3", "0", "1"),  # convolution, batch normalisation, non-local block
    ResidualBlock: ("shortcut", "nodes"),
    JoiningConvolution: ("map", "non_local"),
    SummingConvolution: ("map", "match", "non_local"),
    NonLocalBlock: ("gate", "query", "key", "value", "scale"),
    WeightNormConvolution: ("direction", "log_gain", "bias"),
    nn.BatchNorm2d: ("weight", "bias", "running_mean", "running_var"),
    ChannelNorm: ("weight", "bias"),
    LearnedTop: ("constant",),
}
_KINDS: dict[type[nn.Module], dict[str, str]] = {
    WeightNormConvolution: {"direction": "kernel", "log_gain": "g", "bias": "bias"},
    nn.BatchNorm2d: {
        "weight": "gamma",
        "bias": "beta",
        "running_mean": "moving_mean",
        "running_var": "moving_variance",
    },
    ChannelNorm: {"weight": "gamma", "bias": "beta"},
    NonLocalBlock: {"gate": "gamma", "scale": "scale"},
    LearnedTop: {"constant": "constant"},
}
_RUNNING = ("moving_mean", "moving_variance")
_AXES = {"kernel": ((2, 3, 1, 0), (3, 2, 0, 1)), "constant": ((0, 2, 3, 1), (0, 3, 1, 2))}
"""Order of the axes there, as indices of ours, and of ours, as indices of theirs."""


def published_tensors(model: AttentiveVAE) -> list[PublishedTensor]:
    """What the published program saves of such a model, in the order in which its file lists it.

    Args:
        model: built from a configuration that :func:`require_published_model` accepts.

    >>> config = AttentiveConfig(faithful=True, layers=2, width=6, key_channels=2, likelihood="bernoulli", bits=1)
    >>> for tensor in published_tensors(config.build())[:3]:
    ...     print(tensor.name, tensor.kind, tensor.shape)
    readout.join.map.direction kernel (1, 1, 10, 8)
    readout.join.map.log_gain g (8,)
    readout.join.map.bias bias (8,)
    """
    indices = range(len(model.layers))
    groups = [
        ["readout.join"],
        ["readout.cell", "head.projection"],
        ["bottom_up.stem.3", "bottom_up.stem.2"],  # residual blocks, then the first convolution
        *(_parts_of_layer(index, len(indices)) for index in indices),
        *([f"layers.{index}.history.joint_norm"] for index in indices),
    ]
    listed = []
    for group in groups:
        tensors = [tensor for path in group for tensor in _tensors_at(model, path)]
        listed += [tensor for tensor in tensors if tensor.kind not in _RUNNING]
        listed += [tensor for tensor in tensors if tensor.kind in _RUNNING]
    return listed


def load_published_weights(
    model: AttentiveVAE, config: AttentiveConfig, given: Sequence[NamedTensor], names: Mapping[str, str]
) -> dict[str, str]:
    """Give ``model``, built from ``config``, the weights of a published file.

    Args:
        config: one that :func:`require_published_model` accepts.
        given: the tensors of the file, in its order.
        names: for some weights of ours, or for all, the name of the tensor in the file. The others are matched in
            order.

    Returns:
        For every weight of ours that was read, the name of the tensor in the file.

    Raises:
        UnmatchedTensors: some tensors have no counterpart on the other side.
        ValueError: the published program has no such model, or ``names`` names what is not there.

    >>> config = AttentiveConfig(faithful=True, layers=2, width=6, key_channels=2, likelihood="bernoulli", bits=1)
    >>> load_published_weights(config.build(), config, [], {})
    Traceback (most recent call last):
        ...
    avae_lib.models.tensor_matching.UnmatchedTensors: the file is not of this model: 202 weights of the model ...
    """
    require_published_model(config)
    pairs = matched(published_tensors(model), given, names)
    weights = dict(model.named_parameters()) | dict(model.named_buffers())
    read = {wanted.name for wanted, _ in pairs}
    with torch.no_grad():
        for wanted, tensor in pairs:
            weights[wanted.name].copy_(_in_our_layout(wanted, tensor.values, config))
        for name, parameter in model.named_parameters():
            if name not in read:
                parameter.zero_()  # biases that the published program does not have
    return {wanted.name: tensor.name for wanted, tensor in pairs}


def mixture_channels(mixtures: int) -> list[int]:
    """For each number of a pixel's mixture in our order, its place in the published order. Colour images only.

    Both begin with K logits. Ours then has for each colour K means, K log-scales and K coefficients. Theirs has for
    each component three coefficients and six more numbers; all 6K of the latter, read one after the other, are for
    each colour K means and K log-scales.

    With one component, published coefficients come before means and log-scales:

    >>> mixture_channels(1)
    [0, 4, 5, 1, 6, 7, 2, 8, 9, 3]
    """

    def place(index: int) -> int:
        component, number = divmod(index, 6)
        return mixtures + 9 * component + 3 + number

    order = list(range(mixtures))
    for colour in range(3):
        first = colour * 2 * mixtures
        order += [place(first + index) for index in range(2 * mixtures)]
        order += [mixtures + 9 * component + colour for component in range(mixtures)]
    return order


def require_published_model(config: AttentiveConfig) -> None:
    """Refuse a configuration that the published program cannot have.

    Raises:
        ValueError: the message says which of its settings.

    >>> require_published_model(AttentiveConfig(likelihood="bernoulli", bits=1))
    Traceback (most recent call last):
        ...
    avae_lib.errors.InvalidInput: the published program has no such model: faithful must be true
    """
    kind = (config.likelihood, config.image_shape[0], config.bits)
    kinds = [("discretized_logistic_mixture", 3, 8), ("bernoulli", 1, 1)]
    reasons = {
        "faithful must be true": not config.faithful,
        f"layers must be at least 2, got {config.layers}": config.layers < 2,
        f"halvings must be 1, got {config.halvings}": config.halvings != 1,
        f"likelihood must be a mixture for 3 channels of 8 bits or bernoulli for 1 of 1 bit, got {kind}": kind
        not in kinds,
        "padding must be 0 with a mixture": config.padding > 0 and config.likelihood != "bernoulli",
    }
    wrong = [reason for reason, applies in reasons.items() if applies]
    if wrong:
        raise InvalidInput(f"the published program has no such model: {'; '.join(wrong)}")


def _parts_of_layer(index: int, layers: int) -> list[str]:
    """The parts of a stochastic layer in the published order. Its own cell on the way up is one of them."""
    parts = (
        "context_conditioning.gate",
        "evidence_conditioning.gate",
        f"bottom_up.cells.{layers - 1 - index}",
        "top" if index == 0 else "transition.cell",
        "transition.join",
        "merge",
        "posterior",
        "prior",
        "history.norm_of_newest",
        "context_conditioning.norm_of_found",
        "context_conditioning.norm_of_own",
        "evidence_conditioning.norm_of_own",
        "evidence_conditioning.norm_of_found",
    )
    return [part if part.startswith(("bottom_up", "top")) else f"layers.{index}.{part}" for part in parts]


def _tensors_at(model: nn.Module, path: str) -> Iterator[PublishedTensor]:
    """The tensors of the part at ``path``; none where a model has no such part."""
    parent: object = model
    *above, last = path.split(".")
    for name in above:
        parent = getattr(parent, name, None)
    part = getattr(parent, last, None)
    if isinstance(part, nn.Module):
        yield from _tensors_of(part, path)
    elif isinstance(part, Tensor):
        yield PublishedTensor(path, "enc_gamma" if "evidence" in path else "gamma", tuple(part.shape))


def _tensors_of(module: nn.Module, name: str) -> Iterator[PublishedTensor]:
    if name.endswith(".shortcut") and type(module) is nn.Sequential:  # doubles: its convolution comes first
        yield from _tensors_of(module[2], f"{name}.2")
        yield from (tensor for tensor in _tensors_of(module[1], f"{name}.1") if tensor.kind != "bias")
        return
    for part in _PARTS.get(type(module), dict(module.named_children())):
        inner = getattr(module, part)
        if isinstance(inner, nn.Module):
            yield from _tensors_of(inner, f"{name}.{part}")
        elif inner is not None:
            kind = _KINDS[type(module)][part]
            axes = _AXES[kind][0] if kind in _AXES else range(inner.ndim)
            yield PublishedTensor(f"{name}.{part}", kind, tuple(inner.shape[axis] for axis in axes))


def _in_our_layout(wanted: PublishedTensor, values: Tensor, config: AttentiveConfig) -> Tensor:
    if wanted.kind in _AXES:
        values = values.permute(_AXES[wanted.kind][1])
    if wanted.name.startswith("head.") and config.likelihood == "discretized_logistic_mixture":
        values = values[mixture_channels(config.mixtures)]
    return values
