"""How good a model is: bounds and likelihoods in nats and bits per dimension, and how much each layer is used."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from avae_lib.objectives import ELBO, importance_weighted_bound

__all__ = [
    "ACTIVITY_THRESHOLD",
    "Estimate",
    "Evaluation",
    "bits_per_dim",
    "evaluate",
    "marginal_log_likelihood",
    "measuring",
    "terms_of_bound",
    "unit_activity",
]

Nats = TypeVar("Nats", float, Tensor)

_MOST_DECIMALS = 5
ACTIVITY_THRESHOLD = 0.01  # Burda et al. (2016), section 5: variances are clearly above or clearly below it


def bits_per_dim(nats: Nats, num_dims: int) -> Nats:
    r"""Nats per example as bits per dimension, the only conversion between the two.

    .. math:: \frac{\text{nats}}{D \log 2}

    Args:
        nats: a negative log-likelihood or a divergence, summed over one example.
        num_dims: number of values D in one example (pixels × channels).
    """
    if num_dims < 1:
        raise ValueError(f"num_dims must be the number of values in an example, at least 1, got {num_dims}")
    return nats / (num_dims * math.log(2))


@dataclass(frozen=True)
class Estimate:
    """A mean over test examples, and how far off it may be because there are only so many of them."""

    mean: float
    standard_error: float
    """Standard deviation over examples, divided by the root of their number; NaN for a single example."""

    @classmethod
    def over(cls, values: Float[Tensor, " examples"]) -> Estimate:
        """Mean and standard error of one number for each example."""
        values = values.double()
        spread = values.std().item() if len(values) > 1 else math.nan
        return cls(values.mean().item(), spread / math.sqrt(len(values)))

    def __str__(self) -> str:
        """Both with as many decimals as give the standard error two digits, for example ``91.14 ± 0.63``."""
        decimals = 2
        if math.isfinite(self.standard_error) and self.standard_error > 0:
            decimals = min(max(1 - math.floor(math.log10(self.standard_error)), 0), _MOST_DECIMALS)
        return f"{self.mean:.{decimals}f} ± {self.standard_error:.{decimals}f}"

    def in_bits_per_dim(self, num_dims: int) -> Estimate:
        """This estimate, given in nats per example, in bits per dimension."""
        return Estimate(bits_per_dim(self.mean, num_dims), bits_per_dim(self.standard_error, num_dims))


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

    def to_json(self) -> dict[str, Any]:
        """The record as a dictionary that ``json`` can write."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Evaluation:
        """The inverse of :meth:`to_json`, also after a trip through a file."""
        single = {name: Estimate(**record[name]) for name in ("negative_elbo", "distortion", "negative_log_likelihood")}
        layers = {"kl": tuple(Estimate(**estimate) for estimate in record["kl"])}
        counts = {name: tuple(record[name]) for name in ("active_units", "units")}
        return cls(**{**record, **single, **layers, **counts})

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
            f"{self.examples} images of {self.num_dims} dimensions; ± is one standard error",
            f"{'':{width}}  {'nats per image':>19}  {'bits per dimension':>19}",
        ]
        for name, nats in self.rows():
            in_nats, in_bits = str(nats), str(nats.in_bits_per_dim(self.num_dims))
            lines.append(f"{name:{width}}  {in_nats:>19}  {in_bits:>19}")
        active = ", ".join(f"{n} of {all_units}" for n, all_units in zip(self.active_units, self.units, strict=True))
        return "\n".join([*lines, f"active units, top layer first: {active}"])


def evaluate(
    model: nn.Module,
    images: UInt8[Tensor, "examples channels height width"],
    importance_samples: int = 64,
    rows: int = 512,
    seed: int = 0,
    progress: bool = False,
) -> Evaluation:
    """Judge a model (:class:`avae_lib.models.contract.LatentVariableModel`) on held-out images.

    Args:
        images: pixels as the model sees them, on any device.
        importance_samples: draws for each image in the estimate of −log p(x).
        rows: most images that go through the model at once; bounds the memory, not the result.
        seed: of the latents drawn; the same seed on the same machine gives the same numbers.
        progress: show a progress bar on the slow part.
    """
    if len(images) == 0:
        raise ValueError("images must hold at least one image to judge the model on")
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
    )


