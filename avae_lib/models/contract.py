"""What every latent-variable model can do: the methods that training, evaluation and reports rely on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int, UInt8
from torch import Generator, Tensor, nn

from avae_lib.components import component
from avae_lib.errors import InvalidInput, UserError
from avae_lib.gaussians import DiagonalGaussian
from avae_lib.models.requirements import require_labels
from avae_lib.objectives import ELBO

__all__ = [
    "ConditionalModel",
    "Inference",
    "LatentVariableModel",
    "LayerDistribution",
    "ModelWithCodes",
    "ModelWithStages",
    "NoDensity",
    "keep_top_layers",
    "label_arguments",
    "labels_for_samples",
    "num_classes",
    "reason_for_no_density",
]


class NoDensity(UserError, ValueError):
    """The model defines no density of images; the message says why."""


@runtime_checkable
class LayerDistribution(Protocol):
    """The distribution of one layer's latents: posterior or prior.

    A :class:`~avae_lib.gaussians.DiagonalGaussian` in most models, in others a
    :class:`~avae_lib.models.flow_posterior.FlowPosterior`, a :class:`~avae_lib.nn.vector_quantization.PointMass` or an
    object of ``torch.distributions``.
    """

    def log_prob(self, z: Tensor, /) -> Float[Tensor, "batch"]:
        """Log density (of codes: log probability) of each example's latents, nats."""
        ...


@dataclass(frozen=True)
class Inference:
    """What a model infers about a batch: one item for each layer in each field, top first.

    The two terms of a layer's KL at its draw, for a posterior that is the prior shifted by 1 in two dimensions:

    >>> p, q = (DiagonalGaussian(torch.full((1, 2), mean), torch.zeros(1, 2)) for mean in (0.0, 1.0))
    >>> found = Inference(draws=(q.mean,), posteriors=(q,), priors=(p,))
    >>> found.posteriors[0].log_prob(found.draws[0]) - found.priors[0].log_prob(found.draws[0])
    tensor([1.])
    """

    draws: tuple[Tensor, ...]
    """z_l, drawn from the posterior, ``(batch, *latent)``. Of a model with codes: the codes, int64
    ``(batch, rows, columns)``."""
    posteriors: tuple[LayerDistribution, ...]
    """q(z_l | z_<l, x), which z_l was drawn from."""
    priors: tuple[LayerDistribution, ...]
    """p(z_l | z_<l) at the draws of the layers above. Of a learned prior over codes: the distribution of the code at
    each position given the draw's codes before it."""


