"""What is observed of a student's function, whatever it does."""

from functools import partial

import numpy as np
import pytest
import torch

from avae_lib import components
from avae_lib.checking.harnesses import PAIR, RANDOM_NUMBERS, observe
from avae_lib.checking.records import Request
from avae_lib.checking.toy_training import ToyAdam, ToyModel, ToySGD

X = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


def request(**facts):
    return Request("f", {"x": X.clone()}, **facts)


def raising(error):
    def function(x):
        raise error

    return function


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("not even this works")


@pytest.mark.parametrize("error", [ValueError("wrong"), SystemExit(0), KeyboardInterrupt(), GeneratorExit(), Mute()])
def test_whatever_is_raised_becomes_part_of_the_observation(error):
    observed = observe(raising(error), request())
    assert observed.error.type == type(error).__name__
    assert not observed.outputs


def test_line_of_the_students_function_that_raised_is_told():
    def function(x):
        shape = x.shape
        return torch.zeros(shape).reshape(7)  # two rows of three are no seven

    assert observe(function, request()).error.line.startswith("return torch.zeros(shape).reshape(7)")


def test_message_that_is_no_valid_unicode_does_not_break_the_journey():
    observed = observe(raising(ValueError("\ud800" * 5000)), request())
    assert observed.from_json(observed.to_json()).error.type == "ValueError"


def test_inputs_changed_in_place_are_seen_and_the_requests_own_are_untouched():
    asked = request()
    observed = observe(lambda x: x.mul_(2), asked)
    assert torch.equal(observed.inputs_after["x"].array, 2 * X)
    assert torch.equal(asked.inputs["x"], X)


