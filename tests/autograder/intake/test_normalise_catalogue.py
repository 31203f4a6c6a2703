"""A catalogue of unusual submissions: what was answered still works, or the file is refused for a reason.

Here an answer counts as kept if its text, run behind our set-up cell, still defines the function that was written.
"""

import base64
import copy
import gzip
import io
import json
import random
import textwrap
import zipfile

import nbformat
import pytest
from PIL import Image

from autograder.intake.normalise import Quarantined, normalise

ADD_HEAD = '@implements("add")\ndef add(a, b):\n    '
BARE_ADD = "def add(a, b):\n    return a + b"
STUB = ADD_HEAD + '"""The sum of a and b, two tensors of one shape."""\n    # not sure\n    raise NotImplementedError()'
SETUP = "import torch\nfrom avae_lib.components import implements"


def cell_of(notebook, cell_id):
    return next(cell for cell in notebook["cells"] if cell.get("id") == cell_id)


def code(source):
    return {"cell_type": "code", "source": source, "metadata": {}, "outputs": [], "execution_count": None}


def write(**sources):
    """Put other text into cells of ours."""

    def change(notebook):
        for cell_id, source in sources.items():
            cell_of(notebook, cell_id)["source"] = source

    return change


def own_cell(place, source, **sources):
    """Insert a cell of the student's own."""

    def change(notebook):
        write(**sources)(notebook)
        notebook["cells"].insert(place, code(source))

    return change


def split(notebook_change, labelled):
    """Cut the answer's cell in two, as JupyterLab does (which copies the label) or Colab (which does not)."""

    def change(notebook):
        first, second = notebook_change
        cell = cell_of(notebook, "add")
        rest = copy.deepcopy(cell) if labelled else code("")
        rest.update(id="rest", source=second)
        cell["source"] = first
        notebook["cells"].insert(notebook["cells"].index(cell) + 1, rest)

    return change


def in_turn(*changes):
    def change(notebook):
        for one in changes:
            one(notebook)

    return change


def without_labels(notebook):
    for number, cell in enumerate(notebook["cells"]):
        cell["metadata"], cell["id"] = {}, f"cell-{number}"


def of_another_kind(kind):
    def change(notebook):
        for cell in notebook["cells"]:
            cell["cell_type"] = kind

    return change


def ids(make):
    def change(notebook):
        for number, cell in enumerate(notebook["cells"]):
            cell["id"] = make(number)

    return change


IN_TWO = (ADD_HEAD + "total = a", "    total = total + b\n    return total")
WITH_HELPER = ADD_HEAD + "return plus(a, b)"
HELPER = "import operator\n\ndef plus(a, b):\n    return operator.add(a, b)\n\nprint(1 / 0)"

