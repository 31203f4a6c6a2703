"""A sandbox that answers with anything at all: the case gets nothing, and nothing else happens."""

import base64
import json
import math
import os
import struct
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder.checks import checks_of
from autograder.checks.judge_component import AskFailed, judge_component
from autograder.sandbox.inside.frames import HEADER, MalformedFrame, decode, encode
from autograder.sandbox.judge_channel import JudgeChannel
from autograder.sandbox.limits import Limits
from autograder.sandbox.session import NotDefined, Session, SessionLost
from avae_lib.checking.harnesses import observe
from avae_lib.checking.records import DTYPES, Observation, Request

SIZES = {name: dtype.itemsize for name, dtype in DTYPES.items()}
CHECKS = checks_of("03_vae")
NAMES = ["result", "loss of call 1", "change of the encoder", "number of optimizer steps", "log_std", "mean", ""]


@st.composite
def arrays(draw):
    """Arrays as they are written down; mostly well-formed, with any bits in them."""
    dtype = draw(st.sampled_from(sorted(SIZES)))
    shape = draw(st.lists(st.integers(0, 4), max_size=4))
    size = math.prod(shape) * SIZES[dtype]
    nasty = st.sampled_from([struct.pack("<d", value) for value in (math.nan, math.inf, -math.inf, 1e308, 0.0, -0.0)])
    raw = draw(st.binary(min_size=size, max_size=size) | nasty.map(lambda bits: (bits * size)[:size]))
    raw = bytes(byte & 1 for byte in raw) if dtype == "bool" else raw
    return {"dtype": dtype, "shape": shape, "data": base64.b64encode(raw).decode()}


values = st.one_of(
    arrays().map(lambda array: {"kind": "tensor", "type_name": "", "array": array}),
    arrays().map(lambda array: {"kind": "float", "type_name": "x" * 900, "array": array}),
    st.sampled_from(["none", "other"]).map(lambda kind: {"kind": kind, "type_name": "object array", "array": None}),
)
named = st.dictionaries(st.sampled_from(NAMES), values, max_size=4)
errors = st.none() | st.fixed_dictionaries({"type": st.text(max_size=30), "message": st.text(), "line": st.text()})
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
observations = st.fixed_dictionaries({"outputs": named, "gradients": named, "inputs_after": named, "error": errors})
answers = st.one_of(
    observations.map(lambda content: {"observation": content}),
    st.dictionaries(st.sampled_from(["observation", "missing", "broken", "error"]), junk | observations, max_size=3),
)


class Hostile(Session):
    """A session whose other end says what it is told to."""

    def __init__(self, answer):
        self._limits, self._answer = Limits(), answer

    def _exchange(self, message, seconds, what):
        if "broken" in self._answer:
            raise SessionLost("broken")
        return json.loads(json.dumps(self._answer))


def ask_of(session, hostile_from=0):
    """An ``ask`` that is right up to some request and hostile from there on."""
    asked = []

    def ask(request: Request) -> Observation:
        asked.append(request)
        if len(asked) <= hostile_from:
            return observe(reference(request.component), request)
        try:
            return session.observe(request)
        except (SessionLost, NotDefined) as loss:
            raise AskFailed(str(loss)) from None

    return ask


def reference(name):
    from avae_lib import components

    return next(entry.reference for entry in components.listing() if entry.name == name)


QUICK = [check for check in CHECKS if check.component != "vae_training_step"]


@pytest.mark.parametrize("check", QUICK, ids=lambda check: check.component)
@given(answer=answers)
@settings(max_examples=12, deadline=None)
def test_whatever_the_sandbox_answers_earns_nothing_and_stops_nothing(check, answer):
    result = judge_component(check.trials(5), check, ask_of(Hostile(answer)))
    assert result.points == 0 and len(result.cases) == len(check.cases)
    assert not any(case.passed for case in result.cases)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.component)
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_right_looking_observations_with_any_numbers_in_them_stop_nothing(check, data):
    """All names are as they should be, so that every comparison and every diagnosis meets the numbers."""
    replacements = data.draw(st.lists(values, min_size=1, max_size=5))

    def ask(request: Request) -> Observation:
        content = observe(reference(request.component), request).to_json()
        for part in ("outputs", "gradients", "inputs_after"):
            content[part] = {name: replacements[len(name) % len(replacements)] for name in content[part]}
        return Observation.from_json(content)

    result = judge_component(check.trials(5), check, ask)
    assert len(result.cases) == len(check.cases) and math.isfinite(result.points)
    assert all(isinstance(case.diagnosis, str) for case in result.cases)


@given(answer=answers)
@settings(max_examples=12, deadline=None)
def test_cases_answered_before_the_sandbox_turned_hostile_keep_their_points(answer):
    check = CHECKS[0]
    first = sum(1 for _ in check.cases[0].requests(check.component, 5))
    result = judge_component(check.trials(5), check, ask_of(Hostile(answer), hostile_from=first))
    assert [case.passed for case in result.cases] == [True] + [False] * (len(check.cases) - 1)
    assert result.points == check.cases[0].points


writings = st.lists(
    st.one_of(
        st.binary(max_size=60),
        st.binary(max_size=60).map(lambda body: HEADER.pack(len(body)) + body),
        st.sampled_from(["right", "right twice", "late", "another id", "huge", "half"]),
    ),
    max_size=4,
)


@given(writings)
@settings(max_examples=60, deadline=None)
def test_whatever_is_written_to_the_line_comes_out_as_the_answer_or_as_a_refusal(pieces):
    (there, outgoing), (incoming, here) = os.pipe(), os.pipe()
    line = JudgeChannel(incoming, outgoing, 4096)
    player = threading.Thread(target=play, args=(there, here, pieces))
    player.start()
    deadline = time.monotonic() + 0.3
    try:
        assert line.exchange({"a": 1}, lambda: deadline - time.monotonic()) == {"sum": 5}
        assert any(str(piece).startswith("right") for piece in pieces)
    except (MalformedFrame, TimeoutError, OSError):
        pass
    except Exception as error:
        assert type(error).__name__ == "ChannelClosed"
    finally:
        player.join()
        for end in (there, outgoing, incoming):
            os.close(end)


def play(there, here, pieces):
    (size,) = HEADER.unpack(os.read(there, HEADER.size))
    right = encode({"id": decode(os.read(there, size))["id"], "sum": 5})
    written = {
        "right": right, "right twice": right * 2, "late": b" " * 8, "another id": encode({"id": "0" * 32, "sum": 6}),
        "huge": HEADER.pack(2**32 - 1) + b"x" * 60, "half": right[:-5],
    }  # fmt: skip
    for piece in pieces:
        os.write(here, written[piece] if isinstance(piece, str) else piece)
    os.close(here)
