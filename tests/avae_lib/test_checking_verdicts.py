"""Verdicts: what passes, what fails, and what is said about it."""

import math

import pytest
import torch

from avae_lib.checking.comparison import Probe, Trial
from avae_lib.checking.harnesses import observe
from avae_lib.checking.numeric_relations import Sample, vague_relation_of
from avae_lib.checking.records import Request
from avae_lib.checking.symptoms import side_by_side
from avae_lib.checking.verdicts import AskFailed, judge_case, judge_trials


def right(x):
    return x.sum(dim=1)


X = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))


def trial(kind="value", name="values", reference=right, x=X, mistakes=(), gradients=(), rtol=1e-4, more=(), **facts):
    def probe(x):
        request = Request("f", {"x": x}, gradients=gradients, seed=4)
        shown = tuple((sentence, observe(function, request)) for sentence, function in mistakes)
        return Probe(request, observe(reference, request), shown)

    return Trial(name, 2, kind, "a hint", tuple(map(probe, (x, *more))), **({"atol": 1e-6} | facts), rtol=rtol)


def verdict(function, **facts):
    return judge_case(trial(**facts), lambda request: observe(function, request))


def test_right_answer_by_another_formula_passes():
    assert verdict(lambda x: torch.stack([sum(row) for row in x.double()])).passed


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda x: -right(x), "opposite sign"),
        (lambda x: 2 * right(x), "twice the right one"),
        (lambda x: 0.5 * right(x), "half the right one"),
        (lambda x: x.mean(dim=1), "divided by the size of dimension 1 of `x`: use the sum, not the mean"),
        (lambda x: right(x) * 4, "times the size of dimension 0 of `x`"),
        (lambda x: right(x) / math.log(2), "in bits, but must be in nats"),
        (lambda x: 1.7 * right(x), "times 1.7 everywhere"),
        (lambda x: right(x) + math.log(3), "too large by the logarithm of the size of dimension 1"),
        (lambda x: right(x) - math.log(4), "too small by the logarithm of the size of dimension 0"),
        (lambda x: right(x) + 0.37, "off by the same amount, 0.37"),
        (lambda x: x, "still has to be summed over dimension 1"),
        (lambda x: right(x).sum(), "summed over too many dimensions"),
        (lambda x: right(x).unsqueeze(1), "the numbers are right, but a dimension of size one is left over"),
        (lambda x: right(x).flip(0), "right numbers in the wrong order"),
        (lambda x: right(x) * float("nan"), "NaN in 4 of 4 places"),
        (lambda x: torch.where(x[:, 0] > 0, right(x), torch.inf), "infinite in "),
        (lambda x: torch.zeros(4), "zero everywhere"),
        (lambda x: torch.full((4,), 0.1), "same number everywhere"),
        (lambda x: right(x) + 1e-3 * torch.tensor([1, 2, -1, 0]), "nearly right"),
        (lambda x: right(x) * torch.tensor([1, 2, 1, -2]), "right in 2 of 4 places"),
        (lambda x: None, "is there a return?"),
        (lambda x: [1, 2], "of type list, but must be a tensor"),
        (lambda x: x.reshape(5, 5), "stopped with RuntimeError"),
        (lambda x: int("three"), "stopped with ValueError: invalid literal"),
        (lambda x: exit(), "stopped with SystemExit"),
    ],
)
def test_wrong_numbers_are_explained_by_their_pattern(wrong, words):
    judged = verdict(wrong)
    assert not judged.passed
    assert judged.points == 0
    assert words in judged.diagnosis


def test_single_numbers_are_counted_by_calls():
    samples = [Sample(torch.tensor(got), torch.tensor(1.0), {}) for got in (1.0, 2.0, 3.5)]
    assert vague_relation_of(samples) == "is right in 1 of 3 calls"


def test_numbers_shown_beside_the_right_ones_begin_where_they_differ():
    def wrong(x):
        return torch.cat([right(x)[:7], right(x)[7:] + 1])

    several = trial(x=torch.arange(20.0).reshape(10, 2))
    (probe,) = several.probes
    assert (
        side_by_side(several, probe, observe(wrong, probe.request)) == "expected […, 29, 33, 37], got […, 30, 34, 38]"
    )


def test_exchanged_dimensions_are_told():
    judged = verdict(lambda x: x.T * 2, reference=lambda x: x * 2)
    assert "rows and columns are exchanged" in judged.diagnosis