@runtime_checkable
class LatentVariableModel(Protocol):
    """A model of images with one or more stochastic layers.

    Pixels enter and leave as uint8, ``(batch, channels, height, width)`` with levels 0 … 2**bits − 1; the model
    scales them itself. Layers are counted from the top, the one farthest from the pixels. Everything measured is
    in nats, summed over one example.

    Every method that draws takes a ``generator``, on the CPU or on the model's device. An equally seeded one gives the
    same result again, and torch's global random state is then neither read nor changed. Without one, noise comes from
    the global state.

    Some models have more to say. Each of these attributes and methods may be missing:

    * ``no_density: str | None``: why the model defines no density p(x), in one sentence (read it with
      :func:`reason_for_no_density`). Its ``log_weight`` raises :class:`NoDensity` with that reason. ``forward`` still
      returns an :class:`~avae_lib.objectives.ELBO`: log_likelihood is the reconstruction term, kl is zero with one
      column for each layer, and the rest of the training objective stands in the penalties.
    * ``num_classes: int``: the model is conditional, see :class:`ConditionalModel`.
    * ``begin_update(step)``: something happens between updates, see :class:`ModelWithStages`.
    * ``compares_images: str``: a penalty is no mean over images, because it compares those of a batch. Says why, for
      example "its distance from the prior compares the images of a batch". Such a batch is not computed in pieces.
    * ``checkpointed_blocks()``: the modules whose activations may be computed again in the backward pass. A
      :class:`~avae_lib.models.hierarchy.Hierarchy` needs no such method.
    * ``code_counts(x)``: the latents are codes from a codebook, see :class:`ModelWithCodes`.

    A model of sentences has ``sequence_length`` and ``vocabulary_size`` where others have ``image_shape``, ``bits`` and
    ``num_dims``, and its ``x`` are tokens, int64 ``(batch, length)``; see :func:`avae_lib.observations.observed_by`.

    A model that is trained on something else than the bound still returns the bound's terms from ``forward``. The
    difference to its own objective stands in the penalties, whose means training adds to the loss. During a warm-up of
    the KL they rise with it. Penalties that are costly are computed in training mode only.
    """

    num_layers: int
    """Number of stochastic layers."""
    image_shape: tuple[int, int, int]
    """Channels, height and width of an image."""
    bits: int
    """Bits per pixel value."""
    num_dims: int
    """Number of values in an image; what bits per dimension are counted over."""

    def __call__(
        self,
        x: UInt8[Tensor, "batch channels height width"],
        posterior_temperature: float = 1.0,
        generator: Generator | None = None,
    ) -> ELBO:
        """The terms of the bound for one draw from the posterior; temperature 0 takes its mean, without noise."""
        ...

    def log_weight(
        self,
        x: UInt8[Tensor, "batch channels height width"],
        keep_layers: int | None = None,
        generator: Generator | None = None,
    ) -> Float[Tensor, "batch"]:
        """log p(x, z) − log q(z | x) for one draw z from q: the log of an unbiased estimate of p(x).

        Args:
            keep_layers: how many layers, from the top, q draws from the posterior, the others being drawn from the
                prior, where numerator and denominator cancel; None for all.
        """
        ...

    def sample(
        self, n: int, temperature: float | Sequence[float] = 1.0, generator: Generator | None = None
    ) -> UInt8[Tensor, "n channels height width"]:
        """``n`` images drawn from the prior and the likelihood; no image is looked at.

        Args:
            temperature: factor on the prior's standard deviation, for all layers or one for each, top first.
        """
        ...

    def reconstruct(
        self,
        x: UInt8[Tensor, "batch channels height width"],
        keep_layers: int | None = None,
        generator: Generator | None = None,
    ) -> UInt8[Tensor, "batch channels height width"]:
        """Images decoded from latents: the top ``keep_layers`` drawn from the posterior given ``x``, the others
        from the prior; None draws all from the posterior. Pixels are the mean of the likelihood, rounded to a level."""
        ...

    def latents(
        self, x: UInt8[Tensor, "batch channels height width"], generator: Generator | None = None
    ) -> tuple[DiagonalGaussian, ...]:
        """The posterior of each layer given ``x`` (and a draw of the layers above), top first."""
        ...

    def infer(
        self,
        x: UInt8[Tensor, "batch channels height width"],
        posterior_temperature: float = 1.0,
        generator: Generator | None = None,
    ) -> Inference:
        """A draw of every layer's latents given ``x``, with the posterior and the prior of each layer.

        Args:
            posterior_temperature: factor on the posteriors' standard deviations; 0 takes their means.
        """
        ...

    def decode(
        self,
        draws: Tensor | Sequence[Tensor | None],
        *,
        temperature: float | Sequence[float] = 1.0,
        generator: Generator | None = None,
    ) -> Float[Tensor, "batch channels height width"]:
        """The expected image given latents: pixel levels 0 … 2**bits − 1, not rounded. Gradients pass.

        ``decode(infer(x).draws)`` is what ``reconstruct`` rounds. In training mode a batch norm sees the batch, as in
        all other methods; call ``eval()`` first.

        Args:
            draws: latents as in :attr:`Inference.draws`, top first. Where an item is None, or missing at the end, that
                layer is drawn from the prior given those above. A single tensor stands for the top layer.
            temperature: factor on the prior's standard deviation where a layer is drawn, for all layers or one for
                each, top first.

        Raises:
            ValueError: more items than layers, none at all, latents of another shape, or batches of several sizes.
        """
        ...


@runtime_checkable
class ConditionalModel(Protocol):
    """A latent-variable model of images given their class: p(x | y).

    ``forward``, ``log_weight``, ``reconstruct``, ``latents``, ``infer`` and ``decode`` require the keyword ``labels``,
    int64 ``(batch,)`` with values 0 … num_classes − 1, and refuse anything else by
    :func:`~avae_lib.models.requirements.require_labels`. ``sample`` takes the same
    keyword, ``(n,)``, but may go without: then image i is of class i mod num_classes
    (:func:`labels_for_samples`).
    """

    num_classes: int
    """Number of classes; a model without this attribute, or with 0, takes no labels."""


