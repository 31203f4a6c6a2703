"""The hierarchy: exact sums over tiny latents, twins, bad input. Contract: ``test_hierarchy_contract.py``."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from avae_lib.gaussians import DiagonalGaussian
from avae_lib.likelihoods import scale_pixels
from avae_lib.models.attentive import AttentiveConfig
from avae_lib.models.hierarchy import Draw, Hierarchy, LatentDraw
from avae_lib.nn.contexts import ContextSplit
from avae_lib.nn.depthwise_attention import AttentiveConditioning

SMALL = AttentiveConfig(layers=3, width=8, latent_channels=2, key_channels=4, blocks=1, mixtures=2)


def _built(config: AttentiveConfig = SMALL, spread: float = 0.1, **fields) -> Hierarchy:
    """A model whose weights are no longer at their initial values, so that gates are open and priors are not normal."""
    torch.manual_seed(0)
    model = dataclasses.replace(config, **fields).build()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(spread * torch.randn_like(parameter))
    return model.eval()  # in training, batch norm would tie the images of a batch together


def _images(n: int = 5, bits: int = 4, shape: tuple[int, ...] = (1, 8, 8)) -> torch.Tensor:
    return torch.randint(0, 2**bits, (n, *shape), generator=torch.Generator().manual_seed(1)).to(torch.uint8)


class TestTwins:
    def test_they_differ_in_one_line_of_configuration(self):
        attentive = AttentiveConfig()
        local = dataclasses.replace(attentive, conditioning="local")
        differing = [f.name for f in dataclasses.fields(local) if getattr(local, f.name) != getattr(attentive, f.name)]
        assert differing == ["conditioning"]

    def test_fresh_attentive_model_computes_what_it_would_without_attention(self):
        attentive, blind = _built(spread=0), _built(spread=0)
        for layer in blind.layers:
            layer.evidence_conditioning = _OwnFeatures(layer.evidence_conditioning)
        for layer in blind.layers[1:]:
            layer.context_conditioning = _OwnFeatures(layer.context_conditioning)
        with torch.random.fork_rng():
            elbos = [(torch.manual_seed(7), model(_images()))[1] for model in (blind, attentive)]
            samples = [model.sample(3, generator=torch.Generator().manual_seed(2)) for model in (blind, attentive)]
        assert torch.equal(elbos[0].log_likelihood, elbos[1].log_likelihood)
        assert torch.equal(elbos[0].kl, elbos[1].kl)
        assert torch.equal(*samples)

    def test_they_part_where_a_gate_opens(self):
        attentive = _built(spread=0)
        before = attentive(_images(), posterior_temperature=0).bound
        gates = [module.gate for module in attentive.modules() if isinstance(module, AttentiveConditioning)]
        assert len(gates) == 2 * SMALL.layers - 1  # the top layer has no context above it to look at
        for gate in gates:
            nn.init.constant_(gate, 0.5)
            after = attentive(_images(), posterior_temperature=0).bound
            assert not torch.allclose(before, after)
            before = after

    @pytest.mark.parametrize("conditioning", ["local", "attentive"])
    def test_latents_of_all_layers_are_of_one_shape(self, conditioning):
        posteriors = _built(conditioning=conditioning).latents(_images(5))
        assert [posterior.mean.shape for posterior in posteriors] == [(5, 2, 4, 4)] * 3

    def test_local_layers_are_conditioned_on_the_layer_above_alone_and_attentive_ones_on_all(self):
        for conditioning, reach in (("local", 1), ("attentive", 2)):
            model = _built(layers=4, conditioning=conditioning)
            assert _reach_of_contexts(model) == reach


class _OwnFeatures(nn.Module):
    """Conditioning on a layer's own features, with no look at others."""

    def __init__(self, attentive: AttentiveConditioning) -> None:
        super().__init__()
        self.norm_of_own = attentive.norm_of_own

    def forward(self, own, query, others):
        return self.norm_of_own(own)


def _reach_of_contexts(model: Hierarchy) -> int:
    """How many of the two contexts above the third layer its prior depends on, its own input held fixed."""
    above, _ = model.layers[0](model.top(1), None, Draw())
    above, _ = model.layers[1](above, None, Draw())
    remembered = [tuple(_random_like(context) for context in above.remembered) for _ in range(2)]
    means = [
        model.layers[2](dataclasses.replace(above, remembered=contexts), None, Draw())[1].prior.mean
        for contexts in remembered
    ]
    return 1 if torch.equal(*means) else 2


def _random_like(context: ContextSplit) -> ContextSplit:
    return ContextSplit(torch.randn_like(context.value), torch.randn_like(context.key))


