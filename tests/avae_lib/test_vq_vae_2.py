"""VQ-VAE-2: two levels of codes, and a prior that is trained after them in the same run."""

import dataclasses
import itertools
import json
import math

import pytest
import torch

from avae_lib.data import ImageDataset
from avae_lib.models.contract import LatentVariableModel, ModelWithCodes, ModelWithStages
from avae_lib.models.vq_vae_2 import VQVAE2, VQVAE2Config
from avae_lib.presets.derivation import derive
from avae_lib.training.checkpoints import load_weights
from avae_lib.training.fit import fit
from avae_lib.training.training_config import LearningRateConfig, LoggingConfig, TrainingConfig

SMALL = VQVAE2Config(
    image_shape=(3, 8, 8),
    channels=8,
    halvings=1,
    blocks=1,
    codes=6,
    code_dim=4,
    mixtures=2,
    prior_from_step=4,
    prior_channels=4,
    prior_layers=2,
    prior_kernel_size=3,
)
BINARY = dataclasses.replace(SMALL, image_shape=(1, 4, 4), bits=1, codes=2, likelihood="bernoulli", mixtures=3)
LEARNING = dataclasses.replace(SMALL, codebook_update="loss", estimator="rotation")


def built(config: VQVAE2Config = SMALL) -> VQVAE2:
    """A model in evaluation mode with codes among its encoders' vectors and a prior that is not uniform."""
    torch.manual_seed(0)
    model = config.build().train()
    for step in range(3):
        model.begin_update(step)
        model(images(model, 40))
    with torch.no_grad():
        model.autoencoder.head.projection.weight.mul_(3)
        for network in (model.prior.top, model.prior.lower):
            torch.nn.init.normal_(network.readout[-1].weight)
            torch.nn.init.normal_(network.readout[-1].bias)
    return model.eval()


def images(model: VQVAE2, n: int = 5) -> torch.Tensor:
    levels = torch.randint(0, 2**model.bits, (n, *model.image_shape), generator=torch.Generator().manual_seed(1))
    return levels.to(torch.uint8)


def stripes(n: int, seed: int) -> torch.Tensor:
    """Images of one of four shades, standing or lying stripes: codes that a prior can learn."""
    generator = torch.Generator().manual_seed(seed)
    shade = 60 * torch.randint(4, (n, 1, 1, 1), generator=generator)
    standing = torch.arange(8).remainder(2).expand(8, 8)
    lies = torch.randint(2, (n, 1, 1, 1), generator=generator).bool()
    pattern = shade + 60 * torch.where(lies, standing.T, standing)
    return pattern.expand(-1, 3, -1, -1).to(torch.uint8).contiguous()


DATASET = ImageDataset("stripes", train=stripes(80, 0), valid=stripes(40, 1), test=stripes(40, 2))
TRAINING = TrainingConfig(
    steps=8,
    batch_size=8,
    learning_rate=LearningRateConfig(warmup_steps=0, schedule="constant"),
    logging=LoggingConfig(metrics_every=1, evaluate_every=100),
    device="cpu",
)


