"""The stack of bits: pop undoes push exactly, and lengths are those of information theory."""

import math
import random

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from avae_lib.compression.asymmetric_numeral_systems import (
    PRECISION,
    AnsStack,
    BrokenCode,
    FrequencyTable,
    Uniform,
    frequency_tables,
)

TOTAL = 1 << PRECISION


@st.composite
def tables(draw):
    """Any division of 0 … 2**32 − 1 into intervals, from one certain symbol to many of frequency 1."""
    cuts = draw(st.lists(st.integers(1, TOTAL - 1) | st.integers(1, 5) | st.integers(TOTAL - 5, TOTAL - 1), max_size=9))
    return FrequencyTable([0, *sorted(set(cuts)), TOTAL])


@st.composite
def coded_symbols(draw):
    pairs = []
    for table in draw(st.lists(tables(), min_size=1, max_size=40)):
        slots = st.integers(0, TOTAL - 1) | st.sampled_from([0, 1, TOTAL - 1])
        pairs.append((table.symbol_at(draw(slots)), table))
    return pairs


@given(coded_symbols())
def test_what_was_pushed_is_popped_in_reverse_and_nothing_is_left(pairs):
    stack = AnsStack()
    for symbol, table in pairs:
        stack.push(symbol, table)
    stack = AnsStack.from_bytes(stack.to_bytes())
    assert [stack.pop(table) for _, table in reversed(pairs)] == [symbol for symbol, _ in reversed(pairs)]
    assert stack.bits == 0
    stack.require_only_borrowed()


@given(coded_symbols())
def test_the_length_is_the_sum_of_the_information_of_the_symbols(pairs):
    stack = AnsStack()
    for symbol, table in pairs:
        stack.push(symbol, table)
    assert stack.bits == pytest.approx(
        sum(table.bits(symbol) for symbol, table in pairs), abs=len(pairs) * 2**-31 + 1e-9
    )


