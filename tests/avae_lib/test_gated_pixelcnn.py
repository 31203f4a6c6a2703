"""The gated PixelCNN sees what comes before a position, all of it and nothing else, and is a distribution."""

import itertools
import math

import pytest
import torch

from avae_lib.nn.gated_pixelcnn import GatedPixelCNN


def network(seed: int = 0, **options) -> GatedPixelCNN:
    """A network whose predictions are no longer uniform."""
    torch.manual_seed(seed)
    model = GatedPixelCNN(**{"codes": 3, "channels": 6, "layers": 3, "kernel_size": 3, **options})
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    return model


def all_grids(codes: int, height: int, width: int) -> torch.Tensor:
    grids = itertools.product(range(codes), repeat=height * width)
    return torch.tensor(list(grids)).reshape(-1, height, width)


class TestWhatAnOutputSees:
    @pytest.mark.parametrize("kernel_size", [3, 5, 7])
    def test_exactly_the_earlier_positions(self, kernel_size):
        height = width = 5
        model = network(kernel_size=kernel_size, layers=5).double()  # five layers reach across the grid
        embedded = torch.randn(2, 6, height, width, dtype=torch.float64, requires_grad=True)
        logits = model.logits(embedded)
        for row, column in itertools.product(range(height), range(width)):
            (gradient,) = torch.autograd.grad(logits[:, :, row, column].square().sum(), embedded, retain_graph=True)
            seen = gradient.abs().sum(dim=(0, 1)).flatten() > 0
            assert seen.tolist() == [index < row * width + column for index in range(height * width)]

    def test_of_the_condition_its_own_position_and_whatever_the_stacks_bring(self):
        model = network(condition_channels=2)
        condition = torch.randn(1, 2, 4, 4, requires_grad=True)
        logits = model(torch.zeros(1, 4, 4, dtype=torch.int64), condition)
        (gradient,) = torch.autograd.grad(logits[0, :, 0, 0].square().sum(), condition)
        assert gradient[0, :, 0, 0].abs().min() > 0

    def test_rows_further_down_change_nothing(self):
        model, codes = network(), torch.randint(3, (2, 5, 4))
        torch.testing.assert_close(model(codes)[:, :, :3], model(codes[:, :3]))


class TestDistribution:
    @pytest.mark.parametrize("condition_channels", [0, 2])
    def test_probabilities_of_all_grids_sum_to_one(self, condition_channels):
        model, grids = network(condition_channels=condition_channels), all_grids(3, 2, 2)
        condition = torch.randn(1, 2, 2, 2).expand(len(grids), -1, -1, -1) if condition_channels else None
        log_prob = model.log_prob(grids, condition)
        assert log_prob.exp().sum().item() == pytest.approx(1, abs=1e-5)
        assert log_prob.std() > 0.1

    def test_it_is_uniform_before_training(self):
        model = GatedPixelCNN(codes=5, channels=4, layers=2)
        log_prob = model.log_prob(torch.randint(5, (7, 3, 4)))
        torch.testing.assert_close(log_prob, torch.full((7,), -12 * math.log(5)))

    def test_draws_have_the_probabilities_of_their_grids(self):
        model, grids = network(), all_grids(3, 2, 2)
        expected = model.log_prob(grids).exp().double()
        drawn = model.sample(20_000, 2, 2, generator=torch.Generator().manual_seed(0)).flatten(1)
        counts = torch.bincount(drawn @ torch.tensor([27, 9, 3, 1]), minlength=81).double()
        standard_error = (expected * (1 - expected) / 20_000).sqrt()
        assert ((counts / 20_000 - expected).abs() < 5 * standard_error + 1e-4).all()

    def test_draws_follow_the_condition(self):
        model = network(condition_channels=2)
        condition = torch.randn(1, 2, 2, 2)
        grids = all_grids(3, 2, 2)
        expected = model.log_prob(grids, condition.expand(81, -1, -1, -1)).exp()
        drawn = model.sample(20_000, 2, 2, condition.expand(20_000, -1, -1, -1)).flatten(1)
        counts = torch.bincount(drawn @ torch.tensor([27, 9, 3, 1]), minlength=81)
        assert (counts / 20_000 - expected).abs().max() < 0.02

    def test_a_temperature_divides_the_logits(self):
        model = network()
        logits = model(torch.zeros(1, 1, 1, dtype=torch.int64)).flatten()
        drawn = model.sample(20_000, 1, 1, temperature=0.5, generator=torch.Generator().manual_seed(0)).flatten()
        expected = torch.softmax(logits / 0.5, dim=0)
        assert torch.allclose(drawn.bincount(minlength=3) / 20_000, expected, atol=0.02)

    def test_at_temperature_zero_each_code_is_the_most_probable_one_given_those_before(self):
        model = network()
        codes = model.sample(2, 3, 3, temperature=0)
        assert torch.equal(codes, model(codes).argmax(dim=1))

    def test_same_generator_same_draws(self):
        model = network()
        first, second = (model.sample(4, 3, 3, generator=torch.Generator().manual_seed(1)) for _ in range(2))
        assert torch.equal(first, second)


def test_it_learns_a_distribution_of_known_entropy():
    """Two fair bits, each written twice: log 4 nats are all that a model can come down to."""
    torch.manual_seed(0)
    model = GatedPixelCNN(codes=2, channels=8, layers=2, kernel_size=3)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    grids = torch.cartesian_prod(torch.arange(2), torch.arange(2))[:, None].expand(-1, 2, -1)  # all four, once each
    for _ in range(120):
        optimizer.zero_grad()
        loss = -model.log_prob(grids).mean()
        loss.backward()
        optimizer.step()
    assert loss.item() == pytest.approx(math.log(4), abs=0.005)


def test_gradients_reach_every_parameter():
    model = network(condition_channels=2)
    model.log_prob(torch.randint(3, (4, 5, 5)), torch.randn(4, 2, 5, 5)).sum().backward()
    assert all(parameter.grad.any() for parameter in model.parameters())


@pytest.mark.parametrize(
    "options", [{"codes": 0}, {"channels": 0}, {"layers": 0}, {"kernel_size": 4}, {"kernel_size": 1}]
)
def test_impossible_sizes_are_refused(options):
    with pytest.raises(ValueError, match="must be at least 1, and kernel_size odd and at least 3"):
        network(**options)


@pytest.mark.parametrize(("condition_channels", "given"), [(0, (2, 1, 3, 3)), (2, None), (2, (2, 2, 3, 4))])
def test_a_condition_that_does_not_fit_is_refused(condition_channels, given):
    model = network(condition_channels=condition_channels)
    condition = None if given is None else torch.zeros(given)
    with pytest.raises(ValueError, match="condition must be"):
        model(torch.zeros(2, 3, 3, dtype=torch.int64), condition)


def test_probabilities_stay_in_float32_under_autocast():
    model = network()
    with torch.autocast("cpu", torch.bfloat16):
        log_prob = model.log_prob(torch.randint(3, (2, 3, 3)))
    assert log_prob.dtype == torch.float32
