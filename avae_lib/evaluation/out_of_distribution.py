"""Out-of-distribution detection by the likelihood ratio of a hierarchy with and without its lower layers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from avae_lib.components import component, is_available
from avae_lib.errors import InvalidInput
from avae_lib.evaluation.evaluation_mode import measuring
from avae_lib.evaluation.marginal_likelihood import image_log_likelihoods
from avae_lib.evaluation.standard_errors import Estimate
from avae_lib.observations import AnyModel

__all__ = ["OutOfDistribution", "area_under_curve", "area_under_roc", "compare_data_sets", "layers_to_keep"]


@dataclass(frozen=True)
class OutOfDistribution:
    """How well two scores separate images of another data set from test images of the model's own.

    >>> area, likelihood, score = Estimate(0.9, 0.01), Estimate(0.3, 0.01), Estimate(12.0, 0.5)
    >>> print(OutOfDistribution("noise", 1, 64, Estimate(2.0, 0.1), score, area, likelihood).text())
    against noise, with the top 1 layers kept and 64 importance samples:
      LLR, nats per image           2.00 ± 0.10 inside, 12.00 ± 0.50 outside
      area under the ROC curve      0.900 ± 0.010 by LLR, 0.300 ± 0.010 by −log p(x)
    """

    dataset: str
    """Name and version of the other data set."""
    keep_layers: int
    """Number of top layers that the second likelihood of the ratio draws from the posterior."""
    importance_samples: int
    score_inside: Estimate
    """The score LLR^{>k} of images of the model's own data set, nats per image."""
    score_outside: Estimate
    """The score of images of the other data set, nats per image."""
    area_of_score: Estimate
    """Area under the ROC curve of that score; 1 separates the sets, 1/2 is chance."""
    area_of_likelihood: Estimate
    """Area under the ROC curve of −log p(x), a score that fails if the other images are simpler."""

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> OutOfDistribution:
        """The inverse of ``dataclasses.asdict``; the record may have been written to a file and read back."""
        fields: dict[str, Any] = {
            name: Estimate.from_json(value) if isinstance(value, dict) else value for name, value in record.items()
        }
        return cls(**fields)

    def text(self) -> str:
        """The numbers as lines of plain text."""
        return (
            f"against {self.dataset}, with the top {self.keep_layers} layers kept and {self.importance_samples} "
            "importance samples:\n"
            f"  LLR, nats per image           {self.score_inside} inside, {self.score_outside} outside\n"
            f"  area under the ROC curve      {self.area_of_score} by LLR, {self.area_of_likelihood} by −log p(x)"
        )


def compare_data_sets(
    model: AnyModel,
    inside: UInt8[Tensor, "inside channels height width"],
    outside: UInt8[Tensor, "outside channels height width"],
    dataset: str,
    keep_layers: int | None = None,
    importance_samples: int = 64,
    rows: int = 512,
    seed: int = 0,
    labels: tuple[Int[Tensor, " inside"] | None, Int[Tensor, " outside"] | None] = (None, None),
) -> OutOfDistribution:
    r"""The score LLR of Havtorn et al. (2021, equation 9) on images of two data sets.

    .. math:: \mathrm{LLR}^{>k}(x) = \mathcal L(x) - \mathcal L^{>k}(x)

    with importance-weighted bounds :math:`\mathcal L`; the second draws the k lowest layers from the prior. Images
    score high if only the low layers, which model texture more than content, can explain them.

    Args:
        inside: test images of the model's own data set.
        outside: images of another data set, of the same shape and number of levels.
        dataset: name and version of the other data set.
        keep_layers: number of top layers that the second bound draws from the posterior; None for half of them.
        importance_samples: draws for each image and bound.
        rows: largest number of images that go through the model at once.
        seed: seed for the latents.
        labels: classes of the images of both sets, for a conditional model; None for a set without.

    Raises:
        NoDensity: the model defines no density of images.

    >>> from avae_lib.data import load, recorded_model
    >>> photos = load("photos32").test[:6]
    >>> noise = torch.randint_like(photos, 256)
    >>> result = compare_data_sets(recorded_model("hierarchy-photos32"), photos, noise, "noise", importance_samples=2)
    >>> result.keep_layers, 0 <= result.area_of_score.mean <= 1
    (5, True)
    """
    keep_layers = layers_to_keep(model, keep_layers)
    sets = [{"images": x, "labels": y} for x, y in zip((inside, outside), labels, strict=True)]
    with measuring(model, seed):
        full = [image_log_likelihoods(model, **each, samples=importance_samples, rows=rows) for each in sets]
        kept = [
            image_log_likelihoods(model, **each, samples=importance_samples, rows=rows, keep_layers=keep_layers)
            for each in sets
        ]
    scores = [whole - upper for whole, upper in zip(full, kept, strict=True)]
    return OutOfDistribution(
        dataset=dataset,
        keep_layers=keep_layers,
        importance_samples=importance_samples,
        score_inside=Estimate.over(scores[0]),
        score_outside=Estimate.over(scores[1]),
        area_of_score=area_under_curve(scores[0], scores[1]),
        area_of_likelihood=area_under_curve(-full[0], -full[1]),
    )


