"""One step down of a Very Deep VAE, against arithmetic written out pixel by pixel."""

import dataclasses

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from avae_lib.components import using
from avae_lib.gaussians import gaussian_kl_per_layer
from avae_lib.models.vdvae_layers import top_down_step
from avae_lib.presets import find_preset

BATCH, SIDE = 3, 2


@dataclasses.dataclass
class Maps:
    """Parts that are neither additive nor symmetric, and count how often they are called."""

    width: int
    evidence_width: int
    latent: int
    calls: dict[str, int] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(self.width)

        def matrix(rows: int, columns: int) -> Tensor:
            return torch.randn(rows, columns, generator=generator, dtype=torch.float64) / columns

        self.of_posterior = matrix(2 * self.latent, self.width + self.evidence_width)
        self.of_prior = matrix(2 * self.latent + self.width, self.width)
        self.of_latent = matrix(self.width, self.latent)
        self.of_stream = matrix(self.width, self.width)

    def _map(self, name: str, x: Tensor) -> Tensor:
        self.calls[name] = self.calls.get(name, 0) + 1
        mixed = torch.einsum("oi,bihw->bohw", getattr(self, f"of_{name}"), x)
        return torch.tanh(mixed) + 0.1 * mixed.square()

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self._map("posterior", x).chunk(2, dim=1)

    def prior(self, stream: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self._map("prior", stream).split((self.latent, self.latent, self.width), dim=1)

    def project(self, z: Tensor) -> Tensor:
        return self._map("latent", z)

    def refine(self, stream: Tensor) -> Tensor:
        return stream + self._map("stream", stream)


def _case(width=4, evidence_width=3, latent=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    stream, evidence, noise = (
        torch.randn(BATCH, channels, SIDE, SIDE, generator=generator, dtype=torch.float64)
        for channels in (width, evidence_width, latent)
    )
    return stream, evidence, Maps(width, evidence_width, latent), noise


@pytest.mark.parametrize("widths", [(4, 3, 2), (3, 3, 3)])
def test_with_evidence_the_latent_comes_from_the_posterior(widths):
    stream, evidence, parts, noise = _case(*widths)
    new, z, kl = top_down_step(stream, evidence, parts, noise)
    mean, log_std = parts.posterior(torch.cat([stream, evidence], dim=1))
    prior_mean, prior_log_std, h = parts.prior(stream)
    torch.testing.assert_close(z, mean + log_std.exp() * noise)
    torch.testing.assert_close(new, parts.refine(stream + h + parts.project(z)))
    expected = kl_divergence(Normal(mean, log_std.exp()), Normal(prior_mean, prior_log_std.exp())).sum(dim=(1, 2, 3))
    torch.testing.assert_close(kl, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_without_evidence_the_latent_comes_from_the_prior_and_costs_nothing(dtype):
    stream, _, parts, noise = _case()
    for name in ("of_prior", "of_latent", "of_stream"):
        setattr(parts, name, getattr(parts, name).to(dtype))
    new, z, kl = top_down_step(stream.to(dtype), None, parts, noise.to(dtype))
    assert "posterior" not in parts.calls
    mean, log_std, h = parts.prior(stream.to(dtype))
    torch.testing.assert_close(z, mean + log_std.exp() * noise.to(dtype))
    torch.testing.assert_close(new, parts.refine(stream.to(dtype) + h + parts.project(z)))
    assert torch.equal(kl, torch.zeros(BATCH, dtype=dtype)) and kl.dtype == dtype


def test_gradients_agree_with_finite_differences():
    stream, evidence, parts, noise = _case()
    inputs = [tensor[:1, :, :1, :1].clone().requires_grad_() for tensor in (stream, evidence, noise)]
    weights = [parts.of_posterior.requires_grad_(), parts.of_latent.requires_grad_()]

    def step(stream, evidence, noise, *_):
        return top_down_step(stream, evidence, parts, noise)

    assert torch.autograd.gradcheck(step, (*inputs, *weights))


class TestInTheModel:
    @pytest.fixture
    def model(self):
        torch.manual_seed(0)
        model = find_preset("digits-vdvae").model.build()
        for parameter in model.parameters():
            parameter.data.add_(0.05 * torch.randn_like(parameter))
        return model

    @pytest.fixture
    def x(self):
        return torch.randint(0, 16, (BATCH, 1, 8, 8), generator=torch.Generator().manual_seed(1)).to(torch.uint8)

    def test_every_block_takes_the_students_step_and_its_kl(self, model, x):
        def costly(stream, evidence, parts, noise):
            stream, z, kl = top_down_step_of_the_library(stream, evidence, parts, noise)
            return stream, z, kl + 7.0

        top_down_step_of_the_library = top_down_step.__wrapped__
        before = model(x, posterior_temperature=0.0)
        with using("top_down_step", costly):
            after = model(x, posterior_temperature=0.0)
        torch.testing.assert_close(after.kl, before.kl + 7.0)
        assert torch.equal(after.log_likelihood, before.log_likelihood)

    def test_parts_may_be_called_as_often_as_the_student_likes(self, model, x):
        def wasteful(stream, evidence, parts, noise):
            for _ in range(2):
                parts.prior(stream)
                parts.project(noise)
                if evidence is not None:
                    parts.posterior(torch.cat([stream, evidence], dim=1))
            return top_down_step.__wrapped__(stream, evidence, parts, noise)

        results = []
        for function in (top_down_step.__wrapped__, wasteful):
            torch.manual_seed(2)
            with using("top_down_step", function):
                results.append((model(x).bound, model.log_weight(x), model.sample(2), model.latents(x)[-1].mean))
        for first, second in zip(*results, strict=True):
            assert torch.equal(first, second)

    def test_the_kl_of_the_step_is_that_of_the_kept_gaussians(self, model, x):
        torch.manual_seed(0)
        _, latents = model._infer(x)
        for latent in latents:
            q, p = latent.posterior, latent.prior
            expected = gaussian_kl_per_layer([q.mean], [q.log_std], [p.mean], [p.log_std])[:, 0]
            torch.testing.assert_close(latent.kl(), expected)

    @pytest.mark.usefixtures("without_annotation_checks")
    def test_compiled_training_step_has_the_same_gradients(self, x):
        model, gradients = dataclasses.replace(find_preset("digits-vdvae").model, dec_blocks="1x1,4m1,8m4").build(), []
        for m in (model, torch.compile(model, backend="eager", fullgraph=True)):
            model.zero_grad()
            m(x, posterior_temperature=0.0).bound.mean().backward()
            gradients.append([parameter.grad.clone() for parameter in model.parameters()])
        torch.testing.assert_close(*gradients)

    def test_half_precision_leaves_the_kl_in_float32(self, model, x):
        exact = model(x, posterior_temperature=0.0)
        with torch.autocast("cpu", torch.bfloat16):
            rough = model(x, posterior_temperature=0.0)
        assert rough.kl.dtype == torch.float32
        torch.testing.assert_close(rough.bound, exact.bound, rtol=0.05, atol=1.0)