@given(coded_symbols())
def test_one_large_number_grows_alike(pairs):
    """The formula of the module, without words, on Python's unbounded integers."""
    stack, number = AnsStack(), 1 << 64
    for symbol, table in pairs:
        stack.push(symbol, table)
        start, frequency = table.interval(symbol)
        number = (number // frequency) * TOTAL + start + number % frequency
    assert stack.bits == pytest.approx(math.log2(number) - 64, abs=len(pairs) * 2**-30 + 1e-9)


@given(coded_symbols(), st.integers(0, 1000))
def test_bits_that_were_borrowed_are_given_back(pairs, seed):
    stack = AnsStack(random.Random(seed))
    drawn = [stack.pop(table) for _, table in pairs]
    expected = -sum(table.bits(symbol) for symbol, (_, table) in zip(drawn, pairs, strict=True))
    assert stack.bits == pytest.approx(expected, abs=len(pairs) * 2**-30 + 1e-9)
    for symbol, (_, table) in reversed(list(zip(drawn, pairs, strict=True))):
        stack.push(symbol, table)
    assert stack.bits == pytest.approx(0, abs=1e-9)
    AnsStack.from_bytes(stack.to_bytes()).require_only_borrowed(random.Random(seed))


@given(coded_symbols(), st.integers(0, 100))
def test_a_mask_is_taken_off_by_the_same_call_and_costs_at_most_a_bit(pairs, words):
    stack = AnsStack(random.Random(1))
    for symbol, table in pairs:
        stack.push(symbol, table)
    code, bits = stack.to_bytes(), stack.bits
    stack.mask(5, words)
    assert abs(stack.bits - bits) <= 1 + 1e-9
    assert stack.bits_borrowed == max(0, 32 * words - 8 * (len(code) - 12))
    stack.mask(5, words)
    assert stack.to_bytes().endswith(code) and 8 * (len(stack.to_bytes()) - len(code)) == stack.bits_borrowed


def test_masked_bits_look_random_whatever_was_pushed():
    stack = AnsStack()
    for _ in range(1000):
        stack.push(0, Uniform(32))
    stack.mask(1, 1000)
    slots = [stack.pop(Uniform(4)) for _ in range(7000)]
    assert scipy.stats.chisquare(np.bincount(slots, minlength=16)).pvalue > 1e-3


def test_symbols_popped_from_random_bits_follow_the_distribution():
    probabilities = np.array([0.5, 0.2, 0.25, 0.05])
    (table,), stack = frequency_tables(probabilities[None]), AnsStack(random.Random(0))
    counts = np.bincount([stack.pop(table) for _ in range(20_000)], minlength=4)
    assert scipy.stats.chisquare(counts, 20_000 * probabilities).pvalue > 1e-3


def test_a_long_message_is_as_long_as_its_entropy():
    rng, probabilities = np.random.default_rng(0), np.array([0.9, 0.07, 0.02, 0.01])
    (table,) = frequency_tables(probabilities[None])
    counts = np.round(10_000 * probabilities).astype(int)
    message, stack = rng.permutation(np.repeat(range(4), counts)).tolist(), AnsStack()
    for symbol in message:
        stack.push(symbol, table)
    entropy = scipy.stats.entropy(probabilities, base=2)
    assert stack.bits == pytest.approx(10_000 * entropy, abs=0.01)
    assert 64 <= 8 * len(stack.to_bytes()) - stack.bits <= 96 + 1e-6


@given(st.lists(st.floats(0, 1), min_size=1, max_size=300).filter(lambda numbers: sum(numbers) > 0))
def test_tables_from_probabilities_give_every_symbol_room_and_cost_nearly_nothing(numbers):
    probabilities = np.array(numbers) / sum(numbers)
    (table,) = frequency_tables(probabilities[None])
    intervals = [table.interval(symbol) for symbol in range(len(numbers))]
    assert all(frequency >= 1 for _, frequency in intervals)
    assert sum(frequency for _, frequency in intervals) == TOTAL
    most = -math.log2(1 - len(numbers) / TOTAL)
    for symbol, probability in enumerate(probabilities):
        if probability > 1e-8:
            assert table.bits(symbol) <= -math.log2(probability) + most + 1e-6


@given(st.integers(0, 32), st.integers(0, TOTAL - 1))
def test_uniform_symbols_cost_their_bits(bits, slot):
    stack, uniform = AnsStack(), Uniform(bits)
    stack.push(uniform.symbol_at(slot), uniform)
    assert stack.bits == pytest.approx(bits, abs=1e-9)
    assert stack.pop(uniform) == slot >> (32 - bits)


def pushed(number):
    stack = AnsStack()
    for symbol in range(number):
        stack.push(symbol % 251, Uniform(8))
    return stack.to_bytes()


@pytest.mark.parametrize("cut", [1, 2, 3, 5, 13, 100])
def test_a_truncated_code_is_refused(cut):
    with pytest.raises(BrokenCode, match="truncated"):
        AnsStack.from_bytes(pushed(100)[:-cut] if cut % 4 else b"").to_bytes()


def test_a_code_without_its_beginning_ends_too_early():
    stack = AnsStack.from_bytes(pushed(100)[8:])
    with pytest.raises(BrokenCode, match="ends before all symbols"):
        for _ in range(100):
            stack.pop(Uniform(8))


def test_what_is_left_over_is_noticed():
    stack = AnsStack.from_bytes(pushed(100))
    for _ in range(99):
        stack.pop(Uniform(8))
    with pytest.raises(BrokenCode, match="something else is left"):
        stack.require_only_borrowed()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: AnsStack().pop(Uniform(8)), "ends before"),
        (lambda: AnsStack.from_bytes(bytes(12)), "head of at least"),
        (lambda: AnsStack().push(1, FrequencyTable([0, TOTAL, TOTAL])), "frequency of at least 1, got 0"),
        (lambda: FrequencyTable([0, 5]), "from 0 to 2"),
        (lambda: FrequencyTable([0, TOTAL]).interval(1), "symbol must be 0 … 0, got 1"),
        (lambda: FrequencyTable([0, TOTAL]).interval(-1), "got -1"),
        (lambda: Uniform(3).interval(8), "0 … 7, got 8"),
        (lambda: Uniform(33), "0 … 32, got 33"),
        (lambda: frequency_tables(np.array([0.5, 0.5])), "tables, symbols"),
        (lambda: frequency_tables(np.array([[0.5, 0.4]])), "sum to 1"),
        (lambda: frequency_tables(np.array([[1.5, -0.5]])), "0 or more"),
        (lambda: frequency_tables(np.array([[np.nan, 1.0]])), "sum to 1"),
    ],
)
def test_bad_input_is_refused_by_name(call, words):
    with pytest.raises(ValueError, match=words):
        call()
