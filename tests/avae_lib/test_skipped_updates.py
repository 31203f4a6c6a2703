"""Updates that are left out: nothing changes, nobody waits, all is written down, and too many are too many."""

import json
import math

import numpy as np
import pytest
import torch
from torch import nn

from avae_lib import components
from avae_lib.data import ImageDataset
from avae_lib.models.vae import VAEConfig
from avae_lib.objectives import ELBO
from avae_lib.presets.derivation import derive
from avae_lib.training.checkpoints import Checkpoints
from avae_lib.training.fit import fit
from avae_lib.training.optimizers_and_schedules import learning_rate_factor, make_optimizer, step_unless_skipped
from avae_lib.training.skipped_updates import GradientLimit, Rollback, TrainingDiverged
from avae_lib.training.training_config import (
    LearningRateConfig,
    LoggingConfig,
    OptimizerConfig,
    SkippingConfig,
    TrainingConfig,
)
from avae_lib.training.training_state import TrainingState
from avae_lib.training.update import update

CONFIG = TrainingConfig(
    steps=12,
    batch_size=5,
    learning_rate=LearningRateConfig(warmup_steps=2, peak=0.05),
    logging=LoggingConfig(metrics_every=3, evaluate_every=6, checkpoint_every=6),
)


class Bumpy(nn.Module):
    """A small model with batch normalisation, whose loss is multiplied by given factors in given updates."""

    num_layers, image_shape, bits, num_dims = 1, (1, 2, 2), 4, 4

    def __init__(self, **factors) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
        self.factors = {int(name.removeprefix("update_")): factor for name, factor in factors.items()}
        self.calls, self.before = 0, []

    def forward(self, x, posterior_temperature=1.0):
        value = self.net(x.float())[:, 0]
        self.calls += self.training
        factor = self.factors.get(self.calls, 1.0) if self.training else 1.0
        return ELBO(-value.square() * factor, (value * factor)[:, None].exp())


@pytest.fixture
def dataset():
    images = torch.randint(0, 16, (30, 1, 2, 2), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    return ImageDataset("dots", train=images[:23], valid=images[23:], test=images[23:], bits=4)


def lines(run_dir, name="skipped.jsonl"):
    return [json.loads(line) for line in (run_dir / name).read_text().splitlines()]


def all_that_must_stay(state):
    return {
        "model": {name: value.clone() for name, value in state.model.state_dict().items()},
        "averaged": {name: value.clone() for name, value in state.averaged.state_dict().items()},
        "optimizer": [
            {name: value.clone() for name, value in of_one.items()} for of_one in state.optimizer.state.values()
        ],
    }


def assert_equal(first, second):
    if isinstance(first, torch.Tensor):
        assert torch.equal(first, second)
        return
    keys = first.keys() if isinstance(first, dict) else range(len(first))
    assert len(first) == len(second)
    for key in keys:
        assert_equal(first[key], second[key])


@pytest.mark.parametrize("optimizer", ["adam", "adamax", "adamw"])
@pytest.mark.parametrize("factor", [float("nan"), float("inf"), 1e6])
@pytest.mark.parametrize("number", [1, 4])
def test_an_update_left_out_changes_no_weight_buffer_moment_count_or_average(dataset, optimizer, factor, number):
    config = derive(CONFIG, optimizer={"kind": optimizer}, skipping={"threshold": 1e4})
    model = Bumpy(**{f"update_{number}": factor})
    state = TrainingState(model, dataset, config, torch.device("cpu"))
    for step in range(1, 7):
        before = all_that_must_stay(state)
        update(state, model)
        if step == number:
            assert_equal(before, all_that_must_stay(state))
        else:
            assert not torch.equal(before["model"]["net.1.weight"], model.net[1].weight)
            assert not torch.equal(before["model"]["net.2.running_mean"], model.net[2].running_mean)
    assert [skipped.step for skipped in state.skips.read()] == [number]
    assert state.averaged.n_averaged == 5
    assert {value["step"].item() for value in state.optimizer.state.values()} == {5.0}


@pytest.mark.parametrize("optimizer", ["adam", "adamax", "adamw"])
def test_updates_equal_a_loop_with_the_optimizer_of_torch(dataset, optimizer):
    settings = {"betas": (0.8, 0.95), "weight_decay": 0.1 * (optimizer == "adamw")}
    config = derive(CONFIG, optimizer={"kind": optimizer, "epsilon": 1e-3, "clip_norm": 1e9, **settings})
    ours, theirs = Bumpy(), Bumpy()
    state = TrainingState(ours, dataset, config, torch.device("cpu"))
    twin = TrainingState(theirs, dataset, config, torch.device("cpu"))  # for its batches and rates
    kinds = {"adam": torch.optim.Adam, "adamax": torch.optim.Adamax, "adamw": torch.optim.AdamW}
    reference = kinds[optimizer](theirs.parameters(), eps=1e-3, lr=config.learning_rate.peak, **settings)
    for step in range(8):
        update(state, ours)
        reference.param_groups[0]["lr"] = config.learning_rate.peak * learning_rate_factor(step, config)
        reference.zero_grad()
        (-theirs(twin.sampler.draw()).bound).mean().backward()
        reference.step()
    for found, wanted in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)  # PyTorch's fused step rounds differently