@dataclass(frozen=True)
class FromGrid(Draw):
    """Latents that are not drawn but given, one tensor for each layer."""

    values: Iterator[torch.Tensor] | None = None

    def __call__(self, distribution):
        return next(self.values)


class TestBoundAgainstQuadrature:
    """One latent number in each of two layers and one pixel: p(x) is a sum over a grid, and no posterior is needed."""

    @pytest.fixture
    def model(self):
        return _built(
            image_shape=(1, 1, 1),
            halvings=0,
            layers=2,
            width=4,
            latent_channels=1,
            key_channels=2,
            prior_log_std_range=(-0.7, 0.7),  # so that the grid holds all the mass
            spread=0.15,
        )

    @pytest.fixture
    def log_evidence(self, model):
        """log p(x) for each of the 16 levels of the pixel."""
        line = torch.linspace(-12, 12, 241)
        grid = torch.cartesian_prod(line, line)
        values = iter(grid.T.reshape(2, -1, 1, 1, 1))
        handed_down, log_prior = model.top(len(grid)), 0.0
        with torch.no_grad():
            for layer in model.layers:
                handed_down, drawn = layer(handed_down, None, FromGrid(values=values))
                log_prior = log_prior + drawn.prior.log_prob(drawn.z)
            features = model.readout(handed_down)
            log_likelihood = torch.stack(
                [model.head.log_likelihood(features, level.expand(len(grid), 1, 1, 1)) for level in _all_levels()]
            )
        log_cell = 2 * math.log(line[1] - line[0])
        return torch.logsumexp((log_likelihood + log_prior).double(), dim=1) + log_cell

    def test_probabilities_of_all_images_sum_to_one(self, log_evidence):
        assert log_evidence.exp().sum().item() == pytest.approx(1, abs=1e-4)

    def test_bound_never_exceeds_the_exact_log_likelihood(self, model, log_evidence):
        with torch.no_grad():
            bounds = model(_all_levels().repeat(500, 1, 1, 1)).bound.reshape(500, 16)
        margin = 4 * bounds.std(dim=0) / math.sqrt(len(bounds))
        assert (bounds.mean(dim=0) <= log_evidence + margin).all()

    @pytest.mark.parametrize("keep_layers", [0, 1, 2])
    def test_importance_weights_average_to_the_exact_likelihood(self, model, log_evidence, keep_layers):
        with torch.no_grad():
            log_weights = model.log_weight(_all_levels().repeat(5000, 1, 1, 1), keep_layers).reshape(5000, 16)
        ratios = (log_weights - log_evidence).exp()
        error = ratios.std(dim=0) / math.sqrt(len(ratios))
        assert (error < 0.2).all()
        assert ((ratios.mean(dim=0) - 1).abs() < 5 * error).all()


def _all_levels() -> torch.Tensor:
    return torch.arange(16, dtype=torch.uint8).reshape(16, 1, 1, 1)


class TestBadInput:
    @pytest.mark.parametrize(
        ("x", "error", "message"),
        [
            (_images().float(), TypeError, r"x must be uint8 .* got torch\.float32"),
            (_images(shape=(1, 8, 9)), ValueError, r"\(batch, 1, 8, 8\), got \(5, 1, 8, 9\)"),
            (_images()[0], ValueError, r"got \(1, 8, 8\)"),
            (_images(0), ValueError, r"got \(0, 1, 8, 8\)"),
            (_images(bits=8), ValueError, r"levels 0 … 15 \(4 bits\), got 2\d\d"),
        ],
    )
    def test_pixels_that_do_not_fit_are_refused(self, x, error, message):
        model = _built()
        for method in (model, model.log_weight, model.latents, model.reconstruct):
            with pytest.raises(error, match=message):
                method(x)

    @pytest.mark.parametrize("keep_layers", [-1, 4])
    def test_keeping_layers_that_do_not_exist_is_refused(self, keep_layers):
        with pytest.raises(ValueError, match=f"keep_layers must be None or 0 … 3 .* got {keep_layers}"):
            _built().reconstruct(_images(), keep_layers)

    def test_temperatures_for_another_number_of_layers_are_refused(self):
        with pytest.raises(ValueError, match="each of the 3 layers"):
            _built().sample(2, temperature=[1.0, 0.5])

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"conditioning": "global"}, "conditioning must be local or attentive, got 'global'"),
            ({"layers": 0}, "layers must be at least 1, got 0"),
            ({"halvings": 4}, "halvings=4 and height 8"),
            ({"halvings": 1, "width": 9}, "halvings=1 and channels 13"),
            ({"padding": -1}, "padding must be at least 0, got -1"),
            ({"prior_log_std_range": (1.0, 5.0)}, "a number below 0 and one above, got 1.0 and 5.0"),
            ({"image_shape": (1, 8, 7)}, "halvings=1 and width 7"),
            ({"halvings": -1}, "halvings=-1"),
        ],
    )
    def test_configurations_that_cannot_be_built_are_refused(self, fields, message):
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(SMALL, **fields)


