"""Lists, records, parts and several results: how they are handed over, what is seen of them, and what is said."""

import json
import math
import tracemalloc

import pytest
import torch

from avae_lib.checking.comparison import Probe, Trial, agree
from avae_lib.checking.device_waits import ON_DEVICE, WAITS
from avae_lib.checking.harnesses import RANDOM_NUMBERS, observe
from avae_lib.checking.memory_use import ALL_PAIRS, GROWS
from avae_lib.checking.nested_calls import MAX_LEAVES
from avae_lib.checking.nested_inputs import Map, Once, Record, Repeated, leaves
from avae_lib.checking.records import MAX_BYTES, MalformedObservation, Observation, Recorded, Request
from avae_lib.checking.toy_parts import ChannelMap
from avae_lib.checking.verdicts import judge_trials

GENERATOR = torch.Generator().manual_seed(0)
PAIR = ("sum", "product")


def normal(*shape, dtype=torch.float64):
    return torch.randn(shape, generator=GENERATOR, dtype=dtype)


def part(inputs=2, outputs=3, **facts):
    return Map(normal(2 * outputs, inputs + 1), (inputs,), (("mean", 1), ("log_std", outputs - 1)), **facts)


def request(inputs, **facts):
    return Request("f", inputs, "call_nested", **facts)


def two_lists():
    return {"a": [normal(2), normal(3, 2)], "b": [normal(2), normal(3, 2)]}


def arrived(asked):
    return Request.from_json(json.loads(json.dumps(asked.to_json())))


# the journey


def test_nested_inputs_arrive_as_they_left():
    inputs = {
        "list": [normal(2), [normal(3), None], 4, "text"],
        "tuple": (normal(1), (2.5, True)),
        "record": Record({"value": normal(2), "key": None}),
        "once": Once([normal(2), normal(2)]),
        "parts": Record({"prior": part(form="tuple", bounded=("log_std",)), "gate": normal()}),
        "numbers": [0.1, 0.2],
        "nothing": None,
    }
    asked = request(
        inputs, results=("x", ("y", ("value",))), gradients_of=("x",), watch=("calls",), gradients=("list",)
    )
    there = arrived(asked)
    before, after = (dict(leaf for name, v in one.inputs.items() for leaf in leaves(v, name)) for one in (asked, there))
    assert before.keys() == after.keys()
    for path, value in before.items():
        assert torch.equal(after[path], value) if isinstance(value, torch.Tensor) else after[path] == value
    assert there.inputs["parts"].fields["prior"].settings == inputs["parts"].fields["prior"].settings
    assert [type(there.inputs[name]) for name in inputs] == [type(value) for value in inputs.values()]
    assert there.results == asked.results
    assert (there.gradients, there.gradients_of, there.watch) == (("list",), ("x",), ("calls",))


def test_request_without_nested_inputs_is_written_as_it_always_was():
    content = Request("f", {"x": normal(1), "n": [1, 2]}).to_json()
    assert content.keys() == {"component", "inputs", "harness", "gradients", "seed"}
    assert content["inputs"]["n"] == {"plain": [1, 2]}


# parts


def test_map_is_its_formula_in_a_loop():
    weight, x, other = normal(6, 4), normal(2, 1, 2, 2), normal(2, 2, 2, 2)
    mean, log_std = ChannelMap("q", weight, (1, 2), (("mean", 1), ("log_std", 2)), "tuple", False, ("log_std",))(
        x, other
    )
    both = torch.cat([x, other], dim=1)
    for example in range(2):
        for output in range(3):
            pixel = both[example, :, 1, 0]
            linear = sum(weight[output, n] * pixel[n] for n in range(3))
            wave = math.sin(sum(weight[3 + output, n] * pixel[n] for n in range(3)) + weight[3 + output, 3])
            expected = linear + wave
            got = mean[example, 0, 1, 0] if output == 0 else log_std[example, output - 1, 1, 0]
            assert got == pytest.approx(float(expected if output == 0 else math.tanh(expected)), abs=1e-12)