KEPT = {
    "helper in a cell of their own": (own_cell(1, HELPER, add=WITH_HELPER), "uses operator, plus from other cells"),
    "helper below the answer": (own_cell(99, HELPER, add=WITH_HELPER), "uses operator, plus from other cells"),
    "helper in the copy of our cell that was split off": (
        split((WITH_HELPER, HELPER), labelled=True),
        "uses operator, plus from other cells",
    ),
    "import added to our set-up": (
        write(setup=SETUP + "\nimport operator as op", add=ADD_HEAD + "return op.add(a, b)"),
        "uses op from other cells",
    ),
    "import added to our check": (
        write(check_add='import operator\ncheck("add")', add=ADD_HEAD + "return operator.add(a, b)"),
        "uses operator from other cells",
    ),
    "constant needed by a helper": (
        own_cell(1, "ONE = 1\nTWO = 2\ndef plus(a, b): return a * ONE + b", add=WITH_HELPER),
        "uses ONE, plus",
    ),
    "helper in a cell with magics": (own_cell(1, "%%time\n" + HELPER, add=WITH_HELPER), "uses operator, plus"),
    "helper beside a shell command": (own_cell(1, "!pip install x\n" + HELPER, add=WITH_HELPER), "uses operator"),
    "all names of a module": (own_cell(1, "from operator import *", add=ADD_HEAD + "return iadd(a, b)"), "uses *"),
    "answer and helper indented": (
        own_cell(1, textwrap.indent(HELPER, "    "), add=textwrap.indent(WITH_HELPER, "    ")),
        "uses operator, plus",
    ),
    "type annotation": (
        own_cell(1, "from typing import Any", add='@implements("add")\ndef add(a: Any, b: Any):\n    return a + b'),
        "uses Any",
    ),
    "helper, and an import from the future": (
        own_cell(1, HELPER, add="from __future__ import annotations\n" + WITH_HELPER),
        "uses operator",
    ),
    "helper, and an import from the future in brackets": (
        own_cell(1, HELPER, add="from __future__ import (\n    annotations,\n)\n" + WITH_HELPER),
        "uses operator",
    ),
    "what cannot be had here, for something that is never called": (
        own_cell(
            1,
            "weights = open('nowhere').read(); print(1 / 0)\nimport nothing\nclass Net(nothing.Module): pass\n"
            "def plot(*, style=nothing.style): pass",
            add=ADD_HEAD + "return a + b\n\ndef show():\n    plot(weights, Net())",
        ),
        "uses Net, nothing, plot, weights",
    ),
    "split in the middle of the function": (split(IN_TWO, labelled=True), "split into 2 cells"),
    "split in the middle, without a label": (split(IN_TWO, labelled=False), "split into 2 cells"),
    "split behind the decorator": (
        split(('@implements("add")', BARE_ADD), labelled=True),
        "split into 2 cells",
    ),
    "decorator deleted": (write(add=BARE_ADD), "had lost its line @implements"),
    "decorator commented out": (write(add="# " + ADD_HEAD + "return a + b"), "had lost its line @implements"),
    "bare function in a cell of their own": (
        own_cell(2, BARE_ADD, add=STUB),
        "was in a cell of the student's own",
    ),
    "answer in a cell of their own": (
        own_cell(2, ADD_HEAD + "return a + b", add=STUB),
        "was in a cell of the student's own",
    ),
    "decorator called as a function": (write(add='implements("add")(lambda a, b: a + b)'), ""),
    "everything in the set-up cell": (
        write(setup=SETUP + "\n" + ADD_HEAD + "return a + b", add=""),
        "was in the cell labelled 'setup'",
    ),
    "raw, and all labels lost": (in_turn(of_another_kind("raw"), without_labels), "changed to another cell type"),
    "text, and all labels lost": (in_turn(of_another_kind("markdown"), without_labels), "changed to another cell type"),
    "ids of 200 signs": (ids(lambda number: "x" * 200), ""),
    "the same id everywhere": (ids(lambda number: "same"), ""),
    "no ids": (ids(lambda number: None), ""),
    "line ends of an old Macintosh": (write(add=(ADD_HEAD + "return a + b").replace("\n", "\r")), ""),
    "lines without their ends": (write(add=(ADD_HEAD + "return a + b").split("\n")), ""),
    "lines, and null among them": (write(add=[None, *(ADD_HEAD + "return a + b").splitlines(keepends=True)]), ""),
    "a character of value zero": (write(add=ADD_HEAD + "return a + b\0"), ""),
    "form field of Colab": (write(add='#@title Sum { display-mode: "form" }\n' + ADD_HEAD + "return a + b"), ""),
    "empty metadata": (lambda notebook: [cell.update(metadata=None) for cell in notebook["cells"]], "had lost all"),
    "format not given": (lambda notebook: notebook.update(nbformat=None), "does not state its format"),
    "format a word": (lambda notebook: notebook.update(nbformat="four"), "does not state its format"),
}


def computes(source, name, *arguments):
    """What an answer's function returns when the answer runs behind our set-up."""
    functions = {}

    def implements(component):
        return lambda function: functions.setdefault(component, function)

    exec(source.replace(SETUP, ""), {"implements": implements})
    return functions[name](*arguments)


def normalised(document, release):
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    submission = normalise(data, release)
    return {answer.grade_id: answer.source for answer in submission.answers}, submission


