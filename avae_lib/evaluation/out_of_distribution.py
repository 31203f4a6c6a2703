"""Telling a second data set from the one a model was trained on, by what its lower layers have to say."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float, UInt8
from torch import Tensor, nn

from avae_lib.evaluation.estimates import Estimate
from avae_lib.evaluation.image_likelihoods import marginal_log_likelihood
from avae_lib.evaluation.measuring import measuring

__all__ = ["OutOfDistribution", "area_under_curve", "compare_data_sets", "layers_to_keep"]


@dataclass(frozen=True)
class OutOfDistribution:
    """How well two scores tell images of another data set from test images of the model's own."""

    dataset: str
    """Name and version of the other data set."""
    keep_layers: int
    """Layers, from the top, that the second likelihood of the ratio draws from the posterior."""
    importance_samples: int
    score_inside: Estimate
    """The score LLR^{>k} of images of the model's own data set, nats per image."""
    score_outside: Estimate
    """The same of the other data set."""
    area_of_score: Estimate
    """Area under the ROC curve of that score; 1 tells the sets apart, 1/2 is chance."""
    area_of_likelihood: Estimate
    """The same of −log p(x), which is what fails where the other images are simpler."""

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> OutOfDistribution:
        """The inverse of ``dataclasses.asdict``, also after a trip through a file."""
        return cls(**{name: Estimate.from_json(v) if isinstance(v, dict) else v for name, v in record.items()})

    def text(self) -> str:
        """The numbers as lines of plain text."""
        return (
            f"against {self.dataset}, with the top {self.keep_layers} layers kept and {self.importance_samples} "
            "importance samples:\n"
            f"  LLR, nats per image           {self.score_inside} inside, {self.score_outside} outside\n"
            f"  area under the ROC curve      {self.area_of_score} by LLR, {self.area_of_likelihood} by −log p(x)"
        )


def compare_data_sets(
    model: nn.Module,
    inside: UInt8[Tensor, "inside channels height width"],
    outside: UInt8[Tensor, "outside channels height width"],
    dataset: str,
    keep_layers: int | None = None,
    importance_samples: int = 64,
    rows: int = 512,
    seed: int = 0,
) -> OutOfDistribution:
    r"""The score LLR of Havtorn et al. (2021, equation 9) on images of two data sets.

    .. math:: \mathrm{LLR}^{>k}(x) = \mathcal L(x) - \mathcal L^{>k}(x)

    with importance-weighted bounds :math:`\mathcal L`; the second draws the k lowest layers from the prior. Images
    that only low layers can explain, which know of texture more than of content, score high.

    Args:
        inside: test images of the model's own data set.
        outside: images of another, of the same shape and number of levels.
        dataset: name and version of the other set.
        keep_layers: how many top layers the second bound draws from the posterior; None for half of them.
        importance_samples: draws for each image and bound.
        rows: most images that go through the model at once.
        seed: of the latents drawn.
    """
    keep_layers = layers_to_keep(model, keep_layers)
    with measuring(model, seed):
        full = [marginal_log_likelihood(model, x, importance_samples, rows) for x in (inside, outside)]
        kept = [
            marginal_log_likelihood(model, x, importance_samples, rows, keep_layers=keep_layers)
            for x in (inside, outside)
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


def layers_to_keep(model: nn.Module, keep_layers: int | None) -> int:
    """The number asked for, or half of the model's layers if none is.

    Raises:
        ValueError: it leaves out no layer, so that there would be nothing to compare.
    """
    keep_layers = model.num_layers // 2 if keep_layers is None else keep_layers
    if not 0 <= keep_layers < model.num_layers:
        raise ValueError(f"keep_layers must leave out a layer, 0 … {model.num_layers - 1}, got {keep_layers}")
    return keep_layers


def area_under_curve(low: Float[Tensor, " negatives"], high: Float[Tensor, " positives"]) -> Estimate:
    r"""Area A under the ROC curve of a score that should be ``high``, with the error of Hanley & McNeil (1982, eq. 1).

    .. math:: \mathrm{SE}^2 = \frac{A(1 - A) + (n_+ - 1)(Q_1 - A^2) + (n_- - 1)(Q_2 - A^2)}{n_+ n_-}, \qquad
              Q_1 = \frac{A}{2 - A},\; Q_2 = \frac{2A^2}{1 + A}

    NaN if any score is not finite: such images cannot be ranked, and are not left out.
    """
    from sklearn.metrics import roc_auc_score

    if not (low.isfinite().all() and high.isfinite().all()):
        return Estimate(math.nan, math.nan)
    negatives, positives = len(low), len(high)
    area = float(roc_auc_score([0] * negatives + [1] * positives, [*low.tolist(), *high.tolist()]))
    first, second = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (positives - 1) * (first - area**2) + (negatives - 1) * (second - area**2)
    return Estimate(area, math.sqrt(max(0.0, variance) / (negatives * positives)))