def bits_of(tensor):
    return tensor.reshape(-1).contiguous().view(torch.uint8).tolist()


def test_what_is_put_back_is_what_was_there_bit_by_bit():
    tensors = [
        torch.tensor([1.5, -0.0, float("inf"), float("nan"), 3e38]),
        torch.tensor([2**62, -(2**63)]),
        torch.tensor([True, False]),
        torch.randn(3, 2, dtype=torch.bfloat16).t(),
        torch.tensor(2.0, dtype=torch.float64),
    ]
    before = [tensor.clone() for tensor in tensors]
    spoilt = [torch.full_like(tensor, float("nan") if tensor.is_floating_point() else 1) for tensor in tensors]
    rollback = Rollback(tensors)
    rollback.remember()
    for taken, wanted in ((True, spoilt), (False, before)):
        for tensor, value in zip(tensors, spoilt, strict=True):
            tensor.copy_(value)
        rollback.undo_unless(torch.tensor(taken))
        for found, expected in zip(tensors, wanted, strict=True):
            assert bits_of(found) == bits_of(expected)


def test_skipped_updates_are_written_with_their_reason_and_the_images_they_saw(dataset, tmp_path):
    config = derive(CONFIG, skipping={"threshold": 1e4})
    fit(Bumpy(update_2=float("nan"), update_8=1e6), dataset, config, tmp_path)
    first, second = lines(tmp_path)
    assert (first["step"], second["step"]) == (2, 8)
    assert first["loss"] is None and "loss was nan" in first["reason"]
    assert second["gradient_norm"] >= 1e4 and "not below training.skipping.threshold = 10000" in second["reason"]
    order = torch.randperm(23, generator=torch.Generator().manual_seed(config.seed))
    assert first["images"] == order[5:10].tolist()
    assert [row["skipped"] for row in lines(tmp_path, "metrics.jsonl") if row["split"] == "train"] == [1, 1, 2, 2]
    assert lines(tmp_path, "metrics.jsonl")[-1]["split"] == "valid"


def test_means_of_a_row_are_over_the_updates_that_were_taken(dataset, tmp_path):
    fit(Bumpy(update_2=float("nan")), dataset, CONFIG, tmp_path / "one")
    fit(Bumpy(**{f"update_{n}": float("nan") for n in (1, 2, 3)}), dataset, CONFIG, tmp_path / "all")
    one, all_left_out = (lines(tmp_path / name, "metrics.jsonl")[0] for name in ("one", "all"))
    assert one["loss"] > 0 and one["kl"] == pytest.approx(sum(one["kl_per_layer"]))
    assert "loss" not in all_left_out and all_left_out["skip_rate"] == 1.0


def test_training_that_goes_nowhere_stops_and_leaves_a_checkpoint_that_is_intact(dataset, tmp_path):
    config = derive(CONFIG, skipping={"max_in_a_row": 3, "threshold": 1e4})
    model = Bumpy(**{f"update_{n}": 1e6 for n in range(7, 13)})
    with pytest.raises(
        TrainingDiverged, match=r"3 updates in a row, up to update 9.*raise training\.skipping\.threshold"
    ):
        fit(model, dataset, config, tmp_path)
    assert Checkpoints(tmp_path).load()["step"] == 6
    assert [line["step"] for line in lines(tmp_path)] == [7, 8, 9]
    on = fit(Bumpy(), dataset, derive(config, skipping={"threshold": None}), tmp_path)
    assert on.step == 12 and lines(tmp_path) == []


def test_a_rate_of_skips_that_stays_high_is_warned_of_once_with_advice(dataset, tmp_path, capsys):
    config = derive(CONFIG, steps=160, skipping={"threshold": 1e4})
    every_fifth = {f"update_{n}": 1e6 for n in range(5, 161, 5)}
    fit(Bumpy(**every_fifth), dataset, config, tmp_path)
    said = capsys.readouterr()
    told = [line for line in (said.out + said.err).splitlines() if "warning:" in line]
    assert len(told) == 1
    assert "updates were skipped, the latest because the gradient norm" in told[0]
    assert "raise training.skipping.threshold" in told[0]
    assert "20.0% skipped" in said.err