@runtime_checkable
class ModelWithStages(Protocol):
    """A model that changes something between updates, such as reviving dead codes or freezing its first stage."""

    def begin_update(self, step: int) -> None:
        """Get ready for the update after ``step`` finished ones; 0 for the first.

        Training calls it before each update, in eager mode, on every member of a team, and with the right step after
        a resumed run. What it changes in parameters and buffers stays also where the update is then skipped. Random
        numbers must come from a generator of its own that is seeded alike on all members (for example by ``step``).

        A model that never freezes a parameter here may say so with the attribute ``freezes_parameters = False``: a
        team then does not look in each update for parameters without a gradient, which takes time.
        """
        ...


@runtime_checkable
class ModelWithCodes(Protocol):
    """A model whose latents are indices into a codebook.

    Its posterior is a point mass: ``log_weight`` of an image is the same in every draw, unless layers are drawn from
    the prior.
    """

    def code_counts(self, x: UInt8[Tensor, "batch channels height width"]) -> Int[Tensor, "levels codes"]:
        """How often each code of each level, top first, is used to encode the batch ``x``: int64."""
        ...


def reason_for_no_density(model: nn.Module) -> str | None:
    """Why the model defines no density of images, in one sentence; None for a proper density.

    >>> from torch import nn
    >>> reason_for_no_density(nn.Linear(1, 1)) is None
    True
    """
    return getattr(model, "no_density", None)


def num_classes(model: nn.Module) -> int:
    """How many classes the model is conditional on; 0 for a model that takes no labels.

    >>> from avae_lib.models.conditional_vae import ConditionalVAEConfig
    >>> from avae_lib.models.vae import VAEConfig
    >>> num_classes(ConditionalVAEConfig(num_classes=10).build()), num_classes(VAEConfig().build())
    (10, 0)
    """
    return getattr(model, "num_classes", 0)


def label_arguments(model: nn.Module, labels: Int[Tensor, "batch"] | None) -> dict[str, Tensor]:
    """The keyword arguments that tell a model the classes of a batch: none if it is not conditional.

    Raises:
        ValueError: the model is conditional, and there are no labels.

    >>> from avae_lib.models.vae import VAEConfig
    >>> label_arguments(VAEConfig().build(), labels=torch.tensor([3]))  # the VAE takes no labels
    {}
    """
    if not num_classes(model):
        return {}
    if labels is None:
        raise InvalidInput(
            "labels are missing: this model is conditional on the class of an image; "
            "set the data config's labels to true (--data.labels), with a data set that has labels"
        )
    return {"labels": labels}


def labels_for_samples(
    n: int, num_classes: int, labels: Int[Tensor, "n"] | None = None, device: torch.device | str = "cpu"
) -> Int[Tensor, "n"]:
    """The classes of ``n`` images to draw: those asked for, or else all classes in turn.

    >>> labels_for_samples(5, num_classes=3)
    tensor([0, 1, 2, 0, 1])
    """
    if labels is None:
        return torch.arange(n, device=device) % num_classes
    require_labels(labels, n, num_classes)
    return labels.to(device)


@component(unit="07_evaluation")
def keep_top_layers(posterior_draws: Sequence[Any], prior_draws: Sequence[Any], keep: int) -> list[Any]:
    r"""The top latents from the posterior, those below them from the prior.

    .. math:: \tilde z_l = z_l^{\text{posterior}} \text{ for } l \le k, \qquad
              \tilde z_l = z_l^{\text{prior}} \text{ for } l > k

    What decoding them shows is how much of an image its top layers know. The score LLR^{>k} of Havtorn et al. (2021)
    draws latents in this way.

    Args:
        posterior_draws: list with one item for each of L layers, top first. Items may be any objects; none of them is
            compared, copied or changed.
        prior_draws: list of the same length, in the same order.
        keep: the number k of layers, from the top, to take from the posterior, 0 … L.

    Returns:
        A new list of the same objects. The two lists stay as they were.

    >>> keep_top_layers(["q1", "q2", "q3"], ["p1", "p2", "p3"], 1)
    ['q1', 'p2', 'p3']
    """
    return [*posterior_draws[:keep], *prior_draws[keep:]]