def test_factor_next_to_one_is_never_named():
    judged = verdict(lambda x: x + 0.05, reference=lambda x: x + 500.0, rtol=1e-9)
    assert "the right one times" not in judged.diagnosis
    judged = verdict(lambda x: (x + 500.0) * 1.00005, reference=lambda x: x + 500.0, rtol=1e-9)
    assert "the right one times" not in judged.diagnosis


def test_input_handed_back_is_told():
    assert "is the input `x` itself" in verdict(lambda x: x, reference=lambda x: x.exp()).diagnosis


def test_wrong_numbers_without_a_pattern_get_the_hint_of_the_case():
    noise = torch.randn(4, generator=torch.Generator().manual_seed(8))
    assert verdict(lambda x: noise).diagnosis == "a hint"


def test_right_numbers_are_shown_for_public_cases_only():
    noise = torch.randn(4, generator=torch.Generator().manual_seed(8))
    said = judge_case(trial(), lambda request: observe(lambda x: noise, request), reveal=True).diagnosis
    assert f"{right(X)[0]:.6g}" in said
    assert f"{noise[0]:.6g}" in said


def test_named_mistake_comes_before_any_pattern():
    assert verdict(lambda x: -right(x), mistakes=[("own words", lambda x: -right(x))]).diagnosis == "own words"


def test_mistake_that_shows_nothing_here_is_never_named():
    assert verdict(lambda x: -right(x), mistakes=[("own words", right)]).diagnosis != "own words"


@pytest.mark.parametrize("factor", [float("nan"), float("inf")])
def test_no_result_passes_where_the_mistakes_numbers_are_not_finite(factor):
    judged = verdict(lambda x: right(x) * factor, mistakes=[("overflows", lambda x: right(x) * factor)])
    assert not judged.passed
    assert judged.diagnosis == "overflows"


def infinite_in_the_first_place(x):
    return torch.cat([torch.tensor([torch.inf]), right(x)[1:]])


def test_infinity_where_it_is_right_passes_and_hides_no_pattern_of_the_others():
    assert verdict(infinite_in_the_first_place, reference=infinite_in_the_first_place).passed
    opposite = verdict(
        lambda x: torch.where(right(x) == right(x)[0], torch.inf, -right(x)), reference=infinite_in_the_first_place
    )
    assert not opposite.passed and "infinite" not in opposite.diagnosis and "nearly" not in opposite.diagnosis


def test_one_result_where_two_are_wanted_is_told():
    asked = Request("f", {"x": X}, harness="call_for_pair", seed=4)
    probe = Probe(asked, observe(lambda x: (x, right(x)), asked))
    both = Trial("values", 2, "value", "a hint", (probe,), 1e-4, 1e-6)
    assert "return exactly two results" in judge_case(both, lambda request: observe(right, request)).diagnosis


def test_gradient_that_is_cut_off_fails_and_is_told():
    judged = verdict(lambda x: right(x).detach(), kind="gradient", gradients=("x",))
    assert "gradient with respect to `x` never arrives" in judged.diagnosis


def test_gradient_of_a_wrong_size_is_told():
    judged = verdict(lambda x: right(x * 2), kind="gradient", gradients=("x",))
    assert "gradient with respect to `x` is twice" in judged.diagnosis


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: x.mul_(1).add_(1).sub_(1).neg_().sum(1).neg(), "changes its input `x`"),
        (lambda x: right(x).numpy(), "is a NumPy array or number, but must be a tensor"),
        (
            lambda x: right(x.float()),
            "returns float32 for float64 inputs: keep the precision of the inputs",
        ),
    ],
)
def test_form_is_judged_beside_right_numbers(function, words):
    judged = verdict(function, kind="form", x=1e3 * X.double() + 0.1, rtol=1e-9)
    assert not judged.passed
    assert words in judged.diagnosis


def test_truth_values_are_not_taken_for_the_precision_of_the_inputs():
    judged = verdict(lambda x: (x > 0).float(), kind="form", reference=lambda x: x > 0)
    assert judged.diagnosis == "the result comes out as float32, but must be bool"


def test_inputs_that_hold_nan_count_as_unchanged():
    trials = [trial(x=torch.where(X > 0, X, math.nan), reference=torch.isnan), trial(kind="form", name="form")]
    verdicts = judge_trials(trials, lambda request: observe(torch.isfinite, request))
    assert verdicts[1].diagnosis == "counts once “values” passes"


