"""Similarity: a disguised copy is found, honest answers are not, and a large class stays cheap to compare."""

import ast
import csv
import inspect
import random
import re
import textwrap
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder import cli
from autograder.checks import checks_of
from autograder.reports.similarity_report import write_similarity
from autograder.similarity import pairs
from autograder.similarity.pairs import alike, like_answers
from autograder.similarity.structure import signs
from autograder.similarity.winnowing import RUN, WINDOW, fingerprints
from avae_lib import components

UNIT = "03_vae"
CHECKS = [check for unit in ("01_kl_divergence", "03_vae") for check in checks_of(unit)]

ORIGINAL = '''
@implements("bound")
def bound(log_weights):
    """Of K weights."""
    largest = log_weights.max(dim=0).values
    shifted = (log_weights - largest).exp()
    total = shifted.sum(dim=0)
    return largest + total.log() - math.log(log_weights.shape[0])
'''

DISGUISED = """
def bound(lw: torch.Tensor) -> torch.Tensor:
    # first I thought about overflow
    m: torch.Tensor = (
        lw.max(dim=0)
        .values
    )
    "all my own work"
    e = (lw - m).exp()      # subtract
    s = e.sum(dim=0)
    return m + s.log() - math.log(lw.shape[0])
"""


def source_of(function):
    return textwrap.dedent(inspect.getsource(function))


def test_numbers_of_more_digits_than_python_writes_are_read_and_told_apart():
    long, other = (f"x = 0x{digit * 4000}" for digit in "fe")
    assert signs(long) == signs(long.replace("x =", "y =")) != signs(other)


def test_names_comments_annotations_and_formatting_do_not_count():
    assert signs(ORIGINAL) == signs(DISGUISED)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("return a + b", "return a - b"),
        ("return a.sum(0)", "return a.mean(0)"),
        ("return a.sum(dim=0)", "return a.sum(dim=1)"),
        ("return a.sum(dim=0)", "return a.sum(axis=0)"),
        ("return len(a)", "return max(a)"),
        ("x = a; return x", "return a"),
    ],
)
def test_what_is_computed_does_count(one, other):
    assert signs(f"def f(a, b):\n    {one}") != signs(f"def f(a, b):\n    {other}")


def test_a_copy_in_disguise_is_found_among_honest_answers():
    (check,) = (check for check in CHECKS if check.component == "importance_weighted_bound")
    answers = {variant.name: source_of(variant.function) for variant in check.variants}
    answers |= {"copied": ORIGINAL, "copier": DISGUISED}
    found = alike({"bound": answers}, {})
    assert {pair.first for pair in found} | {pair.second for pair in found} == {"copied", "copier"}
    assert found[0].likenesses[0].similarity == 1.0


def test_a_copy_with_a_statement_added_and_one_changed_is_still_found():
    changed = DISGUISED.replace("s = e.sum(dim=0)", "s = torch.sum(e, 0)\n    print(s)")
    ((_, likeness),) = like_answers("bound", {"copied": ORIGINAL, "copier": changed}, ())
    assert likeness.similarity < 1


@pytest.mark.parametrize("check", CHECKS, ids=[check.component for check in CHECKS])
def test_right_answers_written_independently_are_not_suspected(check):
    answers = {variant.name: source_of(variant.function) for variant in check.variants}
    known = [source_of(components.find(check.component).reference)]
    assert not list(like_answers(check.component, answers, known))


def test_what_the_stub_or_the_solution_holds_is_nobodys_own():
    assert list(like_answers("bound", {"a": ORIGINAL, "b": DISGUISED}, ()))
    assert not list(like_answers("bound", {"a": ORIGINAL, "b": DISGUISED}, [DISGUISED]))


def test_what_many_write_says_nothing():
    many = {f"student {i}": ORIGINAL for i in range(30)}
    assert not list(like_answers("bound", many, ()))
    few = {**{f"student {i}": f"def f(a):\n    return a * {i}" for i in range(30)}, "a": ORIGINAL, "b": DISGUISED}
    assert [pair for pair, _ in like_answers("bound", few, ())] == [("a", "b")]