def test_map_is_neither_additive_nor_odd():
    f = ChannelMap("f", normal(4, 3), (2,), (("y", 2),), "tensor", True, ())
    x, y = normal(1, 2, 3, 3), normal(1, 2, 3, 3)
    assert not torch.allclose(f(x + y), f(x) + f(y), atol=1e-2)
    assert not torch.allclose(f(-x), -f(x), atol=1e-2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((normal(2, 3, 1, 1),), r"prior takes \(batch, 2, height, width\), got \(2, 3, 1, 1\)"),
        ((normal(2, 2),), r"got \(2, 2\)"),
        ((), "got nothing"),
        ((normal(1, 2, 1, 1), normal(1, 2, 1, 1)), "and"),
        ((normal(1, 2, 1, 1, dtype=torch.float32),), "takes torch.float64, got torch.float32"),
        ((None,), "takes tensors, got NoneType"),
    ],
)
def test_map_refuses_wrong_calls_in_plain_words(arguments, words):
    prior = ChannelMap("prior", normal(4, 3), (2,), (("y", 2),), "tensor", False, ())
    with pytest.raises((ValueError, TypeError), match=words):
        prior(*arguments)


def test_records_have_fields_and_cannot_be_assigned_to():
    def function(record):
        record.value = 1

    assert observe(function, request({"record": Record({"value": normal(1)})})).error.type == "FrozenInstanceError"
    read = observe(lambda record: record.value + record.key, request({"record": Record({"value": 1.0, "key": 2.0})}))
    assert read.outputs["result"].array == 3


def test_iterator_runs_once():
    seen = observe(lambda items: len(list(items)) + 10 * len(list(items)), request({"items": Once([normal(1)] * 3)}))
    assert seen.outputs["result"].array == 3


def test_map_may_be_called_any_number_of_times_with_the_same_result():
    asked = request({"f": part(), "x": normal(1, 2, 1, 1)})
    assert observe(lambda f, x: f(x) - f(x), asked).outputs["result"].array.abs().max() == 0


# results


@pytest.mark.parametrize("kind", [tuple, list])
def test_several_results_are_recorded_under_their_names(kind):
    asked = request({"x": normal(2)}, results=PAIR)
    assert observe(lambda x: kind([x, 2 * x]), asked).outputs.keys() == set(PAIR)


@pytest.mark.parametrize("answer", [lambda x: x, lambda x: (x,), lambda x: (x, x, x), lambda x: None, lambda x: {x: x}])
def test_another_number_of_results_is_recorded_as_one(answer):
    assert observe(answer, request({"x": normal(2)}, results=PAIR)).outputs.keys() == {"result"}


def test_fields_of_a_record_are_read_from_any_object():
    class Mine:
        value = torch.ones(2)

    seen = observe(
        lambda x: (Mine(), x), request({"x": normal(2)}, results=(("context", ("value", "key")), "z"))
    ).outputs
    assert seen["context.value"].array.tolist() == [1, 1]
    assert seen["context.key"].kind == "none"


def test_results_without_names_are_recorded_by_their_places():
    seen = observe(lambda x: (x, [2, (3.0,)]), request({"x": normal(2)})).outputs
    assert {name: value.kind for name, value in seen.items()} == {
        "result[0]": "tensor",
        "result[1][0]": "int",
        "result[1][1][0]": "float",
    }


class Endless(list):
    def __len__(self):
        return 10**9

    def __iter__(self):
        while True:
            yield 0


class Pretending:
    """Says that it is a tensor."""

    @property
    def __class__(self):
        return torch.Tensor


def cyclic(x):
    items = [x]
    items.append(items)
    return items


def deep(x):
    for _ in range(100_000):
        x = [x]
    return x


