"""Paths through a model's latent space: from one image to another, and along one unit of a layer.

Both infer latents, move some of them and decode. All they need of a model is ``infer`` and ``decode``
(:class:`avae_lib.models.contract.LatentVariableModel`), so they work for every family. Models are used in the mode they
are in: call ``eval()`` first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float, Int, Num
from torch import Generator, Tensor

from avae_lib.errors import InvalidInput
from avae_lib.gaussians import DiagonalGaussian
from avae_lib.models.contract import Inference, LayerDistribution, label_arguments
from avae_lib.observations import AnyModel

__all__ = [
    "Below",
    "arc",
    "interpolate",
    "interpolation_rows",
    "most_informative_units",
    "require_latents",
    "traversal_rows",
    "traverse",
]

Below = Literal["prior", "image"]
"""Where the layers below the moved ones come from: the prior, with the same noise at every step, or the image (of two
images the first), whose latents they keep."""


@torch.no_grad()
def interpolate(
    model: AnyModel,
    first: Num[Tensor, "..."],
    last: Num[Tensor, "..."],
    steps: int = 9,
    *,
    layers: int | None = None,
    below: Below = "prior",
    temperature: float | Sequence[float] = 1.0,
    posterior_temperature: float = 1.0,
    seed: int = 0,
    labels: Int[Tensor, "2"] | None = None,
) -> Num[Tensor, "steps ..."]:
    r"""What a model decodes on the way from the latents of one image to those of another.

    Where the prior of a layer is Gaussian, the path is an arc in standardised latents
    :math:`(z - \mu_p) / \sigma_p` (:func:`arc`). In many dimensions nearly all draws of a standard normal lie at about
    the same distance from 0. The points of a straight line between two of them lie nearer, where the prior hardly ever
    draws (White, "Sampling Generative Networks", 2016). Means and log standard deviations of the prior, which differ
    between the ends below the top layer, move on a straight line. So do latents with another prior. Codes have nothing
    between them: one position after another, in random order, changes from the first image's code to that of the last.

    Args:
        first, last: two images, as in a data set: uint8 ``(channels, height, width)``. Or two rows of tokens.
        steps: number of points on the path, both ends included.
        layers: how many layers, from the top, move; None for all.
        below: where the other layers come from.
        temperature: for layers drawn from the prior, as for ``sample``.
        posterior_temperature: factor on the posteriors' standard deviations at the ends; 0 takes the means.
        seed: for all that is drawn. The global random state is left unchanged.
        labels: classes of the two images, for a conditional model. Each point has the class of the nearer image.

    Returns:
        The expected image of each point, pixel levels, not rounded, ``(steps, channels, height, width)``.

    Raises:
        ValueError: fewer than two steps, or a number of layers that the model does not have.

    The ends are the reconstructions of the two images:

    >>> from avae_lib.data import load, recorded_model
    >>> model, (first, last) = recorded_model("hierarchy-photos32"), load("photos32").test[:2]
    >>> path = interpolate(model, first, last, steps=5, posterior_temperature=0.0)
    >>> ends = model.decode(model.infer(torch.stack([first, last]), posterior_temperature=0.0).draws)
    >>> path.shape, bool(torch.allclose(path[[0, -1]], ends, atol=1e-2))
    (torch.Size([5, 3, 32, 32]), True)
    """
    if steps < 2:
        raise InvalidInput(f"steps must be at least 2, the two ends, got {steps}")
    moved = _layer_count(model, layers)
    _require_below(below)
    found = _inferred(model, torch.stack([first, last]), posterior_temperature, seed, labels)
    generator = Generator().manual_seed(seed)
    shares = [index / (steps - 1) for index in range(steps)]
    paths = [_path(z, prior, shares, generator) for z, prior in zip(found.draws[:moved], found.priors, strict=False)]
    stays = _layers_below(found, moved, below)
    points = [[*(path[index] for path in paths), *stays] for index in range(steps)]
    nearer = [None if labels is None else labels[round(share) :][:1] for share in shares]
    return _decoded(model, points, temperature, seed, nearer)


@torch.no_grad()
def traverse(
    model: AnyModel,
    image: Num[Tensor, "..."],
    layer: int = 1,
    unit: int = 1,
    steps: int = 9,
    *,
    reach: float = 3.0,
    below: Below = "prior",
    temperature: float | Sequence[float] = 1.0,
    posterior_temperature: float = 1.0,
    seed: int = 0,
    labels: Int[Tensor, "1"] | None = None,
) -> Num[Tensor, "steps ..."]:
    """What a model decodes while one unit of one layer moves; the rest of this layer and the layers above stay.

    They stay as inferred from an image.

    Args:
        image: as for :func:`interpolate`.
        layer: number of the layer, 1 for the top.
        unit: number of the latent, from 1. In a layer whose latents are a feature map: of the channel, which moves at
            all positions together.
        steps: number of points, from ``reach`` prior standard deviations below the prior's mean to as many above.
        reach: how far to go, in standard deviations of the prior.
        below: where the layers below come from. Drawn from the prior they follow the unit that moves; in models such
            as a Ladder VAE, whose image depends on the lowest latents alone, nothing else shows what it does.
        temperature, posterior_temperature, seed: as for :func:`interpolate`.
        labels: class of the image, for a conditional model.

    Returns:
        The expected image of each point, pixel levels, not rounded, ``(steps, channels, height, width)``.

    Raises:
        ValueError: a layer or unit that the model does not have, or a layer of codes, which have no order.

    >>> from avae_lib.models.vae import VAEConfig
    >>> model = VAEConfig(latent_dim=2).build()
    >>> traverse(model, torch.zeros(1, 8, 8, dtype=torch.uint8), unit=1, steps=5).shape
    torch.Size([5, 1, 8, 8])
    """
    _require_layer(model, layer)
    if steps < 2 or not 0 < reach < math.inf:
        raise InvalidInput(f"steps must be at least 2 and reach positive, got {steps} and {reach}")
    _require_below(below)
    found = _inferred(model, image[None], posterior_temperature, seed, labels)
    z = found.draws[layer - 1]
    mean, std = _mean_and_std(found.priors[layer - 1], z)
    if unit not in range(1, z.shape[1] + 1):
        raise InvalidInput(f"unit must be 1 … {z.shape[1]} in layer {layer} of this model, got {unit}")
    stays = _layers_below(found, layer, below)
    points = []
    for index in range(steps):
        moved = z.clone()
        moved[:, unit - 1] = mean[:, unit - 1] + reach * (2 * index / (steps - 1) - 1) * std[:, unit - 1]
        points.append([*found.draws[: layer - 1], moved, *stays])
    return _decoded(model, points, temperature, seed, [labels] * steps)


@torch.no_grad()
def most_informative_units(
    model: AnyModel,
    image: Num[Tensor, "..."],
    layer: int = 1,
    count: int = 6,
    *,
    seed: int = 0,
    labels: Int[Tensor, "1"] | None = None,
) -> tuple[int, ...]:
    """The units of a layer whose posterior given an image is farthest from its prior by the KL, farthest first.

    Counted from 1, as for :func:`traverse`. Where posterior or prior is no Gaussian, the first units.

    >>> from avae_lib.models.vae import VAEConfig
    >>> model = VAEConfig(latent_dim=4).build()
    >>> sorted(most_informative_units(model, torch.zeros(1, 8, 8, dtype=torch.uint8)))
    [1, 2, 3, 4]
    """
    _require_layer(model, layer)
    found = _inferred(model, image[None], 1.0, seed, labels)
    posterior, prior = found.posteriors[layer - 1], found.priors[layer - 1]
    units = found.draws[layer - 1].shape[1]
    if not (isinstance(posterior, DiagonalGaussian) and isinstance(prior, DiagonalGaussian)):
        return tuple(range(1, min(count, units) + 1))
    of_units = posterior.kl_per_element(prior)[0].reshape(units, -1).sum(dim=1)
    return tuple((1 + of_units.argsort(descending=True, stable=True)[:count]).tolist())


def interpolation_rows(
    model: AnyModel,
    first: Num[Tensor, "..."],
    last: Num[Tensor, "..."],
    steps: int = 9,
    *,
    layers: int | None = None,
    **options: Any,
) -> dict[str, Num[Tensor, "columns ..."]]:
    """Rows for a picture, ``{"all 3 layers": images, …}``: each begins and ends with the two images themselves.

    Args:
        layers: how many layers move; by default one row for all layers and, in a hierarchy, one for the upper half.
        options: further arguments of :func:`interpolate`.

    >>> from avae_lib.data import load, recorded_model
    >>> rows = interpolation_rows(recorded_model("hierarchy-photos32"), *load("photos32").test[:2], steps=3)
    >>> {label: len(images) for label, images in rows.items()}
    {'all 11 layers': 5, 'top 5 layers': 5}
    """
    half = model.num_layers // 2
    moved = [model.num_layers, half] if layers is None else [layers]
    paths = {
        _layers_label(count, model.num_layers): interpolate(model, first, last, steps, layers=count, **options).cpu()
        for count in moved
        if count or layers is not None
    }
    return {label: torch.cat([first[None].cpu(), path, last[None].cpu()]) for label, path in paths.items()}


def traversal_rows(
    model: AnyModel,
    image: Num[Tensor, "..."],
    layer: int = 1,
    units: Sequence[int] | None = None,
    steps: int = 9,
    *,
    seed: int = 0,
    labels: Int[Tensor, "1"] | None = None,
    **options: Any,
) -> dict[str, Num[Tensor, "steps ..."]]:
    """Rows for a picture, ``{"unit 3": images, …}``: one of :func:`traverse` for each unit of a layer.

    Args:
        units: numbers of the units, from 1; by default the six :func:`most_informative_units`.
        options: further arguments of :func:`traverse`.

    >>> from avae_lib.models.vae import VAEConfig
    >>> list(traversal_rows(VAEConfig(latent_dim=2).build(), torch.zeros(1, 8, 8, dtype=torch.uint8), units=(2, 1)))
    ['unit 2', 'unit 1']
    """
    if units is None:
        units = most_informative_units(model, image, layer, seed=seed, labels=labels)
    return {
        f"unit {unit}": traverse(model, image, layer, unit, steps, seed=seed, labels=labels, **options).cpu()
        for unit in units
    }


def require_latents(model: AnyModel) -> None:
    """Refuse a model whose latents cannot be inferred and decoded.

    Raises:
        ValueError: it lacks ``infer`` or ``decode``.

    >>> require_latents(torch.nn.Linear(1, 1))
    Traceback (most recent call last):
        ...
    avae_lib.errors.InvalidInput: the model must have methods infer and decode (see avae_lib.models.contract); ...
    """
    missing = [method for method in ("infer", "decode") if not callable(getattr(model, method, None))]
    if missing:
        lacking = " and ".join(missing)
        raise InvalidInput(
            f"the model must have methods infer and decode (see avae_lib.models.contract); {lacking} missing"
        )


def arc(first: Float[Tensor, "*shape"], last: Float[Tensor, "*shape"], share: float) -> Float[Tensor, "*shape"]:
    r"""A point on the arc from one vector to another ("slerp"), with all dimensions taken as one vector.

    .. math:: \frac{\sin((1 - t)\,\omega)}{\sin\omega}\, a + \frac{\sin(t\,\omega)}{\sin\omega}\, b,
              \qquad \omega = \angle(a, b)

    Between vectors of one length it keeps this length. Where the two are parallel or opposite, or one is zero, it is
    the straight line.

    Half way between two axes of the plane; the straight line would pass at a distance of 0.7071 from the origin:

    >>> middle = arc(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), 0.5)
    >>> middle, middle.norm()
    (tensor([0.7071, 0.7071]), tensor(1.))
    """
    lengths = first.norm() * last.norm()
    cosine = ((first * last).sum() / lengths).clamp(-1, 1) if lengths > 0 else first.new_ones(())
    angle = torch.arccos(cosine)
    if torch.sin(angle) < 1e-4:
        return torch.lerp(first, last, share)
    return (torch.sin((1 - share) * angle) * first + torch.sin(share * angle) * last) / torch.sin(angle)


def _path(ends: Tensor, prior: LayerDistribution, shares: Sequence[float], generator: Generator) -> list[Tensor]:
    """Points between two rows of a layer's latents, each with a batch of one."""
    if not ends.is_floating_point():
        rank = torch.randperm(ends[0].numel(), generator=generator).reshape(ends.shape[1:]).to(ends.device)
        return [torch.where(rank < round(share * rank.numel()), ends[1], ends[0])[None] for share in shares]
    if not isinstance(prior, DiagonalGaussian):
        return [torch.lerp(ends[0], ends[1], share)[None] for share in shares]
    noise = (ends - prior.mean) * torch.exp(-prior.log_std)
    points = []
    for share in shares:
        mean, log_std = (torch.lerp(of_ends[0], of_ends[1], share) for of_ends in (prior.mean, prior.log_std))
        points.append((mean + torch.exp(log_std) * arc(noise[0], noise[1], share))[None])
    return points


