"""The students' edition of the library: what is hidden, and that nothing else is."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from autograder.authoring.student_edition import stubbed, write_student_edition
from avae_lib import components

LIBRARY = Path(components.__file__).parent
RELEASED = ["00_start_here"]

SOURCE = '''\
"""A module."""
import math


@component(unit="01_early")
def early(x):
    """Early."""
    return math.exp(x)


@component(unit="02_late")
def late(x: float,
         y: float = 1.0) -> float:
    """Late.

    With a contract.
    """
    # the secret
    inner = lambda: x * y
    return inner()


@component(unit="02_late")
def bare(x):
    return 42 * x


def free(x):
    return late(x) + 7
'''


@pytest.fixture(scope="module")
def edition(tmp_path_factory) -> Path:
    return write_student_edition(tmp_path_factory.mktemp("edition"), RELEASED)


def function(source: str, name: str) -> ast.FunctionDef:
    return next(node for node in ast.parse(source).body if getattr(node, "name", "") == name)


def raises_not_implemented(definition: ast.FunctionDef) -> bool:
    body = definition.body[1:] if ast.get_docstring(definition) else definition.body
    return len(body) == 1 and ast.unparse(body[0]).startswith("raise NotImplementedError(")


def test_only_components_of_unreleased_units_lose_their_body():
    hidden = stubbed(SOURCE, ["01_early"])
    assert ast.dump(function(hidden, "early")) == ast.dump(function(SOURCE, "early"))
    assert ast.dump(function(hidden, "free")) == ast.dump(function(SOURCE, "free"))
    assert raises_not_implemented(function(hidden, "late")) and raises_not_implemented(function(hidden, "bare"))
    assert "secret" not in hidden and "42" not in hidden


def test_signature_and_docstring_stay():
    before, after = function(SOURCE, "late"), function(stubbed(SOURCE, []), "late")
    assert ast.dump(after.args) == ast.dump(before.args)
    assert ast.dump(after.returns) == ast.dump(before.returns)
    assert ast.get_docstring(after) == ast.get_docstring(before)


def test_source_is_untouched_when_every_unit_is_released():
    assert stubbed(SOURCE, ["01_early", "02_late"]) == SOURCE


def test_edition_differs_from_the_library_in_the_marked_bodies_alone(edition):
    for path in LIBRARY.rglob("*.py"):
        source, copy = path.read_text(), (edition / path.relative_to(LIBRARY)).read_text()
        hidden = [mark for mark in components.marks_in(source) if mark.unit not in RELEASED]
        assert (source == copy) == (not hidden), path
        assert all(raises_not_implemented(function(copy, mark.name)) for mark in hidden), path


def test_edition_holds_the_files_that_are_not_python(edition):
    def others(folder):
        return {p.relative_to(folder) for p in folder.rglob("*.*") if p.is_file() and p.suffix not in (".py", ".pyc")}

    assert others(edition) == others(LIBRARY)
    assert not list(edition.rglob("__pycache__"))


def test_calling_a_stub_names_the_unit_in_which_it_is_written(edition):
    script = """
import inspect
from avae_lib import components
for entry in components.listing():
    try:
        components.implementation(entry.name)(*[1] * len(entry.signature.parameters))
    except Exception as error:
        print(entry.name, entry.unit, type(error).__name__, error, sep="|")
"""
    environment = os.environ | {"PYTHONPATH": str(edition.parent)}
    lines = subprocess.run(
        [sys.executable, "-c", script], env=environment, cwd=edition.parent, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    raised = {name: (unit, error, message) for name, unit, error, message in (line.split("|") for line in lines)}
    for entry in components.listing():
        unit, error, message = raised[entry.name]
        assert (error == "NotImplementedError") == (unit not in RELEASED)
        assert unit in RELEASED or (entry.name in message and unit in message)


def test_writing_again_replaces_the_earlier_edition(tmp_path):
    write_student_edition(tmp_path, [])
    (tmp_path / "avae_lib" / "left_over.py").write_text("")
    package = write_student_edition(tmp_path, ["03_vae"])
    assert not (package / "left_over.py").exists()
    assert not raises_not_implemented(function((package / "objectives.py").read_text(), "negative_elbo"))