def test_gradient_agrees_with_finite_differences():
    x = torch.randn(3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    asked = Request("f", {"x": x}, gradients=("x",), seed=5)
    cotangent = torch.randn(3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(5))

    def weighted(x):
        return (torch.sin(x) * x * cotangent).sum().item()

    step = 1e-6
    nudges = step * torch.eye(6, dtype=torch.float64).reshape(6, 3, 2)
    expected = [(weighted(x + nudge) - weighted(x - nudge)) / (2 * step) for nudge in nudges]
    observed = observe(lambda x: torch.sin(x) * x, asked).gradients["x"].array
    np.testing.assert_allclose(observed.flatten(), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("cut", [lambda x: x.detach() * 2, lambda x: (x * 2).tolist(), lambda x: torch.ones(2)])
def test_gradient_that_never_arrives_is_seen_as_none(cut):
    assert observe(cut, request(gradients=("x",))).gradients["x"].kind == "none"


def test_gradients_are_observed_even_after_a_notebook_switched_them_off():
    torch.set_grad_enabled(False)
    try:
        assert observe(lambda x: x * 2, request(gradients=("x",))).gradients["x"].kind == "tensor"
    finally:
        torch.set_grad_enabled(True)


def test_random_numbers_of_the_notebook_go_on_as_if_nothing_had_been_observed():
    torch.manual_seed(3)
    expected = torch.randn(4)
    torch.manual_seed(3)
    observe(lambda x: torch.randn(100), request(seed=9))
    assert torch.equal(torch.randn(4), expected)


def test_noise_of_the_functions_own_depends_on_the_requests_seed_alone():
    first, same, other = (
        observe(lambda x: torch.randn(3), request(seed=seed)).outputs["result"].array for seed in (1, 1, 2)
    )
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_second_call_shows_noise_of_the_functions_own():
    observed = observe(lambda x: x + torch.randn(x.shape), request(harness="call_twice"))
    first, again = (value.array for value in observed.outputs.values())
    assert not torch.equal(first, again)


def toy():
    generator = torch.Generator().manual_seed(0)
    return ToyModel(torch.randn(6, 2, generator=generator), torch.randn(2, 6, generator=generator))


def test_toy_model_runs_with_every_component_missing(monkeypatch):
    for entry in components.listing():
        monkeypatch.setattr(entry, "current", raising(AssertionError(entry.name)))
    elbo = toy()(torch.ones(5, 1, 2, 3, dtype=torch.uint8))
    assert elbo.log_likelihood.shape == (5,)
    assert elbo.kl.shape == (5, 2)


@pytest.mark.parametrize(
    ("ours", "torchs"),
    [(ToySGD, partial(torch.optim.SGD, momentum=0.5, nesterov=True, lr=1)), (ToyAdam, torch.optim.Adam)],
)
def test_toy_optimizer_steps_like_torchs_own(ours, torchs):
    x = (torch.rand(4, 3, 1, 2, 3, generator=torch.Generator().manual_seed(2)) > 0.5).float()
    model, twin = toy(), toy()
    rates = [0.01, 0.03]
    optimizer = ours(model.parameters(), rates)
    twins = torchs([{"params": [p], "lr": rate} for p, rate in zip(twin.parameters(), rates, strict=True)])
    for batch in x:
        for stepped, by in ((model, optimizer), (twin, twins)):
            by.zero_grad()
            torch.manual_seed(1)
            (-stepped(batch).bound.mean()).backward()
            by.step()
    assert optimizer.steps == 4
    for parameter, expected in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(parameter, expected)


def test_toy_optimizer_goes_on_from_a_saved_state():
    model, twin = toy(), toy()
    first, second = (ToySGD(m.parameters(), [0.1, 0.2]) for m in (model, twin))
    for m, optimizer in ((model, first), (twin, second)):
        for parameter in m.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
    second.state.clear()
    second.load_state_dict(first.state_dict())
    first.step()
    second.step()
    for parameter, expected in zip(twin.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(parameter, expected)


def test_toy_optimizer_clears_gradients_in_both_ways_and_takes_a_closure():
    model = toy()
    optimizer = ToySGD(model.parameters(), [0.1, 0.1])
    model.encoder.grad = torch.ones_like(model.encoder)
    optimizer.zero_grad(set_to_none=False)
    assert not model.encoder.grad.any()
    optimizer.zero_grad()
    assert model.encoder.grad is None
    assert optimizer.step(lambda: torch.tensor(7.0)) == 7


def test_toy_model_takes_images_only_and_draws_its_noise_from_torchs_generator():
    model, x = toy(), torch.ones(3, 1, 2, 3)
    with pytest.raises(ValueError, match=r"batch, channels, height, width"):
        model(x.flatten(1))
    torch.manual_seed(1)
    first, second = model(x).log_likelihood, model(x).log_likelihood
    assert not torch.equal(first, second)
    torch.manual_seed(1)
    assert torch.equal(model(x).log_likelihood, first)


def test_seeding_and_drawing_random_numbers_are_seen():
    still, seeded, drawn = (
        observe(function, request(seed=5)).inputs_after[RANDOM_NUMBERS].array
        for function in (lambda x: x, lambda x: torch.manual_seed(0) and x, lambda x: torch.randn(2) + x[:, :1].T)
    )
    assert still not in (seeded, drawn)


def test_result_without_a_path_to_the_inputs_is_no_fault_where_no_gradient_is_asked():
    own = torch.ones(3, requires_grad=True)
    assert observe(lambda x: x * own, request()).error is None


def test_toy_model_answers_differently_out_of_training_mode():
    model, x = toy(), torch.ones(3, 1, 2, 3)
    assert not torch.equal(model(x).kl, model.eval()(x).kl)


@pytest.mark.parametrize("pair", [(X, 2.0), [X, np.float64(2.0)], (X, np.array(2.0)), (X, torch.tensor(2.0))])
def test_both_results_of_a_pair_are_seen_and_plain_numbers_count_as_tensors(pair):
    observed = observe(lambda x: pair, request(harness="call_for_pair"))
    assert [observed.outputs[name].kind for name in PAIR] == ["tensor", "tensor"]
    assert torch.equal(observed.outputs[PAIR[0]].array, X) and observed.outputs[PAIR[1]].array.item() == 2.0


@pytest.mark.parametrize("no_pair", [X, (X, X, X), (X,), None])
def test_anything_but_two_results_is_no_pair(no_pair):
    assert observe(lambda x: no_pair, request(harness="call_for_pair")).outputs.keys() == {"result"}


def test_gradients_by_logits_do_not_see_whether_probabilities_are_normalised_once_more():
    weights = torch.tensor([1.0, 2.0, 4.0])
    asked = request(harness="call_on_softmax", gradients=("x",))
    once = observe(lambda x: (weights * x.log() * x).sum(-1), asked)
    twice = observe(
        lambda x: (weights * (x / x.sum(-1, keepdim=True)).log() * x / x.sum(-1, keepdim=True)).sum(-1), asked
    )
    assert torch.allclose(once.gradients["x"].array, twice.gradients["x"].array, atol=1e-6)
    assert once.gradients["x"].array.abs().max() > 0.1
