"""Each answer is run by itself, with what it needs of the student's other cells in front of it."""

import json

import pytest

from autograder.intake.normalise import normalise


def answers_of(release, solved, add, halve):
    """The sources that are run for the two answers, and the flags."""
    for name, source in {"add": add, "halve": halve}.items():
        next(cell for cell in solved["cells"] if cell.get("id") == name)["source"] = source
    submission = normalise(json.dumps(solved).encode(), release)
    return *(answer.source for answer in submission.answers), submission.flags


def computed(source, name, *arguments):
    namespace = {"implements": lambda name: lambda function: function}
    exec(compile(source, "<cell>", "exec", dont_inherit=True), namespace)
    return namespace[name](*arguments)


ADD = '@implements("add")\ndef add(a, b):\n    return a + b'
HALVE = '@implements("halve")\ndef halve(a):\n    return '


@pytest.mark.parametrize(
    ("beside_add", "body"),
    [
        ("import operator\n", "operator.truediv(a, 2)"),
        ("def twice_less(a): return a / TWO\nTWO = 2\n", "twice_less(a)"),
        ("from operator import *\n", "truediv(a, 2)"),
    ],
)
def test_what_stands_beside_another_answer_is_there_for_this_one_without_a_flag(release, solved, beside_add, body):
    _, halve, flags = answers_of(release, solved, beside_add + ADD, HALVE + body)
    assert computed(halve, "halve", 3) == 1.5
    assert flags == ()


def test_a_function_of_another_exercise_is_not_taken_along(release, solved):
    _, halve, flags = answers_of(release, solved, ADD, HALVE + "add(a, -a / 2)")
    assert "def add" not in halve and flags == ()


def test_the_last_definition_above_counts_and_else_the_first_below(release, solved):
    add = 'TWO = 4\n@implements("add")\ndef add(a, b):\n    return a + b * ONE'
    add, halve, _ = answers_of(release, solved, add, "ONE = 1\n" + HALVE + "a / TWO")
    assert computed(halve, "halve", 8) == 2
    assert computed(add, "add", 2, 3) == 5
