"""Requests and observations: they survive the journey, and nothing but an observation is taken for one."""

import base64
import copy
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from avae_lib.checking.records import MAX_BYTES, MalformedObservation, Observation, Raised, Recorded, Request

OBSERVATION = Observation(
    outputs={"result": Recorded.of(torch.arange(6, dtype=torch.float64).reshape(2, 3))},
    gradients={"x": Recorded.of(None)},
    inputs_after={"x": Recorded.of(torch.ones(4))},
    error=Raised("ValueError", "a message", "a line"),
)


def travelled(record):
    return type(record).from_json(json.loads(json.dumps(record.to_json())))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "int8", "int64", "uint8", "bool"])
@pytest.mark.parametrize("shape", [(), (0,), (1,), (2, 3), (3, 0, 2), (2, 1, 2, 1)])
def test_array_of_any_dtype_and_shape_arrives_as_it_left(dtype, shape):
    tensor = (10 * torch.randn(shape, generator=torch.Generator().manual_seed(0))).to(getattr(torch, dtype))
    arrived = travelled(Recorded.of(tensor)).array
    assert arrived.dtype == tensor.dtype
    assert torch.equal(arrived, tensor)


def test_single_number_cut_out_of_a_row_arrives_whatever_its_stride():
    tensor = torch.arange(5.0).reshape(1, 5)[:, 2]
    assert tensor.stride() == (5,) and torch.equal(travelled(Recorded.of(tensor)).array, tensor)


def test_values_that_are_not_finite_arrive_as_they_left():
    tensor = torch.tensor([float("nan"), float("inf"), -float("inf"), -0.0])
    arrived = travelled(Recorded.of(tensor)).array
    assert arrived.isnan().tolist() == [True, False, False, False]
    assert torch.equal(arrived[1:], tensor[1:])


def test_array_out_of_order_in_memory_arrives_in_order():
    tensor = torch.arange(6.0).reshape(2, 3).T
    assert torch.equal(travelled(Recorded.of(tensor)).array, tensor)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (torch.ones(2), "tensor"),
        (np.ones(2), "array"),
        (np.float32(1), "array"),
        (np.float64(1), "array"),
        (1.5, "float"),
        (3, "int"),
        (True, "bool"),
        (None, "none"),
        ([1.0], "other"),
        ("text", "other"),
        (10**30, "other"),
        (torch.ones(2, dtype=torch.complex64), "other"),
        (torch.ones(2, 2).to_sparse(), "other"),
        (torch.ones(1).expand(MAX_BYTES), "other"),
        (np.array(["a"]), "other"),
    ],
)
def test_kind_of_a_value_is_told(value, kind):
    recorded = travelled(Recorded.of(value))
    assert recorded.kind == kind
    assert (recorded.array is None) == (kind in ("none", "other"))


def test_recorded_numbers_do_not_change_with_the_tensor():
    tensor = torch.ones(3)
    recorded = Recorded.of(tensor)
    tensor.zero_()
    assert recorded.array.tolist() == [1, 1, 1]


def test_request_arrives_as_it_left():
    inputs = {"x": torch.randn(2, 3), "dim": -1, "beta": 0.5, "optimizer": "Adam", "learning_rates": [0.1, 0.2]}
    request = Request("f", inputs, "call_twice", ("x",), seed=2**47)
    arrived = travelled(request)
    assert torch.equal(arrived.inputs["x"], inputs["x"])
    assert {**arrived.inputs, "x": None} == {**inputs, "x": None}
    assert (arrived.component, arrived.harness, arrived.gradients, arrived.seed) == ("f", "call_twice", ("x",), 2**47)


def test_observation_arrives_as_it_left():
    arrived = travelled(OBSERVATION)
    assert torch.equal(arrived.outputs["result"].array, OBSERVATION.outputs["result"].array)
    assert arrived.gradients["x"].kind == "none"
    assert arrived.error == OBSERVATION.error


def array(**changes):
    data = base64.b64encode(bytes(8)).decode()
    return {"dtype": "float32", "shape": [2], "data": data, **changes}


@pytest.mark.parametrize(
    "forged",
    [
        array(dtype="object"),
        array(dtype="complex64"),
        array(dtype=["float32"]),
        array(dtype="__class__"),
        array(shape=[3]),
        array(shape=[-2]),
        array(shape=[-1, -2]),
        array(shape=[2.0]),
        array(shape=[True, 2]),
        array(shape="2"),
        array(shape=[1] * 9),
        array(shape=[0, 10**30]),
        array(shape=[2**40, 2**40]),
        array(data=base64.b64encode(bytes(9)).decode()),
        array(data="!!!!!!!!!!!!"),
        array(data=list(bytes(8))),
        array(data=None),
        array(dtype="bool", shape=[8], data=base64.b64encode(bytes([0, 1, 2, 3, 0, 0, 0, 0])).decode()),
        array(more=1),
        {"dtype": "float32", "shape": [2]},
        [],
        "array",
    ],
)
def test_forged_array_is_refused(forged):
    content = Observation(outputs={"result": Recorded.of(torch.zeros(2))}).to_json()
    content["outputs"]["result"]["array"] = forged
    with pytest.raises(MalformedObservation):
        Observation.from_json(content)


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "verdict"},
        {"kind": ["tensor"]},
        {"kind": "none"},
        {"kind": "tensor", "array": None},
        {"type_name": 3},
        {"type_name": "x" * 10_000},
        {"type_name": "\ud800"},
        {"points": 6},
    ],
)
def test_forged_value_is_refused(changes):
    content = Observation(outputs={"result": Recorded.of(torch.zeros(2))}).to_json()
    content["outputs"]["result"] |= changes
    with pytest.raises(MalformedObservation):
        Observation.from_json(content)


@pytest.mark.parametrize(
    "changes",
    [
        {"passed": True},
        {"outputs": []},
        {"outputs": None},
        {"outputs": {str(n): Recorded.of(None).to_json() for n in range(1000)}},
        {"error": "ValueError"},
        {"error": {"type": "ValueError"}},
        {"error": {"type": 1, "message": "", "line": ""}},
        {"error": {"type": "E", "message": "m" * 10_000, "line": ""}},
        {"gradients": {"x": 1.0}},
    ],
)
def test_forged_observation_is_refused(changes):
    with pytest.raises(MalformedObservation):
        Observation.from_json({**OBSERVATION.to_json(), **changes})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None)
@given(json_values)
def test_no_json_whatever_is_taken_for_an_observation(content):
    with pytest.raises(MalformedObservation):
        Observation.from_json(content)


def places_in(content, path=()):
    yield path
    for key in content if isinstance(content, dict) else ():
        yield from places_in(content[key], (*path, key))


PLACES = list(places_in(OBSERVATION.to_json()))[1:]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(PLACES), json_values)
def test_observation_with_one_part_replaced_is_read_or_refused_and_nothing_else(place, replacement):
    content = copy.deepcopy(OBSERVATION.to_json())
    parent = content
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = replacement
    try:
        read = Observation.from_json(content)
    except MalformedObservation:
        return
    assert all(isinstance(value, Recorded) for value in read.outputs.values())
    assert json.loads(json.dumps(read.to_json())) == json.loads(json.dumps(content))
