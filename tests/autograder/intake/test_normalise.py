"""Normalising: our cells and points, the student's answers, and a flag for every repair."""

import base64
import copy
import io
import json

import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from autograder.intake.cell_code import CellCode
from autograder.intake.normalise import Quarantined, normalise
from autograder.intake.notebook_cells import MAX_CELLS


def encode(notebook) -> bytes:
    return json.dumps(notebook).encode()


def answers_of(submission) -> dict[str, str]:
    return {answer.grade_id: answer.source for answer in (*submission.answers, *submission.written)}


def cell_of(notebook, cell_id: str):
    return next(cell for cell in notebook["cells"] if cell.get("id") == cell_id)


def intact_answers(notebook) -> dict[str, str]:
    return {name: cell_of(notebook, name)["source"] for name in ("add", "halve", "question_1")}


def test_an_untouched_answer_arrives_without_a_flag(release, solved):
    submission = normalise(encode(solved), release)
    assert answers_of(submission) == intact_answers(solved)
    assert submission.flags == ()


def test_answers_name_their_components_and_setup_is_ours(release, solved):
    submission = normalise(encode(solved), release)
    assert [answer.component for answer in submission.answers] == ["add", "halve"]
    assert [answer.component for answer in submission.written] == [None]
    assert submission.setup == (cell_of(release, "setup")["source"],)


def delete(cell_id):
    def damage(notebook):
        notebook["cells"].remove(cell_of(notebook, cell_id))

    return damage


def edit(cell_id, **changes):
    return lambda notebook: cell_of(notebook, cell_id).update(changes)


def relabel(cell_id, **changes):
    return lambda notebook: cell_of(notebook, cell_id)["metadata"]["nbgrader"].update(changes)


def duplicate(cell_id, source=None):
    def damage(notebook):
        cell = cell_of(notebook, cell_id)
        double = copy.deepcopy(cell)
        double.update(id="double", source=source or cell["source"])
        notebook["cells"].insert(notebook["cells"].index(cell), double)

    return damage


def lose_labels(*kept):
    def damage(notebook):
        for number, cell in enumerate(notebook["cells"]):
            if cell["id"] not in kept:
                cell["metadata"], cell["id"] = {}, f"other-{number}"

    return damage


def tag(cell_id, name):
    return lambda notebook: cell_of(notebook, cell_id)["metadata"].update(tags=[name])


def swap_labels(first, second):
    def damage(notebook):
        one, other = cell_of(notebook, first), cell_of(notebook, second)
        one["metadata"], other["metadata"] = other["metadata"], one["metadata"]
        one["id"], other["id"] = "x", "y"

    return damage


def add_code(source):
    return lambda notebook: notebook["cells"].append({"cell_type": "code", "source": source, "metadata": {}})


def add_graded(notebook):
    extra = copy.deepcopy(cell_of(notebook, "check_add"))
    extra["metadata"]["nbgrader"].update(grade_id="bonus", points=50)
    notebook["cells"].append({**extra, "id": "bonus"})


def move_answer_to_own_cell(notebook):
    own = {"cell_type": "code", "source": cell_of(notebook, "add")["source"], "metadata": {}}
    cell_of(notebook, "add")["source"] = cell_of(notebook, "add")["source"].split("return")[0] + (
        "# YOUR CODE HERE\n    raise NotImplementedError()"
    )
    notebook["cells"].insert(1, own)


def as_colab_saves_it(notebook):
    notebook["nbformat_minor"] = 0
    notebook["metadata"] = {"colab": {"provenance": []}, "widgets": {"application/vnd.jupyter.widget-state+json": {}}}
    for cell in notebook["cells"]:
        cell["metadata"]["id"] = cell.pop("id") + "-colab"