@contextlib.contextmanager
def measuring(model: nn.Module, seed: int = 0) -> Iterator[None]:
    """A block without gradients, with the model in evaluation mode and its own random numbers.

    Afterwards every part of the model is back in the mode it was in, and the random numbers of the program go on as
    if nothing had been drawn.
    """
    modes = [(module, module.training) for module in model.modules()]
    gpus = list(range(torch.cuda.device_count()))
    model.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=gpus):
            torch.manual_seed(seed)
            yield
    finally:
        for module, training in modes:
            module.training = training


@torch.no_grad()
def terms_of_bound(model: nn.Module, images: UInt8[Tensor, "examples channels height width"], rows: int = 512) -> ELBO:
    """The terms of the bound for every image, one draw each, gathered on the CPU."""
    batches = [model(batch) for batch in _batches(model, images, rows)]
    log_likelihood = torch.cat([batch.log_likelihood.cpu() for batch in batches])
    return ELBO(log_likelihood, torch.cat([batch.kl.cpu() for batch in batches]))


@torch.no_grad()
def marginal_log_likelihood(
    model: nn.Module,
    images: UInt8[Tensor, "examples channels height width"],
    samples: int,
    rows: int = 512,
    progress: bool = False,
) -> Float[Tensor, " examples"]:
    r"""log p(x) of every image by importance sampling, with the whole posterior as proposal, in nats.

    .. math:: \log \frac{1}{K}\sum_{k=1}^{K} \frac{p(x, z_k)}{q(z_k \mid x)}, \qquad z_k \sim q(z \mid x)

    A lower bound on log p(x) in expectation, tighter with every draw (Burda et al., 2016, theorem 1). The sum is
    gathered piece by piece, so that memory grows with ``rows`` and not with ``samples``.

    Args:
        samples: draws K for each image.
        rows: most images that go through the model at once.

    Returns:
        ``(examples,)`` in float64, on the CPU.
    """
    if samples < 1 or rows < 1:
        raise ValueError(f"samples and rows must be at least 1, got {samples} and {rows}")
    from tqdm import tqdm

    with tqdm(total=len(images) * samples, unit="draw", desc="log p(x)", disable=not progress) as bar:
        return torch.cat([_log_mean_weight(model, x, samples, rows, bar) for x in _batches(model, images, rows)])


@torch.no_grad()
def unit_activity(
    model: nn.Module, images: UInt8[Tensor, "examples channels height width"], rows: int = 512
) -> tuple[Float[Tensor, "*event"], ...]:
    r"""How far the posterior mean of each unit moves from image to image (Burda et al., 2016, section 5).

    .. math:: \mathrm{Var}_x\bigl(\mathbb{E}_{q(z \mid x)}[z]\bigr)

    A unit is called active above ``ACTIVITY_THRESHOLD``. Below the top layer a mean also moves because the layers
    above do, so there the number of active units is an upper one.

    Returns:
        One tensor for each layer, top first, shaped like one example of its latents.
    """
    batches = [[posterior.mean.cpu() for posterior in model.latents(x)] for x in _batches(model, images, rows)]
    means = [torch.cat(layer).double() for layer in zip(*batches, strict=True)]
    return tuple(layer.var(dim=0, correction=0) for layer in means)


def _log_mean_weight(model: nn.Module, x: Tensor, samples: int, rows: int, bar: Any) -> Tensor:
    log_sum = torch.full((len(x),), -math.inf, dtype=torch.float64)
    for draws in _chunk_sizes(samples, max(rows // len(x), 1)):
        log_weights = model.log_weight(x.repeat(draws, 1, 1, 1)).reshape(draws, len(x))
        log_mean = importance_weighted_bound(log_weights).double().cpu()
        log_sum = torch.logaddexp(log_sum, log_mean + math.log(draws))
        bar.update(draws * len(x))
    return log_sum - math.log(samples)


def _chunk_sizes(total: int, largest: int) -> Sequence[int]:
    whole, rest = divmod(total, largest)
    return [largest] * whole + [rest] * (rest > 0)


def _batches(model: nn.Module, images: Tensor, rows: int) -> Iterator[Tensor]:
    device = next(model.parameters()).device
    return (batch.to(device) for batch in images.split(rows))