def test_numbers_that_are_right_by_chance_are_not_counted():
    x = torch.arange(120.0).reshape(40, 3).cos()
    wrong = lambda x: torch.where(torch.arange(40) == 7, right(x), right(x).exp() + 3)  # noqa: E731
    assert verdict(wrong, x=x).diagnosis == "a hint"


def test_name_of_a_function_is_no_edit_in_place():
    def inplace(x):
        return x.reshape(1, -1)

    judged = verdict(lambda x: inplace(x, 1))
    assert "inplace() takes 1 positional argument" in judged.diagnosis
    assert "changes a tensor" not in judged.diagnosis


def test_python_float_is_told_from_a_tensor_without_dimensions():
    assert verdict(lambda x: x.sum().item(), kind="form", reference=lambda x: x.sum().item()).passed
    judged = verdict(lambda x: x.sum(), kind="form", reference=lambda x: x.sum().item())
    assert "is a tensor, but must be a Python float" in judged.diagnosis


def test_gradients_earn_nothing_while_the_main_case_fails():
    trials = [trial(), trial(kind="gradient", name="gradients", gradients=("x",))]
    verdicts = judge_trials(trials, lambda request: observe(lambda x: right(x) + 1, request))
    assert [judged.points for judged in verdicts] == [0, 0]
    assert "counts once" in verdicts[1].diagnosis


def test_vague_words_give_way_to_the_main_case_that_failed():
    trials = [trial(), trial(name="later")]
    verdicts = judge_trials(trials, lambda request: observe(lambda x: right(x) * torch.tensor([1, 2, 1, -2]), request))
    assert "right in 2 of 4 places" in verdicts[0].diagnosis
    assert verdicts[1].diagnosis.startswith("see to")


def test_form_earns_nothing_while_the_main_case_fails():
    trials = [trial(), trial(kind="form", name="shape")]
    verdicts = judge_trials(trials, lambda request: observe(lambda x: torch.zeros(4), request))
    assert [judged.points for judged in verdicts] == [0, 0]
    assert "counts once" in verdicts[1].diagnosis


def test_request_without_an_answer_fails_its_case_only():
    asked = []

    def ask(request):
        asked.append(request)
        if len(asked) == 1:
            raise AskFailed("the process died")
        return observe(right, request)

    verdicts = judge_trials([trial(), trial(name="more")], ask)
    assert [judged.passed for judged in verdicts] == [False, True]
    assert verdicts[0].diagnosis == "the process died"


def test_nothing_is_asked_after_a_time_out():
    asked = []

    def ask(request):
        asked.append(request)
        raise AskFailed("too slow", give_up=True)

    verdicts = judge_trials([trial(), trial(name="more"), trial(name="most")], ask)
    assert len(asked) == 1
    assert [judged.points for judged in verdicts] == [0, 0, 0]
    assert "too slow" in verdicts[2].diagnosis


def test_stub_of_the_component_itself_is_not_confused_with_that_of_another():
    def own_stub(x):
        raise NotImplementedError

    def leaning(x):
        raise NotImplementedError("g is written in unit 00")

    assert verdict(own_stub).diagnosis.startswith("not written yet")
    assert "g is written in unit 00" in verdict(leaning).diagnosis


OTHER = torch.randn(4, 3, generator=torch.Generator().manual_seed(1))


def right_for_x_only(wrong):
    return lambda x: right(x) if torch.equal(x, OTHER) else wrong(x)


@pytest.mark.parametrize("wrong", [lambda x: 2 * right(x), lambda x: -right(x), lambda x: right(x).flip(0)])
def test_relation_that_does_not_hold_in_every_draw_is_not_named(wrong):
    assert verdict(wrong, more=(OTHER,)).diagnosis == verdict(wrong).diagnosis
    said = verdict(right_for_x_only(wrong), more=(OTHER,)).diagnosis
    assert "right in" in said


def test_mistake_that_does_not_show_the_same_in_every_draw_is_not_named():
    mistakes = [("own words", lambda x: x.prod(dim=1))]
    assert verdict(lambda x: x.prod(dim=1), more=(OTHER,), mistakes=mistakes).diagnosis == "own words"
    assert (
        "own words"
        not in verdict(right_for_x_only(lambda x: x.prod(dim=1)), more=(OTHER,), mistakes=mistakes).diagnosis
    )