REPAIRED = {
    "check cell deleted": (delete("check_add"), "check cell 'check_add' was missing"),
    "set-up deleted": (delete("setup"), "the cell 'setup' was missing"),
    "check cell edited": (edit("check_add", source="2.0"), "check cell 'check_add' was edited"),
    "set-up edited": (edit("setup", source="import torch, os"), "the cell 'setup' was edited"),
    "points edited": (relabel("check_add", points=100), "states 100 points; it is worth 2"),
    "points not a number": (relabel("check_add", points=float("nan")), "states nan points"),
    "points a word": (relabel("check_add", points="many"), "states 'many' points"),
    "unlocked": (relabel("check_add", locked=False), "grading metadata of the check cell 'check_add' was changed"),
    "old schema version": (relabel("add", schema_version=1), "grading metadata of the answer cell 'add' was changed"),
    "solution flag removed": (relabel("add", solution=False), "grading metadata of the answer cell 'add'"),
    "graded cell duplicated": (duplicate("check_add"), "check cell 'check_add' occurred 2 times"),
    "answer duplicated": (duplicate("add"), "answer cell 'add' occurred 2 times"),
    "stub left as second cell": (duplicate("add", source="add = None"), "answer cell 'add' occurred 2 times"),
    "reordered": (lambda notebook: notebook["cells"].reverse(), "another order"),
    "answer turned into text": (
        edit("add", cell_type="markdown"),
        "answer cell 'add' was changed to another cell type",
    ),
    "written answer turned into code": (edit("question_1", cell_type="code"), "'question_1' was changed to another"),
    "check turned into raw": (edit("check_add", cell_type="raw"), "check cell 'check_add' was changed to another"),
    "unknown cell type": (edit("add", cell_type="heading"), "answer cell 'add' was changed to another"),
    "skip-execution": (tag("check_add", "skip-execution"), "tag skip-execution; the tag is ignored"),
    "labels swapped": (swap_labels("add", "halve"), "was in the cell labelled 'halve'"),
    "renamed": (relabel("add", grade_id="sum"), "was in a cell with an unknown label"),
    "all labels lost": (lose_labels(), "lost all its grading metadata"),
    "some labels lost": (lose_labels("setup", "check_halve"), "without grading metadata"),
    "extra graded cell": (add_graded, "cells with unknown labels were ignored: bonus"),
    "extra code": (add_code("print('scratch')"), "1 code cell of the student's own, not run"),
    "answer in a cell of their own": (move_answer_to_own_cell, "was in a cell of the student's own"),
    "older minor": (lambda notebook: notebook.update(nbformat_minor=2), "saved in format 4.2"),
    "future minor": (lambda notebook: notebook.update(nbformat_minor=99), "saved in format 4.99"),
    "no minor": (lambda notebook: notebook.pop("nbformat_minor"), "does not state its minor format"),
    "Colab": (as_colab_saves_it, "saved in format 4.0"),
    "damaged cells": (lambda notebook: notebook["cells"].extend([None, 7, "cell"]), "left out: 3"),
}


@pytest.mark.parametrize("name", REPAIRED)
def test_damage_is_repaired_flagged_and_costs_no_answer(name, release, solved):
    damage, flag = REPAIRED[name]
    intact = intact_answers(solved)
    damage(solved)
    submission = normalise(encode(solved), release)
    assert answers_of(submission) == intact
    assert any(flag in given for given in submission.flags), submission.flags
    assert_ours(submission.notebook, release)


def assert_ours(notebook, release):
    """Everything but answers and pictures is as released."""
    nbformat.validate(notebook)
    assert notebook.metadata == release.metadata
    for cell, ours in zip(notebook.cells, release.cells, strict=True):
        assert (cell.cell_type, cell.id, cell.metadata) == (ours.cell_type, ours.id, ours.metadata)
        if not ours.metadata.get("nbgrader", {}).get("solution"):
            assert cell.source == ours.source


def test_a_label_of_ours_is_known_however_long_it_is(release, solved):
    ours = copy.deepcopy(release)
    for notebook in (ours, solved):
        relabel("check_add", grade_id="check_" + "a_long_name_of_a_component_" * 3)(notebook)
    assert normalise(encode(solved), ours).flags == ()


def test_a_deleted_answer_is_our_stub_and_the_others_stay(release, solved):
    expected = {**intact_answers(solved), "add": intact_answers(release)["add"]}
    delete("add")(solved)
    submission = normalise(encode(solved), release)
    assert answers_of(submission) == expected
    assert "the answer cell 'add' is missing: no answer was found" in submission.flags


def test_an_answer_pasted_twice_counts_as_it_would_from_top_to_bottom(release, solved):
    later = cell_of(solved, "add")["source"]
    duplicate("add", source=later.replace("a + b", "a - b"))(solved)
    assert answers_of(normalise(encode(solved), release))["add"] == later


def test_two_answers_in_one_cell_count_for_both(release, solved):
    both = cell_of(solved, "add")["source"] + "\n\n" + cell_of(solved, "halve")["source"]
    edit("add", source=both)(solved)
    edit("halve", source=cell_of(release, "halve")["source"])(solved)
    assert answers_of(normalise(encode(solved), release))["halve"] == both


def test_a_written_answer_without_label_is_found_by_its_place(release, solved):
    lose_labels()(solved)
    solved["cells"][-1:] = [
        {"cell_type": "markdown", "metadata": {}, "source": text} for text in ("First reason.", "Second reason.")
    ]
    submission = normalise(encode(solved), release)
    assert answers_of(submission)["question_1"] == "First reason.\n\nSecond reason."


