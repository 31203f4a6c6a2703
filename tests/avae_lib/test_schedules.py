"""What is a function of the step alone: rates, weights and averages."""

import json

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    LinearLR,
    SequentialLR,
)

from avae_lib.training.metrics import MetricsFile
from avae_lib.training.moving_average import MovingAverage
from avae_lib.training.optimizers_and_schedules import kl_weight_at, learning_rate_factor, learning_rate_schedule
from avae_lib.training.training_config import KLWeightConfig, LearningRateConfig, TrainingConfig


def test_moving_average_equals_a_float64_loop():
    model, decay = nn.Linear(3, 2), 0.8
    average = MovingAverage(model, decay)
    expected = None
    for count in range(30):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter))
        now = torch.cat([p.detach().double().flatten() for p in model.parameters()])
        rate = min(decay, (1 + count) / (10 + count))
        expected = now if expected is None else rate * expected + (1 - rate) * now
        average.update_parameters(model)
    found = torch.cat([p.detach().double().flatten() for p in average.module.parameters()])
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("step", "factor"),
    [(0, 0.1), (4, 0.5), (9, 1.0), (29, 0.2 + 0.8 * 0.5), (19, 0.2 + 0.8 * 0.8535533905932737), (49, 0.2)],
)
def test_learning_rate_rises_linearly_and_falls_along_a_cosine(step, factor):
    config = TrainingConfig(steps=50, learning_rate=LearningRateConfig(warmup_steps=10, final_fraction=0.2))
    assert learning_rate_factor(step, config) == pytest.approx(factor)


@pytest.mark.parametrize(("steps", "warmup"), [(5, 10), (10, 10), (5, 0), (1, 0), (1, 1)])
def test_learning_rate_is_positive_and_at_most_the_peak_for_any_lengths(steps, warmup):
    config = TrainingConfig(steps=steps, learning_rate=LearningRateConfig(warmup_steps=warmup))
    factors = [learning_rate_factor(step, config) for step in range(steps)]
    assert all(0 < factor <= 1 for factor in factors)


def rates_of_torch(config, *after_warmup):
    """Learning rates, as fractions of the peak, of PyTorch's own schedulers one after the other."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    warmup_steps = config.learning_rate.warmup_steps
    warmup = LinearLR(optimizer, 1 / warmup_steps, 1.0, total_iters=warmup_steps - 1)
    kind, *arguments = after_warmup
    follower = kind(optimizer, *arguments)
    schedule = SequentialLR(optimizer, [warmup, follower], milestones=[warmup_steps - 1])
    rates = []
    for _ in range(config.steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


@pytest.mark.parametrize(
    ("change", "after_warmup"),
    [
        ({"schedule": "cosine", "final_fraction": 0.1}, (CosineAnnealingLR, 35, 0.1)),
        ({"schedule": "constant"}, (ConstantLR, 1.0)),
        (
            {"schedule": "cosine_restarts", "first_period_steps": 5, "final_fraction": 0.1},
            (CosineAnnealingWarmRestarts, 5, 2, 0.1),
        ),
    ],
)
def test_every_schedule_equals_that_of_torch(change, after_warmup):
    config = TrainingConfig(steps=40, learning_rate=LearningRateConfig(warmup_steps=5, **change))
    ours = [learning_rate_factor(step, config) for step in range(config.steps)]
    assert ours == pytest.approx(rates_of_torch(config, *after_warmup))


def test_the_optimizer_is_given_the_scheduled_rate_from_any_step_on():
    config = TrainingConfig(steps=30, learning_rate=LearningRateConfig(warmup_steps=10, peak=0.5))
    for start in (0, 7, 20):
        optimizer = torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=0.5)
        learning_rate_schedule(optimizer, config, 0)
        schedule = learning_rate_schedule(optimizer, config, start)
        for step in range(start, 30):
            assert optimizer.param_groups[0]["lr"] == pytest.approx(0.5 * learning_rate_factor(step, config))
            optimizer.step()
            schedule.step()


def test_beta_rises_linearly_to_its_value():
    config = TrainingConfig(kl_weight=KLWeightConfig(final=2.0, warmup_steps=4))
    assert [kl_weight_at(step, config) for step in range(6)] == [0.5, 1.0, 1.5, 2.0, 2.0, 2.0]
    assert kl_weight_at(0, TrainingConfig(kl_weight=KLWeightConfig(final=2.0))) == 2.0
    config = TrainingConfig(kl_weight=KLWeightConfig(final=1.0, start=0.2, warmup_steps=4))
    assert [kl_weight_at(step, config) for step in range(5)] == pytest.approx([0.4, 0.6, 0.8, 1.0, 1.0])


def test_rows_after_the_checkpoint_and_unfinished_lines_are_dropped_on_resuming(tmp_path):
    metrics = MetricsFile(tmp_path / "metrics.jsonl")
    for step in (1, 2, 3):
        metrics.append({"split": "train", "step": step, "loss": float("nan")})
    with metrics.path.open("a") as file:
        file.write('{"split": "train", "st')
    metrics.keep_through(2)
    rows = [json.loads(line) for line in metrics.path.read_text().splitlines()]
    assert rows == [{"split": "train", "step": step, "loss": None} for step in (1, 2)]
