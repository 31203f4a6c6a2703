"""Whether claims are true: compares them with a measurement, in the words of the home check and of the feedback."""

from __future__ import annotations

import math
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from avae_lib.capstone.budget import BUDGET, Budget
from avae_lib.capstone.claims import Claims
from avae_lib.data import recorded
from avae_lib.evaluation import Estimate

__all__ = [
    "NOISE_OF_DRAWS_BPD",
    "Finding",
    "baseline",
    "claim_holds_elsewhere",
    "claim_reproduces",
    "improvement",
    "keeps_budget",
]

_STANDARD_ERRORS = 2.0
NOISE_OF_DRAWS_BPD = 0.005  # between two measurements of one model on the same images, with other draws


@dataclass(frozen=True)
class Finding:
    """The result of one comparison: whether it passed, and a sentence with the numbers."""

    passed: bool
    sentence: str


def baseline(quantity: str = "bound") -> Estimate:
    """The baseline's bits per dimension on the public test images, measured by ``experiments/capstone``.

    >>> f"{baseline('bound').mean:.2f}"
    '4.86'
    """
    return Estimate.from_json(recorded("capstone_baseline")[quantity])


def claim_reproduces(claims: Claims, measured: Float[Tensor, " images"]) -> Finding:
    """Whether the claimed number agrees with the model's on the public test images, within the claim's own error.

    Args:
        measured: bits per dimension of each public test image, of the claim's quantity.

    >>> import torch
    >>> claims = Claims("photos32", "embedded", "bound", 4.93, 0.06, 1, 195_684, 8_400, 0.4)
    >>> claim_reproduces(claims, torch.tensor([5.1, 4.9])).sentence
    'you claim 4.93 ± 0.06, measured were 5.0000: the claim is 0.07 bits per dimension better than the model, ...'
    """
    here = Estimate.over(measured)
    off = claims.bits_per_dim - here.mean
    allowed = claims.error + NOISE_OF_DRAWS_BPD
    numbers = f"you claim {claims.bits_per_dim:.4g} ± {claims.error:.2g}, measured were {here.mean:.4f}"
    if abs(off) <= allowed:
        return Finding(True, numbers)
    better = "better" if off < 0 else "worse"
    return Finding(
        False,
        f"{numbers}: the claim is {abs(off):.3g} bits per dimension {better} than the model, "
        f"{abs(off) / claims.error:.3g} times its stated error",
    )


def claim_holds_elsewhere(claims: Claims, elsewhere: Estimate) -> Finding:
    """Whether the claim holds on images that nobody could train on: they are no worse than claimed, within both errors.

    Args:
        elsewhere: the estimate from held-out images of the mean over the public test images.

    >>> claims = Claims("photos32", "embedded", "bound", 4.93, 0.06, 1, 195_684, 8_400, 0.4)
    >>> claim_holds_elsewhere(claims, Estimate(5.0, 0.02)).passed
    True
    >>> claim_holds_elsewhere(claims, Estimate(5.5, 0.02)).passed
    False
    """
    allowed = claims.error + _STANDARD_ERRORS * elsewhere.standard_error + NOISE_OF_DRAWS_BPD
    off = elsewhere.mean - claims.bits_per_dim
    numbers = (
        f"you claim {claims.bits_per_dim:.4g} ± {claims.error:.2g}, held-out images say "
        f"{elsewhere.mean:.4f} ± {elsewhere.standard_error:.4f}"
    )
    if off <= allowed:
        return Finding(True, numbers)
    return Finding(
        False, f"{numbers}: the claim is too good by {off:.3g} bits per dimension, more than both errors allow"
    )


def keeps_budget(claims: Claims, parameters: int, weights_bytes: int, budget: Budget = BUDGET) -> Finding:
    """Whether model and training stay within the budget, and the claimed number of parameters is right.

    Updates and hours are taken as declared.

    >>> claims = Claims("photos32", "embedded", "bound", 4.93, 0.06, 1, 195_684, 8_400, 0.4)
    >>> keeps_budget(claims, parameters=195_684, weights_bytes=790_000).sentence
    '195,684 of 2,000,000 parameters'
    >>> keeps_budget(claims, parameters=200_000, weights_bytes=790_000).passed
    False
    """
    over = [
        f"{what} {number:,.10g} of at most {most:,.10g}"
        for what, number, most in (
            ("parameters", parameters, budget.max_parameters),
            ("bytes of weights", weights_bytes, budget.max_weights_bytes),
            ("updates", claims.updates, budget.max_updates),
            ("hours", claims.hours, budget.max_hours),
        )
        if number > most
    ]
    if over:
        return Finding(False, f"over the budget: {'; '.join(over)}")
    if parameters != claims.parameters:
        return Finding(False, f"you claim {claims.parameters:,} parameters, the model has {parameters:,}")
    return Finding(True, f"{parameters:,} of {budget.max_parameters:,} parameters")


def improvement(bound: Estimate, least_bpd: float = 0.0) -> Finding:
    """Whether the model's bound is better than the baseline's by more than ``least_bpd`` bits per dimension.

    Claims do not count here.

    Args:
        bound: the bound of the model, on held-out images or, at home, on the public ones.

    >>> improvement(Estimate(4.5, 0.02), least_bpd=0.3).passed
    True
    >>> improvement(Estimate(4.5, 0.02), least_bpd=0.6).passed
    False
    """
    better = baseline("bound").mean - bound.mean
    numbers = (
        f"the bound is {abs(better):.3f} bits per dimension {'better' if better >= 0 else 'worse'} than the baseline's"
    )
    passed = math.isfinite(better) and better > least_bpd
    return Finding(passed, numbers if passed else f"{numbers}; it must be better by more than {least_bpd:g}")