def _mean_and_std(prior: Any, z: Tensor) -> tuple[Tensor, Tensor]:
    """Of each latent under the prior, shaped like ``z``."""
    if not z.is_floating_point():
        raise InvalidInput("the layer's latents are codes, which have no order to move along: interpolate instead")
    std = torch.exp(prior.log_std) if isinstance(prior, DiagonalGaussian) else prior.stddev
    return prior.mean.expand_as(z), std.expand_as(z)


def _inferred(model: AnyModel, x: Tensor, posterior_temperature: float, seed: int, labels: Tensor | None) -> Inference:
    require_latents(model)
    device = next(model.parameters()).device
    arguments = {name: values.to(device) for name, values in label_arguments(model, labels).items()}
    return model.infer(x.to(device), posterior_temperature, generator=Generator().manual_seed(seed), **arguments)


def _decoded(
    model: AnyModel,
    points: Sequence[Sequence[Tensor | None]],
    temperature: float | Sequence[float],
    seed: int,
    labels: Sequence[Tensor | None],
) -> Tensor:
    """The points decoded: together, or where layers are drawn one by one, so that each gets the same noise."""
    device = next(model.parameters()).device

    def decode(point: Sequence[Tensor | None], of_point: Tensor | None) -> Tensor:
        arguments = {name: values.to(device) for name, values in label_arguments(model, of_point).items()}
        noise = Generator().manual_seed(seed)
        return model.decode(list(point), temperature=temperature, generator=noise, **arguments)

    layers = [[z for z in of_layer if z is not None] for of_layer in zip(*points, strict=True)]
    if all(layers):
        classes = [of_point for of_point in labels if of_point is not None]
        return decode([torch.cat(of_layer) for of_layer in layers], torch.cat(classes) if classes else None)
    return torch.cat([decode(point, of_point) for point, of_point in zip(points, labels, strict=True)])


def _layers_below(found: Inference, moved: int, below: Below) -> list[Tensor | None]:
    """The latents of the layers below the first ``moved`` ones: those of the (first) image, or None to draw them."""
    return [z[:1] if below == "image" else None for z in found.draws[moved:]]


def _layers_label(count: int, num_layers: int) -> str:
    if count == num_layers:
        return "all latents" if num_layers == 1 else f"all {num_layers} layers"
    return "top layer" if count == 1 else f"top {count} layers"


def _require_layer(model: AnyModel, layer: int) -> None:
    if layer not in range(1, model.num_layers + 1):
        raise InvalidInput(f"layer must be 1 (the top) … {model.num_layers}, got {layer}")


def _layer_count(model: AnyModel, layers: int | None) -> int:
    if layers is None:
        return model.num_layers
    if layers not in range(1, model.num_layers + 1):
        raise InvalidInput(f"layers must be None (all) or 1 … {model.num_layers}, got {layers}")
    return layers


def _require_below(below: str) -> None:
    if below not in get_args(Below):
        raise InvalidInput(f"below must be prior or image, got {below!r}")
