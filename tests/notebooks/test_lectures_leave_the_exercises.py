"""A lecture shows the mathematics of a component, and none of the code that the exercise asks for."""

import ast
import copy
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import avae_lib
from autograder.authoring.notebooks import build, is_lecture, sources
from autograder.course.course import Course
from avae_lib.component_marks import marks_in
from avae_lib.components import listing

COURSE = Course.load(Path(__file__).parents[2])
LECTURES = [path for path in sources(COURSE) if is_lecture(COURSE, path)]
# How much of a component one cell may share, in names, attributes, constants, operations and calls. What is shorter,
# such as ``mean + log_std.exp() * noise``, is a formula that a lecture cannot avoid.
TELLING, ANYWHERE = 9, 4
_COUNTED = (ast.Name, ast.Attribute, ast.Constant, ast.Call, ast.BinOp, ast.UnaryOp, ast.Subscript)
_MODULES = ("torch", "math", "F")


class _Renamed(ast.NodeTransformer):
    """Variables lose their names and keep their places; functions and modules keep their names."""

    def __init__(self) -> None:
        self.places: dict[str, str] = {}

    def visit_Call(self, node: ast.Call) -> ast.Call:
        function = node.func if isinstance(node.func, ast.Name) else self.visit(node.func)
        keywords = [ast.keyword(keyword.arg, self.visit(keyword.value)) for keyword in node.keywords]
        return ast.Call(function, [self.visit(argument) for argument in node.args], keywords)

    def visit_Name(self, node: ast.Name) -> ast.Name:
        if node.id in _MODULES:
            return node
        return ast.Name(self.places.setdefault(node.id, f"variable{len(self.places)}"), ast.Load())


def size(node: ast.AST) -> int:
    return sum(isinstance(part, _COUNTED) for part in ast.walk(node))


def without_names(node: ast.expr) -> str:
    return ast.unparse(_Renamed().visit(copy.deepcopy(node)))


@functools.cache
def expressions_of_components() -> Mapping[str, set[str]]:
    """Every component → its expressions, as the solutions and as the library write them, without variables' names."""
    found: dict[str, set[str]] = {}
    for definition in _definitions():
        expressions = (node for node in ast.walk(definition) if isinstance(node, ast.expr) and size(node) > ANYWHERE)
        found.setdefault(definition.name, set()).update(map(without_names, expressions))
    return found


def _definitions() -> Iterator[ast.FunctionDef]:
    for path in sources(COURSE):
        if not is_lecture(COURSE, path):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.FunctionDef) and any(
                    "implements" in ast.unparse(d) for d in node.decorator_list
                ):
                    yield node
    for path in Path(avae_lib.__file__).parent.rglob("*.py"):
        yield from (mark.definition for mark in marks_in(path.read_text(encoding="utf-8")))


def shared(node: ast.AST, expressions: set[str]) -> Iterator[ast.expr]:
    """The largest expressions under a node that are among the given ones."""
    if isinstance(node, ast.expr) and size(node) > ANYWHERE and without_names(node) in expressions:
        yield node
    else:
        for child in ast.iter_child_nodes(node):
            yield from shared(child, expressions)


def told_by(code: str, names: set[str]) -> list[str]:
    """The components of which a cell shows too much, with what it shows."""
    tree = ast.parse(code)
    found = {
        name: {ast.unparse(part): size(part) for part in shared(tree, expressions_of_components()[name])}
        for name in names
    }
    return [f"{name}: {', '.join(parts)}" for name, parts in found.items() if sum(parts.values()) >= TELLING]


@pytest.mark.parametrize("source", LECTURES, ids=lambda path: path.stem)
def test_no_cell_of_a_lecture_shows_code_of_a_component_still_to_be_written(source):
    unwritten = {entry.name for entry in listing() if entry.unit >= source.stem}
    cells = [cell for cell in build(COURSE, source).cells if cell.cell_type == "code"]
    shown = [cell.source for cell in cells if "build-check" not in cell.metadata.get("tags", [])]
    assert not [told for code in shown for told in told_by(code, unwritten)]


@pytest.mark.parametrize(
    "name, code",
    [
        (
            "kl_gaussian",
            "trace = torch.linalg.solve_triangular(chol_p, chol_q, upper=False).square().sum()\n"
            "square = torch.linalg.solve_triangular(chol_p, shift, upper=False).square().sum()",
        ),
        ("kl_monte_carlo", 'def terms(a):\n    return {"k1": -a, "k2": 0.5 * a**2, "k3": torch.expm1(a) - a}'),
    ],
)
def test_code_is_recognised_under_other_names(name, code):
    assert told_by(code, {name})
