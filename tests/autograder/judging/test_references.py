"""What stands in for other exercises' functions: the library's numbers and gradients, computed outside, and no more."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder.checks import all_checks
from autograder.checks.judge_component import judge_component
from autograder.judging.calls_between_answers import calls_among, names_in
from autograder.judging.references import References
from autograder.sandbox.limits import Limits
from autograder.sandbox.session import Session
from avae_lib import components
from avae_lib.checking.harnesses import observe
from avae_lib.checking.remote_calls import computed, stand_in

TAKE_PARTS = {  # models, records, iterators: exercises that no later one of their unit calls
    "vae_training_step",
    "top_down_step",
    "variational_layer_step",
    "marginal_log_likelihood",
    "keep_top_layers",
}
CHECKS = [check for check in all_checks() if check.component not in TAKE_PARTS]


def through_json(call):
    """What arrives at the other end of a line, and comes back."""
    return json.loads(json.dumps(computed(**json.loads(json.dumps(call, allow_nan=False))), allow_nan=False))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.component)
def test_a_stand_in_is_judged_as_the_reference_is(check):
    """Values, gradients, precision, inputs that stay as they are: all cases of the check."""
    function = stand_in(check.component, through_json)
    without_memory = [trial for trial in check.trials(3) if not any(probe.request.watch for probe in trial.probes)]
    result = judge_component(without_memory, check, lambda request: observe(function, request))
    assert [case.diagnosis for case in result.cases if not case.passed] == []


def test_what_only_parts_can_be_called_with_is_refused_in_one_sentence():
    with pytest.raises(TypeError, match="values of type object cannot be handed over"):
        stand_in("reparameterize", through_json)(object(), 0, 0)


def test_an_error_of_the_reference_arrives_as_that_error():
    import torch

    with pytest.raises(RuntimeError, match=r"reparameterize: The size of tensor"):
        stand_in("reparameterize", through_json)(torch.zeros(2), torch.zeros(3), torch.zeros(4))


def test_what_a_stand_in_returns_may_be_edited_in_place():
    import torch

    mean, zero = torch.ones(3, requires_grad=True), torch.zeros(3)
    drawn = stand_in("reparameterize", through_json)(mean, zero, zero)
    drawn[0] *= 5
    drawn.add_(1).sum().backward()
    assert mean.grad.tolist() == [5, 1, 1]
    estimate, error = stand_in("kl_monte_carlo", through_json)(mean, torch.arange(3.0), "k1")
    error.mul_(2)
    estimate += error
    assert estimate.requires_grad


def test_numbers_of_numpys_are_numbers():
    import numpy as np
    import torch

    function = stand_in("bits_per_dim", through_json)
    for number in (np.int64(2), np.float32(2), np.float64(2)):
        assert torch.equal(function(torch.tensor([3.0]), number), function(torch.tensor([3.0]), 2))


def test_a_trace_that_would_keep_the_result_for_good_is_refused():
    import torch

    function = stand_in("log_mean_exp", through_json)
    with pytest.raises(RuntimeError, match=r"torch\.jit\.trace would take its result for a constant"):
        torch.jit.trace(lambda x: function(x, 0), torch.zeros(3), check_trace=False)


plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
junk = st.recursive(
    plain,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
arrays = st.fixed_dictionaries(
    {"dtype": st.sampled_from(["float32", "int64", "bool", "x"]), "shape": junk, "data": st.sampled_from(["", "AAAA"])}
)
structures = st.sampled_from(["tensor", "plain", "float", "list", "tuple", "named", "else"]).flatmap(
    lambda kind: junk.map(lambda content: {kind: content})
)
calls = st.fixed_dictionaries(
    {
        "component": st.sampled_from(["reparameterize", "kl_gaussian", "vae_training_step", "", "os"]) | junk,
        "arguments": structures | junk | junk.map(lambda content: {"named": {"mean": {"plain": content}}}),
        "tensors": st.lists(arrays, max_size=3) | junk,
        "wanted": st.lists(st.booleans(), max_size=3) | junk,
    },
    optional={"cotangents": junk | st.lists(arrays, max_size=3), "more": junk},
)


class Answering:
    """In place of the sandbox: the same function, here."""

    def call(self, function, arguments, what):
        return json.loads(json.dumps(function(**arguments), allow_nan=False))

    def close(self):
        pass


@settings(deadline=None, max_examples=300)
@given(calls | junk)
def test_whatever_a_students_code_sends_is_answered_with_an_error_or_with_numbers(tmp_path_factory, call):
    references = References(tmp_path_factory.getbasetemp(), Limits())
    references._session = Answering()
    response = references.respond({"reparameterize", "kl_gaussian", "vae_training_step"}, call)
    assert response.keys() in ({"error"}, {"results", "tensors", "differentiable"}, {"gradients"})


class Shallow(Answering):
    """A sandbox that a call cannot be written to, since it lies one level deeper there than where it was read."""

    def call(self, function, arguments, what):
        raise RecursionError


def test_a_call_that_can_just_be_read_and_not_be_written_again_is_refused(tmp_path):
    references = References(tmp_path, Limits())
    references._session = Shallow()
    call = {"component": "log_mean_exp", "arguments": [[[[]]]], "tensors": [], "wanted": []}
    refusal = {"error": {"type": "ValueError", "message": "nested too deeply"}}
    assert references.respond({"log_mean_exp"}, call) == refusal


def test_a_call_that_is_too_large_ends_and_the_next_one_is_answered(edition):
    """A few kilobytes may ask for gigabytes, as all pairs of points do."""
    import torch

    references = References(edition, Limits(ask_seconds=20))
    many, few = torch.zeros(200_000, 1), torch.zeros(3)

    def respond(call):
        return references.respond({"maximum_mean_discrepancy", "log_mean_exp"}, call)

    try:
        with pytest.raises(RuntimeError):
            stand_in("maximum_mean_discrepancy", respond)(many, many, torch.ones(1))
        assert stand_in("log_mean_exp", respond)(few, 0).item() == 0
    finally:
        references.close()


def test_a_lost_sandbox_of_references_is_replaced(edition):
    references = References(edition, Limits())
    try:
        references.get_ready()
        killed = references._session
        killed._process.kill()
        call = {"component": "log_mean_exp", "arguments": {"named": {}}, "tensors": [], "wanted": []}
        for _ in range(600):  # a dying sandbox may still respond for a moment
            if "could not be computed" in references.respond({"log_mean_exp"}, call)["error"]["message"]:
                break
            time.sleep(0.1)
        assert references._session is None
        assert "missing 2 required" in references.respond({"log_mean_exp"}, call)["error"]["message"]
        assert isinstance(references._session, Session) and references._session is not killed
    finally:
        references.close()


def test_the_librarys_calls_are_known():
    names = frozenset(entry.name for entry in components.listing("06_attentive_vae"))
    calls = calls_among(names)
    assert calls["attentive_context"] == {"depthwise_attention"}
    assert calls["variational_layer_step"] == {"attentive_context"}
    assert calls["depthwise_attention"] == frozenset()


def test_names_are_found_in_code_that_is_no_python():
    assert names_in("def f(: kl_gaussian(x), not_kl_categorical", ["kl_gaussian", "kl_categorical"]) == {"kl_gaussian"}
