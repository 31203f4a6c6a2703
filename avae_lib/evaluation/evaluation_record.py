"""All the numbers by which a model is judged, as a record, a table and JSON."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from avae_lib.evaluation.estimates import Estimate
from avae_lib.evaluation.frechet_distance import FrechetDistance
from avae_lib.evaluation.image_likelihoods import marginal_log_likelihood, terms_of_bound
from avae_lib.evaluation.measuring import measuring
from avae_lib.evaluation.out_of_distribution import OutOfDistribution
from avae_lib.evaluation.unit_activity import ACTIVITY_THRESHOLD, unit_activity

__all__ = ["Evaluation", "evaluate"]


@dataclass(frozen=True)
class Evaluation:
    """The numbers by which a model is judged on held-out images, in nats per image."""

    examples: int
    num_dims: int
    importance_samples: int
    negative_elbo: Estimate
    distortion: Estimate
    """−log p(x | z): what is left to say about an image once its latents are known."""
    kl: tuple[Estimate, ...]
    """KL of each layer, top first."""
    negative_log_likelihood: Estimate
    """−log p(x), estimated with ``importance_samples`` draws; too high rather than too low on average."""
    active_units: tuple[int, ...]
    """How many units of each layer are active, see :func:`unit_activity`."""
    units: tuple[int, ...]
    """How many units each layer has."""
    dataset: str = ""
    """Name and version of the data set that the images are from."""
    not_finite: int = 0
    """Images whose bound or likelihood is not finite. They are in the means, which are therefore not finite either."""
    out_of_distribution: OutOfDistribution | None = None
    frechet_distance: FrechetDistance | None = None

    def to_json(self) -> dict[str, Any]:
        """The record as a dictionary that ``json`` can write, with null for what is not finite."""
        return _finite(asdict(self))

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Evaluation:
        """The inverse of :meth:`to_json`, also after a trip through a file."""
        read: dict[str, Any] = {name: Estimate.from_json(record[name]) for name in _ESTIMATES}
        read["kl"] = tuple(Estimate.from_json(estimate) for estimate in record["kl"])
        read |= {name: tuple(record[name]) for name in ("active_units", "units")}
        for name, kind in (("out_of_distribution", OutOfDistribution), ("frechet_distance", FrechetDistance)):
            if record.get(name) is not None:
                read[name] = kind.from_json(record[name])
        return cls(**{**record, **read})

    def rows(self) -> tuple[tuple[str, Estimate], ...]:
        """Every estimate with its name, in the order of a table."""
        names = [f"KL of layer {number}" for number in range(1, len(self.kl) + 1)]
        return (
            ("−ELBO", self.negative_elbo),
            (f"−log p(x), {self.importance_samples} importance samples", self.negative_log_likelihood),
            ("−log p(x | z)", self.distortion),
            *zip(names, self.kl, strict=True),
        )

    def table(self) -> str:
        """A table in plain text: nats and bits per dimension, each ± its standard error."""
        width = max(len(name) for name, _ in self.rows())
        lines = [
            f"{self._images()} of {self.num_dims} dimensions; ± is one standard error",
            f"{'':{width}}  {'nats per image':>19}  {'bits per dimension':>19}",
        ]
        for name, nats in self.rows():
            in_nats, in_bits = str(nats), str(nats.in_bits_per_dim(self.num_dims))
            lines.append(f"{name:{width}}  {in_nats:>19}  {in_bits:>19}")
        active = ", ".join(f"{n} of {all_units}" for n, all_units in zip(self.active_units, self.units, strict=True))
        return "\n".join([*lines, f"active units, top layer first: {active}", *self._remarks()])

    def _images(self) -> str:
        return f"{self.examples} images of {self.dataset}," if self.dataset else f"{self.examples} images"

    def _remarks(self) -> list[str]:
        measured = [part.text() for part in (self.out_of_distribution, self.frechet_distance) if part is not None]
        if self.not_finite:
            measured.append(f"{self.not_finite} images have no finite bound or likelihood, so neither have the means")
        return measured


def evaluate(
    model: nn.Module,
    images: UInt8[Tensor, "examples channels height width"],
    importance_samples: int = 64,
    rows: int = 512,
    seed: int = 0,
    progress: bool = False,
    dataset: str = "",
) -> Evaluation:
    """Judge a model (:class:`avae_lib.models.contract.LatentVariableModel`) on held-out images.

    Args:
        images: pixels as the model sees them, on any device.
        importance_samples: draws for each image in the estimate of −log p(x).
        rows: most images that go through the model at once; bounds the memory, not the result.
        seed: of the latents drawn; the same seed on the same machine gives the same numbers.
        progress: show a progress bar on the slow part.
        dataset: name and version of the set that the images are from, for the record.
    """
    if len(images) == 0:
        raise ValueError("images must hold at least one image to judge the model on")
    if importance_samples < 1 or rows < 1:
        raise ValueError(f"importance_samples and rows must be at least 1, got {importance_samples} and {rows}")
    with measuring(model, seed):
        terms = terms_of_bound(model, images, rows)
        log_likelihood = marginal_log_likelihood(model, images, importance_samples, rows, progress)
        activity = unit_activity(model, images, rows)
    return Evaluation(
        examples=len(images),
        num_dims=model.num_dims,
        importance_samples=importance_samples,
        negative_elbo=Estimate.over(-terms.bound),
        distortion=Estimate.over(-terms.log_likelihood),
        kl=tuple(Estimate.over(layer) for layer in terms.kl.unbind(dim=1)),
        negative_log_likelihood=Estimate.over(-log_likelihood),
        active_units=tuple(int((layer > ACTIVITY_THRESHOLD).sum()) for layer in activity),
        units=tuple(layer.numel() for layer in activity),
        dataset=dataset,
        not_finite=int((~torch.isfinite(terms.bound.double() + log_likelihood)).sum()),
    )


_ESTIMATES = tuple(field.name for field in dataclasses.fields(Evaluation) if field.type == "Estimate")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