def test_a_limit_that_follows_leaves_out_outliers_and_lets_gradients_through_that_have_grown_for_good():
    limit = GradientLimit(TrainingConfig(skipping=SkippingConfig(factor=4.0)), torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)

    def admitted(norms):
        return [not limit.skips(torch.tensor(1.0), norm).item() for norm in norms]

    usual = torch.randn(300, generator=generator).mul(0.2).exp()
    assert all(admitted(usual))
    assert not any(admitted(torch.tensor([20.0, float("inf"), float("nan"), 8.0])))
    assert all(admitted(usual)), "a few outliers have not moved it"
    assert not any(admitted(100 * usual[:50]))
    admitted(100 * usual.repeat(2))
    assert all(admitted(100 * usual)), "what has grown for good is the usual now"


def test_the_limit_that_follows_equals_a_loop_in_float64():
    limit = GradientLimit(TrainingConfig(skipping=SkippingConfig(factor=2.0)), torch.device("cpu"))
    norms = torch.randn(200, generator=torch.Generator().manual_seed(1)).exp().tolist()
    mean = 0.0
    for count, norm in enumerate(norms):
        wanted = count < 20 or math.log(norm) < mean + math.log(2)
        assert limit.skips(torch.tensor(1.0), torch.tensor(norm)).item() != wanted
        counted = math.log(norm) if count < 20 else min(math.log(norm), mean + math.log(2))
        mean += max(1 / (1 + count), 0.01) * (counted - mean)
    assert limit.state_dict()["mean_log_norm"].item() == pytest.approx(mean, rel=1e-4)


def test_the_lower_one_of_both_limits_counts():
    limit = GradientLimit(TrainingConfig(skipping=SkippingConfig(threshold=3.0, factor=4.0)), torch.device("cpu"))
    loss = torch.tensor(1.0)
    assert [limit.skips(loss, torch.tensor(norm)).item() for norm in (2.9, 3.0)] == [False, True], "while it settles"
    for _ in range(300):
        limit.skips(loss, torch.tensor(0.5))
    assert [limit.skips(loss, torch.tensor(norm)).item() for norm in (1.9, 2.1, 3.1)] == [False, True, True]


@pytest.fixture
def unwritten():
    """should_skip_update as in an edition in which students have yet to write it."""

    def stub(loss, gradient_norm, threshold):
        raise NotImplementedError("write should_skip_update in unit 05_hierarchical_vae")

    with components.using("should_skip_update", stub):
        yield


NORMS = (0.0, 1e-30, 1.0, 2.0, 2.0000002, 1e30, math.inf, math.nan)
LOSSES = (0.0, -5.0, 3e38, math.inf, -math.inf, math.nan)


@pytest.mark.parametrize("threshold", [None, 2.0, 1e-30, 1e38])
def test_without_the_exercise_the_same_updates_are_skipped(unwritten, threshold):
    limit = GradientLimit(TrainingConfig(skipping=SkippingConfig(threshold=threshold)), torch.device("cpu"))
    for loss in LOSSES:
        for norm in NORMS:
            too_long = threshold is not None and not norm < np.float32(threshold)
            wanted = too_long or not (math.isfinite(loss) and math.isfinite(norm))
            assert limit.skips(torch.tensor(loss), torch.tensor(norm)).item() == wanted, (loss, norm)


def test_a_run_without_the_exercise_has_the_same_course(dataset, tmp_path, request):
    config = derive(CONFIG, skipping={"threshold": 1e4, "factor": 50.0})
    written = fit(Bumpy(update_2=float("nan"), update_8=1e6), dataset, config, tmp_path / "written")
    request.getfixturevalue("unwritten")
    without = fit(Bumpy(update_2=float("nan"), update_8=1e6), dataset, config, tmp_path / "without")
    assert_equal(written.model.state_dict(), without.model.state_dict())
    assert lines(tmp_path / "written") == lines(tmp_path / "without")


def test_the_function_of_a_student_decides(dataset, tmp_path):
    def every_other(loss, gradient_norm, threshold):
        calls.append(threshold)
        return torch.tensor(len(calls) % 2 == 0)

    calls = []
    with components.using("should_skip_update", every_other):
        fit(Bumpy(), dataset, derive(CONFIG, skipping={"threshold": 7.5}), tmp_path)
    assert calls == [7.5] * 12
    assert [line["step"] for line in lines(tmp_path)] == [2, 4, 6, 8, 10, 12]
    assert all("should_skip_update decided so" in line["reason"] for line in lines(tmp_path))