def layers_to_keep(model: AnyModel, keep_layers: int | None) -> int:
    """``keep_layers``, or half of the model's layers if it is None.

    Raises:
        ValueError: no layer would be left out, so the two bounds would be equal.

    >>> from avae_lib.data import recorded_model
    >>> model = recorded_model("hierarchy-photos32")
    >>> model.num_layers, layers_to_keep(model, None), layers_to_keep(model, 2)
    (11, 5, 2)
    """
    keep_layers = int(model.num_layers // 2 if keep_layers is None else keep_layers)
    if not 0 <= keep_layers < model.num_layers:
        raise InvalidInput(f"keep_layers must leave out a layer, 0 … {model.num_layers - 1}, got {keep_layers}")
    return keep_layers


@component(unit="07_evaluation")
def area_under_roc(inside: Float[Tensor, " n"], outside: Float[Tensor, " m"]) -> Float[Tensor, ""]:
    r"""Area under the ROC curve of a score: how often an outside image scores higher than an inside one.

    .. math:: \frac{1}{nm} \sum_{i=1}^{n} \sum_{j=1}^{m}
              \Bigl(\mathbb{1}[t_j > s_i] + \tfrac12 \mathbb{1}[t_j = s_i]\Bigr)

    with inside scores s and outside scores t. This is the Mann–Whitney statistic as a share of all pairs (Hanley &
    McNeil, 1982): 1 separates the two sets, 1/2 is chance; below 1/2 the outside images tend to score lower.

    Args:
        inside: scores of images of the model's own data set, finite, at least one.
        outside: scores of images of another one, finite, at least one.

    Returns:
        The area, a scalar in the scores' dtype; no gradient. Memory grows with n + m and not with n·m, for up to
        10⁸ pairs. None of the inputs is changed.

    Of the four pairs two are in order, one is tied and one is the wrong way round:

    >>> area_under_roc(torch.tensor([1.0, 3.0]), torch.tensor([3.0, 2.0]))
    tensor(0.6250)
    """
    ordered = inside.sort().values
    below, below_or_tied = (torch.searchsorted(ordered, outside, right=right) for right in (False, True))
    halves = (below + below_or_tied).sum()  # int64: exact however many pairs there are
    return (halves.double() / (2 * len(inside) * len(outside))).to(inside.dtype)


def area_under_curve(low: Float[Tensor, " negatives"], high: Float[Tensor, " positives"]) -> Estimate:
    r"""Area A under the ROC curve of a score that should be ``high``, with the error of Hanley & McNeil (1982, eq. 1).

    .. math:: \mathrm{SE}^2 = \frac{A(1 - A) + (n_+ - 1)(Q_1 - A^2) + (n_- - 1)(Q_2 - A^2)}{n_+ n_-}, \qquad
              Q_1 = \frac{A}{2 - A},\; Q_2 = \frac{2A^2}{1 + A}

    The result is NaN if any score is not finite, because such images cannot be ranked.

    Raises:
        ValueError: there is no score on one of the sides.

    >>> print(area_under_curve(low=torch.tensor([1.0, 2.0, 3.0]), high=torch.tensor([2.5, 4.0, 5.0])))
    0.89 ± 0.15
    """
    if len(low) == 0 or len(high) == 0:
        raise ValueError(f"low and high must hold at least one score each, got {len(low)} and {len(high)}")
    if not (low.isfinite().all() and high.isfinite().all()):
        return Estimate(math.nan, math.nan)
    negatives, positives = len(low), len(high)
    area = float(area_under_roc(low, high)) if is_available("area_under_roc") else _area_by_scikit_learn(low, high)
    first, second = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (positives - 1) * (first - area**2) + (negatives - 1) * (second - area**2)
    return Estimate(area, math.sqrt(max(0.0, variance) / (negatives * positives)))


def _area_by_scikit_learn(low: Tensor, high: Tensor) -> float:
    """The same number as :func:`area_under_roc`, for when that is not written."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score([0] * len(low) + [1] * len(high), [*low.tolist(), *high.tolist()]))