@pytest.mark.parametrize("config", [SMALL, LEARNING, BINARY], ids=["moving average", "rotation and loss", "binary"])
class TestContract:
    def test_model_meets_it_in_shapes_and_types(self, config):
        model = built(config)
        x = images(model)
        for contract in (LatentVariableModel, ModelWithStages, ModelWithCodes):
            assert isinstance(model, contract)
        assert (model.num_layers, model.num_dims) == (2, math.prod(model.image_shape))
        elbo = model(x)
        assert elbo.log_likelihood.shape == (5,) and elbo.kl.shape == (5, 2) and model.log_weight(x).shape == (5,)
        for pictures in (model.sample(5), model.reconstruct(x), model.reconstruct(x, 1), model.reconstruct(x, 0)):
            assert pictures.shape == x.shape and pictures.dtype == torch.uint8 and int(pictures.max()) < 2**model.bits

    def test_kl_is_minus_the_log_probability_of_the_codes(self, config):
        model = built(config)
        x = images(model)
        top, lower = model.codes(x)
        assert top.shape[1:] == model.top_grid and lower.shape[1:] == model.grid
        log_likelihood = model.autoencoder.head.log_likelihood(model.autoencoder.features_of_codes(top, lower), x)
        elbo = model(x)
        torch.testing.assert_close(elbo.kl, -model.prior.log_prob(top, lower))
        torch.testing.assert_close(elbo.log_likelihood, log_likelihood)
        torch.testing.assert_close(model.log_weight(x), elbo.bound)

    def test_kept_levels_and_no_others_keep_their_codes(self, config):
        model, decoded = built(config), []
        model.autoencoder.decoder.register_forward_pre_hook(lambda _, inputs: decoded.append(inputs[0]))
        x = images(model, 40)
        top, lower = model.quantize(x)
        of_image = torch.cat([lower.vectors, model.autoencoder.enlarge(top.vectors)], dim=1)
        for keep, same in ((2, (True, True)), (1, (False, True)), (0, (False, False)), (None, (True, True))):
            model.reconstruct(x, keep)
            halves = zip(decoded.pop().chunk(2, dim=1), of_image.chunk(2, dim=1), strict=True)
            assert tuple(torch.allclose(got, wanted, atol=1e-5) for got, wanted in halves) == same
        with pytest.raises(ValueError, match="keep_layers must be None or 0"):
            model.reconstruct(x, 3)

    def test_sampling_never_touches_the_encoders(self, config):
        model = built(config)
        model.autoencoder.encoder = model.autoencoder.top_encoder = None
        first, second = (model.sample(4, 0.7, torch.Generator().manual_seed(9)) for _ in range(2))
        assert torch.equal(first, second)

    def test_weights_in_float64_give_the_same_bound_in_float64(self, config):
        model = built(config)
        x = images(model)
        single, double = model(x).bound, model.double()(x).bound
        assert double.dtype == torch.float64
        torch.testing.assert_close(single.double(), double, rtol=1e-4, atol=1e-3)

    def test_model_can_be_counted_and_walked_through_without_memory(self, config):
        with torch.device("meta"), torch.no_grad():
            model = config.build()
            elbo = model(torch.zeros(2, *model.image_shape, dtype=torch.uint8))
            assert model.sample(2).device.type == elbo.bound.device.type == "meta"

    def test_counts_are_those_of_both_levels_top_first(self, config):
        model = built(config)
        x = images(model)
        counts = model.code_counts(x)
        assert counts.shape == (2, config.codes) and counts.dtype == torch.int64
        assert counts.sum(dim=1).tolist() == [5 * math.prod(model.top_grid), 5 * math.prod(model.grid)]
        assert [posterior.codes.shape[1:] for posterior in model.latents(x)] == [model.top_grid, model.grid]


