"""Text of strangers: one line where one line is shown, no markup where markup is obeyed."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbconvert.filters.markdown_mistune import markdown2html_mistune

from autograder.plain_text import harmless_markdown, moderate, printable, unmistakable


@given(st.text())
def test_printable_text_is_one_line_without_controls_whatever_went_in(text):
    assert printable(text).isprintable()
    assert len(printable(text, 20)) <= 20


def test_escape_sequences_and_turned_writing_are_shown_as_dots():
    assert printable("a\x1b[31mb\u202ec\r\nd") == "a·[31mb·c··d"


@pytest.mark.parametrize("name", ["ada", "Ömer O", "李雷", "anne-marie.o'hara+1@example.org", "x_y (2)"])
def test_ordinary_names_are_left_alone(name):
    assert unmistakable(name) == name


file_names = st.text(st.characters(exclude_characters="\0/")) | st.binary().map(
    lambda raw: raw.decode("utf-8", "surrogateescape")
)


@given(file_names, file_names)
def test_no_two_names_become_one_and_none_holds_a_sign_that_opens_markup(one, other):
    shown = unmistakable(one)
    assert (shown == unmistakable(other)) == (one == other)
    assert shown.isprintable() and not set(shown) & set('<>"`&{}\\')
    assert len(shown.encode()) <= 200


def test_a_name_cannot_be_made_to_look_like_what_becomes_of_a_long_one():
    shown = unmistakable("a" * 250)
    assert unmistakable(shown) != shown


HARMFUL = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)></svg>",
    "<!--><script>alert(1)</script>-->",
    "<?php ?><iframe src=//evil></iframe>",
    "[click](javascript:alert(1))",
    "[click](java&#x73;cript:alert(1))",
    "[click][ref]\n\n[ref]: javascript:alert(1)",
    "[ref]\n\n[ref]: <javascript:alert(1)>",
    "![track](http://evil/pixel.png)",
    "<javascript:alert(1)>",
    "$\\href{javascript:alert(1)}{x}$",
    "$$ x $$ <img src=x onerror=alert(1)>",
    "```mermaid\n<img src=x onerror=alert(1)>\n```",
    "~~~ mermaid\nclick A href \"javascript:alert(1)\"\n~~~",
    "# <b onclick=alert(1)>title</b>",
    "| a |\n|---|\n| <img src=x onerror=alert(1)> |",
    "`` ` `` <script>alert(1)</script> `",
    "- a\n\n  <div onmouseover=alert(1)>\n",
]  # fmt: skip


@pytest.mark.parametrize("text", HARMFUL)
def test_no_element_link_or_command_comes_of_a_written_answer(text):
    page = markdown2html_mistune(harmless_markdown(text))
    for opening in ("<script", "<img", "<svg", "<iframe", "<div onm", "<b ", 'href="java', "\\href{", 'class="mermaid'):
        assert opening not in page, page
    assert "<a href" not in page.replace('<a href="http://', "")  # an address in plain sight


def test_every_harmful_text_is_one_before():
    """The page without our care: otherwise the test above would prove nothing."""
    dangerous = ("<script", "<img", "<svg", "<iframe", "<div on", "<b on", "javascript:", "<a href", "mermaid")
    assert not [text for text in HARMFUL if not any(sign in markdown2html_mistune(text) for sign in dangerous)]


def test_ordinary_text_formulas_and_code_stay_as_they_are():
    text = "The **KL** is $a < b$ and 1<2, so `x[0]`; see 3 > 2.\n\n```python\nif a < b: pass\n```\n$$\\frac12\\log x$$"
    assert harmless_markdown(text) == text


def test_what_a_highlighter_chokes_on_is_thinned_out():
    assert len(moderate(" \n" * 10_000)) < 10
    assert len(moderate("x" * 10**6)) < 21_000
    assert moderate("a = 1 \n\n\n\nb = 2") == "a = 1 \n\n\n\nb = 2"


def test_highlighting_a_hostile_answer_takes_no_time_to_speak_of():
    from autograder.feedback.page import _highlighted

    started = time.process_time()
    _highlighted(" \n" * 100_000)
    assert time.process_time() - started < 5  # without thinning out: hours