@pytest.mark.parametrize("name", KEPT)
def test_an_answer_works_wherever_its_parts_stood_and_an_instructor_is_told(name, release, solved):
    change, flag = KEPT[name]
    change(solved)
    answers, submission = normalised(solved, release)
    assert computes(answers["add"], "add", 2, 3) == 5
    assert computes(answers["halve"], "halve", 4) == 2
    assert any(flag in given for given in submission.flags) if flag else submission.flags == ()
    nbformat.validate(submission.notebook)


def test_a_written_answer_below_the_place_for_it_is_found(release, solved):
    cell_of(solved, "question_1")["source"] = "YOUR ANSWER HERE"
    place = solved["cells"].index(cell_of(solved, "question_1")) + 1
    for text in ("Second reason.", "First reason."):
        solved["cells"].insert(place, {"cell_type": "markdown", "source": text, "metadata": {}})
    _, submission = normalised(solved, release)
    assert [answer.source for answer in submission.written] == ["First reason.\n\nSecond reason."]
    assert submission.flags == (
        "the answer to 'question_1' was in 2 text cells below its own and was taken from there: please check",
    )


def text_of(notebook):
    return json.dumps(notebook, ensure_ascii=False)


WRITTEN_OTHERWISE = {
    "UTF-8 with a mark at the start": (lambda text: b"\xef\xbb\xbf" + text.encode(), ""),
    "UTF-16": (lambda text: text.encode("utf-16"), ""),
    "Windows-1252": (lambda text: text.encode("cp1252"), "was not saved as UTF-8"),
    "lines that end as on Windows": (lambda text: text.replace("\n", "\r\n").encode(), ""),
    "zeros behind the end": (lambda text: text.encode() + b"\0" * 512, ""),
    "something behind the end": (lambda text: text.encode() + b"\n}}", "after the end of the notebook"),
    "twice in one file": (lambda text: text.encode() * 2, "after the end of the notebook"),
    "cells given twice": (lambda text: (text[:-1] + ', "cells": []}').encode(), "contains some keys twice"),
    "a number of 5,000 digits": (
        lambda text: text.replace('"nbformat_minor": 5', '"nbformat_minor": ' + "9" * 5000).encode(),
        "does not state its minor format",
    ),
}


@pytest.mark.parametrize("name", WRITTEN_OTHERWISE)
def test_a_file_is_forgiven_how_it_was_written(name, release, solved):
    written, flag = WRITTEN_OTHERWISE[name]
    cell_of(solved, "question_1")["source"] = "fünf Gründe"
    answers, submission = normalised(written(text_of(solved)), release)
    assert computes(answers["add"], "add", 2, 3) == 5
    assert [answer.source for answer in submission.written] == ["fünf Gründe"]
    assert any(flag in given for given in submission.flags) if flag else submission.flags == ()


def zipped(data):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("03_vae/03_vae.ipynb", data)
    return buffer.getvalue()