class TestAgainstEnumeration:
    """Two codes, one position above and four below: p(x) is a sum over 32 pairs of grids."""

    @pytest.fixture
    def model(self):
        return built(BINARY)

    @pytest.fixture
    def all_codes(self):
        grids = torch.tensor(list(itertools.product((0, 1), repeat=5)))
        return grids[:, :1, None], grids[:, 1:].reshape(-1, 2, 2)

    def test_prior_probabilities_sum_to_one(self, model, all_codes):
        assert model.prior.log_prob(*all_codes).sum(dim=1).exp().sum().item() == pytest.approx(1, abs=1e-5)

    def test_bound_is_one_of_the_terms_of_the_evidence(self, model, all_codes):
        x = images(model)
        features, log_prior = model.autoencoder.features_of_codes(*all_codes), model.prior.log_prob(*all_codes).sum(1)
        for image, bound in zip(x, model(x[:5]).bound, strict=True):
            joint = log_prior + model.autoencoder.head.log_likelihood(features, image.expand(32, -1, -1, -1))
            assert bound < joint.logsumexp(dim=0)
            assert (joint - bound).abs().min() < 1e-3

    def test_weights_with_codes_from_the_prior_average_to_the_evidence(self, model, all_codes):
        x = images(model, 1)
        features, log_prior = model.autoencoder.features_of_codes(*all_codes), model.prior.log_prob(*all_codes).sum(1)
        joint = log_prior + model.autoencoder.head.log_likelihood(features, x.expand(32, -1, -1, -1))
        weights = model.log_weight(x.expand(8000, -1, -1, -1), keep_layers=0).exp()
        error = weights.std() / math.sqrt(8000)
        assert abs(weights.mean() - joint.exp().sum()) < 5 * error

    def test_samples_have_the_mean_of_the_model(self, model, all_codes):
        expected = (model.prior.log_prob(*all_codes).sum(1).exp()[:, None, None, None] * model.decode(*all_codes)).sum(
            0
        )
        drawn = model.sample(20_000, generator=torch.Generator().manual_seed(0)).float().mean(dim=0)
        assert torch.allclose(drawn, expected, atol=0.02)

    def test_temperatures_are_one_for_each_level(self, model):
        drawn = []
        model.autoencoder.decoder.register_forward_pre_hook(lambda _, inputs: drawn.append(inputs[0]))
        for temperature, different in (([0.0, 1.0], (True, False)), (0.0, (False, False)), (1.0, (True, True))):
            model.sample(60, temperature)
            lower, top = (part.flatten(1).round(decimals=4).unique(dim=0) for part in drawn.pop().chunk(2, dim=1))
            assert (len(lower) > 1, len(top) > 1) == different
        with pytest.raises(ValueError, match="one for each of the 2 layers"):
            model.sample(2, [1.0])


class TestStages:
    @pytest.fixture(params=[SMALL, LEARNING], ids=["moving average", "rotation and loss"])
    def config(self, request):
        return request.param

    def test_prior_is_uniform_while_the_autoencoder_learns(self, config, tmp_path):
        model = fit(_fresh(config), DATASET, dataclasses.replace(TRAINING, steps=4), tmp_path).model
        kl = model(DATASET.test).kl
        nats = torch.tensor([4 * math.log(6), 16 * math.log(6)]).expand(40, 2)
        torch.testing.assert_close(kl, nats)
        rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
        assert rows[0]["kl_per_layer"] == pytest.approx(nats[0].tolist(), rel=1e-5)

    def test_autoencoder_is_frozen_bit_for_bit_while_the_prior_learns(self, config, tmp_path):
        model = _fresh(config)
        # What moves weights without a gradient of their own: momentum, weight decay, a penalty on all weights.
        training = derive(TRAINING, optimizer={"kind": "adamw", "weight_decay": 0.1}, penalties={"l2": 0.1})
        fit(model, DATASET, dataclasses.replace(training, steps=4), tmp_path)
        model.begin_update(4)  # codes die and are revived between updates; here the last update of the stage is over
        stage_one = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        fit(model, DATASET, dataclasses.replace(training, steps=12), tmp_path)
        changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, stage_one[name])}
        assert changed and all(name.startswith("prior.") for name in changed)

    def test_prior_stays_as_it_is_while_the_autoencoder_learns(self, config, tmp_path):
        model = _fresh(config)
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        fit(model, DATASET, derive(TRAINING, steps=4, penalties={"l2": 0.1}), tmp_path)
        same = {name for name, tensor in model.state_dict().items() if torch.equal(tensor, before[name])}
        assert all((name in same) == name.startswith("prior.") for name in before if not name.endswith("has_recent"))

    @pytest.mark.parametrize("stop_at", [2, 6])
    def test_a_run_that_is_resumed_ends_with_the_same_weights(self, config, stop_at, tmp_path):
        whole = fit(_fresh(config), DATASET, TRAINING, tmp_path / "whole").model.state_dict()
        for steps in (stop_at, 8):
            steps_only = dataclasses.replace(TRAINING, steps=steps)
            parts = fit(_fresh(config), DATASET, steps_only, tmp_path / "parts").model.state_dict()
        assert all(torch.equal(whole[name], parts[name]) for name in whole)

    def test_saved_weights_give_the_bound_of_the_trained_model(self, config, tmp_path):
        trained = fit(_fresh(config), DATASET, TRAINING, tmp_path).model
        loaded = load_weights(config.build(), tmp_path).eval()
        assert torch.equal(loaded(DATASET.test).bound, trained(DATASET.test).bound)

    def test_no_penalty_is_left_once_the_autoencoder_is_frozen(self, config):
        model = _fresh(config).train()
        model.begin_update(3)
        assert model(DATASET.train[:4]).penalties
        model.begin_update(4)
        elbo = model(DATASET.train[:4])
        assert not elbo.penalties and not elbo.log_likelihood.requires_grad and elbo.kl.requires_grad

    def test_gradient_reaches_every_parameter_in_its_stage(self, config):
        for step, part in ((0, "autoencoder."), (4, "prior.")):
            model = built(config).train()
            model.begin_update(step)
            elbo = model(images(model, 16))
            (sum(elbo.penalties.values()) - elbo.bound.mean()).backward()
            reached = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
            assert reached == {name for name, _ in model.named_parameters() if name.startswith(part)}


