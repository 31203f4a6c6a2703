"""Reading a notebook in a process of its own: bombs cost their own submission, and nothing is lost on the way."""

import json
import os
import time

import nbformat
import psutil
import pytest

from autograder.intake.normalise import Quarantined, normalise
from autograder.intake.normalise_process import normalise_apart
from autograder.plain_text import LONGEST_SHOWN


def encode(notebook) -> bytes:
    return nbformat.writes(notebook).encode()


def test_the_same_comes_out_as_in_this_process(release, solved):
    apart, here = normalise_apart(encode(solved), release), normalise(encode(solved), release)
    assert apart == here
    nbformat.validate(apart.notebook)


def test_no_process_is_left(release, solved):
    before = psutil.Process().children()
    normalise_apart(encode(solved), release)
    assert [child for child in psutil.Process().children() if child not in before] == []


BOMBS = {
    "nested without end": b"[" * 10**7,
    "nested objects": b'{"a":' * 10**6,
    "millions of cells": b'{"nbformat": 4, "cells": [' + b"{}," * 10**6 + b"{}]}",
    "millions of keys": b'{"nbformat": 4, "cells": 1, ' + b",".join(b'"%d":0' % n for n in range(10**5)) + b"}",
    "a number": b"9" * 10**7,
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_quarantined(name, release):
    with pytest.raises(Quarantined):
        normalise_apart(BOMBS[name], release)


def endless(data, release):
    while True:
        pass


def asleep(data, release):
    time.sleep(600)


def greedy(data, release):
    return bytearray(2**40)


def dying(data, release):
    os.kill(os.getpid(), 9)


@pytest.mark.parametrize(
    ("normaliser", "reason"), [(endless, "0.5 s"), (asleep, "0.5 s"), (greedy, "memory"), (dying, "crashed")]
)
def test_limits_hold_and_are_named(normaliser, reason, release):
    with pytest.raises(Quarantined, match=reason):
        normalise_apart(b"", release, normaliser, seconds=0.5 if reason == "0.5 s" else 60)


def test_a_fault_of_the_reader_is_told_from_a_bad_notebook(release):
    with pytest.raises(RuntimeError, match="KeyError"):
        normalise_apart(b"", release, lambda data, release: {}["x"])


def cell_of(notebook, cell_id):
    return next(cell for cell in notebook.cells if cell.id == cell_id)


def test_a_huge_answer_is_not_run_and_the_others_are(release, solved):
    cell_of(solved, "add").source += "\nx = " + "(" * 10**6
    submission = normalise(encode(solved), release)
    add, halve = submission.answers
    assert len(add.source) < 200 and "raise ValueError" in add.source
    assert halve.source == cell_of(solved, "halve").source
    (flag,) = submission.flags
    assert flag.startswith("the answer to 'add' was not run: it has 1,000,")


def test_a_huge_written_answer_is_cut_to_what_is_shown(release, solved):
    cell_of(solved, "question_1").source = "Because. " * 10**5
    submission = normalise(encode(solved), release)
    source = submission.written[0].source
    assert source.startswith("Because. " * 1_900) and source.endswith("(the rest is not shown)")
    assert len(source) < LONGEST_SHOWN
    assert "was cut: it has 899,999 characters" in submission.flags[0]


def test_an_unedited_stub_is_known_whatever_white_space_was_added(release, solved):
    cell_of(solved, "add").source = cell_of(release, "add").source + "\n\n"
    add, halve = normalise(encode(solved), release).answers
    assert (add.unedited, halve.unedited) == (True, False)
    assert json.dumps(add.source)
