"""The audit: it passes, and it speaks up when the judge is made worse."""

from dataclasses import replace

import pytest
import torch

from autograder import audit as auditing
from autograder.audit import audit, audit_check, main_audit
from autograder.checks import all_checks
from autograder.checks.case import Mistake, Variant
from autograder.course import CourseError
from autograder.sandbox.audition import cell_of
from autograder.sandbox.bubblewrap import require_sandbox

CHECKS = {check.component: check for check in all_checks()}
ADD_UP = CHECKS["negative_elbo"]


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
    assert [(finding.name, finding.complaint) for finding in result.complaints] == []
    assert sum(finding.role == "mistake" for finding in result.findings) >= 8
    assert sum(finding.role == "variant" for finding in result.findings) >= 3
    assert sum(finding.role == "empty answer" for finding in result.findings) >= 10


def test_case_taken_away_lets_a_mistake_survive():
    guarded = [mistake for mistake in ADD_UP.mistakes if mistake.caught_by == "beta"]
    found = complaints(with_guards(without(ADD_UP, "beta"), guarded))
    assert found.keys() == {mistake.name for mistake in guarded}
    assert found["zero_beta_replaced"] == "survives"
    assert found["beta_ignored"] == "is not caught by the case “beta”"


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


def test_points_for_an_empty_answer_are_complained_about():
    def only_zero(generator):
        return {"log_likelihood": torch.zeros(3), "kl": torch.zeros(3, 2)}

    found = complaints(with_guards(with_case(ADD_UP, "beta", make_inputs=(only_zero,))))
    assert found["one_zero of kl"] == "earns points"


def test_table_shows_each_guard_with_its_case_and_sentence():
    check = few(ADD_UP)
    table = audit_check(check).table()
    for mistake in check.mistakes:
        (line,) = (line for line in table.splitlines() if f" {mistake.name} " in line)
        assert mistake.caught_by in line
        assert mistake.sentence in line
    assert f" {check.variants[0].name} " in table


def test_command_ends_with_status_one_only_if_there_is_a_complaint(monkeypatch, capsys):
    sound = few(ADD_UP)
    monkeypatch.setattr(auditing, "all_checks", lambda: (sound,))
    assert main_audit(["03_vae"]) == 0
    assert "every mistake dies by its own name" in capsys.readouterr().out
    monkeypatch.setattr(auditing, "all_checks", lambda: (with_case(sound, "values", atol=1e6),))
    assert main_audit() == 1
    assert "JUDGE AT FAULT" in capsys.readouterr().out


def test_unit_without_components_is_told_as_such():
    with pytest.raises(CourseError, match="07_evaluation has no component"):
        audit("07_evaluation")


@pytest.mark.parametrize("name", CHECKS)
def test_every_guard_is_a_cell_that_runs_by_itself(name, capsys):
    for guard in (*CHECKS[name].mistakes, *CHECKS[name].variants):
        namespace = {"__name__": "__main__"}
        exec(compile(cell_of(name, guard.function), guard.name, "exec"), namespace)
        assert "autograder" not in cell_of(name, guard.function)


def test_audit_comes_out_the_same_in_the_sandbox():
    require_sandbox()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auditing, "all_checks", lambda: (few(CHECKS["reparameterize"], 40, 3),))
        assert [finding.complaint for finding in audit("03_vae", sandboxed=True).complaints] == []