def test_the_learned_prior_improves_the_bound_on_held_out_images(tmp_path):
    config = dataclasses.replace(SMALL, prior_from_step=40, codebook_decay=0.8)
    training = derive(
        TRAINING, steps=120, logging={"evaluate_every": 40}, optimizer={"kind": "adam"}, learning_rate={"peak": 1e-2}
    )
    fit(_fresh(config), DATASET, derive(training, optimizer={"ema_decay": 0.8}), tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    bounds = {row["step"]: row["negative_elbo"] for row in rows if row.get("split") == "valid"}
    assert bounds[120] < bounds[40] - 10  # 20 positions cost 36 nats under the uniform prior


@pytest.mark.usefixtures("without_annotation_checks")
def test_compiled_training_goes_from_stage_to_stage():
    bounds = []
    for compiled in (False, True):
        model = built().train()
        forward = torch.compile(model, backend="eager", fullgraph=True) if compiled else model
        for step in (3, 4):
            model.begin_update(step)
            elbo = forward(images(model))
            elbo.kl.requires_grad_() if step == 3 else elbo.kl.sum().backward()
            bounds.append(elbo.bound.detach())
    torch.testing.assert_close(bounds[:2], bounds[2:])


def _fresh(config: VQVAE2Config) -> VQVAE2:
    torch.manual_seed(0)
    return config.build()


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"bits": 0}, "bits must be 1 to 8"),
        ({"image_shape": (3, 8, 0)}, "image_shape must be channels, height and width"),
        ({"channels": 0}, "channels must be at least 1"),
        ({"halvings": 0}, "halvings must be at least 1"),
        ({"top_halvings": 0}, "top_halvings must be at least 1"),
        ({"top_halvings": 3}, r"halvings \+ top_halvings: height and width .* multiples of 2\*\*4 = 16"),
        ({"blocks": -1}, "blocks must be at least 0"),
        ({"codes": 1}, "codes must be at least 2"),
        ({"code_dim": 0}, "code_dim must be at least 1"),
        ({"mixtures": 0}, "mixtures must be at least 1"),
        ({"commitment": -1.0}, "commitment must be at least 0"),
        ({"revive_below": -1.0}, "revive_below must be at least 0"),
        ({"codebook_decay": -0.1}, "codebook_decay must be at least 0 and below 1"),
        ({"estimator": "gumbel"}, "estimator must be one of straight_through, rotation"),
        ({"codebook_update": "kmeans"}, "codebook_update must be one of moving_average, loss"),
        ({"likelihood": "gauss"}, "likelihood must be one of bernoulli"),
        ({"prior_from_step": 0}, "prior_from_step must be at least 1"),
        ({"prior_channels": 0}, "prior_channels must be at least 1"),
        ({"prior_layers": 0}, "prior_layers must be at least 1"),
        ({"prior_kernel_size": 4}, "prior_kernel_size must be odd and at least 3"),
    ],
)
def test_impossible_configurations_are_refused(fields, complaint):
    with pytest.raises(ValueError, match=complaint):
        dataclasses.replace(SMALL, **fields)
