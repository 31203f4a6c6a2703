"""The VQ-VAE: its bound is exact, its codes are a point mass, and training keeps the codebook alive."""

import dataclasses
import itertools
import math

import pytest
import torch

from avae_lib import components
from avae_lib.models.contract import LatentVariableModel, ModelWithCodes, ModelWithStages
from avae_lib.models.vq_vae import VQVAE, VQVAEConfig
from avae_lib.training.moving_average import MovingAverage

SMALL = VQVAEConfig(image_shape=(3, 8, 8), channels=8, blocks=1, codes=6, code_dim=4, mixtures=2)
BINARY = dataclasses.replace(
    SMALL, image_shape=(1, 2, 2), bits=1, halvings=1, codes=3, likelihood="bernoulli", mixtures=3
)
CONFIGS = {
    "straight through": SMALL,
    "rotation": dataclasses.replace(SMALL, estimator="rotation"),
    "codebook loss": dataclasses.replace(SMALL, codebook_update="loss"),
    "grey": dataclasses.replace(SMALL, image_shape=(1, 8, 4), bits=4, likelihood="discretized_logistic"),
    "binary": BINARY,
}
every_kind = pytest.mark.parametrize("kind", CONFIGS)


def built(kind: str) -> VQVAE:
    """A model in evaluation mode whose codes lie among the vectors that its encoder makes of noise."""
    torch.manual_seed(0)
    model = CONFIGS[kind].build()
    with torch.no_grad():
        vectors = model.encoder(images(model, 40)).movedim(1, -1).flatten(end_dim=-2)
        model.codebook.place(vectors[torch.randperm(len(vectors))[: model.config.codes]])
        model.head.projection.weight.mul_(3)
    return model.eval()


def images(model: VQVAE, n: int = 5) -> torch.Tensor:
    levels = torch.randint(0, 2**model.bits, (n, *model.image_shape), generator=torch.Generator().manual_seed(1))
    return levels.to(torch.uint8)


def all_binary_images() -> torch.Tensor:
    return torch.tensor(list(itertools.product((0, 1), repeat=4)), dtype=torch.uint8).reshape(16, 1, 2, 2)


@every_kind
class TestContract:
    def test_model_meets_it_in_shapes_and_types(self, kind):
        model = built(kind)
        x = images(model)
        for contract in (LatentVariableModel, ModelWithStages, ModelWithCodes):
            assert isinstance(model, contract)
        assert (model.num_layers, model.num_dims) == (1, math.prod(model.image_shape))
        elbo = model(x)
        assert elbo.log_likelihood.shape == (5,) and elbo.kl.shape == (5, 1) and model.log_weight(x).shape == (5,)
        for pictures in (model.sample(5), model.reconstruct(x), model.reconstruct(x, keep_layers=0)):
            assert pictures.shape == x.shape and pictures.dtype == torch.uint8 and int(pictures.max()) < 2**model.bits

    def test_bound_is_the_likelihood_of_the_codes_less_log_k_for_each_position(self, kind):
        model = built(kind)
        x = images(model)
        (posterior,) = model.latents(x)
        vectors = model.codebook.vectors[posterior.codes].movedim(-1, 1)
        log_likelihood = model.head.log_likelihood(model.decoder(vectors), x)
        positions = posterior.codes[0].numel()
        elbo = model(x)
        torch.testing.assert_close(elbo.log_likelihood, log_likelihood)
        torch.testing.assert_close(elbo.kl, torch.full((5, 1), positions * math.log(model.config.codes)))
        torch.testing.assert_close(model.log_weight(x), elbo.bound)

    def test_codes_are_drawn_uniformly_where_no_layer_is_kept(self, kind):
        model, drawn = built(kind), []
        model.decoder.register_forward_pre_hook(lambda _, inputs: drawn.append(inputs[0]))
        model.log_weight(images(model, 1).expand(2000, *model.image_shape), keep_layers=0)
        flat = drawn[0].movedim(1, -1).flatten(end_dim=-2)
        codes = (flat[:, None] == model.codebook.vectors).all(dim=2).int().argmax(dim=1)
        share = codes.bincount(minlength=model.config.codes) / len(codes)
        assert (share * model.config.codes - 1).abs().max() < 5 * math.sqrt(model.config.codes / len(codes))

    def test_temperatures_change_nothing_and_impossible_ones_are_refused(self, kind):
        model = built(kind)
        x = images(model)
        assert torch.equal(model(x).bound, model(x, posterior_temperature=0.0).bound)
        first, second = (model.sample(4, t, torch.Generator().manual_seed(0)) for t in (1.0, [0.0]))
        assert torch.equal(first, second)
        with pytest.raises(ValueError, match="posterior_temperature must be"):
            model(x, posterior_temperature=-1.0)
        with pytest.raises(ValueError, match="one for each of the 1 layers"):
            model.sample(1, [1.0, 1.0])

    def test_sampling_never_touches_the_encoder(self, kind):
        model = built(kind)
        model.encoder = None
        first, second = (model.sample(4, generator=torch.Generator().manual_seed(9)) for _ in range(2))
        assert torch.equal(first, second)

    def test_impossible_questions_are_refused(self, kind):
        model = built(kind)
        with pytest.raises(ValueError, match="n must be a whole number"):
            model.sample(0)
        with pytest.raises(ValueError, match="keep_layers must be 0, 1 or None"):
            model.reconstruct(images(model), keep_layers=2)
        with pytest.raises(TypeError, match="uint8"):
            model.log_weight(images(model).float(), keep_layers=0)

    def test_weights_in_float64_give_the_same_bound_in_float64(self, kind):
        model = built(kind)
        x = images(model)
        single, double = model(x).bound, model.double()(x).bound
        assert double.dtype == torch.float64
        torch.testing.assert_close(single.double(), double, rtol=1e-4, atol=1e-3)

    def test_gradient_reaches_every_parameter_in_training(self, kind):
        model = built(kind).train()
        elbo = model(images(model, 16))
        (sum(penalty.mean() for penalty in elbo.penalties.values()) - elbo.bound.mean()).backward()
        assert all(parameter.grad.any() for parameter in model.parameters())

    def test_model_can_be_counted_and_walked_through_without_memory(self, kind):
        with torch.device("meta"), torch.no_grad():
            model = CONFIGS[kind].build()
            elbo = model(torch.zeros(2, *model.image_shape, dtype=torch.uint8))
            assert model.sample(2).device.type == elbo.bound.device.type == "meta"