@given(st.lists(st.sampled_from("abcdef"), max_size=60), st.data())
def test_winnowing_finds_every_shared_run_of_its_promised_length(sequence, data):
    """The guarantee of the paper: a run of RUN + WINDOW − 1 signs is found wherever it stands."""
    start = data.draw(st.integers(0, max(0, len(sequence) - 1)))
    run = sequence[start : start + RUN + WINDOW - 1]
    other = [*data.draw(st.lists(st.sampled_from("uvw"))), *run, *data.draw(st.lists(st.sampled_from("xyz")))]
    shared = fingerprints(sequence) & fingerprints(other)
    if len(run) == RUN + WINDOW - 1:
        assert shared
    runs = {tuple(sequence[i : i + RUN]) for i in range(len(sequence) - RUN + 1)}
    if not runs & {tuple(other[i : i + RUN]) for i in range(len(other) - RUN + 1)}:
        assert not shared


@pytest.mark.parametrize(
    "source",
    [
        "def f(:",
        "\0",
        "(" * 5000,
        "x = " + "-" * 19000 + "1",
        "[" * 150 + "]" * 150,
        "f" + "()" * 3000,
        "é" * 30000,
        "\udcff",
    ],
)
def test_hostile_source_is_read_or_set_aside(source):
    found = signs(source)
    assert found is None or isinstance(found, tuple)


def renamed(source, rng):
    """The source with every local variable renamed."""
    names = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)} - {"torch", "math"}
    for name in names:
        source = re.sub(rf"\b{name}\b", f"v{rng.randrange(10**6)}", source)
    return source


def big_class(size):
    """Answers of which most are own work; students 0 and 1, 2 and 3, … 18 and 19 share theirs, renamed."""
    rng = random.Random(0)

    def own():
        steps = [f"    x = (x {rng.choice('+-*/')} {rng.randrange(1000)}).{rng.choice(['exp', 'log', 'abs', 'tanh'])}()"
                 for _ in range(rng.randrange(6, 12))]  # fmt: skip
        return "\n".join(["def f(x):", *steps, "    return x"])

    answers = {f"s{i:04d}": own() for i in range(size)}
    for i in range(0, 20, 2):
        answers[f"s{i + 1:04d}"] = renamed(answers[f"s{i:04d}"], rng)
    return answers


def test_in_two_thousand_answers_only_those_that_share_something_rare_are_compared(monkeypatch):
    compared = Counter()
    count_shared = pairs._shared

    def counting(rare, weights):
        shared, bits = count_shared(rare, weights)
        compared["pairs"] += len(shared)
        return shared, bits

    monkeypatch.setattr(pairs, "_shared", counting)
    found = alike({"f": big_class(2000)}, {})
    assert {(pair.first, pair.second) for pair in found} == {(f"s{i:04d}", f"s{i + 1:04d}") for i in range(0, 20, 2)}
    assert compared["pairs"] < 2000 * 1999 / 2 / 20


@pytest.fixture(scope="module")
def class_with_a_copy(tmp_path_factory, new_course, recorder):
    course = new_course(tmp_path_factory.mktemp("copy") / "course")
    record = recorder(course)
    long = "torch.where(a > 0, a / 2, a * 0.5).clamp(min=-1e9, max=1e9).reshape(a.shape) + 0 * a.sum()"
    record("<b>ada", halving=long)
    record("=ben", halving=long.replace("torch", "torch  "))
    record("cleo", halving="a / 2 # <script>alert(1)</script>")
    record("lea", reason="not JSON")
    return course


def test_the_report_shows_both_answers_as_text_and_says_that_it_is_a_hint(class_with_a_copy, tmp_path):
    course = class_with_a_copy
    (page, table), count = write_similarity(course, course.unit(UNIT), tmp_path)
    text = page.read_text(encoding="utf-8")
    assert count == 1 and "A hint, not a verdict" in text
    assert text.count("torch.where") + text.count("torch  .where") == 2
    assert "<b>ada" not in text and "<script" not in text
    with table.open(newline="", encoding="utf-8-sig") as file:
        (row,) = csv.DictReader(file)
    assert (row["first"], row["second"], row["component"]) == ("<b>ada", "'=ben", "halve")


def test_the_command_says_what_it_found(class_with_a_copy, monkeypatch, capsys):
    monkeypatch.chdir(class_with_a_copy.root)
    assert cli.main(["similarity", "03"]) == 0
    assert "1 pair to look at; a hint, not a verdict" in capsys.readouterr().out
    assert (class_with_a_copy.root / "reports" / f"similarity-{UNIT}.csv").exists()
