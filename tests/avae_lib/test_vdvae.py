"""The Very Deep VAE: published sizes, the notation of blocks, and every switch of the ablations."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import nn

from avae_lib.models.hierarchy import Draw, Hierarchy
from avae_lib.models.vdvae import VDVAEConfig, decoder_blocks, encoder_blocks
from avae_lib.nn.output_heads import ReleasedFiveBitHead
from avae_lib.presets import find_preset
from avae_lib.presets.derivation import derive
from avae_lib.training.experiment import from_json, to_json
from avae_lib.training.runs import train_run

SMALL = VDVAEConfig(
    image_shape=(3, 8, 8),
    enc_blocks="8x1,8d4,2x1,2d2,1x1",
    dec_blocks="1x2,2m1,8m2,8x2",
    width=8,
    bottleneck_multiple=0.5,
    latent_channels=2,
    mixtures=2,
)
RESOLUTIONS = [1, 1, 2, 8, 8, 8]


def _built(spread: float = 0.1, **fields) -> Hierarchy:
    """A model whose weights are no longer at their initial values, so that priors are not normal."""
    torch.manual_seed(0)
    model = dataclasses.replace(SMALL, **fields).build()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(spread * torch.randn_like(parameter))
    return model


def _images(n: int = 4, bits: int = 8, channels: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 2**bits, (n, channels, 8, 8), generator=generator).to(torch.uint8)


def _parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@dataclasses.dataclass(frozen=True)
class GivenNoise(Draw):
    """Latents drawn with noise that a test chooses."""

    value: float | torch.Tensor = 0.0

    def __call__(self, distribution):
        return distribution.sample(noise=self.noise(distribution.mean))

    def noise(self, like):
        return self.value * torch.ones_like(like)


def _changed(draw_index: int | None, model: Hierarchy) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Prior means of all layers and the image's features, at prior means but for a latent one deviation away."""
    handed_down, means = model.top(2), []
    for index, layer in enumerate(model.layers):
        handed_down, drawn = layer(handed_down, None, GivenNoise(value=float(index == draw_index)))
        means.append(drawn.prior.mean)
    return means, model.readout(handed_down)


class TestModel:
    def test_latents_lie_at_the_resolutions_of_their_blocks(self):
        posteriors = _built().latents(_images())
        assert [posterior.mean.shape for posterior in posteriors] == [(4, 2, r, r) for r in RESOLUTIONS]

    @pytest.mark.parametrize(("bits", "likelihood"), [(1, "bernoulli"), (4, "discretized_logistic_mixture")])
    def test_grey_images_of_few_bits(self, bits, likelihood):
        model = _built(image_shape=(1, 8, 8), bits=bits, likelihood=likelihood, mixtures=10)
        x = _images(bits=bits, channels=1)
        assert model(x).bound.isfinite().all()
        assert model.sample(2).shape == (2, 1, 8, 8) and model.sample(2).max() < 2**bits

    @pytest.mark.usefixtures("without_annotation_checks")
    def test_compiled_model_computes_the_same(self):
        model = _built(group_size=2)
        compiled = torch.compile(model, backend="eager", fullgraph=True)
        for images in (_images(), _images()[:3]):
            expected, result = (m(images, posterior_temperature=0.0).bound for m in (model, compiled))
            torch.testing.assert_close(result, expected)