class TestExactEvidence:
    """One position of three codes and four binary pixels: p(x) is a mean of three likelihoods."""

    @pytest.fixture
    def model(self):
        return built("binary")

    @pytest.fixture
    def log_evidence(self, model):
        x = all_binary_images()
        of_codes = [
            model.head.log_likelihood(model.decoder(code[None, :, None, None].expand(16, -1, 1, 1)), x)
            for code in model.codebook.vectors
        ]
        return torch.stack(of_codes).logsumexp(dim=0).detach() - math.log(3)

    def test_probabilities_of_all_images_sum_to_one(self, log_evidence):
        assert log_evidence.exp().sum().item() == pytest.approx(1, abs=1e-5)

    def test_bound_is_one_of_the_terms_of_the_evidence(self, model, log_evidence):
        assert (model(all_binary_images()).bound < log_evidence).all()

    def test_weights_with_codes_from_the_prior_average_to_the_evidence(self, model, log_evidence):
        x = all_binary_images().repeat(3000, 1, 1, 1)
        weights = model.log_weight(x, keep_layers=0).detach().exp().reshape(3000, 16)
        ratio = weights.mean(dim=0) / log_evidence.exp()
        error = weights.std(dim=0) / log_evidence.exp() / math.sqrt(3000)
        assert ((ratio - 1).abs() < 5 * error + 1e-5).all()

    def test_samples_follow_the_evidence(self, model, log_evidence):
        drawn = model.sample(30_000, generator=torch.Generator().manual_seed(0)).flatten(1).long()
        counts = torch.bincount(drawn @ torch.tensor([8, 4, 2, 1]), minlength=16)
        assert torch.allclose(counts / 30_000, log_evidence.exp(), atol=0.012)


class TestCodes:
    def test_reconstruction_is_the_decoded_grid_of_codes(self):
        model = built("straight through")
        x = images(model)
        assert torch.equal(model.reconstruct(x), model.decode(model.codes(x)).round().to(torch.uint8))

    def test_counts_are_those_of_the_codes_in_a_batch(self):
        model = built("straight through")
        x = images(model)
        counts = model.code_counts(x)
        assert counts.shape == (1, 6) and counts.dtype == torch.int64
        assert counts[0].tolist() == [int((model.codes(x) == code).sum()) for code in range(6)]

    def test_the_codebook_drawn_holds_an_image_of_each_code_alone(self):
        model = built("grey")
        drawn = model.codebook_images()
        assert drawn.shape == (6, 1, 8, 4) and drawn.dtype == torch.uint8
        expected = model.decode(torch.full((1, 2, 1), 4)).round()
        assert torch.equal(drawn[4].float(), expected[0])

    def test_pixels_drawn_for_codes_average_to_the_decoded_image(self):
        model = built("binary")
        codes = torch.tensor([[[2]]])
        drawn = model.sample_pixels(codes.expand(20_000, 1, 1), torch.Generator().manual_seed(0)).float().mean(dim=0)
        assert torch.allclose(drawn, model.decode(codes)[0], atol=0.02)

    def test_latents_are_the_codes_values(self):
        model = built("rotation")
        (posterior,) = model.latents(images(model))
        torch.testing.assert_close(posterior.mean, model.codebook.values(posterior.codes))


