"""The audit: it passes, as published, and it speaks up when the judge is made worse."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import autograder
from autograder.audit.empty_answers import empty_answers
from autograder.audit.guards import audit_check
from autograder.audit.guards_in_sandbox import cell_of
from autograder.audit.sentences import Sentences
from autograder.audit.slips import SLIPS
from autograder.audit.tables import markdown_section
from autograder.checks import all_checks
from autograder.checks.case import Mistake, Variant
from autograder.checks.judge_component import judge_component
from autograder.sandbox.bubblewrap import require_sandbox
from avae_lib import components
from avae_lib.checking.harnesses import observe

CHECKS = {check.component: check for check in all_checks()}
ADD_UP = CHECKS["negative_elbo"]
ADD_UP_REFERENCE = components.find("negative_elbo").reference
PUBLISHED = (Path(autograder.__file__).parent / "AUDIT.md").read_text(encoding="utf-8")
OUT_OF_STEP = "autograder/AUDIT.md is out of step: run course audit --publish autograder/AUDIT.md"


def few(check, mistakes=2, variants=1):
    """A check with fewer guards, so that one question is answered quickly."""
    return replace(check, mistakes=check.mistakes[:mistakes], variants=check.variants[:variants])


def without(check, case):
    return replace(check, cases=tuple(kept for kept in check.cases if kept.name != case))


def with_case(check, name, **changes):
    return replace(check, cases=tuple(replace(c, **changes) if c.name == name else c for c in check.cases))


def with_guards(check, mistakes=(), variants=()):
    return replace(check, mistakes=tuple(mistakes), variants=tuple(variants))


def complaints(check):
    return {finding.name: finding.complaint for finding in audit_check(check).complaints}


@pytest.mark.parametrize("name", CHECKS)
def test_every_mistake_dies_by_name_every_variant_passes_and_empty_answers_earn_nothing(name):
    result = audit_check(CHECKS[name])
    assert "\n".join(f"{finding.name} {finding.complaint}" for finding in result.complaints) == ""
    assert len(result.of_role("mistake")) >= 8
    assert len(result.of_role("variant")) >= 3
    assert len(result.of_role("empty answer")) >= 10
    assert markdown_section(result) in PUBLISHED, OUT_OF_STEP


def test_published_overview_counts_what_each_component_has():
    assert re.findall(r"^## (.+)$", PUBLISHED, re.MULTILINE) == list(CHECKS), OUT_OF_STEP
    for name, check in CHECKS.items():
        lists = (check.cases, check.mistakes, check.variants, tuple(empty_answers(name)))
        counts = " | ".join(str(len(entries)) for entries in lists)
        assert f"| [{name}](#{name}) | {check.unit} | {counts} |" in PUBLISHED, OUT_OF_STEP


def test_case_taken_away_lets_a_mistake_survive():
    guarded = [mistake for mistake in ADD_UP.mistakes if mistake.caught_by == "beta"]
    found = complaints(with_guards(without(ADD_UP, "beta"), guarded))
    assert found.keys() == {mistake.name for mistake in guarded}
    assert set(found.values()) == {"survives"}, "no other case costs points for what this one is about"


def test_tolerance_made_too_wide_lets_a_mistake_through_its_case():
    weakened = with_guards(with_case(ADD_UP, "values", atol=1e6), ADD_UP.mistakes[:3])
    found = complaints(weakened)
    assert {found[mistake.name] for mistake in weakened.mistakes} == {"is not caught by the case “values”"}


def test_tolerance_made_too_narrow_costs_variants_their_points():
    narrow = with_case(CHECKS["log_mean_exp"], "large logarithms", rtol=0.0, atol=0.0)
    found = complaints(with_guards(narrow, variants=narrow.variants))
    assert found
    assert all(complaint.startswith("loses points: large logarithms") for complaint in found.values())


def test_mistake_that_is_told_anothers_sentence_is_complained_about():
    wrong = ADD_UP.mistakes[0]
    twin = Mistake(wrong.function, "a sentence that nobody will ever be shown", wrong.caught_by)
    assert list(complaints(with_guards(ADD_UP, [wrong, twin])).values()) == [
        f"is told something else: {wrong.sentence}"
    ]


def test_variant_that_is_wrong_is_complained_about():
    wrong = Variant(lambda log_likelihood, kl, beta=1.0: -log_likelihood.mean())
    assert len(complaints(with_guards(ADD_UP, variants=[wrong]))) == 1


def test_sentence_that_not_every_draw_bears_out_is_counted_as_wrong():
    first = ADD_UP.mistakes[0]
    draws = [list(ADD_UP.trials(seed)) for seed in (1, 2)]
    in_first_draw = {probe.request.inputs["kl"][0, 0].item() for trial in draws[0] for probe in trial.probes}

    def like_the_first_in_one_draw(log_likelihood, kl, beta=1.0):
        return first.function(log_likelihood, kl, beta) if kl[0, 0].item() in in_first_draw else kl.square().sum()

    guarded = with_guards(ADD_UP, [first])
    sentences = Sentences(guarded, draws, lambda request: observe(ADD_UP_REFERENCE, request))
    coincidence = Mistake(like_the_first_in_one_draw, "squares the terms", first.caught_by)
    wrong = list(sentences.wrong_ones(coincidence, lambda request: observe(coincidence.function, request)))
    assert f"like_the_first_in_one_draw, in “{first.caught_by}”: {first.sentence}" in wrong
    assert list(sentences.wrong_ones(first, lambda request: observe(first.function, request))) == []
    assert sentences.pairs == 2 * len(SLIPS)


@pytest.mark.parametrize("name", SLIPS)
def test_every_slip_costs_a_right_function_points(name):
    check = CHECKS["reparameterize"]
    reference = components.find("reparameterize").reference
    result = judge_component(check.trials(1), check, lambda request: SLIPS[name](observe(reference, request)))
    assert result.points < result.max_points


def test_points_for_an_empty_answer_are_complained_about():
    def only_zero(generator):
        return {"log_likelihood": torch.zeros(3), "kl": torch.zeros(3, 2)}

    found = complaints(with_guards(with_case(ADD_UP, "beta", make_inputs=(only_zero,))))
    assert found["one_zero of kl"] == "earns points"


@pytest.mark.parametrize("name", CHECKS)
def test_every_guard_is_a_cell_that_runs_by_itself(name, capsys):
    for guard in (*CHECKS[name].mistakes, *CHECKS[name].variants):
        namespace = {"__name__": "__main__"}
        exec(compile(cell_of(name, guard.function), guard.name, "exec"), namespace)
        assert "autograder" not in cell_of(name, guard.function)


def test_audit_comes_out_the_same_in_the_sandbox():
    require_sandbox()
    check = few(CHECKS["reparameterize"], 40, 3)
    assert audit_check(check, sandboxed=True) == audit_check(check)