def test_a_function_without_label_and_decorator_is_found_by_its_name(release, solved):
    lose_labels()(solved)
    bare = "def add(x, y):\n    total = x\n    total = total + y\n    return total"
    solved["cells"][3]["source"] = bare
    assert answers_of(normalise(encode(solved), release))["add"].startswith(bare)


def test_source_as_list_of_lines_is_joined(release, solved):
    lines = cell_of(solved, "add")["source"].splitlines(keepends=True)
    edit("add", source=lines)(solved)
    assert answers_of(normalise(encode(solved), release))["add"] == "".join(lines)


def picture(width=8, height=8, kind="PNG") -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(buffer, kind)
    return base64.b64encode(buffer.getvalue()).decode()


def with_output(cell_id, *pictures):
    outputs = [{"output_type": "display_data", "data": {"image/png": png}, "metadata": {}} for png in pictures]
    return edit(cell_id, outputs=outputs)


def pictures_in(notebook) -> dict[str, int]:
    return {cell.id: len(cell.outputs) for cell in notebook.cells if cell.cell_type == "code" and cell.outputs}


def test_pictures_stay_with_their_cell_but_never_in_a_graded_one(release, solved):
    with_output("payoff", picture(), picture())(solved)
    with_output("check_halve", picture())(solved)
    assert pictures_in(normalise(encode(solved), release).notebook) == {"payoff": 2, "setup": 1}


def test_pictures_in_html_as_the_course_shows_its_figures_are_kept_and_nothing_else_of_it(release, solved):
    html = f'<script>alert(1)</script><img alt="a &lt; b" width="8" src="data:image/png;base64,{picture()}"><b>bold</b>'
    outputs = [{"output_type": "display_data", "data": {"text/html": html}, "metadata": {}}] * 2
    edit("payoff", outputs=outputs)(solved)
    notebook = normalise(encode(solved), release).notebook
    assert pictures_in(notebook) == {"payoff": 2}
    assert {key for output in cell_of(notebook, "payoff").outputs for key in output["data"]} == {"image/png"}


def test_a_photograph_becomes_a_png(release, solved):
    with_output("payoff", picture(kind="JPEG"))(solved)
    kept = cell_of(normalise(encode(solved), release).notebook, "payoff").outputs[0]["data"]["image/png"]
    assert base64.b64decode(kept).startswith(b"\x89PNG")


@pytest.mark.parametrize("bad", ["", "not base64!", picture(9000, 9000), {"a": 1}, "A" * 5_000_000])
def test_only_moderate_pictures_pass(bad, release, solved):
    with_output("payoff", bad)(solved)
    assert pictures_in(normalise(encode(solved), release).notebook) == {}


def test_text_hidden_in_a_picture_is_dropped(release, solved):
    from PIL.PngImagePlugin import PngInfo

    buffer, notes = io.BytesIO(), PngInfo()
    notes.add_text("Comment", "<script>alert(1)</script>")
    Image.new("RGB", (8, 8)).save(buffer, "PNG", pnginfo=notes)
    with_output("payoff", base64.b64encode(buffer.getvalue()).decode())(solved)
    kept = cell_of(normalise(encode(solved), release).notebook, "payoff").outputs[0]["data"]["image/png"]
    assert b"script" not in base64.b64decode(kept)


NOT_GRADABLE = {
    "empty": (b"", "the file is empty"),
    "text": (b"hello", "not JSON"),
    "zip": (b"PK\x03\x04rest", "zip archive"),
    "web page": (b"<!DOCTYPE html><html></html>", "web page"),
    "neither UTF-8 nor JSON": (b'{"cells": "\xff\xfe\xff"', "not JSON"),
    "cut off": (b'{"cells": [{"cell_type": "co', "not JSON"),
    "a list": (b"[1, 2]", "not a notebook"),
    "an object without cells": (b'{"a": 1}', "not a notebook"),
    "cells not a list": (b'{"cells": {}, "nbformat": 4}', "not a notebook"),
    "format 3": (b'{"worksheets": [], "nbformat": 3}', "notebook has format 3"),
    "format 2": (b'{"worksheets": [], "nbformat": 2, "cells": []}', "notebook has format 2"),
    "format 5": (b'{"cells": [], "nbformat": 5}', "notebook has format 5"),
    "format absurd": (b'{"cells": [], "nbformat": 123456}', "notebook has format unknown"),
    "format 3 that says 4": (b'{"worksheets": [], "nbformat": 4}', "notebook has format 3"),
    "nested without end": (b"[" * 200_000, "nested too deeply"),
    "an endless number": (b'{"cells": ' + b"9" * 10_000 + b"}", "no list of cells"),
    "a million cells": (b'{"cells": [' + b"1," * MAX_CELLS + b"1]}", "cells, more than"),
}