REFUSED = {
    "zipped": (zipped, "zip archive"),
    "compressed": (gzip.compress, "compressed archive"),
    "web page behind a mark": (lambda data: b"\xef\xbb\xbf<!DOCTYPE html>" + data, "web page"),
    "exported as a program": (
        lambda data: b"#!/usr/bin/env python\n# coding: utf-8\n\n# In[1]:\nimport torch",
        "Python",
    ),
    "a link to Colab": (lambda data: b"[InternetShortcut]\nURL=https://colab.research.google.com/drive/1", "a link"),
    "kept by Git LFS": (lambda data: b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS"),
    "unfinished merge": (
        lambda data: b'{"cells": [\n<<<<<<< HEAD\n{}\n=======\n>>>>>>> theirs\n]}',
        "unfinished merge",
    ),
    "only a mark": (lambda data: b"\xef\xbb\xbf", "the file is empty"),
    "only zeros": (lambda data: b"\0" * 4096, "the file is empty"),
    "a string of JSON": (lambda data: json.dumps(data.decode()).encode(), "not a notebook"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_is_no_notebook_is_refused_by_its_name(name, release, solved):
    spoil, reason = REFUSED[name]
    with pytest.raises(Quarantined, match=reason):
        normalise(spoil(json.dumps(solved).encode()), release)


def test_the_notebook_of_another_unit_is_refused(release, solved):
    foreign = text_of(solved).replace("add", "gibbs").replace("halve", "sweep")
    with pytest.raises(Quarantined, match="another unit: its cells are labelled check_gibbs"):
        normalise(foreign.encode(), release)


def test_relabelled_cells_are_no_notebook_of_another_unit(release, solved):
    for number, cell in enumerate(solved["cells"]):
        cell["metadata"].get("nbgrader", {}).update(grade_id=f"cell_{number}")
    answers, _ = normalised(solved, release)
    assert computes(answers["add"], "add", 2, 3) == 5


NOTICED = {
    "emptied": (write(add=""), "the answer cell 'add' is empty"),
    "text that is no text": (write(add=17), "the answer cell 'add' is empty"),
    "unfinished merge": (write(add="<<<<<<< HEAD\nx = 1\n=======\n>>>>>>> theirs"), "unfinished merge"),
    "our own solution": (write(add=ADD_HEAD + "### BEGIN SOLUTION\n    return a + b"), "markers of our solutions"),
    "a second answer in a cell of their own": (own_cell(99, ADD_HEAD + "return b + a"), "another answer to 'add'"),
}


@pytest.mark.parametrize("name", NOTICED)
def test_what_a_person_should_see_is_flagged(name, release, solved):
    change, flag = NOTICED[name]
    change(solved)
    assert any(flag in given for given in normalised(solved, release)[1].flags)


def test_of_other_cells_only_what_is_needed_is_taken(release, solved):
    own_cell(1, HELPER + "\nwhile True:\n    secret = 1", add=WITH_HELPER)(solved)
    source = normalised(solved, release)[0]["add"]
    assert "1 / 0" not in source and "while True" not in source


def test_names_that_another_answer_defines_are_left_to_it(release, solved):
    both = ADD_HEAD + "return plus(a, b)\n\n" + HELPER
    change = own_cell(
        1, "def plus(a, b): return 0", add=both, halve='@implements("halve")\ndef halve(a): return plus(a, -a / 2)'
    )
    change(solved)
    assert "return 0" not in "".join(normalised(solved, release)[0].values())


def test_a_long_chain_of_helpers_is_followed_to_its_end(release, solved):
    links = [f"def f{number}(a, b): return f{number + 1}(a, b)" for number in range(300)]
    for link in [*links, "def f300(a, b): return a + b"]:
        solved["cells"].append(code(link))
    write(add=ADD_HEAD + "return f0(a, b)")(solved)
    assert computes(normalised(solved, release)[0]["add"], "add", 2, 3) == 5


AWKWARD = {
    "brackets": "(" * 30_000,
    "minus signs": "x = " + "-" * 90_000 + "1",
    "a chain of attributes": "x = a" + ".b" * 60_000,
    "nested functions": "".join("    " * depth + "def f():\n" for depth in range(90)) + "    " * 90 + "pass",
    "a sum": "x = " + "+".join("a" * 90_000),
    "a dictionary": "x = " + "{1:" * 5_000,
}


@pytest.mark.parametrize("name", AWKWARD)
def test_code_that_no_parser_likes_costs_no_other_answer(name, release, solved):
    own_cell(1, AWKWARD[name], halve=AWKWARD[name])(solved)
    assert computes(normalised(solved, release)[0]["add"], "add", 2, 3) == 5


def test_pictures_together_fit_on_a_page(release, solved, monkeypatch):
    pixels = random.Random(0).randbytes(100 * 100 * 3)
    buffer = io.BytesIO()
    Image.frombytes("RGB", (100, 100), pixels).save(buffer, "PNG")
    png = base64.b64encode(buffer.getvalue()).decode()
    monkeypatch.setattr("autograder.intake.pictures.MAX_CHARACTERS_TOGETHER", 2.5 * len(png))
    outputs = [{"output_type": "display_data", "data": {"image/png": png}, "metadata": {}}] * 6
    cell_of(solved, "payoff")["outputs"] = outputs
    _, submission = normalised(solved, release)
    kept = [cell.outputs for cell in submission.notebook.cells if cell.get("outputs")]
    assert [len(pictures) for pictures in kept] == [2]