@pytest.mark.parametrize("faithful", [False, True])
@pytest.mark.usefixtures("without_annotation_checks")
def test_compiled_model_computes_the_same(faithful):
    model = _built(layers=2, blocks=1, faithful=faithful)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    expected, result = (m(_images(), posterior_temperature=0.0).bound for m in (model, compiled))
    torch.testing.assert_close(result, expected)


@pytest.mark.parametrize("bits", [1, 8])
def test_other_pixels_other_likelihoods(bits):
    likelihood = "bernoulli" if bits == 1 else "discretized_logistic"
    model = _built(image_shape=(3, 4, 8), bits=bits, likelihood=likelihood, mixtures=3, halvings=2)
    x = _images(2, bits, (3, 4, 8))
    assert model(x).bound.isfinite().all()
    assert model.sample(2).shape == x.shape
    assert int(model.sample(2).max()) < 2**bits


@pytest.mark.parametrize("layers", [1, 2])
def test_shallow_hierarchies_use_all_their_weights(layers):
    model = _built(layers=layers)
    model(_images(16)).bound.mean().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_kl_of_a_draw_agrees_with_torch_distributions():
    generator = torch.Generator().manual_seed(0)
    q_mean, q_log_std, p_mean, p_log_std = torch.randn(4, 3, 2, 4, 4, generator=generator)
    drawn = LatentDraw(q_mean, DiagonalGaussian(p_mean, p_log_std), DiagonalGaussian(q_mean, q_log_std))
    q, p = Normal(q_mean, q_log_std.exp()), Normal(p_mean, p_log_std.exp())
    torch.testing.assert_close(drawn.kl(), kl_divergence(q, p).sum(dim=(1, 2, 3)))
    expected = (p.log_prob(q_mean) - q.log_prob(q_mean)).sum(dim=(1, 2, 3))
    torch.testing.assert_close(drawn.log_ratio(), expected)


class TestSkeletonIsNotTiedToOneFamily:
    """Two layers at two resolutions that hand down a dictionary of streams, one for each resolution."""

    class _Layer(nn.Module):
        def __init__(self, side: int) -> None:
            super().__init__()
            self.side, self.shift = side, nn.Conv2d(1, 2, 1)

        def forward(self, streams, evidence, draw):
            stream = streams[self.side]
            prior = DiagonalGaussian(stream, torch.zeros_like(stream))
            posterior = None if evidence is None else DiagonalGaussian(*self.shift(evidence[0]).chunk(2, dim=1))
            z = draw(prior if posterior is None else posterior)
            coarser = {2 * self.side: nn.functional.interpolate(z, scale_factor=2)}
            return {**streams, self.side: z, **coarser}, LatentDraw(z, prior, posterior)

    class _BottomUp(nn.Module):
        def forward(self, x, draws):
            pixels = scale_pixels(x, bits=4)
            return [nn.functional.avg_pool2d(pixels, 2), pixels]

    class _Top(nn.Module):
        def forward(self, batch):
            return {2: torch.zeros(batch, 1, 2, 2)}

    class _Readout(nn.Module):
        def forward(self, streams):
            return streams[4]

    class _Head(nn.Module):
        def log_likelihood(self, features, x):
            return -(features - x).square().sum(dim=(1, 2, 3))

        def mean(self, features):
            return features.clamp(0, 15)

        def sample(self, features, generator=None):
            return self.mean(features).to(torch.uint8)

    def test_layers_hand_down_what_they_like(self):
        model = Hierarchy(
            bottom_up=self._BottomUp(),
            top=self._Top(),
            layers=[self._Layer(2), self._Layer(4)],
            readout=self._Readout(),
            head=self._Head(),
            image_shape=(1, 4, 4),
            bits=4,
        )
        x = _images(3, shape=(1, 4, 4))
        assert model(x).kl.shape == (3, 2)
        assert model.log_weight(x).shape == model.log_weight(x, keep_layers=1).shape == (3,)
        assert model.sample(2, temperature=[0.0, 1.0]).shape == (2, 1, 4, 4)
        assert model.reconstruct(x, keep_layers=1).shape == x.shape
