"""Counts agree with their nouns; long lists are cut, counted, and fit for a terminal."""

from autograder.counts_and_lists import counted, in_short


def test_a_noun_agrees_with_its_number():
    assert [counted(number, "day") for number in (0, 1, 1.0, 1.5, 2)] == [
        "0 days",
        "1 day",
        "1 day",
        "1.5 days",
        "2 days",
    ]


def test_a_long_list_is_cut_and_the_rest_counted():
    assert in_short(map(str, range(10)), 3) == "0, 1, 2, and 7 more"
    assert in_short(["a\x1b[2Jb"]) == "a·[2Jb"
