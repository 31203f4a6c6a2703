"""Wrong answers to the small exercises of unit 04 that no list names: the cases themselves must catch them."""

import pytest
import torch
import torch.nn.functional as F

from autograder.checks.free_bits import FREE_BITS
from autograder.checks.inverse_autoregressive_step import INVERSE_AUTOREGRESSIVE_STEP
from autograder.checks.judge_component import judge_component
from autograder.checks.maximum_mean_discrepancy import MAXIMUM_MEAN_DISCREPANCY
from autograder.checks.vector_quantize import VECTOR_QUANTIZE
from avae_lib.checking.harnesses import observe

SMALL = (FREE_BITS, VECTOR_QUANTIZE, INVERSE_AUTOREGRESSIVE_STEP, MAXIMUM_MEAN_DISCREPANCY)
CHECKS = {check.component: check for check in SMALL}


def judged(name, function, seed=11):
    check = CHECKS[name]
    return judge_component(check.trials(seed), check, lambda request: observe(function, request))


def lost(name, function):
    return [case.name for case in judged(name, function).cases if not case.passed]


def free_bits_where(within, value=lambda kl, nats: torch.full_like(kl, nats)):
    """free_bits that is right but for which layers are within their free bits, or for what these are set to."""
    return lambda kl, nats_per_layer: torch.where(within(kl, nats_per_layer), value(kl, nats_per_layer), kl)


def is_below(kl, nats):
    return kl.mean(dim=0) < nats


def nearest(z, codebook):
    return ((z[:, None] - codebook) ** 2).sum(dim=2).argmin(dim=1)


def quantising(
    indices_of=nearest,
    through=lambda z, codes: z + (codes - z).detach(),
    losses=lambda z, codes: (F.mse_loss(codes, z.detach()), F.mse_loss(z, codes.detach())),
):
    """vector_quantize that is right but for its choice, its gradient or its losses."""

    def vector_quantize(z, codebook):
        indices = indices_of(z, codebook)
        codes = codebook[indices]
        return through(z, codes), indices, *losses(z, codes)

    return vector_quantize


def of_the_first(moved, constant):
    """A mean square whose gradient reaches the first row alone."""
    return F.mse_loss(torch.cat([moved[:1], moved[1:].detach()]), constant)


def shortest_of_the_nearest(z, codebook):
    """Nearest codes; of those equally near, the one nearest to zero."""
    squares = ((z[:, None] - codebook) ** 2).sum(dim=2)
    is_nearest = squares == squares.amin(dim=1, keepdim=True)
    return torch.where(is_nearest, codebook.norm(dim=1), torch.inf).argmin(dim=1)


def stepping(moved=None, log_determinant=lambda g: F.logsigmoid(g).sum(dim=1)):
    """inverse_autoregressive_step that is right but for one of its results."""

    def right(z, shift, gate):
        return gate * z + (1 - gate) * shift

    return lambda z, shift, gate_logit: (
        (moved or right)(z, shift, torch.sigmoid(gate_logit)),
        log_determinant(gate_logit),
    )


def discrepancy(
    kernel=lambda squares, scales: (scales / (scales + squares[..., None])).sum(-1),
    within=lambda k: (k.sum() - k.diagonal().sum()) / (len(k) * (len(k) - 1)),
    between=lambda k: k.mean(),
    joined=lambda of_x, of_y, of_both: of_x + of_y - 2 * of_both,
):
    """maximum_mean_discrepancy that is right but for its kernel, one of its means, or how these are joined."""

    def maximum_mean_discrepancy(x, y, scales):
        of_x, of_y, of_both = (kernel(((a[:, None] - b) ** 2).sum(dim=2), scales) for a, b in ((x, x), (y, y), (x, y)))
        return joined(within(of_x), within(of_y), between(of_both))

    return maximum_mean_discrepancy


