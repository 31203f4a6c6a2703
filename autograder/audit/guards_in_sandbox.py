"""Runs mistakes and variants in the sandbox, as cells of a student's notebook."""

from __future__ import annotations

import ast
import contextlib
import inspect
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from autograder.authoring.student_edition import write_student_edition
from autograder.checks.case import ComponentCheck
from autograder.checks.judge_component import AskFailed
from autograder.course.course import Course
from autograder.sandbox.limits import DEFAULT_LIMITS
from autograder.sandbox.session import Session, SessionLost
from avae_lib.checking.records import Observation, Request

__all__ = ["cell_of", "sandbox_for_guards"]

HOURS = 3600.0


@contextlib.contextmanager
def sandbox_for_guards(check: ComponentCheck) -> Iterator[Callable[[Callable], Callable[[Request], Observation]]]:
    """A context with a sandbox that contains the edition of the check's unit; functions are defined in it in turn."""
    course = Course.find()
    released = [unit.name for unit in course.before(course.unit(check.unit))]
    with tempfile.TemporaryDirectory() as folder:
        write_student_edition(Path(folder), released)
        with Session(Path(folder), DEFAULT_LIMITS, time.monotonic() + HOURS) as session:
            yield lambda function: _put_in(session, check.component, function)


def cell_of(component: str, function: Callable) -> str:
    """The notebook cell in which a student would have written this function, with the helpers in its module."""
    module = sys.modules[function.__module__]
    imports = [line for line in _statements(module) if not line.startswith("from autograder")]
    definition = ast.parse(inspect.getsource(function)).body[0]
    assert isinstance(definition, ast.FunctionDef)
    definition.decorator_list = []
    opening = [*imports, "from avae_lib.components import implements"]
    return "\n".join([*opening, ast.unparse(definition), f'implements("{component}")({function.__name__})'])


def _statements(module) -> list[str]:
    tree = ast.parse(inspect.getsource(module))
    return [
        ast.unparse(node) for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom) or _is_shared(node)
    ]


def _is_shared(node: ast.stmt) -> bool:
    """Whether this is an unmarked function, which mistakes or variants may call."""
    return isinstance(node, ast.FunctionDef) and not node.decorator_list


def _put_in(session: Session, component: str, function: Callable) -> Callable[[Request], Observation]:
    error = session.run_cell(cell_of(component, function)).error
    if error:
        raise RuntimeError(f"{function.__name__} does not run as a cell of its own: {error}")

    def ask(request: Request) -> Observation:
        try:
            return session.observe(request)
        except SessionLost as loss:
            raise AskFailed(loss.reason, loss.give_up) from None

    return ask
