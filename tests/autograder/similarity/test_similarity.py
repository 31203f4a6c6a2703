"""Similarity: a disguised copy is found, honest answers are not, and a large class stays cheap to compare."""

import ast
import csv
import inspect
import random
import re
import textwrap
from collections import Counter

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder import cli
from autograder.checks import checks_of
from autograder.course.course import CourseError
from autograder.gradebook.gradebook_writer import autograded_notebook
from autograder.reports.similarity_report import write_similarity
from autograder.similarity import pairs
from autograder.similarity.clusters import clusters_of
from autograder.similarity.pairs import Author, Likeness, Pair, alike
from autograder.similarity.pairs import like_answers as like_answers_of_authors
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


def like_answers(component, sources, known):
    return like_answers_of_authors(component, {Author(name): source for name, source in sources.items()}, known)


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
    assert {author.name for pair in found for author in (pair.first, pair.second)} == {"copied", "copier"}
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
    assert [(one.name, other.name) for (one, other), _ in like_answers("bound", few, ())] == [("a", "b")]


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
        "x = " + "9" * 5000,
        "x = 0b" + "1" * 20000,
        "x = 1e999j",
        "x = b'" + "\\x00" * 4000 + "'",
        "x = f'" + "{a!r:>{b}}" * 2000 + "'",
        "x = " + "f'{" * 200 + "}'" * 200,
        "\f\fx = 1",
        "x = 1\r\ry = 2",
        "x = '\ud800'",
        "x = 1\n" * 30000,
        "if a:\n" + "".join(" " * n + "if a:\n" for n in range(1, 150)),
        "lambda: " * 3000 + "0",
        "not " * 20000 + "a",
        "a" + ".b" * 30000,
        "a" + "[0]" * 30000,
        "%%bash\nrm -rf /",
        "match a:\n    case " + "(" * 300 + "b" + ")" * 300 + ": pass",
        "class " + "A" * 150000 + ": pass",
        "@" * 100,
    ],
)
def test_hostile_source_is_read_or_set_aside(source):
    found = signs(source)
    assert found is None or isinstance(found, tuple)
    others = {"a": ORIGINAL, "b": DISGUISED, "hostile": source, "hostile too": source}
    assert alike({"bound": others}, {"bound": [source]})[0].likenesses[0].similarity == 1.0


def test_commands_of_ipython_in_an_answer_do_not_hide_it():
    magic = "%matplotlib inline\n!pip install nothing" + DISGUISED
    assert signs(magic) is not None
    assert list(like_answers("bound", {"a": ORIGINAL, "b": magic}, ()))


def test_what_stands_in_front_of_a_long_answer_does_not_hide_it():
    padded = "# nothing\n" * 5000 + DISGUISED
    assert list(like_answers("bound", {"a": ORIGINAL, "b": padded}, ()))


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
    names = {(pair.first.name, pair.second.name) for pair in found}
    assert names == {(f"s{i:04d}", f"s{i + 1:04d}") for i in range(0, 20, 2)}
    assert compared["pairs"] < 2000 * 1999 / 2 / 20


LONG = "torch.where(a > 0, a / 2, a * 0.5).clamp(min=-1e9, max=1e9).reshape(a.shape) + 0 * a.sum()"


def pair_of(one, other, bits, earlier=False):
    return Pair(Author(one), Author(other, earlier), (Likeness("f", 0.8, 9, bits),))


