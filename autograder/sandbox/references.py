"""Reference bodies as source, to be sent into a sandbox whose library does not have them."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Collection
from dataclasses import dataclass

from avae_lib import components
from avae_lib.components import marks_in

__all__ = ["ReferenceBody", "reference_bodies"]


@dataclass(frozen=True)
class ReferenceBody:
    """A component's definition without its mark, and the module whose names it uses."""

    module: str
    name: str
    source: str


def reference_bodies(names: Collection[str]) -> tuple[ReferenceBody, ...]:
    """The reference bodies of the named components."""
    return tuple(_body(entry) for entry in components.listing() if entry.name in names)


def _body(entry: components.Component) -> ReferenceBody:
    module, _ = entry.place
    marks = marks_in(inspect.getsource(sys.modules[module]))
    (definition,) = (mark.definition for mark in marks if mark.name == entry.name)
    definition.decorator_list = []
    source = "from __future__ import annotations\n" + ast.unparse(definition)  # as library modules begin
    return ReferenceBody(module, entry.name, source)