UNNAMED = {
    "free_bits": [
        free_bits_where(lambda kl, nats: kl.median(dim=0).values < 0.9 * nats),
        free_bits_where(lambda kl, nats: kl.mean(dim=0) < 0.5 * nats),
        free_bits_where(lambda kl, nats: kl.amin(dim=0) < nats),
        free_bits_where(lambda kl, nats: kl[:1].mean(dim=0) < nats),
        free_bits_where(lambda kl, nats: kl.amax(dim=0) - kl.amin(dim=0) < nats),
        free_bits_where(is_below, lambda kl, nats: torch.full_like(kl, nats / kl.shape[1])),
        free_bits_where(is_below, lambda kl, nats: torch.full_like(kl, nats).half().to(kl.dtype)),
        free_bits_where(is_below, lambda kl, nats: nats - 0.001 * kl),
        lambda kl, nats_per_layer: torch.maximum(kl, kl.mean(dim=0).clamp(min=nats_per_layer)),
        lambda kl, nats_per_layer: F.softplus(kl - nats_per_layer) + nats_per_layer,
        lambda kl, nats_per_layer: kl if nats_per_layer > 1 else kl.clamp(min=nats_per_layer),
        lambda kl, nats_per_layer: [kl],
    ],
    "vector_quantize": [
        quantising(lambda z, e: nearest(z.half().to(z.dtype).round(), e.round())),
        quantising(lambda z, e: nearest(z[:, :1], e[:, :1])),
        quantising(lambda z, e: nearest(z - z.mean(0), e - e.mean(0))),
        quantising(lambda z, e: nearest(z, e).clamp(max=1)),
        quantising(lambda z, e: nearest(z.roll(1, 0), e)),
        quantising(through=lambda z, codes: z + (codes - z).detach() * 0.999),
        quantising(through=lambda z, codes: z.detach() + codes - z.detach()),
        quantising(through=lambda z, codes: 2 * z + (codes - 2 * z).detach()),
        quantising(through=lambda z, codes: 0.5 * (z + codes) + 0.5 * (codes - z).detach()),
        quantising(losses=lambda z, codes: (F.mse_loss(codes, z.detach()) / 2, F.mse_loss(z, codes.detach()) / 2)),
        quantising(losses=lambda z, codes: (F.huber_loss(codes, z.detach()), F.huber_loss(z, codes.detach()))),
        quantising(losses=lambda z, codes: (codes.square().mean(), z.square().mean())),
        quantising(losses=lambda z, codes: (F.mse_loss(codes, z.detach()) + F.mse_loss(z, codes.detach()),)),
        quantising(losses=lambda z, codes: (F.mse_loss(codes, z.detach()),) * 2),
        quantising(losses=lambda z, codes: (of_the_first(codes, z.detach()), F.mse_loss(z, codes.detach()))),
        quantising(losses=lambda z, codes: (F.mse_loss(codes, z.detach()), of_the_first(z, codes.detach()))),
        quantising(shortest_of_the_nearest),
    ],
    "inverse_autoregressive_step": [
        stepping(lambda z, m, gate: gate * z + (1 - gate) * m * 1.001),
        stepping(lambda z, m, gate: gate**2 * z + (1 - gate**2) * m),
        stepping(lambda z, m, gate: gate.sqrt() * z + (1 - gate).sqrt() * m),
        stepping(lambda z, m, gate: torch.where(gate > 0.5, z, m)),
        stepping(lambda z, m, gate: (gate.half() * z + (1 - gate.half()) * m).to(z.dtype)),
        stepping(lambda z, m, gate: gate * z + (1 - gate) * m.flip(1)),
        stepping(log_determinant=lambda g: F.logsigmoid(g).sum(dim=1) * 1.001),
        stepping(log_determinant=lambda g: F.logsigmoid(g).cumsum(dim=1)[:, 0]),
        stepping(log_determinant=lambda g: F.logsigmoid(g).amin(dim=1)),
        stepping(log_determinant=lambda g: F.logsigmoid(g.sum(dim=1))),
        stepping(log_determinant=lambda g: F.logsigmoid(g.clamp(min=-50)).sum(dim=1)),
        stepping(log_determinant=lambda g: -F.relu(-g).sum(dim=1)),
        lambda z, shift, gate_logit: torch.lerp(shift, z, torch.sigmoid(gate_logit)),
    ],
    "maximum_mean_discrepancy": [
        discrepancy(lambda squares, scales: (scales / (scales + squares[..., None])).sum(-1) * 1.001),
        discrepancy(lambda squares, scales: (1 + squares[..., None] / scales).rsqrt().sum(-1)),
        discrepancy(lambda squares, scales: torch.exp(-squares[..., None].sqrt() / scales).sum(-1)),
        discrepancy(lambda squares, scales: (scales / (scales + squares[..., None])).amax(-1)),
        discrepancy(lambda squares, scales: scales.sum() / (scales.sum() + squares)),
        discrepancy(within=lambda k: (k.sum() - k.diagonal().sum()) / len(k)),
        discrepancy(within=lambda k: k[0, 1:].mean()),
        discrepancy(between=lambda k: k.diagonal().mean()),
        discrepancy(between=lambda k: k.amax()),
        discrepancy(joined=lambda of_x, of_y, of_both: (of_x + of_y - 2 * of_both).clamp(min=-0.1)),
        discrepancy(joined=lambda of_x, of_y, of_both: of_x * of_y - of_both**2),
        discrepancy(joined=lambda of_x, of_y, of_both: 2 * of_both - of_x - of_y),
        discrepancy(joined=lambda of_x, of_y, of_both: F.softplus(50 * (of_x + of_y - 2 * of_both)) / 50),
        discrepancy(joined=lambda of_x, of_y, of_both: (of_x + of_y - 2 * of_both).reshape(1)),
        lambda x, y, scales: torch.cdist(x, y).mean() * scales.mean(),
    ],
}