class TestTraining:
    def test_penalties_are_the_losses_of_the_codebook(self):
        for kind, names in (("straight through", {"commitment"}), ("codebook loss", {"commitment", "codebook"})):
            model = built(kind)
            x = images(model)
            elbo, quantized = model(x), model.quantize(x)
            assert set(elbo.penalties) == names
            torch.testing.assert_close(elbo.penalties["commitment"], 0.25 * quantized.commitment_loss)

    def test_dead_codes_are_revived_before_an_update(self):
        model = built("straight through").train()
        model.codebook.place(torch.full((6, 4), 1000.0), torch.arange(6) == 2)
        model.codebook.usage[2] = 0.01
        model(images(model))
        model.begin_update(1)
        assert model.codebook.vectors.abs().max() < 100

    def test_averaged_weights_hold_the_average_of_what_the_codebook_is_made_of(self):
        model = built("straight through").train()
        averaged, decay = MovingAverage(model, decay=0.15), 0.15
        usage, sums = 0.0, 0.0
        for step in range(3):
            model.begin_update(step)
            model(images(model))
            averaged.update_parameters(model)
            book, weight = model.codebook, decay if step else 0.0
            usage, sums = weight * usage + (1 - weight) * book.usage, weight * sums + (1 - weight) * book.sums
        torch.testing.assert_close(averaged.module.codebook.vectors, sums / usage[:, None])

    def test_averaged_weights_average_a_codebook_of_weights(self):
        model = built("codebook loss").train()
        averaged = MovingAverage(model, decay=0.15)
        averaged.update_parameters(model)
        before = model.codebook.vectors.detach().clone()
        model.codebook.place(before + 1)
        averaged.update_parameters(model)
        torch.testing.assert_close(averaged.module.codebook.vectors.detach(), before + 0.85)

    def test_without_the_exercise_the_error_is_that_of_its_stub(self):
        def stub(z, codebook):
            raise NotImplementedError("unit 04 asks for vector_quantize")

        model = built("straight through")
        with components.using("vector_quantize", stub), pytest.raises(NotImplementedError, match="asks for vector_q"):
            model(images(model))

    def test_the_model_is_built_from_the_component(self):
        assert "vector_quantize" in components.report(built("straight through"))


@pytest.mark.usefixtures("without_annotation_checks")
def test_compiled_training_step_has_the_same_bound_and_gradients():
    bounds, gradients = [], []
    for compiled in (False, True):
        model = built("rotation").train()
        forward = torch.compile(model, backend="eager", fullgraph=True) if compiled else model
        elbo = forward(images(model))
        (elbo.penalties["commitment"] - elbo.bound.mean()).backward()
        bounds.append(elbo.bound.detach())
        gradients.append([p.grad for p in model.parameters() if p.grad is not None])
    torch.testing.assert_close(*bounds)
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"bits": 9}, "bits must be 1 to 8"),
        ({"image_shape": (8, 8)}, "image_shape must be channels, height and width"),
        ({"channels": 0}, "channels must be at least 1"),
        ({"halvings": 0}, "halvings must be at least 1"),
        ({"halvings": 4}, r"halvings: height and width .* multiples of 2\*\*4 = 16"),
        ({"mixtures": 0}, "mixtures must be at least 1"),
        ({"blocks": -1}, "blocks must be at least 0"),
        ({"codes": 1}, "codes must be at least 2"),
        ({"code_dim": 0}, "code_dim must be at least 1"),
        ({"commitment": -0.1}, "commitment must be at least 0"),
        ({"revive_below": -0.1}, "revive_below must be at least 0"),
        ({"codebook_decay": 1.0}, "codebook_decay must be at least 0 and below 1"),
        ({"estimator": "gumbel"}, "estimator must be one of straight_through, rotation"),
        ({"codebook_update": "kmeans"}, "codebook_update must be one of moving_average, loss"),
        ({"likelihood": "gauss"}, "likelihood must be one of bernoulli"),
    ],
)
def test_impossible_configurations_are_refused(fields, complaint):
    with pytest.raises(ValueError, match=complaint):
        dataclasses.replace(SMALL, **fields)
