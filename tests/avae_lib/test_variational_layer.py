"""One layer of a Deep Attentive VAE, against its equations written out pixel by pixel in float64."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from avae_lib.components import using
from avae_lib.models.variational_layer import PlainVariationalLayer, VariationalLayer, variational_layer_step
from avae_lib.nn.contexts import ContextSplit
from avae_lib.presets import find_preset

pytestmark = pytest.mark.usefixtures("without_annotation_checks")  # namespaces stand for what parts return

BATCH, SIDE, WIDTH, KEYS, LATENT = 2, 3, 4, 3, 2
DOUBLE = torch.float64


def _draw(generator, channels: int) -> Tensor:
    return torch.randn(BATCH, channels, SIDE, SIDE, generator=generator, dtype=DOUBLE)


class Parts:
    """Fixed maps that are neither additive nor symmetric."""

    def __init__(self, gates: tuple[float, float] = (0.7, -0.4)) -> None:
        generator = torch.Generator().manual_seed(3)

        def matrix(rows: int, columns: int) -> Tensor:
            return torch.randn(rows, columns, generator=generator, dtype=DOUBLE) / columns

        self.of_transition = matrix(WIDTH + 3 * KEYS, WIDTH + LATENT)
        self.of_prior = matrix(2 * LATENT, WIDTH)
        self.of_merge = matrix(WIDTH + KEYS, 2 * WIDTH)
        self.of_posterior = matrix(2 * LATENT, WIDTH + KEYS)
        self.context_gate, self.evidence_gate = (torch.tensor(gate, dtype=DOUBLE) for gate in gates)
        self.context_scale, self.evidence_scale = 0.9, torch.tensor(1.7, dtype=DOUBLE)

    def transition(self, context: Tensor, z: Tensor) -> SimpleNamespace:
        value, key, query, evidence_query = _mapped(self.of_transition, context, z).split((WIDTH, KEYS, KEYS, KEYS), 1)
        return SimpleNamespace(value=value, key=key, query=query, evidence_query=evidence_query)

    def prior(self, condition: Tensor) -> tuple[Tensor, Tensor]:
        return _mapped(self.of_prior, condition).chunk(2, dim=1)

    def merge(self, evidence: Tensor, condition: Tensor) -> SimpleNamespace:
        value, key = _mapped(self.of_merge, evidence, condition).split((WIDTH, KEYS), dim=1)
        return SimpleNamespace(value=value, key=key)

    def posterior(self, features: Tensor) -> tuple[Tensor, Tensor]:
        return _mapped(self.of_posterior, features).chunk(2, dim=1)


def _mapped(weights: Tensor, *inputs: Tensor) -> Tensor:
    mixed = torch.einsum("oi,bihw->bohw", weights, torch.cat(inputs, dim=1))
    return torch.tanh(mixed) + 0.1 * mixed.square()


def _found(query: Tensor, keys: list[Tensor], values: list[Tensor], scale: float) -> Tensor:
    """Attention over depth at one pixel after another."""
    out = np.zeros(values[0].shape)
    for b, row, column in np.ndindex(BATCH, SIDE, SIDE):
        at = (b, slice(None), row, column)
        scores = np.array([float(scale * (query[at] @ key[at])) for key in keys])
        odds = np.exp(scores - scores.max())
        for share, value in zip(odds / odds.sum(), values, strict=True):
            out[at] += share * value[at].detach().numpy()
    return torch.from_numpy(out)


def _case(above: int, below: int):
    generator = torch.Generator().manual_seed(above + 10 * below)
    remembered = [ContextSplit(_draw(generator, WIDTH), _draw(generator, KEYS)) for _ in range(above)]
    evidence = [ContextSplit(_draw(generator, WIDTH), _draw(generator, KEYS)) for _ in range(below)]
    return remembered[-1], _draw(generator, LATENT), evidence, remembered, Parts(), _draw(generator, LATENT)


def _condition(context, z, remembered, parts) -> tuple[SimpleNamespace, Tensor]:
    new = parts.transition(context.value, z)
    found = _found(new.query, [r.key for r in remembered], [r.value for r in remembered], parts.context_scale)
    return new, new.value + parts.context_gate * found


@pytest.mark.parametrize(("above", "below"), [(1, 1), (3, 1), (1, 4), (3, 2)])
def test_with_evidence(above, below):
    context, z, evidence, remembered, parts, noise = arguments = _case(above, below)
    new, condition, latent, kl = variational_layer_step(*arguments)
    expected_new, expected_condition = _condition(context, z, remembered, parts)
    assert torch.equal(new.value, expected_new.value) and torch.equal(new.evidence_query, expected_new.evidence_query)
    torch.testing.assert_close(condition, expected_condition)
    merged = parts.merge(evidence[0].value, expected_condition)
    keys, values = [merged.key, *(e.key for e in evidence[1:])], [merged.value, *(e.value for e in evidence[1:])]
    found = _found(expected_new.evidence_query, keys, values, parts.evidence_scale)
    own = merged.value + parts.evidence_gate * found
    shifts = parts.posterior(torch.cat([own, merged.key], dim=1))
    prior = parts.prior(expected_condition)
    mean, log_std = (of_prior + shift for of_prior, shift in zip(prior, shifts, strict=True))
    torch.testing.assert_close(latent, mean + log_std.exp() * noise)
    expected_kl = kl_divergence(Normal(mean, log_std.exp()), Normal(prior[0], prior[1].exp())).sum(dim=(1, 2, 3))
    torch.testing.assert_close(kl, expected_kl)


@pytest.mark.parametrize("above", [1, 3])
def test_without_evidence(above):
    context, z, _, remembered, parts, noise = _case(above, 1)
    parts.merge = parts.posterior = None  # neither may be called
    _, condition, latent, kl = variational_layer_step(context, z, None, remembered, parts, noise)
    _, expected = _condition(context, z, remembered, parts)
    torch.testing.assert_close(condition, expected)
    mean, log_std = parts.prior(expected)
    torch.testing.assert_close(latent, mean + log_std.exp() * noise)
    assert torch.equal(kl, torch.zeros(BATCH, dtype=DOUBLE))


def test_lists_are_left_as_they_are():
    _, _, evidence, remembered, _, _ = arguments = _case(3, 2)
    before = [*evidence, *remembered]
    variational_layer_step(*arguments)
    assert all(a is b for a, b in zip([*evidence, *remembered], before, strict=True)) and len(remembered) == 3


def test_closed_gates_leave_the_layers_own_features_and_learn():
    context, z, evidence, remembered, _, noise = _case(2, 2)
    parts = Parts(gates=(0.0, 0.0))
    gates = [parts.context_gate.requires_grad_(), parts.evidence_gate.requires_grad_()]
    new, condition, latent, kl = variational_layer_step(context, z, evidence, remembered, parts, noise)
    assert torch.equal(condition, new.value)
    (latent.sum() + kl.sum()).backward()
    assert all(gate.grad != 0 for gate in gates)


def test_gradients_agree_with_finite_differences():
    _, z, evidence, remembered, parts, noise = _case(2, 2)

    def step(z, noise, gate, *tensors):
        parts.evidence_gate = gate
        records = [ContextSplit(*pair) for pair in zip(tensors[::2], tensors[1::2], strict=True)]
        new, *rest = variational_layer_step(records[1], z, records[2:], records[:2], parts, noise)
        return new.value, *rest

    tensors = [tensor for record in (*remembered, *evidence) for tensor in (record.value, record.key)]
    inputs = [tensor[:1, :, :1, :1].clone() for tensor in (z, noise)]
    inputs += [torch.tensor(0.3, dtype=DOUBLE), *(tensor[:1, :, :1, :1].clone() for tensor in tensors)]
    assert torch.autograd.gradcheck(step, [tensor.requires_grad_() for tensor in inputs])


class TestInTheModel:
    @pytest.fixture
    def model(self):
        torch.manual_seed(0)
        model = find_preset("digits-attentive-plain").model.build()
        for parameter in model.parameters():
            parameter.data.add_(0.05 * torch.randn_like(parameter))
        return model

    @pytest.fixture
    def x(self):
        return torch.randint(0, 16, (BATCH, 1, 8, 8), generator=torch.Generator().manual_seed(1)).to(torch.uint8)

    def test_the_step_gives_the_numbers_of_the_layers_own_wiring(self, model, x):
        """The same weights in layers that are wired by hand, as normalised ones are."""
        results = []
        for kind in (PlainVariationalLayer, VariationalLayer):
            for layer in model.layers[1:]:
                layer.__class__ = kind
            torch.manual_seed(2)
            results.append((model(x).bound, model.log_weight(x), model.sample(2), model.latents(x)[-1].log_std))
        for first, second in zip(*results, strict=True):
            assert torch.equal(first, second)

    def test_every_layer_takes_the_students_step_and_its_kl(self, model, x):
        def costly(context, z, evidence, remembered, parts, noise):
            *rest, kl = variational_layer_step.__wrapped__(context, z, evidence, remembered, parts, noise)
            return *rest, kl + 7.0

        before = model(x, posterior_temperature=0.0)
        with using("variational_layer_step", costly):
            after = model(x, posterior_temperature=0.0)
        torch.testing.assert_close(after.kl[:, 1:], before.kl[:, 1:] + 7.0)
        assert torch.equal(after.kl[:, 0], before.kl[:, 0])

    def test_all_contexts_above_are_remembered_when_the_step_is_called(self, model, x):
        seen = []

        def noting(context, z, evidence, remembered, parts, noise):
            assert remembered[-1].value is context.value and isinstance(remembered, list)
            seen.append((len(remembered), evidence and len(evidence)))
            return variational_layer_step.__wrapped__(context, z, evidence, remembered, parts, noise)

        with using("variational_layer_step", noting):
            model(x)
            model.sample(1)
        assert seen == [(1, 5), (2, 4), (3, 3), (4, 2), *((n, None) for n in range(1, 5))]

    def test_the_kept_gaussians_are_those_of_the_step(self, model, x):
        for latent in model._infer(x)[1][1:]:
            torch.testing.assert_close(latent.kl(), latent.posterior.kl(latent.prior))

    @pytest.mark.usefixtures("without_annotation_checks")
    def test_compiled_training_step_has_the_same_gradients(self, x):
        model, gradients = dataclasses.replace(find_preset("digits-attentive-plain").model, layers=2).build(), []
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


@pytest.mark.parametrize("fields", [{"normalise_contexts": True}, {"normalise_evidence": True}, {"faithful": True}])
def test_other_attention_keeps_its_own_wiring(fields):
    config = dataclasses.replace(find_preset("digits-attentive-plain").model, **fields)
    assert not any(isinstance(layer, PlainVariationalLayer) for layer in config.build().layers)
