"""Which components a source file defines, read from its text without running it."""

from __future__ import annotations

import ast
from dataclasses import dataclass

__all__ = ["Mark", "marks_in"]


@dataclass(frozen=True)
class Mark:
    """A definition marked as a component."""

    name: str
    unit: str
    definition: ast.FunctionDef | ast.ClassDef


def marks_in(source: str) -> tuple[Mark, ...]:
    r"""The definitions in a piece of library source that are marked as components, in their order.

    >>> [mark.name for mark in marks_in('@component(unit="03_vae")\ndef reparameterize(mean, log_std, noise): ...')]
    ['reparameterize']
    """
    found = []
    for node in ast.parse(source).body if "component(" in source else ():  # parsing takes time
        if not isinstance(node, ast.FunctionDef | ast.ClassDef):
            continue
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call) and getattr(decorator.func, "id", "") == "component":
                (unit,) = (ast.literal_eval(keyword.value) for keyword in decorator.keywords if keyword.arg == "unit")
                found.append(Mark(node.name, unit, node))
    return tuple(found)