class TestNotation:
    def test_counts_at_each_resolution_give_the_published_strings(self):
        published = VDVAEConfig()
        assert decoder_blocks({32: 22, 16: 11, 8: 6, 4: 3, 1: 1}) == published.dec_blocks
        assert encoder_blocks({32: 12, 16: 7, 8: 7, 4: 4, 1: 3}) == published.enc_blocks

    @pytest.mark.parametrize(
        "counts", [(10, 10, 10, 10, 8), (12, 12, 10, 8, 6), (14, 14, 10, 6, 4), (16, 16, 10, 4, 2)]
    )
    def test_layers_of_the_published_ablation_can_be_put_where_they_are_wanted(self, counts):
        per_resolution = dict(zip((32, 16, 8, 4, 1), counts, strict=True))
        config = VDVAEConfig(dec_blocks=decoder_blocks(per_resolution))
        resolutions = [step.resolution for step in config.decoder]
        assert len(resolutions) == 48
        assert {resolution: resolutions.count(resolution) for resolution in per_resolution} == per_resolution

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"enc_blocks": "8x"}, "enc_blocks must be items such as 8x3 or 8d4, .* got '8x' in '8x'"),
            ({"enc_blocks": "8m2,4x1"}, "got '8m2'"),
            ({"enc_blocks": "8d0,4x1"}, "got '8d0'"),
            ({"enc_blocks": ""}, "got ''"),
            ({"enc_blocks": "8d2,2x1"}, "features of resolution 4 meet the block 2"),
            ({"enc_blocks": "8d3"}, "pool by divisors"),
            ({"dec_blocks": "1x1,8m1,8d2"}, "dec_blocks must be items .* got '8d2'"),
            ({"dec_blocks": "1x1,4m1,8m4"}, r"resolutions of the encoder \(1, 2, 8\), got 4"),
            ({"dec_blocks": "8m1,8x1"}, "earlier blocks have written .* got 8m1"),
            ({"dec_blocks": "8x1,2m8"}, "got 2m8"),
            ({"dec_blocks": "1x1,2m1"}, r"resolution of the image \(8\)"),
            ({"custom_width_str": "8-4"}, "custom_width_str must be like .* got '8-4'"),
            ({"custom_width_str": "2:1"}, "bottleneck_multiple must leave at least one channel"),
            ({"custom_middle_width_str": "8-4"}, "custom_middle_width_str must be like .* got '8-4'"),
            ({"custom_middle_width_str": "4:4,8:4"}, r"must name resolutions of the model \(1, 2, 8\), got 4 in '4:4"),
            ({"standard_deviation": "relu"}, "standard_deviation must be exponential or softplus, got 'relu'"),
            ({"image_shape": (3, 8, 6)}, "height equal to width"),
            ({"upsampling": "cubic"}, "upsampling must be nearest or learned, got 'cubic'"),
            ({"group_size": 0}, "group_size must be at least 1, got 0"),
            ({"pixel_std": 0.0}, "pixel_std must be positive"),
            ({"likelihood": "released_five_bits", "bits": 5}, "bits be 8"),
        ],
    )
    def test_configurations_that_cannot_be_built_are_refused(self, fields, message):
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(SMALL, **fields)