HOSTILE = {
    "endless": lambda x: Endless([x]),
    "cyclic": cyclic,
    "deep": deep,
    "giant": lambda x: [x] * 10**6,
    "wide and deep": lambda x: [[[[x] * 60] * 60] * 60] * 60,
    "pretending": lambda x: [Pretending(), x],
    "large": lambda x: [torch.zeros(MAX_BYTES // 8)] * 20,
    "of all kinds": lambda x: [object(), "text", 10**40, {1: 2}, x.to_sparse(), print],
}


@pytest.mark.parametrize("answer", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("results", [(), PAIR])
def test_whatever_is_returned_becomes_a_small_observation(answer, results):
    observed = observe(answer, request({"x": normal(2)}, results=results, gradients=("x",)))
    assert len(observed.outputs) <= MAX_LEAVES
    assert sum(value.size_in_bytes for value in observed.outputs.values()) <= MAX_BYTES
    Observation.from_json(json.loads(json.dumps(observed.to_json())))


def test_observation_with_more_than_the_limit_in_all_is_refused():
    share = Recorded.of(torch.zeros(MAX_BYTES, dtype=torch.uint8)).to_json()
    content = Observation().to_json()
    content["outputs"], content["gradients"] = {"a": share, "b": share}, {"c": share}
    with pytest.raises(MalformedObservation, match="in all"):
        Observation.from_json(content)


# gradients


def test_gradients_in_lists_records_and_parts_agree_with_finite_differences():
    inputs = {
        "items": [normal(1, 2, 1, 1), Record({"value": normal(1, 2, 1, 1)})],
        "parts": Record({"f": Map(normal(4, 3), (2,), (("y", 2),))}),
    }

    def function(items, parts):
        return parts.f(items[0]) * items[1].value, parts.f(items[1].value).sum()

    asked = request(inputs, gradients=("items", "parts"), seed=3)
    found = observe(function, asked)
    assert found.gradients.keys() == {"items[0]", "items[1].value", "parts.f"}

    def total(path, place, step):
        moved = arrived(asked)
        tensor = dict(leaf for name, value in moved.inputs.items() for leaf in leaves(value, name))[path]
        tensor.view(-1)[place] += step
        outputs = observe(function, moved).outputs.values()
        cotangents = (
            torch.randn(v.array.shape, generator=torch.Generator().manual_seed(3 + n), dtype=torch.float64)
            for n, v in enumerate(outputs)
        )
        return sum((v.array * c).sum().item() for v, c in zip(outputs, cotangents, strict=True))

    for path, gradient in found.gradients.items():
        for place in range(gradient.array.numel()):
            difference = (total(path, place, 1e-6) - total(path, place, -1e-6)) / 2e-6
            assert gradient.array.view(-1)[place] == pytest.approx(difference, abs=1e-7)


@pytest.mark.parametrize(
    "answer", [lambda a, b: [x.detach() for x in a], lambda a, b: [0 * x for x in a], lambda a, b: 1]
)
def test_no_gradient_and_a_gradient_of_zeros_are_the_same(answer):
    gradients = observe(answer, request(two_lists(), gradients=("a", "b"))).gradients
    assert gradients.keys() == {"a[0]", "a[1]", "b[0]", "b[1]"}
    assert all(value.kind == "tensor" and not value.array.any() for value in gradients.values())


def test_gradients_of_chosen_results_leave_the_others_out():
    asked = request(two_lists(), gradients=("a",), results=PAIR, gradients_of=("product",))
    gradients = observe(lambda a, b: (a[0], a[1] * 2), asked).gradients
    assert not gradients["a[0]"].array.any()
    assert gradients["a[1]"].array.all()


# what is left


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda a, b: a.append(a[0]), "number of entries of a"),
        (lambda a, b: a.pop(), "number of entries of a"),
        (lambda a, b: a.reverse(), "a[0]"),
        (lambda a, b: a.__setitem__(1, a[1] + 1), "a[1]"),
        (lambda a, b: a.__setitem__(1, None), "a[1]"),
        (lambda a, b: b[1].mul_(2), "b[1]"),
    ],
)
def test_changes_in_lists_are_seen(change, name):
    asked = request(two_lists())
    assert name in observe(change, asked).inputs_after
    assert observe(lambda a, b: None, asked).inputs_after.keys() == {RANDOM_NUMBERS}