def test_a_function_of_a_student_that_skips_everything_is_named_when_training_stops(dataset, tmp_path):
    def everything(loss, gradient_norm, threshold):
        return torch.tensor(True)

    with (
        components.using("should_skip_update", everything),
        pytest.raises(TrainingDiverged, match=r"check your should_skip_update"),
    ):
        fit(Bumpy(), dataset, derive(CONFIG, skipping={"max_in_a_row": 3}), tmp_path)


def test_an_update_far_from_the_usual_is_left_out_with_that_reason(dataset, tmp_path):
    config = derive(CONFIG, steps=36, skipping={"factor": 1e3})
    fit(Bumpy(update_30=1e9), dataset, config, tmp_path)
    (line,) = lines(tmp_path)
    assert line["step"] == 30 and "not below training.skipping.factor = 1000 times the usual one" in line["reason"]


EVERYTHING = derive(
    CONFIG,
    steps=24,
    optimizer={"kind": "adamw", "betas": (0.9, 0.9), "weight_decay": 0.01},
    learning_rate={"schedule": "cosine_restarts", "first_period_steps": 4},
    kl_weight={"warmup_steps": 18, "start": 0.1, "free_bits": 0.05, "balancing": True},
    penalties={"l2": 1e-3, "spectral": 1e-2},
    skipping={"threshold": 4.0, "factor": 1.2},
)


def test_a_run_with_every_kind_of_state_resumes_bit_for_bit(dataset, tmp_path):
    dataset = dataset.flipped(horizontal=True, vertical=True)
    config = VAEConfig(
        image_shape=(1, 2, 2), bits=4, likelihood="discretized_logistic", latent_dim=2, hidden_sizes=(5,)
    )

    def fresh():
        torch.manual_seed(0)
        return config.build()

    alone = fit(fresh(), dataset, EVERYTHING, tmp_path / "alone")
    dying, calls = fresh(), iter(range(1, 100))

    def die_in_update_16(module, arguments):
        if module.training and next(calls) == 16:
            raise SystemExit

    dying.register_forward_pre_hook(die_in_update_16)
    with pytest.raises(SystemExit):
        fit(dying, dataset, EVERYTHING, tmp_path / "killed")
    resumed = fit(fresh(), dataset, EVERYTHING, tmp_path / "killed")
    states = [Checkpoints(tmp_path / name).load() for name in ("alone", "killed")]
    for part in ("model", "averaged", "loss", "limit"):
        assert_equal(states[0][part], states[1][part])
    assert states[0]["loss"] and all(torch.isfinite(vectors).all() for vectors in states[0]["loss"].values())
    assert_equal(alone.model.state_dict(), resumed.model.state_dict())
    skipped = [lines(tmp_path / name) for name in ("alone", "killed")]
    assert skipped[0] == skipped[1]
    assert states[0]["skipped"] == states[1]["skipped"] == len(skipped[0]) > 1
    assert_equal(states[0]["noise"], states[1]["noise"])


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.0, 0.5), (0.5, 0.0)])
def test_steps_in_float64_are_those_of_torch_to_the_last_digits(betas):
    """Of Adamax, whose step is ours; with skipped steps between, one of them the first."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(4, 3), (5,), ()]
    ours, theirs = ([nn.Parameter(torch.ones(shape, dtype=torch.float64)) for shape in shapes] for _ in range(2))
    config = TrainingConfig(optimizer=OptimizerConfig(betas=betas, epsilon=1e-3))
    optimizer = make_optimizer(ours, config)
    reference = torch.optim.Adamax(theirs, lr=config.learning_rate.peak, betas=betas, eps=1e-3)
    for skipped in (True, False, False, True, False, True, True, False, False):
        for own, other in zip(ours, theirs, strict=True):
            other.grad = torch.randn(own.shape, dtype=torch.float64, generator=generator)
            own.grad = torch.full_like(own, math.nan) if skipped else other.grad.clone()
        step_unless_skipped(optimizer, torch.tensor(skipped))
        if not skipped:
            reference.step()
    for own, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-6, atol=0)  # the rate is computed in float32, as PyTorch's is
        torch.testing.assert_close(
            optimizer.state[own]["exp_avg"], reference.state[other]["exp_avg"], rtol=1e-12, atol=1e-14
        )