@pytest.mark.parametrize("name", NOT_GRADABLE)
def test_what_is_no_notebook_is_quarantined_with_the_reason(name, release):
    data, reason = NOT_GRADABLE[name]
    with pytest.raises(Quarantined, match=reason):
        normalise(data, release)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
quick = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@quick
@given(data=st.data())
def test_no_random_damage_crashes_or_changes_what_is_ours(data, release, solved):
    notebook = json.loads(encode(solved))
    for _ in range(data.draw(st.integers(1, 6))):
        damage_anywhere(notebook, data)
    try:
        submission = normalise(encode(notebook), release)
    except Quarantined:
        return
    assert_ours(submission.notebook, release)
    assert_nothing_lost(notebook, submission, intact_answers(solved))


def assert_nothing_lost(notebook, submission, intact):
    for name in ("add", "halve"):
        if still_there(notebook, name, intact[name]):
            assert intact[name] in answers_of(submission)[name]


def still_there(notebook, name, source) -> bool:
    """Whether the answer stands somewhere, whole and in one cell, and no cell that claims to be it says another."""
    cells = [cell for cell in notebook["cells"] if isinstance(cell, dict)]
    texts = [cell.get("source") for cell in cells if name in str(cell.get("metadata")) or "def " + name in str(cell)]
    claims = [text for text in texts if "check(" not in str(text)]
    return bool(claims) and all(text == source for text in claims)


@quick
@given(place=st.floats(0, 1, exclude_max=True), cut=st.integers(0, 40), put=st.binary(max_size=4))
def test_no_damage_to_the_bytes_crashes_or_changes_what_is_ours(place, cut, put, release, solved):
    data = encode(solved)
    start = int(place * len(data))
    data = data[:start] + put + data[start + cut :]
    try:
        submission = normalise(data, release)
    except Quarantined:
        return
    assert_ours(submission.notebook, release)
    try:
        readable = json.loads(data)
    except ValueError:  # nearly JSON, and read nevertheless
        return
    assert_nothing_lost(readable, submission, intact_answers(solved))


def damage_anywhere(document, data):
    """Replace, remove or double one value somewhere in a JSON document."""
    holders = [value for value in walk(document) if isinstance(value, dict | list) and value]
    holder = data.draw(st.sampled_from(holders))
    key = data.draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
    action = data.draw(st.sampled_from(["replace", "remove", "double"]))
    if action == "replace":
        holder[key] = data.draw(json_values)
    elif action == "remove":
        del holder[key]
    elif isinstance(holder, list):
        holder.insert(data.draw(st.integers(0, len(holder))), copy.deepcopy(holder[key]))


def walk(value):
    yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from walk(inner)


KEEPS_ANSWERS = [
    *(relabel(name, **change) for name in ("add", "halve") for change in ({"grade_id": "x"}, {"points": 9})),
    *(edit(name, cell_type=kind) for name in ("check_add", "question_1") for kind in ("raw", "code", "markdown")),
    *(delete(name) for name in ("title", "setup", "check_add", "check_halve", "payoff", "exercise_1")),
    *(duplicate(name) for name in ("add", "halve", "check_add", "setup")),
    *(
        add_code(source)
        for source in ("x = 1", "def helper(): pass", "", "    indented = 1", "@", "%%time", "from os import *")
    ),
    *(edit(name, cell_type=kind) for name in ("add", "halve") for kind in ("raw", "markdown")),
    *(edit(name, id="the same") for name in ("add", "halve", "setup")),
    lambda notebook: notebook["cells"].insert(0, notebook["cells"].pop(3)) if len(notebook["cells"]) > 3 else None,
    lambda notebook: notebook["cells"].reverse(),
    lambda notebook: [cell["metadata"].pop("nbgrader", None) for cell in notebook["cells"]],
    lambda notebook: [cell.pop("id", None) for cell in notebook["cells"][:4]],
]


@quick
@given(damages=st.lists(st.sampled_from(KEEPS_ANSWERS), min_size=1, max_size=6))
def test_an_answer_that_is_still_there_is_never_lost(damages, release, solved):
    intact = intact_answers(solved)
    notebook = json.loads(encode(solved))
    for damage in damages:
        try:
            damage(notebook)
        except (StopIteration, KeyError):
            continue
    submission = normalise(encode(notebook), release)
    assert intact["add"] in answers_of(submission)["add"]
    assert intact["halve"] in answers_of(submission)["halve"]
    assert intact["question_1"] in answers_of(submission)["question_1"]


def test_a_helper_with_a_number_of_more_digits_than_python_writes_is_taken_along():
    code = CellCode(f"long = 0x{'f' * 4000}")
    (statement,) = code.definitions_of({"long"})
    room = {}
    exec(statement, room)
    assert room["long"].bit_length() == 16_000