def test_random_numbers_that_are_drawn_show():
    asked = request(two_lists(), seed=5)
    left, untouched = (
        observe(f, asked).inputs_after[RANDOM_NUMBERS] for f in (lambda a, b: torch.rand(1), lambda a, b: 1)
    )
    assert left.array != untouched.array


# watching

ALWAYS = {
    "item": lambda x: torch.tensor(x.item() > 0),
    "if": lambda x: x * 0 + 1 if x > 0 else x,
    "float": lambda x: torch.tensor(math.isfinite(x)),
    "tolist": lambda x: torch.tensor(x.tolist()),
    "numpy": lambda x: torch.from_numpy(x.numpy()),
    "nonzero": lambda x: x.reshape(1).nonzero(),
    "mask": lambda x: x.reshape(1)[x.reshape(1) > 0].sum(),
    "equal": lambda x: torch.tensor(torch.equal(x, x)),
}


@pytest.mark.parametrize("answer", ALWAYS.values(), ids=ALWAYS)
def test_waiting_for_the_device_is_seen(answer):
    seen = observe(answer, request({"x": torch.tensor(2.0)}, watch=("host synchronisation",))).outputs
    assert bool(seen[WAITS].array)


@pytest.mark.parametrize("answer", [lambda x: ~(x < 1.0), lambda x: torch.where(x > 0, x, -x), lambda x: x.isfinite()])
def test_work_on_tensors_alone_waits_for_nothing(answer):
    seen = observe(answer, request({"x": torch.tensor(2.0)}, watch=("host synchronisation",))).outputs
    assert not bool(seen[WAITS].array)
    assert bool(seen[ON_DEVICE].array)


def test_result_on_another_device_is_seen():
    seen = observe(lambda x: torch.tensor(True), request({"x": torch.tensor(2.0)}, watch=("host synchronisation",)))
    assert not bool(seen.outputs[ON_DEVICE].array)


def test_parts_that_are_called_are_named():
    asked = request({"parts": Record({"f": part(), "g": part()}), "x": normal(1, 2, 1, 1)}, watch=("calls",))
    seen = observe(lambda parts, x: parts.f(x), asked).outputs
    assert bool(seen["call of parts.f"].array)
    assert not bool(seen["call of parts.g"].array)


def test_identity_of_items_is_told():
    asked = request(two_lists(), watch=("identity",))
    seen = observe(lambda a, b: [b[1], a[0], a[0].clone()], asked).outputs
    assert [seen[f"source of result[{n}]"].array.item() for n in range(3)] == [3, 0, -1]
    assert bool(seen["new list"].array)
    assert not bool(observe(lambda a, b: a, asked).outputs["new list"].array)


def test_long_tensors_travel_in_short_and_changes_of_them_are_seen():
    asked = arrived(request({"x": Repeated(normal(3), 1000)}))
    seen = observe(lambda x: x.sum(), asked)
    assert seen.outputs["result"].array.item() == pytest.approx(1000 * asked.inputs["x"].values.sum().item())
    assert "x" not in seen.inputs_after
    assert "x" in observe(lambda x: x.zero_().sum(), asked).inputs_after


@pytest.mark.parametrize(
    ("function", "keeps_all"),
    [
        (lambda a, b: (a[:, None] > b).sum(), True),
        (lambda a, b: torch.cdist(a[:, None], b[:, None]).sum(), True),
        (lambda a, b: torch.tensor((a.numpy()[:, None] > b.numpy()).sum()), True),
        (lambda a, b: a[:, None].expand(len(a), len(b)).shape[0] + a.sum(), False),
        (lambda a, b: sum((piece[:, None] > b).sum() for piece in a.split(1000)), False),
        (lambda a, b: torch.searchsorted(a.sort().values, b).sum(), False),
    ],
)
def test_memory_for_all_pairs_is_seen_and_memory_for_pieces_of_them_is_not(function, keeps_all):
    seen = observe(function, request({"a": normal(5), "b": normal(7)}, watch=("all pairs",)))
    assert bool(seen.outputs[ALL_PAIRS].array) is keeps_all


