"""All numbers of an evaluation, as a record, a table and JSON."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn

from avae_lib.errors import InvalidInput
from avae_lib.evaluation.code_usage import CodeUsage, code_usage
from avae_lib.evaluation.evaluation_mode import measuring
from avae_lib.evaluation.frechet_distance import FrechetDistance
from avae_lib.evaluation.marginal_likelihood import ImportanceSampled, importance_sampled, terms_of_bound
from avae_lib.evaluation.out_of_distribution import OutOfDistribution
from avae_lib.evaluation.standard_errors import Estimate
from avae_lib.evaluation.unit_activity import count_active_units, posterior_means
from avae_lib.models.contract import ModelWithCodes, num_classes, reason_for_no_density
from avae_lib.objectives import ELBO
from avae_lib.observations import observed_by

__all__ = ["Evaluation", "evaluate"]

_PENALTY = "penalty: "
_DASH = "—"


@dataclass(frozen=True)
class Evaluation:
    """Results of a model on held-out images, in nats per image, or on held-out sentences, in nats per sentence.

    A record written as JSON can be read back:

    >>> from avae_lib.models.vae import VAEConfig
    >>> model = VAEConfig(hidden_sizes=(16,), latent_dim=2).build()
    >>> record = evaluate(model, torch.zeros(5, 1, 8, 8, dtype=torch.uint8), importance_samples=2)
    >>> Evaluation.from_json(record.to_json()) == record
    True
    """

    examples: int
    num_dims: float
    """The number of values in an image, or the mean number of tokens in a sentence; rates in bits are divided by it.
    The standard error of bits per token therefore includes the different lengths of sentences."""
    importance_samples: int
    negative_elbo: Estimate | None
    """None for a model that defines no density."""
    distortion: Estimate
    """−log p(x | z): the information in an image once its latents are known."""
    kl: tuple[Estimate, ...]
    """KL of each layer, top first; empty for a model that defines no density."""
    negative_log_likelihood: Estimate | None
    """−log p(x), estimated with ``importance_samples`` draws; on average too high. None for a model that defines no
    density."""
    active_units: tuple[int, ...]
    """Number of active units in each layer, see :func:`unit_activity`."""
    units: tuple[int, ...]
    """Number of units in each layer."""
    dataset: str = ""
    """Name and version of the data set that the examples are from."""
    example: str = "image"
    """Word for one example: image or sentence."""
    value: str = "dimension"
    """Word for the values of an example: dimension or token."""
    not_finite: int = 0
    """Number of images whose bound or likelihood is not finite. The means include them, so they are not finite."""
    out_of_distribution: OutOfDistribution | None = None
    frechet_distance: FrechetDistance | None = None
    no_density: str | None = None
    """Why the model defines no density, in one sentence."""
    is_conditional: bool = False
    """Whether every likelihood is that of an image given its class."""
    penalties: dict[str, Estimate] = field(default_factory=dict)
    """Further terms of the training objective by name, if the model computes them outside training. Terms that compare
    the images of a batch have no standard error (NaN)."""
    code_usage: CodeUsage | None = None
    """Use of the codebook; None for a model without one."""
    effective_sample_size: Estimate | None = None
    """The number of equally weighted draws that the importance weights of an image are worth. Near 1 the estimate
    depends on single draws and would still rise with more. None with a single draw, without a density, and while
    ``effective_sample_size`` is not written."""
    warnings: tuple[str, ...] = ()
    """What makes the numbers doubtful, a sentence each."""

    def to_json(self) -> dict[str, Any]:
        """The record as a dictionary that ``json`` can write, with null for numbers that are not finite."""
        return _finite(asdict(self))

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Evaluation:
        """The inverse of :meth:`to_json`; the dictionary may have been written to a file and read back."""
        read: dict[str, Any] = {name: Estimate.from_json(record[name]) for name in _ESTIMATES if record.get(name)}
        read["kl"] = tuple(Estimate.from_json(estimate) for estimate in record["kl"])
        read |= {name: tuple(record[name]) for name in ("active_units", "units")}
        read["warnings"] = tuple(record.get("warnings", ()))
        penalties = record.get("penalties", {})
        read["penalties"] = {name: Estimate.from_json(penalty) for name, penalty in penalties.items()}
        for name, kind in _PARTS.items():
            if record.get(name) is not None:
                read[name] = kind.from_json(record[name])
        return cls(**{**record, **read})

    def rows(self) -> tuple[tuple[str, Estimate | None], ...]:
        """Every estimate with its name, in the order of a table; None where the model does not define it."""
        names = [f"KL of layer {number}" for number in range(1, len(self.kl) + 1)]
        samples = "sample" if self.importance_samples == 1 else "samples"
        image, given_latents = ("x | class", "x | z, class") if self.is_conditional else ("x", "x | z")
        return (
            ("−ELBO", self.negative_elbo),
            (f"−log p({image}), {self.importance_samples} importance {samples}", self.negative_log_likelihood),
            (f"−log p({given_latents})", self.distortion),
            *zip(names, self.kl, strict=True),
            *((f"{_PENALTY}{name}", penalty) for name, penalty in self.penalties.items()),
        )

    def cells(self) -> tuple[tuple[str, str, str], ...]:
        """The same as text: name, nats per example, bits per value, with a dash for a missing number.

        Penalties are not code lengths, so they are not given in bits.
        """
        cells = []
        for name, nats in self.rows():
            bits = None if nats is None or name.startswith(_PENALTY) else nats.in_bits_per_dim(self.num_dims)
            cells.append((name, _in_words(nats), _in_words(bits)))
        return tuple(cells)

    def table(self) -> str:
        """A table in plain text: nats and bits per dimension or token, each ± its standard error."""
        width = max(len(name) for name, _ in self.rows())
        lines = [
            f"{self._examples()} of {self.size}; ± is one standard error",
            f"{'':{width}}  {f'nats per {self.example}':>19}  {f'bits per {self.value}':>19}",
        ]
        for name, in_nats, in_bits in self.cells():
            lines.append(f"{name:{width}}  {in_nats:>19}  {in_bits:>19}")
        active = ", ".join(f"{n} of {all_units}" for n, all_units in zip(self.active_units, self.units, strict=True))
        if self.effective_sample_size is not None:
            lines.append(f"effective sample size: {self.effective_sample_size} of {self.importance_samples} samples")
        return "\n".join([*lines, f"active units, top layer first: {active}", *self._remarks()])

    @property
    def size(self) -> str:
        """The number of values in an example, in words."""
        is_mean = isinstance(self.num_dims, float)
        return f"{self.num_dims:.2f} {self.value}s on average" if is_mean else f"{self.num_dims:,} {self.value}s"

    def _examples(self) -> str:
        counted = f"{self.examples} {self.example}s"
        return f"{counted} of {self.dataset}," if self.dataset else counted

    def _remarks(self) -> list[str]:
        parts = (self.code_usage, self.out_of_distribution, self.frechet_distance)
        measured = [part.text() for part in parts if part is not None]
        if self.no_density:
            measured.append(f"no bound and no log p(x): {self.no_density}")
        if self.not_finite:
            measured.append(
                f"{self.not_finite} {self.example}s have no finite bound or likelihood, so neither have the means"
            )
        return [*measured, *(f"warning: {warning}" for warning in self.warnings)]


def evaluate(
    model: nn.Module,
    images: Tensor,
    importance_samples: int = 64,
    rows: int = 512,
    seed: int = 0,
    progress: bool = False,
    dataset: str = "",
    labels: Int[Tensor, " examples"] | None = None,
) -> Evaluation:
    """Judge a model (:class:`avae_lib.models.contract.LatentVariableModel`) on held-out images.

    Args:
        images: pixels as the model sees them, ``(examples, channels, height, width)``, on any device; for a model of
            sentences their tokens, ``(examples, length)``.
        importance_samples: draws for each image in the estimate of −log p(x). A model of codes
            (:class:`avae_lib.models.contract.ModelWithCodes`) gets one, because all its draws are equal.
        rows: largest number of images that go through the model at once; it limits the memory and does not change the
            result.
        seed: seed for the latents; the same seed on the same machine gives the same numbers.
        progress: show a progress bar during importance sampling.
        dataset: name and version of the data set of the images, for the record.
        labels: classes of the images, for a conditional model.

    >>> from avae_lib.models.vae import VAEConfig
    >>> model = VAEConfig(hidden_sizes=(16,), latent_dim=2).build()
    >>> images = torch.zeros(5, 1, 8, 8, dtype=torch.uint8)
    >>> record = evaluate(model, images, importance_samples=8)
    >>> record.size, record.units
    ('64 dimensions', (2,))
    >>> [name for name, estimate in record.rows()]
    ['−ELBO', '−log p(x), 8 importance samples', '−log p(x | z)', 'KL of layer 1']
    """
    if len(images) == 0:
        raise InvalidInput("images must hold at least one image or sentence to judge the model on")
    if importance_samples < 1 or rows < 1:
        raise InvalidInput(f"importance_samples and rows must be at least 1, got {importance_samples} and {rows}")
    observed, no_density = observed_by(model), reason_for_no_density(model)
    has_codes = isinstance(model, ModelWithCodes)
    importance_samples = 1 if has_codes else importance_samples
    with measuring(model, seed):
        terms = terms_of_bound(model, images, rows, labels)
        sampled = None
        if no_density is None:
            sampled = importance_sampled(model, images, importance_samples, rows, progress, labels)
        means = posterior_means(model, images, rows, labels)
        usage = code_usage(model, images, rows, labels) if has_codes else None
    return Evaluation(
        examples=len(images),
        num_dims=observed.values_per_example(images),
        importance_samples=importance_samples,
        **_of_density(terms, sampled),
        distortion=Estimate.over(-terms.log_likelihood),
        active_units=tuple(map(count_active_units, means)),
        units=tuple(layer[0].numel() for layer in means),
        dataset=dataset,
        example=observed.example,
        value=observed.value,
        no_density=no_density,
        is_conditional=num_classes(model) > 0,
        penalties={name: Estimate.over(penalty) for name, penalty in terms.penalties.items()},
        code_usage=usage,
    )


def _in_words(estimate: Estimate | None) -> str:
    if estimate is None:
        return _DASH
    has_error = math.isfinite(estimate.standard_error) or not math.isfinite(estimate.mean)
    return str(estimate) if has_error else str(estimate).removesuffix(" ± nan")


def _of_density(terms: ELBO, sampled: ImportanceSampled | None) -> dict[str, Any]:
    """The entries of the record that need a density; they are None if ``sampled`` is."""
    if sampled is None:
        missing = {"negative_elbo": None, "negative_log_likelihood": None, "kl": ()}
        return {**missing, "not_finite": int((~torch.isfinite(terms.log_likelihood)).sum())}
    size = sampled.effective_sample_size
    return {
        "negative_elbo": Estimate.over(-terms.bound),
        "negative_log_likelihood": Estimate.over(-sampled.log_likelihood),
        "effective_sample_size": None if size is None else Estimate.over(size),
        "kl": tuple(Estimate.over(layer) for layer in terms.kl.unbind(dim=1)),
        "not_finite": int((~torch.isfinite(terms.bound.double() + sampled.log_likelihood)).sum()),
    }


_ESTIMATES = tuple(entry.name for entry in dataclasses.fields(Evaluation) if entry.type.startswith("Estimate"))
_PARTS = {"out_of_distribution": OutOfDistribution, "frechet_distance": FrechetDistance, "code_usage": CodeUsage}


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