def test_pairs_that_hang_together_are_one_group_with_the_closest_of_each():
    pairs_found = [
        pair_of("ada", "ben", 90),
        pair_of("eve", "fay", 80),
        pair_of("ben", "cleo", 70),
        pair_of("ada", "cleo", 60),
        pair_of("cleo", "ada", 50, earlier=True),
    ]
    first, second = clusters_of(pairs_found)
    assert [author.name for author in first.authors] == ["ada", "ben", "cleo", "ada"]
    assert [author.is_earlier for author in first.authors] == [False, False, False, True]
    assert [author.name for author in second.authors] == ["eve", "fay"]
    assert {author: first.closest[author].bits for author in first.authors} == {
        Author("ada"): 90, Author("ben"): 90, Author("cleo"): 70, Author("ada", True): 50,
    }  # fmt: skip
    assert [link.bits for link in first.links] == [90, 70, 50], "one pair fewer than there are students"
    assert len(first.pairs) == 4


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(lambda ends: ends[0] != ends[1]), max_size=20))
def test_groups_are_the_connected_parts(ends):
    """Compared with scipy's, on any graph."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    ends = list(dict.fromkeys(tuple(sorted(pair)) for pair in ends))
    found = clusters_of([pair_of(str(one), str(other), 100 - place) for place, (one, other) in enumerate(ends)])
    graph = coo_matrix(([1] * len(ends), ([one for one, _ in ends], [other for _, other in ends])), shape=(10, 10))
    _, part = connected_components(graph, directed=False)
    for cluster in found:
        members = {int(author.name) for author in cluster.authors}
        assert len({part[member] for member in members}) == 1
        assert members == {member for member in range(10) if part[member] == part[min(members)]}
        assert len(cluster.links) == len(members) - 1
    assert sum(len(cluster.pairs) for cluster in found) == len(ends)


def test_students_of_an_earlier_class_are_compared_with_this_one_only():
    earlier = {"f": {"ada": DISGUISED, "zoe": DISGUISED}}
    found = alike({"f": {"ada": ORIGINAL}}, {}, earlier)
    assert [(pair.first, pair.second) for pair in found] == [
        (Author("ada"), Author("ada", is_earlier=True)),
        (Author("ada"), Author("zoe", is_earlier=True)),
    ]


@pytest.fixture(scope="module")
def class_with_a_copy(tmp_path_factory, new_course, recorder):
    course = new_course(tmp_path_factory.mktemp("copy") / "course")
    record = recorder(course)
    record("<b>ada", halving=LONG)
    record("=ben", halving=LONG.replace("torch", "torch  "))
    record("cleo", halving="a / 2 # <script>alert(1)</script>")
    record("lea", reason="not JSON")
    return course


def test_the_report_shows_both_answers_as_text_and_says_that_it_is_a_hint(class_with_a_copy, tmp_path):
    course = class_with_a_copy
    report = write_similarity(course, course.unit(UNIT), tmp_path)
    text = report.page.read_text(encoding="utf-8")
    assert report.groups == report.pairs == 1 and "A hint, not a verdict" in text
    assert text.count("torch.where") + text.count("torch  .where") == 2
    assert "<b>ada" not in text and "<script" not in text
    with report.table.open(newline="", encoding="utf-8-sig") as file:
        (row,) = csv.DictReader(file)
    assert (row["group"], row["first"], row["second"], row["component"]) == ("1", "<b>ada", "'=ben", "halve")
    assert row["second_is"] == "of this class"


def test_code_that_everybody_was_given_counts_for_nothing(class_with_a_copy, tmp_path):
    """The copied line stands in a helper cell of the notebook that was handed out."""
    course = class_with_a_copy
    path = course.released_notebook(course.unit(UNIT))
    kept = path.read_text(encoding="utf-8")
    release = nbformat.reads(kept, as_version=4)
    release.cells.append(nbformat.v4.new_code_cell(f"def helper(a):\n    return {LONG}"))
    nbformat.write(release, path)
    try:
        assert write_similarity(course, course.unit(UNIT), tmp_path).pairs == 0
    finally:
        path.write_text(kept, encoding="utf-8")


@pytest.fixture
def earlier_class(class_with_a_copy, tmp_path, solved):
    """Submissions of last year: a copy, a hostile name, and what cannot be read."""
    folder = tmp_path / "last year" / "submitted"
    (halve,) = (cell for cell in solved.cells if cell.id == "halve")
    halve.source = halve.source.replace("a / 2", LONG)
    for student, content in {
        "ada": nbformat.writes(solved),
        "<i>zoe": nbformat.writes(solved),
        "max": "not JSON",
        "deep": "[" * 100_000,
    }.items():
        place = folder / student / UNIT
        place.mkdir(parents=True)
        (place / f"{UNIT}.ipynb").write_text(content, encoding="utf-8")
    (folder / "nobody").mkdir()
    return folder


def test_last_years_submissions_are_compared_with_and_named_as_such(class_with_a_copy, earlier_class, tmp_path):
    course = class_with_a_copy
    before = sorted(path for path in course.root.rglob("*") if "events" not in path.name)
    report = write_similarity(course, course.unit(UNIT), tmp_path, earlier_class)
    text = report.page.read_text(encoding="utf-8")
    with report.table.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert report.groups == 1
    assert {row["second"] for row in rows if row["second_is"] == "of an earlier class"} >= {"ada"}
    assert "(earlier class)" in text and "and the earlier one of" in text
    assert "<i>zoe" not in text and "<script" not in text
    assert "max" in text and "deep" in text, "what could not be read is named"
    assert sorted(path for path in course.root.rglob("*") if "events" not in path.name) == before


@pytest.mark.parametrize("folder", ["missing", "empty", "own"])
def test_a_folder_without_earlier_submissions_is_refused_in_one_sentence(class_with_a_copy, tmp_path, folder):
    course = class_with_a_copy
    (tmp_path / "empty").mkdir()
    course.submitted.mkdir(exist_ok=True)
    against = course.submitted if folder == "own" else tmp_path / folder
    with pytest.raises(CourseError, match="--against") as refusal:
        write_similarity(course, course.unit(UNIT), tmp_path, against)
    assert "\n" not in str(refusal.value)


def test_a_graded_notebook_that_is_damaged_is_named_and_ends_nothing(class_with_a_copy, tmp_path):
    course = class_with_a_copy
    path = autograded_notebook(course, course.unit(UNIT), "cleo")
    kept = path.read_text(encoding="utf-8")
    path.write_text(kept[:100], encoding="utf-8")
    try:
        report = write_similarity(course, course.unit(UNIT), tmp_path)
    finally:
        path.write_text(kept, encoding="utf-8")
    assert report.pairs == 1
    assert "damaged" in report.page.read_text(encoding="utf-8")


def test_the_command_says_what_it_found(class_with_a_copy, monkeypatch, capsys):
    monkeypatch.chdir(class_with_a_copy.root)
    assert cli.main(["similarity", "03"]) == 0
    assert "1 group to look at, 1 pair in all; a hint, not a verdict" in capsys.readouterr().out
    assert (class_with_a_copy.root / "reports" / f"similarity-{UNIT}.csv").exists()