# verdicts


def sum_and_product(a, b):
    return a[0] + b[0], a[1] * b[1]


def trial(kind="value", results=PAIR, right=sum_and_product, inputs=None, **facts):
    gradients = facts.pop("gradients", ())
    asked = [request(inputs or two_lists(), results=results, gradients=gradients, seed=n) for n in range(2)]
    probes = tuple(Probe(one, observe(right, one)) for one in asked)
    return Trial("case", 1, kind, "something is not right", probes, rtol=1e-6, atol=1e-6, **facts)


def said_of(answer, *trials):
    return [verdict.diagnosis for verdict in judge_trials(trials, lambda asked: observe(answer, asked))]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            lambda a, b: (a[0] + b[0], 2 * a[1] * b[1]),
            "the product is twice the right one: a factor 1/2 is missing; the sum is right",
        ),
        (lambda a, b: (a[0] - b[0], a[1] * b[1]), "the sum is wrong; the product is right: something is not right"),
        (lambda a, b: a[0] + b[0], "return exactly 2 results, in this order: sum, product"),
        (lambda a, b: (a[0] + b[0], None), "the product is None; the sum is right"),
        (lambda a, b: (a[0], a[1] * b[1]), "the sum is the input `a[0]` itself; the product is right"),
    ],
)
def test_diagnosis_names_the_part_that_is_wrong(answer, words):
    assert said_of(answer, trial()) == [words]


def test_gradient_that_never_arrives_is_told_by_its_place():
    answer = lambda a, b: (a[0].detach() + b[0], a[1] * b[1])  # noqa: E731
    assert said_of(answer, trial("gradient", gradients=("a",))) == [
        "the gradient with respect to `a[0]` never arrives: the result does not depend on it, or detach, .data, item, "
        "NumPy or no_grad cuts it off"
    ]


def test_form_case_that_asks_for_gradients_compares_them():
    form = trial("form", gradients=("a",))
    assert said_of(sum_and_product, form) == [""]
    assert "gradient with respect to `a[1]`" in said_of(lambda a, b: (a[0] + b[0], a[1].detach() * b[1]), form)[0]


def test_changed_list_is_named():
    def answer(a, b):
        a.append(b[0])
        return sum_and_product(a, b)

    assert said_of(answer, trial("form")) == [
        "your function changes the list `a`, which has 2 entries: build a new list"
    ]


def test_whole_numbers_beyond_float64_are_compared_exactly():
    near = trial(results=(), right=lambda n: 2**60 + n, inputs={"n": 1})
    shown = [observe(lambda n: 2**60, probe.request) for probe in near.probes]
    exact = Trial(near.name, 1, "value", "", near.probes, rtol=0, atol=0)
    assert not agree(exact, shown[0], near.probes[0].expected)
    assert agree(exact, near.probes[0].expected, near.probes[0].expected)


def test_part_that_was_called_in_vain_is_told():
    one = Map(normal(4, 3), (2,), (("y", 2),))
    inputs = {"parts": Record({"f": one, "g": one}), "x": normal(3, 2, 2, 2)}
    asked = request(inputs, results=("y",), watch=("calls",))
    probes = (Probe(asked, observe(lambda parts, x: parts.f(x), asked)),)
    calls = Trial("case", 1, "value", "a hint", probes, rtol=1e-6, atol=1e-6)
    said = said_of(lambda parts, x: parts.f(x) + 0 * parts.g(x), calls)
    assert said == ["the call of parts.g must not happen with these inputs; the y is right"]


def test_inputs_that_hold_nan_count_as_unchanged():
    inputs = {"a": [torch.tensor([1.0, math.nan])], "b": [torch.tensor([2.0, 3.0])]}
    form = trial("form", results=(), right=lambda a, b: b[0] + 1, inputs=inputs)
    assert said_of(lambda a, b: 1 + b[0], form) == [""]
    assert said_of(lambda a, b: b[0].sub_(1) + 2, form)[0].startswith("your function changes its input `b[0]`")