class TestAblations:
    def test_without_residual_blocks_nothing_else_is_missing(self):
        whole, without = _built(spread=0), _built(spread=0, residual_block=False)
        gone = set(whole.state_dict()) - set(without.state_dict())
        assert gone == {name for name in whole.state_dict() if ".residual." in name}
        above = without.top(2)
        z = torch.randn(2, 2, 1, 1)
        below, _ = without.layers[0](above, None, GivenNoise(value=z))  # of a standard normal
        # At initialisation the prior adds nothing to the stream, so that the latent alone is in it.
        torch.testing.assert_close(below.features[1], above.features[1] + without.layers[0].from_latent(z))

    def test_learned_upsampling_can_learn_to_repeat_pixels(self):
        nearest, learned = _built(), _built(upsampling="learned")
        missing, unexpected = learned.load_state_dict(nearest.state_dict(), strict=False)
        assert not unexpected and missing == ["layers.2.upsample.weight", "layers.3.upsample.weight"]
        assert _parameters(learned) - _parameters(nearest) == 8 * 8 * (2**2 + 4**2)
        assert not torch.allclose(*(m(_images(), 0).bound for m in (nearest, learned)))
        for layer in (learned.layers[2], learned.layers[3]):
            layer.upsample.weight.data.copy_(torch.eye(8)[:, :, None, None].expand_as(layer.upsample.weight))
        torch.testing.assert_close(*(m(_images(), 0).bound for m in (nearest, learned)))

    def test_residual_scaling_is_of_initial_weights_where_something_is_added_to_a_stream(self):
        scaled, usual = (_built(spread=0, residual_scaling=scaling).state_dict() for scaling in (True, False))
        for name, weight in scaled.items():
            in_encoder = name.startswith("bottom_up.blocks") and name.endswith("convolutions.3.weight")
            in_decoder = name.endswith(("residual.convolutions.3.weight", "from_latent.weight"))
            factor = math.sqrt(1 / 5) if in_encoder else math.sqrt(1 / 6) if in_decoder else 1.0
            torch.testing.assert_close(weight, factor * usual[name])

    @pytest.mark.parametrize(("group_size", "depth"), [(1, 6), (2, 3), (4, 2), (6, 1)])
    def test_latents_of_a_group_do_not_depend_on_one_another_but_all_below_do(self, group_size, depth):
        model = _built(group_size=group_size)
        assert dataclasses.replace(SMALL, group_size=group_size).stochastic_depth == depth
        means, features = _changed(None, model)
        for moved in range(model.num_layers):
            moved_means, moved_features = _changed(moved, model)
            depends = [not torch.allclose(*pair, atol=1e-7) for pair in zip(means, moved_means, strict=True)]
            first_of_next_group = (moved // group_size + 1) * group_size
            assert depends == [index >= first_of_next_group for index in range(model.num_layers)]
            assert not torch.allclose(features, moved_features)

    def test_posteriors_of_a_group_do_not_depend_on_its_latents_either(self):
        model, x = _built(group_size=3), _images()
        activations = model.bottom_up(x, [Draw()] * 6)
        posterior_means = []
        for moved_by in (0.0, 1.0):
            handed_down = model.top(len(x))
            for index, layer in enumerate(model.layers[:4]):
                noise = GivenNoise(value=moved_by if index == 0 else 0.0)
                handed_down, drawn = layer(handed_down, activations[index:], noise)
                posterior_means.append(drawn.posterior.mean)
        same = [torch.equal(*pair) for pair in zip(posterior_means[:4], posterior_means[4:], strict=True)]
        assert same == [True, True, True, False]

    def test_groups_leave_the_parameters_as_they_are(self):
        chain, grouped = _built(), _built(group_size=3)
        assert {name: t.shape for name, t in chain.state_dict().items()} == {
            name: t.shape for name, t in grouped.state_dict().items()
        }
        grouped.load_state_dict(chain.state_dict())
        assert not torch.allclose(*(m(_images(), posterior_temperature=0).bound for m in (chain, grouped)))

    def test_a_group_sums_what_its_latents_add_where_it_ends(self):
        """One resolution, no corrections and no residual blocks: the order in which latents join is all there is."""
        fields = {"dec_blocks": "8x3", "residual_block": False, "spread": 0}
        chain, grouped = _built(**fields), _built(**fields, group_size=3)
        torch.testing.assert_close(_changed(None, chain)[1], _changed(None, grouped)[1])
        torch.testing.assert_close(_changed(1, chain)[1], _changed(1, grouped)[1])


class TestEfficient:
    """What Efficient-VDVAE changes: widths inside blocks, and standard deviations."""

    def test_inner_widths_apply_to_all_blocks_of_their_resolution_and_to_no_others(self):
        model = _built(custom_middle_width_str="8:3")
        inner = {
            name: weight.shape[0] for name, weight in model.state_dict().items() if "convolutions.1.weight" in name
        }
        at_eight = {name for name in inner if name.startswith(("bottom_up.blocks.0.", "bottom_up.blocks.1."))}
        at_eight |= {name for name in inner if name.startswith(("layers.3.", "layers.4.", "layers.5."))}
        assert {name for name, width in inner.items() if width == 3} == at_eight
        assert {inner[name] for name in inner.keys() - at_eight} == {4}

    def test_standard_deviations_of_priors_and_posteriors_are_softplus_functions_of_what_is_predicted(self):
        exponential, softplus = _built(), _built(standard_deviation="softplus")
        softplus.load_state_dict(exponential.state_dict())
        x = _images()
        raw, new = (m.latents(x)[0] for m in (exponential, softplus))  # of the first layer: no draw is above it
        expected = torch.nn.Softplus(beta=math.log(2))(raw.log_std)
        torch.testing.assert_close(new.log_std.exp(), expected)
        priors = [m.layers[0](m.top(2), None, Draw())[1].prior for m in (exponential, softplus)]
        expected = torch.nn.Softplus(beta=math.log(2))(priors[0].log_std)
        torch.testing.assert_close(priors[1].log_std.exp(), expected)
        assert not torch.allclose(exponential(x, 0).bound, softplus(x, 0).bound)

    def test_fresh_priors_are_standard_normal_either_way(self):
        for standard_deviation in ("exponential", "softplus"):
            model = _built(spread=0, standard_deviation=standard_deviation)
            prior = model.layers[0](model.top(2), None, Draw())[1].prior
            assert not prior.mean.any() and not prior.log_std.any()

    def test_the_bound_and_all_gradients_are_finite_for_predictions_far_out(self):
        model = _built(standard_deviation="softplus")
        for layer in model.layers:
            layer.posterior.convolutions[-1].bias.data[2:] = torch.tensor([-40.0, 300.0])
        bound = model(_images()).bound
        bound.sum().backward()
        assert bound.isfinite().all()
        assert all(parameter.grad.isfinite().all() for parameter in model.parameters() if parameter.grad is not None)

    @pytest.mark.parametrize("group_size", [1, 2])
    def test_softplus_takes_part_in_groups_and_adds_no_weights(self, group_size):
        usual = _built(group_size=group_size)
        softplus = _built(group_size=group_size, standard_deviation="softplus")
        assert usual.state_dict().keys() == softplus.state_dict().keys()
        assert not torch.allclose(usual(_images(), 0).bound, softplus(_images(), 0).bound)

    def test_configurations_stored_before_these_fields_are_read_as_before(self):
        stored = to_json(SMALL)
        del stored["standard_deviation"], stored["custom_middle_width_str"]
        assert from_json(stored) == SMALL


class TestReleasedFiveBits:
    def test_the_three_low_bits_are_not_looked_at(self):
        model, x = _built(likelihood="released_five_bits"), _images()
        log_likelihoods = [model.head.log_likelihood(torch.ones(4, 8, 8, 8), y) for y in (x, x // 8 * 8)]
        torch.testing.assert_close(*log_likelihoods)

    def test_probabilities_of_wide_logistics_add_up_to_more_than_one(self):
        head = ReleasedFiveBitHead(nn.Identity(), mixtures=1)
        params = torch.zeros(32, 10, 1, 1)
        params[:, [2, 5, 8]] = -3.0  # log-scales
        x = torch.zeros(32, 3, 1, 1, dtype=torch.uint8)
        x[:, 0, 0, 0] = 8 * torch.arange(32)
        alone = head.log_likelihood(params[:1], x[:1]) / 3  # of level 0, in each of the three channels
        x[:, 1:] = 0
        total = torch.logsumexp(head.log_likelihood(params, x), dim=0) - 2 * alone
        np.testing.assert_allclose(total.exp().item(), 255 / 248, rtol=1e-3)


class TestPresets:
    @pytest.mark.parametrize(
        ("name", "parameters", "blocks"),
        [
            ("cifar10-vdvae", 39_145_700, 43),
            ("cifar10-efficient-vdvae", 12_657_732, 47),
            ("imagenet32-vdvae", 119_280_868, 78),
            ("imagenet64-vdvae", 125_005_860, 75),
        ],
    )
    def test_published_parameters_and_stochastic_blocks(self, name, parameters, blocks):
        with torch.device("meta"):
            model = find_preset(name).model.build()
        assert (_parameters(model), model.num_layers) == (parameters, blocks)
        dtypes = {parameter.dtype for parameter in model.parameters()}
        assert dtypes == {torch.float32}

    def test_thresholds_of_gradient_norms_are_those_of_the_table_for_a_loss_in_nats_per_image(self):
        for name, threshold in (
            ("cifar10-vdvae", 400),
            ("imagenet32-vdvae", 300),
            ("imagenet64-vdvae", 380),
            ("cifar10-efficient-vdvae", 800),
        ):
            preset = find_preset(name)
            assert preset.training.skipping.threshold == threshold * math.prod(preset.model.image_shape)

    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["digits-vdvae", "photos32-vdvae", "photos32-efficient-vdvae"])
    def test_200_steps_beat_a_histogram_of_levels(self, name, tmp_path):
        """Digits: a histogram for each pixel. Photographs: one for each colour, since their crops lie anywhere."""
        preset = find_preset(name)
        dataset = preset.data.load()
        training = derive(preset.training, steps=200, logging={"evaluate_every": 200, "evaluation_images": 100})
        trained = train_run(dataclasses.replace(preset, training=training), tmp_path)
        x = dataset.pixels("test")[:200]
        with torch.no_grad():
            nats = -trained.model(x).bound.mean() / trained.model.num_dims
        assert nats < 0.95 * _nats_of_histograms(dataset.pixels("train"), x, per_pixel=name == "digits-vdvae")


def _nats_of_histograms(train: torch.Tensor, test: torch.Tensor, per_pixel: bool) -> float:
    """Minus the mean log probability of a level, one added to each count."""
    train, test = (x.flatten(1) if per_pixel else x.movedim(1, -1).reshape(-1, 3) for x in (train, test))
    log_probs = []
    for place in range(train.shape[1]):
        counts = torch.bincount(train[:, place].long(), minlength=int(train.max()) + 1) + 1.0
        log_probs.append((counts / counts.sum()).log()[test[:, place].long()].mean())
    return -float(torch.stack(log_probs).mean())
