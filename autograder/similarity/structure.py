"""Reduces Python source to its structure: without names, comments, formatting and text.

A copy is usually disguised by renaming variables, moving blanks and rewriting comments. None of that changes the
sequence of signs that is made here from the syntax tree. It keeps what a student cannot choose freely: kinds of
statements and operators, numbers, the names of attributes, keywords and builtins.
"""

from __future__ import annotations

import ast
import builtins
import warnings
from collections.abc import Iterator

from autograder.intake.cell_code import CellCode
from autograder.intake.notebook_cells import MAX_ANSWER

__all__ = ["signs"]

_BUILTINS = frozenset(dir(builtins))
_NO_CODE = (ast.expr_context, ast.Import, ast.ImportFrom, ast.Pass)


def signs(source: str) -> tuple[str, ...] | None:
    """The structure of a piece of source as a sequence of signs; None if it is not Python.

    IPython commands are left out. Source that cannot be read raises no error.

    Example:
        >>> signs("total = 2 * x  # twice") == signs("t=2*y")
        True
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # Python's warnings about a student's "\d" need not reach the instructor's terminal
            tree = CellCode(source[:MAX_ANSWER]).tree
            return None if tree is None else tuple(_walk(tree))
    except Exception:
        return None


def _walk(tree: ast.AST) -> Iterator[str]:
    """Signs of all nodes, parents first; without recursion, because a student may nest expressions deeply."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, _NO_CODE) or _is_text_alone(node):
            continue
        yield _sign(node)
        waiting.extend(reversed(_children(node)))


def _is_text_alone(node: ast.AST) -> bool:
    """A docstring, or a string used as a comment."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _sign(node: ast.AST) -> str:
    match node:
        case ast.AnnAssign():
            return "Assign"
        case ast.Attribute(attr=name) | ast.keyword(arg=name):
            return f"{type(node).__name__}:{name}"
        case ast.Name(id=name) if name in _BUILTINS:
            return f"Name:{name}"
        case ast.Constant(value=value) if not isinstance(value, str | bytes):
            return f"Constant:{_text_of_number(value):.40}"
    return type(node).__name__


def _text_of_number(value: object) -> str:
    """The number in decimal, or in hexadecimal if Python refuses to write so many decimal digits."""
    try:
        return repr(value)
    except ValueError:
        return f"{value:#x}"


def _children(node: ast.AST) -> list[ast.AST]:
    """The nodes below, without decorators and annotations."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return [node.args, *node.body]
        case ast.ClassDef():
            return [*node.bases, *node.body]
        case ast.AnnAssign():
            return [child for child in (node.target, node.value) if child is not None]
        case ast.arg():
            return []
    return list(ast.iter_child_nodes(node))