@pytest.mark.parametrize(
    ("name", "function"),
    [pytest.param(name, f, id=f"{name}-{n}") for name, wrong in UNNAMED.items() for n, f in enumerate(wrong)],
)
def test_wrong_function_that_nobody_named_loses_points_and_gets_a_diagnosis(name, function, assert_known_as_wrong):
    assert_known_as_wrong(CHECKS[name], function)


def test_losses_that_are_summed_cost_their_own_case_and_that_of_their_gradients():
    def summed(z, codes):
        return F.mse_loss(codes, z.detach(), reduction="sum"), F.mse_loss(z, codes.detach(), reduction="sum")

    assert lost("vector_quantize", quantising(losses=summed)) == ["losses", "gradients of the losses"]


def test_codes_without_a_straight_through_gradient_cost_its_case_and_no_other():
    assert lost("vector_quantize", quantising(through=lambda z, codes: codes)) == ["straight-through gradient"]


def test_distances_from_a_matrix_product_cost_the_case_of_codes_far_from_zero_and_no_other():
    by_products = quantising(lambda z, e: torch.cdist(z, e, compute_mode="use_mm_for_euclid_dist").argmin(dim=1))
    assert lost("vector_quantize", by_products) == ["ties, codes far from zero, precision kept"]


def test_a_right_step_keeps_its_point_beside_a_wrong_log_determinant():
    wrong = stepping(log_determinant=lambda g: g.sum(dim=1))
    assert "transformed z" not in lost("inverse_autoregressive_step", wrong)


def test_the_logarithm_of_a_sigmoid_costs_the_case_of_wide_logits_and_no_other():
    unsafe = stepping(log_determinant=lambda g: torch.sigmoid(g).log().sum(dim=1))
    assert lost("inverse_autoregressive_step", unsafe) == ["logits from −100 to 100, gradients, precision kept"]


def test_a_gate_by_subtraction_is_right():
    assert lost("inverse_autoregressive_step", stepping()) == []


def test_a_root_whose_gradient_is_nan_costs_the_case_of_gradients_and_no_other():
    rooted = discrepancy(lambda squares, scales: (scales / (scales + squares.sqrt()[..., None] ** 2)).sum(-1))
    assert lost("maximum_mean_discrepancy", rooted) == ["gradients"]
