"""Simple formulas: a case that one of them passes is found, one that needs thought is not."""

from dataclasses import replace

import pytest
import torch

from autograder.audit.guards import audit_check
from autograder.audit.simple_formulas import formulas_that_pass
from autograder.checks import all_checks
from autograder.checks.random_inputs import normal

CHECKS = {check.component: check for check in all_checks()}
GIBBS, ADD_UP = CHECKS["gibbs_sweep"], CHECKS["negative_elbo"]


def with_inputs(check, case, *make_inputs):
    """The check with other inputs in one of its cases."""
    cases = (replace(each, make_inputs=make_inputs) if each.name == case else each for each in check.cases)
    return replace(check, cases=tuple(cases))


def passing(check, seed=1):
    return dict(formulas_that_pass(list(check.trials(seed))))


def only_strong_fields(generator):
    """All fields are so strong that nothing else counts."""
    size = torch.tensor([30.0, -60.0, 100.0, -400.0])[torch.randperm(4, generator=generator)]
    return {"spins": torch.ones(4), "coupling": torch.zeros(4, 4), "field": size, "uniforms": torch.full((4,), 0.5)}


def one_layer_of_nothing(generator):
    return {"log_likelihood": normal(generator, 5), "kl": torch.zeros(5, 3)}


def one_example(generator):
    return {"log_likelihood": normal(generator, 1), "kl": normal(generator, 1, 1).abs()}


def ordinary(generator):
    return {"log_likelihood": normal(generator, 5), "kl": normal(generator, 5, 3).abs()}


def test_case_in_which_the_sign_of_an_argument_is_right_is_found():
    found = passing(with_inputs(GIBBS, "strong couplings and fields", only_strong_fields))
    assert found == {"strong couplings and fields": "result = sign of field"}
    assert passing(GIBBS) == {}


def test_ordinary_inputs_among_special_ones_stop_a_formula():
    name = "one example, one layer"
    assert passing(with_inputs(ADD_UP, name, one_example)) == {name: "result = kl − log_likelihood"}
    assert passing(with_inputs(ADD_UP, name, one_example, ordinary)) == {}
    assert passing(with_inputs(ADD_UP, name, one_layer_of_nothing)) == {}


def test_a_case_of_several_results_is_passed_only_if_each_has_a_formula():
    """The index of the nearest code is no formula, so neither is the case that looks at it and the code."""
    check = CHECKS["vector_quantize"]

    def codes_themselves(generator):
        codebook = normal(generator, 5, 7)
        return {"z": codebook.clone(), "codebook": codebook}

    assert "nearest codes" not in passing(with_inputs(check, "nearest codes", codes_themselves))
    assert passing(with_inputs(check, "losses", codes_themselves))["losses"].startswith("codebook loss = 0; ")


def test_the_answer_itself_is_no_simple_formula():
    """The log-determinant of this step is a sum over its gates in every case, and ``nats`` is not bits."""
    for name in ("inverse_autoregressive_step", "bits_per_dim", "reparameterize", "unpool_nearest"):
        assert passing(CHECKS[name]) == {}, name


def test_the_audit_complains_about_it():
    weak = replace(with_inputs(GIBBS, "strong couplings and fields", only_strong_fields), mistakes=(), variants=())
    found = {finding.name: finding.complaint for finding in audit_check(weak).complaints}
    assert found == {"result = sign of field": "passes the case “strong couplings and fields”"}


@pytest.mark.parametrize("seed", range(10, 16))
def test_no_draw_of_strong_fields_lets_a_formula_through(seed):
    assert passing(GIBBS, seed) == {}