def test_record_that_is_none_is_told():
    inputs = {"a": Record({"value": normal(2), "key": normal(2)})}
    same = trial(results=(("context", ("value", "key")),), right=lambda a: a, inputs=inputs)
    said = said_of(lambda a: a.value, same)
    assert said == ["the value of the context is missing: return a record that has it"]


def test_whole_numbers_that_are_results_are_told_by_their_pattern():
    counts = trial(results=PAIR, right=lambda n: (n + 1, n * n), inputs={"n": 7})
    more = trial(results=PAIR, right=lambda n: (n + 1, n * n), inputs={"n": 5})
    both = Trial("case", 1, "value", "a hint", counts.probes + more.probes, rtol=0, atol=0)
    assert said_of(lambda n: (n + 1, 2 * n * n), both) == [
        "the product is twice the right one: a factor 1/2 is missing; the sum is right"
    ]


def test_several_results_where_one_is_wanted_are_told():
    one = trial(results=(), right=lambda a, b: a[0] + b[0])
    assert said_of(lambda a, b: [a[0], b[0]], one) == ["the function returns several results: return only one"]


# memory


def stream():
    return request({"chunks": Once([normal(n, 100) for n in (3, 1, 2)])}, watch=("memory",))


def running_sum(chunks):
    total = 0
    for chunk in chunks:
        total = total + chunk.sum(dim=0)
    return total


def running_sum_of_arrays(chunks):
    total = 0
    for chunk in chunks:
        total = total + chunk.numpy().sum(axis=0)
    return torch.from_numpy(total)


def in_groups(chunks):
    total, group = 0, []
    for chunk in chunks:
        group.append(chunk)
        if len(group) == 10:
            total, group = total + torch.cat(group).sum(dim=0), []
    return total


@pytest.mark.parametrize("answer", [running_sum, running_sum_of_arrays, in_groups])
def test_sums_that_are_updated_do_not_grow(answer):
    for _ in range(3):
        assert not bool(observe(answer, stream()).outputs[GROWS].array)


def concatenated_one_by_one(chunks):
    kept = torch.zeros(0, 100, dtype=torch.float64)
    for chunk in chunks:
        kept = torch.cat([kept, chunk])
    return kept.sum(dim=0)


@pytest.mark.parametrize(
    "answer",
    [
        lambda chunks: sum(chunk.sum(dim=0) for chunk in list(chunks)),
        lambda chunks: torch.cat(tuple(chunks)).sum(dim=0),
        concatenated_one_by_one,
        lambda chunks: torch.stack([chunk.sum(dim=0) for chunk in chunks]).sum(dim=0),
        lambda chunks: torch.tensor([chunk.sum(dim=0).tolist() for chunk in chunks]).sum(dim=0),
        lambda chunks: torch.tensor(sum([chunk.numpy().sum(axis=0) for chunk in chunks])),
        lambda chunks: sum([chunk[0] for chunk in chunks]),  # a view holds the whole chunk
    ],
)
def test_whatever_is_kept_of_each_chunk_grows(answer):
    for _ in range(3):
        assert bool(observe(answer, stream()).outputs[GROWS].array)


def test_memory_is_watched_beside_a_trace_of_the_program_s_own():
    tracemalloc.start()
    observe(running_sum, stream())
    assert tracemalloc.is_tracing()
    tracemalloc.stop()
    observe(running_sum, stream())
    assert not tracemalloc.is_tracing()


def test_what_grows_is_told():
    asked = stream()
    probes = (Probe(asked, observe(running_sum, asked)),)
    memory = Trial("case", 1, "form", "a hint", probes, rtol=1e-6, atol=1e-6, looks_at=(GROWS,))
    assert said_of(running_sum, memory) == [""]
    assert said_of(lambda chunks: sum([chunk.sum(dim=0) for chunk in chunks]), memory)[0].startswith(
        "the memory that grows with the number of chunks must be avoided: keep sums that are updated"
    )
