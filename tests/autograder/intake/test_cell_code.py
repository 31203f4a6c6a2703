"""Definitions without what else their cell does: for cells that stop at something the grading machine lacks."""

import json

import pytest

from autograder.intake.cell_code import CellCode
from autograder.intake.normalise import normalise

ADD = '@implements("add")\ndef add(a, b):\n    '
RIGHT = ADD + "return a + b"

STOPS_HERE = {
    "a module that is not here": "import no_such_module as nsm\n" + RIGHT,
    "Google Drive": "from google.colab import drive; drive.mount('/content/drive')\n" + RIGHT,
    "a graphics card": "model = torch.nn.Linear(2, 2).cuda()\n" + RIGHT,
    "an upload": "from google.colab import files\nuploaded = files.upload()\n" + RIGHT,
    "shell and magic": "!pip install no_such_module\n%cd /content/drive/MyDrive\nimport no_such_module\n" + RIGHT,
    "a form of Colab": "# @title Sum {display-mode: 'form'}\nrate = input()  # @param\n" + RIGHT,
    "a call below a needed helper": "def plus(a, b): return a + b\nmissing()\n" + ADD + "return plus(a, b)",
    "constants that the answer needs": "import no_such_module, math\nmissing()\nONE = math.sqrt(1)\n"
    + ADD + "return a * ONE + b",
    "an annotation from a module that is not here": "import no_such_module as nsm\n"
    '@implements("add")\ndef add(a: nsm.Array, b) -> nsm.Array:\n    return a + b',
    "a default from above": "missing()\nZERO = 0\n@implements('add')\ndef add(a, b, c=ZERO): return a + b + c",
    "several answers in one cell": 'missing()\n@implements("halve")\ndef halve(a): return a / 2\n' + RIGHT,
    "an answer that is called in, not decorated": "def plus(a, b): return a + b\nmissing()\nimplements('add')(plus)",
    "a lambda, and something behind it on its line": "missing()\nimplements('add')(lambda a, b: a + b); missing()",
    "a name from all those of a module": "from operator import *\nmissing()\n" + ADD + "return iadd(a, b)",
    "an indented cell": "    missing()\n    @implements('add')\n    def add(a, b):\n        return a + b",
    "a wrong first try": "missing()\n" + ADD + "return a - b\n\n" + RIGHT,
}  # fmt: skip


def computed(source, *arguments):
    """What the answer 'add' returns when a source runs."""
    functions = {}

    def implements(component):
        return lambda function: functions.setdefault(component, function) and functions.update({component: function})

    exec(compile(source, "<cell>", "exec", dont_inherit=True), {"implements": implements})
    return functions["add"](*arguments)


@pytest.mark.parametrize("name", STOPS_HERE)
def test_definitions_run_where_their_cell_stops(name):
    alone = CellCode(STOPS_HERE[name]).alone("add")
    assert computed(alone, 2, 3) == 5
    assert "missing()" not in alone and "mount" not in alone and "pip" not in alone


def test_what_an_answer_does_not_need_is_left_out():
    source = "import os\nBIG = [0] * 10**9\nfor step in range(10**9): pass\ndef helper(): pass\n" + RIGHT
    assert CellCode(source).alone("add") == "from __future__ import annotations\n" + RIGHT


@pytest.mark.parametrize(
    "source",
    [RIGHT, "def plus(a, b): return a + b\n\n" + ADD + "return plus(a, b)", "missing()\ndef add(a, b): pass",
     "# nothing", "not Python at all", "missing()\n@implements('halve')\ndef halve(a): return a / 2"],
)  # fmt: skip
def test_nothing_is_offered_where_it_would_be_the_same_or_there_is_no_such_answer(source):
    assert CellCode(source).alone("add") == ""


def test_a_wrong_answer_stays_wrong():
    assert computed(CellCode("import no_such_module\n" + ADD + "return a - b").alone("add"), 2, 3) == -1


def with_answer(solved, source):
    next(cell for cell in solved["cells"] if cell.get("id") == "add")["source"] = source
    return json.dumps(solved).encode()


def test_an_answer_carries_its_definitions(release, solved):
    data = with_answer(solved, "import no_such_module\n" + RIGHT)
    add, halve = normalise(data, release).answers
    assert computed(add.definitions, 2, 3) == 5
    assert halve.definitions == ""


def test_definitions_bring_what_was_taken_from_other_cells(release, solved):
    helper = {"cell_type": "code", "metadata": {}, "source": "def plus(a, b): return a + b\nmissing()", "outputs": []}
    solved["cells"].insert(1, helper)
    data = with_answer(solved, "missing()\n" + ADD + "return plus(a, b)")
    assert computed(normalise(data, release).answers[0].definitions, 2, 3) == 5
