"""Ids that people and programs have changed on their way are one student's, or are named."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.course.student_ids import near_matches, normal_id


def named(roster, handed_in):
    return [(match.found, match.expected, match.difference) for match in near_matches(roster, handed_in)]


@given(st.text())
def test_letters_taken_apart_and_put_together_are_one_id(name):
    assert normal_id(unicodedata.normalize("NFD", name)) == normal_id(name) == normal_id(normal_id(name))


def test_a_decomposed_name_needs_no_guess():
    assert named(["Zoë Müller"], [unicodedata.normalize("NFD", "Zoë Müller")]) == []


@pytest.mark.parametrize(
    ("on_roster", "handed_in", "difference"),
    [
        ("007", "7", "leading zeros"),
        ("7", "7.0", "decimals"),
        ("u007", "u7", "leading zeros"),
        ("ada", "Ada", "letter case"),
        ("strasse", "STRAẞE", "letter case"),
        ("ada", " ada", "blanks"),
        ("ada", "ada\u00a0", "blanks"),
        ("ada lovelace", "ada\u00a0lovelace", "blanks"),
        ("ada", "ada\u200b", "blanks"),
        ("ada lovelace", "ada  lovelace", "blanks"),
        ("123", "１２３", "the form of a letter"),
        ("007", " 7 ", "blanks and leading zeros"),
    ],
)
def test_what_two_ids_of_one_student_differ_in_is_named(on_roster, handed_in, difference):
    assert named([on_roster, "bob"], [handed_in, "bob"]) == [(handed_in, on_roster, difference)]


def test_other_ids_are_other_students():
    assert named(["ada", "u007", "70"], ["adam", "u0070", "007", "7 0"]) == []


def test_two_students_of_the_roster_are_never_taken_for_one():
    assert named(["7", "007"], ["7", "007"]) == []


def test_a_stranger_who_looks_like_two_students_is_named_with_both():
    assert [expected for _, expected, _ in named(["7", "007"], ["07"])] == ["007", "7"]


def test_a_stranger_is_named_also_when_the_student_handed_in_too():
    assert named(["ada"], ["ada", "ADA"]) == [("ADA", "ada", "letter case")]


def test_without_a_roster_those_who_handed_in_are_compared_with_each_other():
    assert named([], ["Ada", "ada", "bob"]) == [("ada", "Ada", "letter case")]


def test_a_sentence_says_who_is_meant():
    (match,) = near_matches(["007"], ["7"])
    assert str(match) == "'7' is probably '007' (they differ in leading zeros)"


@given(st.lists(st.text(max_size=5), max_size=6), st.lists(st.text(max_size=5), max_size=6))
def test_only_strangers_are_named_and_only_beside_other_ids(roster, handed_in):
    for match in near_matches(roster, handed_in):
        assert match.found not in {normal_id(name) for name in roster} and match.found != match.expected
        assert match.difference