def test_mistake_within_the_tolerance_of_what_is_right_needs_to_be_much_nearer():
    mistakes = [("adds a little", lambda x: right(x) + 3e-4)]
    assert verdict(lambda x: right(x) + 3e-4, mistakes=mistakes, atol=2e-4).diagnosis == "adds a little"
    assert verdict(lambda x: right(x) + 4e-4, mistakes=mistakes, atol=2e-4).diagnosis != "adds a little"


def test_logarithm_of_a_size_is_not_read_into_the_rounding_of_large_numbers():
    near_10000 = 3e3 * X.abs() + 1e4
    said = verdict(lambda x: right(x) + math.log(3) + 0.05, x=near_10000, rtol=0.0, atol=5e-3).diagnosis
    assert "logarithm" not in said
    said = verdict(lambda x: right(x) + math.log(3), x=near_10000, rtol=0.0, atol=5e-3).diagnosis
    assert "too large by the logarithm of the size of dimension 1" in said


def test_order_is_not_blamed_on_vectors_of_few_values():
    signs = torch.tensor([1.0, -1.0, 1.0, -1.0, -1.0])
    assert "order" not in verdict(lambda x: x.flip(0).neg(), reference=lambda x: x.clone(), x=signs).diagnosis
    assert "order" not in verdict(lambda x: x.roll(1), reference=lambda x: x.clone(), x=signs).diagnosis


def test_dimension_left_over_and_a_second_slip_are_both_told():
    said = verdict(lambda x: 2 * x.sum(dim=1, keepdim=True)).diagnosis
    assert "has shape (4, 1), but must have shape (4,): a dimension of size one is left over" in said
    assert said.endswith("once that is mended: it is twice the right one: a factor 1/2 is missing")
    mistakes = [("multiplies", lambda x: x.prod(dim=1))]
    said = verdict(lambda x: x.prod(dim=1, keepdim=True), mistakes=mistakes).diagnosis
    assert said.endswith("left over; once that is mended: multiplies")


def test_opposite_sign_and_a_second_slip_are_both_told():
    said = verdict(lambda x: -x.prod(dim=1), mistakes=[("multiplies", lambda x: x.prod(dim=1))]).diagnosis
    assert said == "the result has the opposite sign; once that is mended: multiplies"


def test_nan_is_told_only_where_it_is():
    assert "NaN in 1 of 4" in verdict(lambda x: torch.where(right(x) == right(x)[0], torch.nan, right(x))).diagnosis
    assert "NaN" not in verdict(lambda x: torch.where(right(x) == right(x)[0], 7.0, right(x))).diagnosis


def test_later_case_points_to_the_main_one_instead_of_naming_what_that_one_explains():
    mistakes = [("replaces by zero", torch.zeros_like)]
    later = trial(name="later", reference=lambda x: x + 1, mistakes=mistakes)
    main = trial(mistakes=[("is zero", lambda x: 0 * right(x))])

    def ask(request):
        return observe(lambda x: 0 * (right(x) if len(asked) == 1 else x), request)

    asked = []
    verdicts = judge_trials([main, later], lambda request: asked.append(request) or ask(request))
    assert [judged.diagnosis for judged in verdicts] == ["is zero", "see to “values” first"]
    assert verdicts[1].points_to == "values"


def test_changed_input_is_told_though_the_main_case_fails():
    trials = [trial(), trial(kind="form", name="manners")]
    verdicts = judge_trials(trials, lambda request: observe(lambda x: x.mul_(2).sum(1), request))
    assert "twice" in verdicts[0].diagnosis
    assert verdicts[1].diagnosis.startswith("counts once “values” passes; besides, your function changes its input `x`")


def test_results_of_a_form_case_have_the_dtype_of_the_inputs():
    judged = verdict(lambda x: right(x).double(), kind="form")
    assert "returns float64 for float32 inputs: keep the precision of the inputs" in judged.diagnosis
    assert verdict(lambda x: right(x.double()).to(x.dtype), kind="form").passed
    assert verdict(lambda x: right(x).double()).passed


def test_count_is_told_as_it_is():
    judged = verdict(lambda x: 2, reference=lambda x: 1)
    assert judged.diagnosis == "the result is 2, but must be 1"
