"""Finds which exercises' functions call which, from the names in the answers and in the library's own functions."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterable, Mapping
from functools import cache, cached_property

from autograder.intake.normalise import Answer
from avae_lib import components

__all__ = ["Calls", "calls_among", "names_in"]


class Calls:
    """The calls between the functions of a unit's exercises, in the student's code and in the library's.

    Args:
        answers: the answers, in the order of the notebook.
        components: the components of this unit.
    """

    def __init__(self, answers: Iterable[Answer], components: frozenset[str]) -> None:
        self._order = [answer.component for answer in answers if answer.component in components]
        self._by_student: dict[str, frozenset[str]] = {
            answer.component: names_in(answer.source, components - {answer.component})
            for answer in answers
            if answer.component in components
        }
        self._by_library = calls_among(components)

    def stand_ins(self, component: str) -> tuple[str, ...]:
        """The earlier exercises that do not call this one; stand-ins may compute their functions."""
        earlier = self._order[: self._order.index(component)]
        return tuple(name for name in earlier if component not in self._reached_from(name))

    @cached_property
    def circles(self) -> list[list[str]]:
        """Groups of answers that call each other."""
        reach = {name: _reached(name, self._by_student) for name in self._order}
        groups = [[other for other in self._order if other in reach[name] and name in reach[other]] for name in reach]
        return [group for position, group in enumerate(groups) if len(group) > 1 and group not in groups[:position]]

    def _reached_from(self, name: str) -> set[str]:
        both = {
            key: self._by_student.get(key, frozenset()) | self._by_library.get(key, frozenset())
            for key in self._by_student.keys() | self._by_library.keys()
        }
        return _reached(name, both)


def _reached(start: str, calls: Mapping[str, frozenset[str]]) -> set[str]:
    """All names that can be reached from ``start`` by calls, over any number of steps."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        for name in calls.get(waiting.pop(), frozenset()) - found:
            found.add(name)
            waiting.append(name)
    return found


def names_in(source: str, names: Iterable[str]) -> frozenset[str]:
    """Those of the names that a piece of code mentions, whether or not it is valid code."""
    return frozenset(name for name in names if re.search(rf"\b{re.escape(name)}\b", source))


@cache
def calls_among(names: frozenset[str]) -> Mapping[str, frozenset[str]]:
    """For each component, the other components that its body in the library names."""
    return {
        entry.name: names_in(_body(entry), names - {entry.name})
        for entry in components.listing()
        if entry.name in names
    }


def _body(entry: components.Component) -> str:
    """The source of a body without its docstring, which may name whatever it explains."""
    (definition,) = ast.parse(inspect.cleandoc("\n" + inspect.getsource(entry.reference))).body
    assert isinstance(definition, ast.FunctionDef | ast.ClassDef)
    return "\n".join(ast.unparse(node) for node in definition.body if not _is_text(node))


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
